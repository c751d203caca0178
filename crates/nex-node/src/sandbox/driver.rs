//! What a kind of sandbox has to know how to do.

use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use nex_protocol::name::WorkloadId;

use crate::{artifact::ArtifactLease, config::SandboxKind};

/// What an agent needs to find its node and prove who it is.
#[derive(Clone)]
pub struct Boot {
    /// Id of the agent and of the workload it will run.
    pub id: WorkloadId,
    /// The agent's own secret for the bus.
    pub secret: String,
    /// The bus as a Unix socket.
    pub socket: PathBuf,
    /// The bus over TCP, where it listens.
    pub tcp: Option<std::net::SocketAddr>,
    /// A folder that belongs to this sandbox alone; the driver makes it and
    /// [`Machine::kill`] removes it.
    pub dir: PathBuf,
}

impl std::fmt::Debug for Boot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Boot").field("id", &self.id).field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// A way to make sandboxes. The pool, deploys and triggers know only this.
pub trait Driver: Send + Sync + std::fmt::Debug {
    /// Which kind it makes.
    fn kind(&self) -> SandboxKind;

    /// Launches a machine with an agent in it and does not wait for the agent.
    ///
    /// # Errors
    /// A [`LaunchError`]; nothing of the machine is left then.
    fn launch<'a>(&'a self, boot: &'a Boot)
    -> BoxFuture<'a, Result<Box<dyn Machine>, LaunchError>>;
}

/// One launched machine.
pub trait Machine: Send {
    /// Resolves when the machine has ended, with a text that says how. May be
    /// called again after it was dropped.
    fn exited(&mut self) -> BoxFuture<'_, String>;

    /// Ends the machine with everything in it and removes its folder. Does
    /// nothing when that was done.
    fn kill(&mut self) -> BoxFuture<'_, ()>;

    /// How the agent in this machine gets at an artifact.
    fn artifact(&self, lease: &ArtifactLease) -> ArtifactAccess;

    /// Where the agent in this machine finds a file of this one that it may read and map, such
    /// as compiled code; `None` where files cannot be shared.
    fn shared_file(&self, path: &Path) -> Option<PathBuf>;

    /// What the agent last complained about, for the error of a failed boot.
    fn last_words(&self) -> Option<String>;

    /// Why the kernel ended what ran in this machine, if it did and says so.
    fn cause_of_death(&self) -> Option<String> {
        None
    }
}

/// How an agent gets at its artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArtifactAccess {
    /// As a read-only file at this path of the machine.
    File(PathBuf),
    /// Over its link to the node, as object of the NEXCACHE bucket.
    Link,
}

impl ArtifactAccess {
    /// The path, if it is a file.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Link => None,
        }
    }
}

/// Why no machine could be launched.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The sandbox's own folder could not be made.
    #[error("the sandbox folder {} cannot be made", .dir.display())]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The agent could not be started.
    #[error("the agent {} cannot be started", .agent.display())]
    Agent {
        /// The agent's binary.
        agent: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The sandbox's cgroup could not be made.
    #[error("the sandbox's cgroup cannot be made")]
    Cgroup(#[source] std::io::Error),
    /// The kernel refused a part of the sandbox.
    #[error("the sandbox cannot be made: {0}")]
    Isolation(String),
    /// The bus would not take one more agent.
    #[error("the node's bus has no seat for another agent")]
    NoSeat(#[source] crate::bus::BusError),
    /// The agent was launched and ended, or said nothing in time.
    #[error("the agent did not come up: {0}")]
    NoHandshake(String),
}
