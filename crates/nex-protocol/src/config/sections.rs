//! The nested objects of the node configuration file.

use serde::{Deserialize, Serialize};

use super::ByteSize;

/// The network that virtual machines are put on (CNI). Read by VM sandboxes only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct CniFile {
    /// Directories searched for CNI plugins, in this order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-default" = "`/opt/cni/bin`, then `PATH`")))]
    pub bin_path: Option<Vec<String>>,
    /// Name of the network interface inside a virtual machine's network namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface_name: Option<String>,
    /// Name of the CNI network; its definition is `/etc/cni/conf.d/{network_name}.conflist`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_name: Option<String>,
    /// The network of the virtual machines, as address and prefix length. `internal_node_host` must lie in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-expected" = "a network, such as \"192.168.127.0/24\"")))]
    pub subnet: Option<String>,
}

/// The size of each sandbox. `process` has none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct MachineTemplateFile {
    /// CPUs of each sandbox: virtual ones, or so much time of the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 32), extend("x-unit" = "CPUs")))]
    pub vcpu_count: Option<u32>,
    /// Memory of each sandbox. In a namespace sandbox that is what the workload may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 32, max = 1_048_576), extend("x-unit" = "MiB")))]
    pub memsize_mib: Option<u32>,
}

/// What is in a namespace sandbox, besides the size that `machine_template` gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NamespaceFile {
    /// The network of workloads. `none` is a loopback interface of their own; `full` is the host's network, with everything that listens on its loopback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NamespaceNetwork>,
    /// A folder that workloads see as their root, read-only. It decides what dynamic programs find.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-default" = "none")))]
    pub rootfs: Option<String>,
    /// Without `rootfs`: show workloads the host's libraries (`/lib`, `/lib64`, `/usr/lib`, …), read-only, so that dynamic programs run. Otherwise only static ones do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_libraries: Option<bool>,
    /// Processes and threads of one workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000), extend("x-unit" = "processes")))]
    pub max_processes: Option<u32>,
    /// Open files of each process of a workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 16, max = 1_048_576), extend("x-unit" = "files")))]
    pub max_open_files: Option<u32>,
    /// Size of `/tmp` and of `/work`, each. They are in memory, which counts as the workload's.
    #[cfg_attr(feature = "schema", schemars(extend("x-unit" = "bytes")))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch_bytes: Option<ByteSize>,
}

/// The network of a namespace sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(inline))]
#[serde(rename_all = "lowercase")]
pub enum NamespaceNetwork {
    /// A loopback interface of its own.
    None,
    /// The host's.
    Full,
}

/// Limits on what a virtual machine's network interface may move, as Firecracker knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct RateLimitersFile {
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<TokenBucketFile>,
    /// Operations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iops: Option<TokenBucketFile>,
}

/// A token bucket: `size` tokens that are refilled evenly over `refill_time`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct TokenBucketFile {
    /// Extra tokens that can be used once, before the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-unit" = "tokens")))]
    pub one_time_burst: Option<u64>,
    /// The time in which an empty bucket is full again. Required when there is a bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1), extend("x-unit" = "ms")))]
    pub refill_time: Option<u64>,
    /// The number of tokens that the bucket holds. Required when there is a bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1), extend("x-unit" = "tokens")))]
    pub size: Option<u64>,
}

/// A `nats-server` that the node starts, supervises and takes down with itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct PublicNatsServerFile {
    /// The address it listens on. Any other than a loopback one offers it to the network.
    #[serde(skip_serializing_if = "Option::is_none", alias = "host")]
    #[cfg_attr(feature = "schema", schemars(extend("x-aliases" = ["host"], "x-expected" = "an IP address, such as \"127.0.0.1\"")))]
    pub addr: Option<String>,
    /// The port it listens on; 0 or -1 takes any free one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = -1, max = 65535)))]
    pub port: Option<i32>,
    /// Whether it offers JetStream. Artifacts come from object stores, so a node without another NATS system needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jetstream: Option<bool>,
    /// Where JetStream keeps its data, across restarts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-default" = "`{state_dir}/nats`")))]
    pub store_dir: Option<String>,
    /// The name it introduces itself by.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-default" = "made up by `nats-server`")))]
    pub server_name: Option<String>,
}

/// The store of artifacts on disk, addressed by content, shared by all workloads of the node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ArtifactCacheFile {
    /// How much the cache may hold. Artifacts that no workload uses are removed, oldest use first, to stay below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("minimum" = 1)))]
    pub max_bytes: Option<ByteSize>,
    /// Where the cache is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-default" = "`{state_dir}/artifacts`")))]
    pub dir: Option<String>,
}

/// How much output of one workload is published as logs. What is above it is dropped and counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct LogsFile {
    /// Lines that one workload may log in the long run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 10_000_000), extend("x-unit" = "lines/s")))]
    pub lines_per_second: Option<u32>,
    /// Bytes that one workload may log in the long run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("minimum" = 1, "x-unit" = "bytes/s")))]
    pub bytes_per_second: Option<ByteSize>,
}

/// What the node admits. Requests above a limit are refused with an answer that names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct LimitsFile {
    /// Workloads that run at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000), extend("x-unit" = "workloads")))]
    pub max_workloads: Option<u32>,
    /// Deploys that are worked on at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 10_000), extend("x-unit" = "deploys")))]
    pub max_concurrent_deploys: Option<u32>,
    /// The size of one artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("minimum" = 1)))]
    pub max_artifact_bytes: Option<ByteSize>,
}

/// How functions are called and what one call may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct FunctionsFile {
    /// How long a call may take, waiting and host calls included, when the deploy does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 3_600_000), extend("x-unit" = "ms")))]
    pub call_timeout_ms: Option<u32>,
    /// The longest time for a call that a deploy may ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 3_600_000), extend("x-unit" = "ms")))]
    pub max_call_timeout_ms: Option<u32>,
    /// Calls of one function that run at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 256), extend("x-unit" = "calls")))]
    pub max_concurrent_calls: Option<u32>,
    /// Calls of all functions that run at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 65536), extend("x-unit" = "calls")))]
    pub max_concurrent_calls_node: Option<u32>,
    /// Calls of one function that wait for a place; more are refused at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 65536), extend("x-unit" = "calls")))]
    pub queue_length: Option<u32>,
    /// How long a call waits for a place before it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 60_000), extend("x-unit" = "ms")))]
    pub queue_wait_ms: Option<u32>,
    /// Memory that one running call may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("minimum" = 1_048_576)))]
    pub max_memory_bytes: Option<ByteSize>,
    /// The largest answer. What NATS does not carry cannot be answered either.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("minimum" = 1)))]
    pub max_output_bytes: Option<ByteSize>,
    /// The largest script of a JavaScript function.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("minimum" = 1)))]
    pub max_script_bytes: Option<ByteSize>,
    /// How long the compilation of one WebAssembly module may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 100, max = 3_600_000), extend("x-unit" = "ms")))]
    pub compile_timeout_ms: Option<u32>,
    /// Memory that the compilation of one WebAssembly module may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("minimum" = 16_777_216)))]
    pub compile_memory_bytes: Option<ByteSize>,
    /// The store of compiled functions on disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compiled_cache: Option<CompiledCacheFile>,
}

/// The store of machine code made of WebAssembly modules, addressed by the content of the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct CompiledCacheFile {
    /// How much the store may hold. What no function uses is removed, oldest use first, to stay below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("minimum" = 1)))]
    pub max_bytes: Option<ByteSize>,
    /// Where the store is. What lies there is run: nobody but the node's user may write to it. Nodes of the same version may share it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-default" = "`{state_dir}/compiled`")))]
    pub dir: Option<String>,
}
