//! Why a node did not start.

use std::path::PathBuf;

use crate::{
    artifact::ArtifactError,
    bus::BusError,
    config::SandboxChoice,
    host::HttpSetupError,
    sandbox::{LaunchError, agent_image::AgentImageError},
    state::StateError,
};

/// Why a node did not start. The text of an error with its sources is one line
/// that names the cause and the next step.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Workloads would have to be isolated in a way that this version cannot.
    #[error(
        "sandbox '{0}' is not part of this version of Nex; use --sandbox namespace (in a file: \"sandbox\": \"namespace\")"
    )]
    NotBuilt(SandboxChoice),
    /// Workloads would have to be isolated, and this machine does not let this user.
    #[error(
        "sandbox '{choice}' does not work here; {remedy}; or, if you trust the programs you run, isolate nothing with --sandbox process"
    )]
    NoIsolation {
        /// What was asked for.
        choice: SandboxChoice,
        /// What to do about it.
        remedy: String,
        /// What the kernel refused.
        #[source]
        source: LaunchError,
    },
    /// Agents of the old protocol cannot shut themselves in.
    #[error(
        "agents of the old protocol run with --sandbox process only, not with '{0}'; leave out legacy_agents and agent_path to use the built-in agent"
    )]
    LegacyIsolation(SandboxChoice),
    /// The sandboxes' users could not be let to the artifacts.
    #[error("the folders of artifacts cannot be opened to the sandboxes' users")]
    ShownFolder(#[source] std::io::Error),
    /// The state directory.
    #[error("the state directory cannot be used")]
    State(#[source] StateError),
    /// The node's own key is not a server key.
    #[error(
        "the node's seed is not that of a server key (SN…); restore node.nk in the state directory, or remove it to get a new identity"
    )]
    Identity,
    /// The artifact cache.
    #[error("the artifact cache cannot be used")]
    Cache(#[source] ArtifactError),
    /// The agents' endpoint.
    #[error("the endpoint for agents cannot be opened")]
    Bus(#[source] BusError),
    /// What functions may use of the node.
    #[error("host services cannot be set up")]
    HostServices(#[source] HttpSetupError),
    /// The built-in agent cannot be written out.
    #[error("the agent cannot be written to the state directory")]
    Agent(#[source] AgentImageError),
    /// The operator's agent is not there.
    #[error("there is no agent at {}; correct agent_path, or leave it out to use the built-in one", .0.display())]
    NoSuchAgent(PathBuf),
    /// NATS took no subscription.
    #[error("NATS takes no subscription; check the connection and the permissions of its user")]
    Subscribe(#[source] async_nats::SubscribeError),
    /// The node cannot reach itself through NATS.
    #[error(
        "the node does not get its own requests on $NEX.> ({0}); check the permissions of its NATS user"
    )]
    NotListening(String),
}
