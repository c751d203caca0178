//! The checked configuration.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    ops::Deref,
    path::PathBuf,
    time::Duration,
};

use nex_protocol::{
    config::{NamespaceNetwork, NodeConfigFile, SandboxChoice},
    control::WorkloadType,
    key::{CurvePublicKey, PublicKey},
};

use super::{HostServicesConfig, Place};

/// A kind of sandbox that really exists, as opposed to a [`SandboxChoice`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxKind {
    /// A plain child process: no isolation.
    Process,
    /// Linux namespaces, seccomp, landlock and cgroups.
    Namespace,
}

impl SandboxKind {
    /// Its name in configurations and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Namespace => "namespace",
        }
    }
}

/// A checked configuration. It cannot be changed, only read: its fields are those of
/// [`Settings`], `config.pool_size` and so on.
///
/// Made by [`load`](super::load) and its sisters, or by [`Config::builder`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    settings: Settings,
    /// Every key with its value, for [`Config::effective`].
    pub(super) file: NodeConfigFile,
    /// Which of them were set, and where.
    pub(super) places: BTreeMap<String, Place>,
}

impl Config {
    pub(super) const fn new(
        settings: Settings,
        file: NodeConfigFile,
        places: BTreeMap<String, Place>,
    ) -> Self {
        Self { settings, file, places }
    }

    /// Every key as it counts, defaults filled in. What no [`Settings`] field tells yet (virtual
    /// machines, their network, telemetry) was checked all the same and is read from here.
    pub const fn file(&self) -> &NodeConfigFile {
        &self.file
    }
}

impl Deref for Config {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.settings
    }
}

/// What a [`Config`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// What workloads are put into.
    pub sandbox: SandboxChoice,
    /// The state directory, if one was asked for.
    pub state_dir: Option<PathBuf>,
    /// The node's name, if one was given.
    pub node_name: Option<String>,
    /// The operator's tags, without the node's name.
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
    /// How functions are called.
    pub functions: FunctionsConfig,
    /// The artifacts on disk.
    pub artifact_cache: ArtifactCacheConfig,
    /// How much output of a workload is published.
    pub logs: LogLimits,
    /// What functions may use of the node.
    pub host_services: HostServicesConfig,
    /// What namespace sandboxes are made of.
    pub namespace: NamespaceSettings,
    /// From SIGTERM to SIGKILL when a workload is stopped.
    pub stop_grace: Duration,
    /// How long a stopping node waits for its workloads.
    pub drain_deadline: Duration,
    /// A nats-server to start with the node.
    pub public_nats_server: Option<PublicNatsServer>,
}

/// What a namespace sandbox is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceSettings {
    /// Its network.
    pub network: NamespaceNetwork,
    /// The root of workloads.
    pub rootfs: Option<PathBuf>,
    /// Without one: show them the host's libraries.
    pub host_libraries: bool,
    /// Processes and threads of a workload.
    pub max_processes: u32,
    /// Open files of each process.
    pub max_open_files: u32,
    /// Size of each writable folder, bytes.
    pub scratch_bytes: u64,
    /// Memory of a workload, bytes.
    pub memory_bytes: u64,
    /// How many processors' time a sandbox may take.
    pub cpus: u32,
}

/// What a node admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Workloads at the same time.
    pub max_workloads: usize,
    /// Deploys that are worked on at the same time; more wait.
    pub max_concurrent_deploys: usize,
    /// Size of one artifact, bytes; at most the size of the cache.
    pub max_artifact_bytes: u64,
}

/// How functions are called and what one call may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionsConfig {
    /// How long a call may take when the deploy does not say.
    pub call_timeout: Duration,
    /// The longest time for a call that a deploy may ask for.
    pub max_call_timeout: Duration,
    /// Calls of one function that run at the same time.
    pub max_concurrent_calls: u32,
    /// Calls of all functions that run at the same time.
    pub max_concurrent_calls_node: u32,
    /// Calls of one function that wait for a place.
    pub queue_length: usize,
    /// How long they wait.
    pub queue_wait: Duration,
    /// Memory of one running call, bytes.
    pub max_memory_bytes: u64,
    /// The largest answer, bytes.
    pub max_output_bytes: u64,
    /// The largest script, bytes.
    pub max_script_bytes: u64,
    /// How long one compilation may take.
    pub compile_timeout: Duration,
    /// Memory of one compilation, bytes.
    pub compile_memory_bytes: u64,
    /// Compiled functions on disk.
    pub compiled_cache: CompiledCacheConfig,
}

/// Compiled functions on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompiledCacheConfig {
    /// Size of all of them, bytes.
    pub max_bytes: u64,
    /// Where they are; in the state directory if `None`.
    pub dir: Option<PathBuf>,
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
    /// The name it introduces itself by; no spaces.
    pub server_name: Option<String>,
}
