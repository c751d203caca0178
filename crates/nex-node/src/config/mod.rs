//! The node's configuration: raw JSON in, checked and immutable [`Config`] out.
//!
//! ```text
//! file ─parse─▶ document ─by schema─▶ known keys + findings ┐
//! flags ──────────────────────────────────────────────────── ┼─ merge ─ defaults ─ check ─▶ Config
//! ```
//!
//! This room is the only one of the node that reads the environment.

mod builder;
mod check;
mod defaults;
mod document;
mod effective;
mod load;
mod problem;
mod shape;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use nex_protocol::{
    config::NodeConfigFile,
    control::WorkloadType,
    key::{CurvePublicKey, PublicKey},
};

pub use builder::ConfigBuilder;
pub use load::{Overrides, load};
pub use nex_protocol::config::SandboxChoice;
pub use problem::{
    ConfigError, Origin, Place, Position, Problem, ProblemKind, Problems, SyntaxError, Warning,
    WarningKind,
};

/// A kind of sandbox that really exists, as opposed to a [`SandboxChoice`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxKind {
    /// A plain child process: no isolation.
    Process,
}

impl SandboxKind {
    /// Its name in configurations and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
        }
    }
}

/// A checked configuration. It does not change while a node runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// What workloads are put into.
    pub sandbox: SandboxChoice,
    /// The state directory, if one was asked for.
    pub state_dir: Option<PathBuf>,
    /// The node's name, if one was given.
    pub node_name: Option<String>,
    /// The operator's tags.
    pub tags: BTreeMap<String, String>,
    /// Warm sandboxes to keep; at least 1.
    pub pool_size: usize,
    /// How long an agent may take from its launch to its handshake.
    pub handshake_timeout: Duration,
    /// An agent to use instead of the built-in one.
    pub agent_path: Option<PathBuf>,
    /// Host agents of the old protocol, which have no secret.
    pub legacy_agents: bool,
    /// Where agents can connect over TCP; `None`: only through the Unix socket.
    pub bus_tcp: Option<SocketAddr>,
    /// Who may sign workloads; empty: everybody.
    pub valid_issuers: Vec<PublicKey>,
    /// Whose environments are opened; empty: everybody's.
    pub requester_public_keys: Vec<CurvePublicKey>,
    /// Refuse claims without a digest of the artifact.
    pub require_artifact_hash: bool,
    /// What the node runs.
    pub workload_types: Vec<WorkloadType>,
    /// What it admits.
    pub limits: Limits,
    /// The artifacts on disk.
    pub artifact_cache: ArtifactCacheConfig,
    /// How much output of a workload is published.
    pub logs: LogLimits,
    /// From SIGTERM to SIGKILL when a workload is stopped.
    pub stop_grace: Duration,
    /// How long a stopping node waits for its workloads.
    pub drain_deadline: Duration,
    /// A nats-server to start with the node.
    pub public_nats_server: Option<PublicNatsServer>,
    /// Every key with its value, for [`Config::effective`].
    file: NodeConfigFile,
    /// Which of them were set, and where.
    origins: BTreeMap<String, Origin>,
}

/// What a node admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Workloads at the same time.
    pub max_workloads: usize,
    /// Deploys that are worked on at the same time; more wait.
    pub max_concurrent_deploys: usize,
    /// Size of one artifact, bytes.
    pub max_artifact_bytes: u64,
}

/// The artifacts on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactCacheConfig {
    /// Size of all of them, bytes.
    pub max_bytes: u64,
    /// Where they are; in the state directory if `None`.
    pub dir: Option<PathBuf>,
}

/// How much output of one workload is published; the rest is dropped and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// Lines per second.
    pub lines_per_second: u32,
    /// Bytes per second.
    pub bytes_per_second: u64,
}

/// A nats-server to start with the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicNatsServer {
    /// The address it listens on.
    pub host: IpAddr,
    /// Its port; `None` takes any free one.
    pub port: Option<u16>,
    /// Whether it has JetStream.
    pub jetstream: bool,
    /// Where its data is; in the state directory if `None`.
    pub store_dir: Option<PathBuf>,
    /// The name it introduces itself by.
    pub server_name: Option<String>,
}

/// Where programs are looked up, for agents that need it.
pub(crate) fn search_path() -> Option<std::ffi::OsString> {
    std::env::var_os("PATH")
}

/// Where a node keeps its state when nobody says: `/var/lib/nex/node` for root,
/// else under `XDG_STATE_HOME` or `~/.local/state`.
///
/// # Errors
/// [`ConfigError::NoHome`].
pub fn default_state_dir() -> Result<PathBuf, ConfigError> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/nex/node"));
    }
    let absolute = |name| {
        std::env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute())
    };
    let base = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .ok_or(ConfigError::NoHome)?;
    Ok(base.join("nex/node"))
}

/// The folder for sockets of this user's programs, where the system has one.
pub(crate) fn runtime_dir() -> Option<PathBuf> {
    std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute())
}
