//! The agent protocol: what a node and the agent in a sandbox say to each other.

mod log_entry;
mod names;

pub use log_entry::{AgentLevel, AgentLog, MAX_AGENT_LOG_BYTES};
pub use names::{CACHE_BUCKET, env, header};
