//! Where workloads run: the drivers, and the agent that each sandbox holds.

pub mod agent_image;
