//! The node configuration file, as it is written: JSON keys and their types, nothing checked.
//!
//! The keys of the Go node (`reference/nex-protocol.md` §7) keep their names and meaning; the rest
//! are ours. Every key is optional; one that is absent or `null` takes its default. The node turns
//! this into a checked configuration (`nex_node::config`), which also says where a mistake is.
//!
//! With the feature `schema` these types describe themselves as a JSON Schema. Besides the
//! standard keywords it uses these, which the node's loader and its documentation read:
//!
//! | keyword | meaning |
//! |---|---|
//! | `x-aliases` | older spellings of the key |
//! | `x-unit` | the unit of a number |
//! | `x-expected` | what the value must be, in words |
//! | `x-default` | the default, in words, where it depends on the machine |

mod byte_size;
mod host_services;
mod sections;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use byte_size::{ByteSize, ByteSizeError};
pub use host_services::{
    HostHttpFile, HostKvFile, HostMessagingFile, HostObjectStoreFile, HostServicesFile,
};
pub use sections::{
    ArtifactCacheFile, CniFile, CompiledCacheFile, FunctionsFile, LimitsFile, LogsFile,
    MachineTemplateFile, NamespaceFile, NamespaceNetwork, PublicNatsServerFile, RateLimitersFile,
    TokenBucketFile,
};

/// What keeps a workload away from the machine and from other workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(inline))]
#[serde(rename_all = "lowercase")]
pub enum SandboxChoice {
    /// The strongest sandbox that this machine can really run; never `process`.
    Auto,
    /// A Firecracker virtual machine.
    Firecracker,
    /// A QEMU `microvm`, with hardware virtualisation or without.
    Qemu,
    /// Linux namespaces, seccomp, landlock and cgroups.
    Namespace,
    /// No isolation: a child process.
    Process,
}

impl SandboxChoice {
    /// The name as it is written in the configuration and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Firecracker => "firecracker",
            Self::Qemu => "qemu",
            Self::Namespace => "namespace",
            Self::Process => "process",
        }
    }

    /// Whether workloads run in virtual machines, which reach the node over a network.
    pub const fn is_virtual_machine(self) -> bool {
        matches!(self, Self::Firecracker | Self::Qemu)
    }
}

impl std::fmt::Display for SandboxChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no [`SandboxChoice`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sandbox must be one of auto, firecracker, qemu, namespace, process")]
pub struct UnknownSandbox;

impl std::str::FromStr for SandboxChoice {
    type Err = UnknownSandbox;

    fn from_str(name: &str) -> Result<Self, UnknownSandbox> {
        [Self::Auto, Self::Firecracker, Self::Qemu, Self::Namespace, Self::Process]
            .into_iter()
            .find(|choice| choice.as_str() == name)
            .ok_or(UnknownSandbox)
    }
}

/// The configuration of a Nex node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(title = "Nex node configuration"))]
#[serde(default)]
pub struct NodeConfigFile {
    /// The JSON Schema of this file, for editors. The node does not read it.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,

    /// What isolates workloads. `auto` takes the strongest sandbox that the machine can run, never `process`. A file with neither `sandbox` nor `no_sandbox` means `firecracker`, as it always did; without a file the default is `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-default" = "`firecracker` in a file, `auto` without one")))]
    pub sandbox: Option<SandboxChoice>,
    /// The older form of `sandbox`: `true` is `process`, which isolates nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-default" = "see `sandbox`")))]
    pub no_sandbox: Option<bool>,

    /// Where the node keeps its identity, its name, artifacts and sockets. One running node per directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-default" = "`/var/lib/nex/node` for root, else `$XDG_STATE_HOME/nex/node` or `~/.local/state/nex/node`; `node-2` to `node-16` beside it for more nodes")))]
    pub state_dir: Option<String>,
    /// The node's name, shown beside its id and published as the tag `node_name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-default" = "two words, made once and kept in `state_dir`")))]
    pub node_name: Option<String>,
    /// Labels of the node, shown by discovery. Names that start with `nex.` are set by the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,

    /// How many sandboxes are kept ready for the next deploys.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 4096), extend("x-unit" = "sandboxes")))]
    pub machine_pool_size: Option<u32>,
    /// How long a new sandbox may take until its agent reports to the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 600_000), extend("x-unit" = "ms")))]
    pub agent_handshake_timeout_ms: Option<u32>,
    /// An agent program to use instead of the built-in one, such as an agent of the Go implementation (with `legacy_agents`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-default" = "the built-in agent")))]
    pub agent_path: Option<String>,
    /// Admit agents that present no secret, as those of the Go implementation. Any local user can then pose as an agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legacy_agents: Option<bool>,
    /// The address at which agents reach the node over TCP. Given, or with `legacy_agents` or virtual machines, the node listens there; otherwise agents use a Unix socket only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-default" = "`192.168.127.1` for virtual machines, else `127.0.0.1`", "x-expected" = "an IP address, such as \"127.0.0.1\"")))]
    pub internal_node_host: Option<String>,
    /// The port that goes with `internal_node_host`; 0 takes any free one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 65535)))]
    pub internal_node_port: Option<u16>,

    /// Public keys of the issuers whose workloads the node runs (`A…`). Empty: anyone's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_issuers: Option<Vec<String>>,
    /// Public curve keys of the senders whose deploys the node takes (`X…`). Empty: anyone's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requester_public_keys: Option<Vec<String>>,
    /// Refuse workloads whose claims do not name the SHA-256 of their artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_artifact_hash: Option<bool>,
    /// The kinds of workload that the node takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "workload_types_schema"))]
    pub workload_types: Option<Vec<String>>,
    /// What the node admits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsFile>,
    /// How functions are called and what one call may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub functions: Option<FunctionsFile>,

    /// The store of artifacts on disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_cache: Option<ArtifactCacheFile>,
    /// How much output of one workload is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<LogsFile>,
    /// What functions may use of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_services: Option<HostServicesFile>,
    /// How long a program may take to end after SIGTERM before it is killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 600_000), extend("x-unit" = "ms")))]
    pub stop_grace_ms: Option<u32>,
    /// How long a stopping node may take to stop everything that it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 3_600_000), extend("x-unit" = "ms")))]
    pub drain_deadline_ms: Option<u32>,

    /// Run a NATS server of the node's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-default" = "none")))]
    pub public_nats_server: Option<PublicNatsServerFile>,

    /// Directories searched for the programs that the node needs (`firecracker`, `nats-server`, …), in this order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-default" = "`/usr/local/bin`, then `PATH`")))]
    pub bin_path: Option<Vec<String>>,
    /// Where `kernel_filepath` and `rootfs_filepath` are looked for when they are not given, as `vmlinux` and `rootfs.ext4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-default" = "none")))]
    pub default_resource_dir: Option<String>,
    /// The kernel of virtual machines, uncompressed.
    #[serde(skip_serializing_if = "Option::is_none", alias = "kernel_path")]
    #[cfg_attr(feature = "schema", schemars(extend("x-aliases" = ["kernel_path"], "x-default" = "`{default_resource_dir}/vmlinux`")))]
    pub kernel_filepath: Option<String>,
    /// The root file system image of virtual machines.
    #[serde(skip_serializing_if = "Option::is_none", alias = "rootfs_path")]
    #[cfg_attr(feature = "schema", schemars(extend("x-aliases" = ["rootfs_path"], "x-default" = "`{default_resource_dir}/rootfs.ext4`")))]
    pub rootfs_filepath: Option<String>,
    /// The size of each sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_template: Option<MachineTemplateFile>,
    /// What is in a namespace sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceFile>,
    /// The network of virtual machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cni: Option<CniFile>,
    /// Limits on the network traffic of each virtual machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-default" = "none")))]
    pub rate_limiters: Option<RateLimitersFile>,
    /// Leave the network of virtual machines in place when the node stops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preserve_network: Option<bool>,

    /// Where metrics and traces go by OTLP, as host and port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_exporter_url: Option<String>,
    /// Export metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otel_metrics: Option<bool>,
    /// The port at which Prometheus finds metrics, when `otel_metrics_exporter` is `prometheus`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 65535)))]
    pub otel_metrics_port: Option<u16>,
    /// How metrics are exported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otel_metrics_exporter: Option<String>,
    /// Export traces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otel_traces: Option<bool>,
    /// How traces are exported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otel_traces_exporter: Option<String>,
}

/// Names of workload types, those of the Go node and their aliases.
#[cfg(feature = "schema")]
fn workload_types_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": ["array", "null"],
        "items": {
            "type": "string",
            "enum": ["elf", "native", "v8", "js", "javascript", "wasm", "oci"],
        },
    })
}
