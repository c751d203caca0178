//! What an agent and the node say to each other when the agent does not behave.
