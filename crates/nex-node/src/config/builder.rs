//! The door for programs that run a node as a library.

use std::{collections::BTreeMap, path::Path, time::Duration};

use nex_protocol::{
    config::{ByteSize, FunctionsFile, HostServicesFile, NodeConfigFile, SandboxChoice},
    control::WorkloadType,
    key::{CurvePublicKey, PublicKey},
};

use super::{
    Config, ConfigError, Origin, Overrides, Problem,
    load::{Sources, utf8},
    surroundings::Surroundings,
};

/// Builds a [`Config`] key by key; what is not set has its default.
///
/// ```
/// use nex_node::config::{Config, SandboxChoice};
///
/// let config = Config::builder()
///     .sandbox(SandboxChoice::Process)
///     .pool_size(2)
///     .tag("region", "north")
///     .build()?;
/// assert_eq!(config.pool_size, 2);
/// # Ok::<(), nex_node::config::ConfigError>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "nothing is checked before `build`"]
pub struct ConfigBuilder {
    file: NodeConfigFile,
    problems: Vec<Problem>,
}

impl Config {
    /// A configuration of a program's own.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }
}

/// Durations are whole milliseconds, at most what the file can say.
fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

impl ConfigBuilder {
    fn path(&mut self, key: &str, path: &Path) -> Option<String> {
        utf8(key, path, Origin::Program).map_err(|problem| self.problems.push(*problem)).ok()
    }

    /// What workloads are put into.
    pub fn sandbox(mut self, sandbox: SandboxChoice) -> Self {
        self.file.sandbox = Some(sandbox);
        self
    }

    /// Where the node keeps its state.
    pub fn state_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.file.state_dir = self.path("state_dir", dir.as_ref());
        self
    }

    /// The node's name.
    pub fn node_name(mut self, name: impl Into<String>) -> Self {
        self.file.node_name = Some(name.into());
        self
    }

    /// A tag.
    pub fn tag(mut self, tag: impl Into<String>, value: impl Into<String>) -> Self {
        self.file.tags.get_or_insert_with(BTreeMap::new).insert(tag.into(), value.into());
        self
    }

    /// Warm sandboxes to keep; at least 1.
    pub fn pool_size(mut self, size: u32) -> Self {
        self.file.machine_pool_size = Some(size);
        self
    }

    /// Who may sign workloads; empty: everybody.
    pub fn valid_issuers(mut self, issuers: impl IntoIterator<Item = PublicKey>) -> Self {
        self.file.valid_issuers = Some(issuers.into_iter().map(|key| key.to_string()).collect());
        self
    }

    /// Whose environments are opened; empty: everybody's.
    pub fn requester_public_keys(mut self, keys: impl IntoIterator<Item = CurvePublicKey>) -> Self {
        let keys = keys.into_iter().map(|key| key.to_string()).collect();
        self.file.requester_public_keys = Some(keys);
        self
    }

    /// Refuse claims without a digest of the artifact.
    pub fn require_artifact_hash(mut self, require: bool) -> Self {
        self.file.require_artifact_hash = Some(require);
        self
    }

    /// Run the agent at `path` instead of the built-in one.
    pub fn agent(mut self, path: impl AsRef<Path>) -> Self {
        self.file.agent_path = self.path("agent_path", path.as_ref());
        self
    }

    /// Host the agent at `path`, of the old protocol, instead of the built-in one.
    pub fn legacy_agent(mut self, path: impl AsRef<Path>) -> Self {
        self.file.legacy_agents = Some(true);
        self.file.agent_path = self.path("agent_path", path.as_ref());
        self
    }

    /// The TCP port for agents; 0 takes any free one.
    pub fn internal_node_port(mut self, port: u16) -> Self {
        self.file.internal_node_port = Some(port);
        self
    }

    /// Size of all cached artifacts, bytes.
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.file.artifact_cache.get_or_insert_default().max_bytes = Some(ByteSize::bytes(bytes));
        self
    }

    /// Where artifacts are cached.
    pub fn cache_dir(mut self, dir: impl AsRef<Path>) -> Self {
        let dir = self.path("artifact_cache.dir", dir.as_ref());
        self.file.artifact_cache.get_or_insert_default().dir = dir;
        self
    }

    /// What the node runs.
    pub fn workload_types(mut self, types: impl IntoIterator<Item = WorkloadType>) -> Self {
        self.file.workload_types = Some(types.into_iter().map(|kind| kind.to_string()).collect());
        self
    }

    /// How functions are called: the section of a file.
    pub fn functions(mut self, functions: FunctionsFile) -> Self {
        self.file.functions = Some(functions);
        self
    }

    /// Workloads at the same time.
    pub fn max_workloads(mut self, count: u32) -> Self {
        self.file.limits.get_or_insert_default().max_workloads = Some(count);
        self
    }

    /// Size of one artifact, bytes.
    pub fn max_artifact_bytes(mut self, bytes: u64) -> Self {
        self.file.limits.get_or_insert_default().max_artifact_bytes = Some(ByteSize::bytes(bytes));
        self
    }

    /// Memory of each sandbox, MiB.
    pub fn memory_mib(mut self, mebibytes: u32) -> Self {
        self.file.machine_template.get_or_insert_default().memsize_mib = Some(mebibytes);
        self
    }

    /// Show workloads in namespace sandboxes the host's libraries.
    pub fn host_libraries(mut self, show: bool) -> Self {
        self.file.namespace.get_or_insert_default().host_libraries = Some(show);
        self
    }

    /// Lines of output of one workload that are published, per second.
    pub fn log_lines_per_second(mut self, lines: u32) -> Self {
        self.file.logs.get_or_insert_default().lines_per_second = Some(lines);
        self
    }

    /// What functions may use of the node.
    pub fn host_services(mut self, host_services: HostServicesFile) -> Self {
        self.file.host_services = Some(host_services);
        self
    }

    /// From SIGTERM to SIGKILL when a workload is stopped.
    pub fn stop_grace(mut self, grace: Duration) -> Self {
        self.file.stop_grace_ms = Some(milliseconds(grace));
        self
    }

    /// Checks the whole.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`], with every value that is out of range.
    pub fn build(self) -> Result<Config, ConfigError> {
        let mut sources = Sources::default();
        sources.add_typed(&self.file, Origin::Program);
        for problem in self.problems {
            sources.add_problem(problem);
        }
        let built = sources.finish(&Overrides::default(), &Surroundings::read());
        built.map(|(config, _)| config)
    }
}
