//! stub
#![allow(missing_docs)]
pub use nex_protocol::config::SandboxChoice;
use nex_protocol::{
    control::WorkloadType,
    key::{CurvePublicKey, PublicKey},
};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxKind {
    Process,
    Namespace,
    Firecracker,
    Qemu,
}
#[derive(Debug, Clone)]
pub struct Config {
    pub workload_types: Vec<WorkloadType>,
    pub valid_issuers: Vec<PublicKey>,
    pub requester_public_keys: Vec<CurvePublicKey>,
    pub require_artifact_hash: bool,
    pub stop_grace: Duration,
    pub logs: LogLimits,
    pub tags: BTreeMap<String, String>,
    pub pool_size: usize,
    pub agent_path: Option<PathBuf>,
    pub legacy_agents: bool,
    pub bus_tcp: Option<SocketAddr>,
    pub artifact_cache: CacheConfig,
    pub sandbox: SandboxChoice,
    pub state_dir: Option<PathBuf>,
    pub node_name: Option<String>,
    pub limits: Limits,
}
#[derive(Debug, Clone)]
pub struct LogLimits {
    pub lines_per_second: u32,
    pub bytes_per_second: u64,
}
#[derive(Debug, Clone)]
pub struct CacheConfig {
    pub max_bytes: u64,
    pub dir: Option<PathBuf>,
}
#[derive(Debug, Clone)]
pub struct Limits {
    pub max_artifact_bytes: u64,
}
pub fn search_path() -> Option<std::ffi::OsString> {
    std::env::var_os("PATH")
}
pub struct ConfigBuilder(Config);
impl Config {
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder(Config {
            workload_types: vec![WorkloadType::Elf],
            valid_issuers: vec![],
            requester_public_keys: vec![],
            require_artifact_hash: false,
            stop_grace: Duration::from_secs(5),
            logs: LogLimits { lines_per_second: 10000, bytes_per_second: 8 << 20 },
            tags: BTreeMap::new(),
            pool_size: 1,
            agent_path: None,
            legacy_agents: false,
            bus_tcp: None,
            artifact_cache: CacheConfig { max_bytes: 10 << 30, dir: None },
            sandbox: SandboxChoice::Auto,
            state_dir: None,
            node_name: None,
            limits: Limits { max_artifact_bytes: 4 << 30 },
        })
    }
}
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct ConfigError;
impl ConfigBuilder {
    pub fn sandbox(mut self, s: SandboxChoice) -> Self {
        self.0.sandbox = s;
        self
    }
    pub fn state_dir(mut self, s: impl Into<PathBuf>) -> Self {
        self.0.state_dir = Some(s.into());
        self
    }
    pub fn stop_grace(mut self, s: Duration) -> Self {
        self.0.stop_grace = s;
        self
    }
    pub fn valid_issuers(mut self, s: Vec<PublicKey>) -> Self {
        self.0.valid_issuers = s;
        self
    }
    pub fn require_artifact_hash(mut self, s: bool) -> Self {
        self.0.require_artifact_hash = s;
        self
    }
    pub fn build(self) -> Result<Config, ConfigError> {
        Ok(self.0)
    }
}
