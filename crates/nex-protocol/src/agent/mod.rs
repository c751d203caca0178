//! The agent protocol: what a node and the agent in a sandbox say to each other.

mod call_failure;
mod deploy;
mod handshake;
mod log_entry;
mod metadata;
mod names;
pub mod namespaces;

pub use call_failure::{CallFailure, UnknownCallFailure};
pub use deploy::{
    AgentDeployRequest, DeployExtensions, DeployResponse, MAX_ARTIFACT_PATH_BYTES,
    MAX_DEPLOY_RESPONSE_BYTES,
};
pub use handshake::{HANDSHAKE_RESPONSE, Handshake, MAX_HANDSHAKE_BYTES};
pub use log_entry::{AgentLevel, AgentLog, MAX_AGENT_LOG_BYTES};
pub use metadata::{MAX_METADATA_BYTES, MachineMetadata};
pub use names::{CACHE_BUCKET, env, header};
