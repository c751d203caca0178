//! The value of every key that nobody sets.

use std::{collections::BTreeMap, path::PathBuf};

use nex_protocol::config::{
    ArtifactCacheFile, ByteSize, CniFile, CompiledCacheFile, FunctionsFile, LimitsFile, LogsFile,
    MachineTemplateFile, NamespaceFile, NamespaceNetwork, NodeConfigFile, PublicNatsServerFile,
};

use super::{host_services, surroundings::Surroundings};

/// Fills what is absent and has a default. What is made when the node starts (its state
/// directory, its name) stays absent.
pub(super) fn fill(file: NodeConfigFile, surroundings: &Surroundings) -> NodeConfigFile {
    // A folder before those that programs are searched in anyway.
    let searched = |first: &str| {
        let rest = surroundings.search_path.iter().filter_map(|path| path.to_str());
        let rest = rest.filter(|path| *path != first && !path.is_empty());
        Some(std::iter::once(first).chain(rest).map(str::to_owned).collect())
    };
    let resource = |name: &str| {
        let folder = PathBuf::from(file.default_resource_dir.as_ref()?);
        folder.join(name).into_os_string().into_string().ok()
    };
    let (kernel, rootfs) = (resource("vmlinux"), resource("rootfs.ext4"));
    let texts = |list: &[&str]| Some(list.iter().map(|text| (*text).to_owned()).collect());
    let cni = file.cni.unwrap_or_default();
    let template = file.machine_template.unwrap_or_default();
    let namespace = file.namespace.unwrap_or_default();
    let limits = file.limits.unwrap_or_default();
    let cache = file.artifact_cache.unwrap_or_default();
    let logs = file.logs.unwrap_or_default();
    NodeConfigFile {
        no_sandbox: None,
        bin_path: file.bin_path.or_else(|| searched("/usr/local/bin")),
        kernel_filepath: file.kernel_filepath.or(kernel),
        rootfs_filepath: file.rootfs_filepath.or(rootfs),
        tags: file.tags.or_else(|| Some(BTreeMap::new())),
        machine_pool_size: file.machine_pool_size.or(Some(1)),
        agent_handshake_timeout_ms: file.agent_handshake_timeout_ms.or(Some(10_000)),
        legacy_agents: file.legacy_agents.or(Some(false)),
        internal_node_port: file.internal_node_port.or(Some(9222)),
        valid_issuers: file.valid_issuers.or_else(|| Some(Vec::new())),
        requester_public_keys: file.requester_public_keys.or_else(|| Some(Vec::new())),
        require_artifact_hash: file.require_artifact_hash.or(Some(false)),
        workload_types: file.workload_types.or_else(|| texts(&["elf", "v8", "wasm"])),
        limits: Some(LimitsFile {
            max_workloads: limits.max_workloads.or(Some(1000)),
            max_concurrent_deploys: limits.max_concurrent_deploys.or(Some(64)),
            max_artifact_bytes: limits.max_artifact_bytes.or(Some(ByteSize::gibibytes(4))),
        }),
        functions: Some(functions(file.functions.unwrap_or_default())),
        artifact_cache: Some(ArtifactCacheFile {
            max_bytes: cache.max_bytes.or(Some(ByteSize::gibibytes(10))),
            dir: cache.dir,
        }),
        logs: Some(LogsFile {
            lines_per_second: logs.lines_per_second.or(Some(10_000)),
            bytes_per_second: logs.bytes_per_second.or(Some(ByteSize::mebibytes(8))),
        }),
        host_services: Some(host_services::fill(file.host_services.unwrap_or_default())),
        stop_grace_ms: file.stop_grace_ms.or(Some(5_000)),
        drain_deadline_ms: file.drain_deadline_ms.or(Some(30_000)),
        public_nats_server: file.public_nats_server.map(|server| PublicNatsServerFile {
            addr: server.addr.or_else(|| Some("127.0.0.1".to_owned())),
            port: server.port.or(Some(4222)),
            jetstream: server.jetstream.or(Some(true)),
            ..server
        }),
        machine_template: Some(MachineTemplateFile {
            vcpu_count: template.vcpu_count.or(Some(1)),
            memsize_mib: template.memsize_mib.or(Some(256)),
        }),
        namespace: Some(NamespaceFile {
            network: namespace.network.or(Some(NamespaceNetwork::None)),
            rootfs: namespace.rootfs,
            host_libraries: namespace.host_libraries.or(Some(true)),
            max_processes: namespace.max_processes.or(Some(256)),
            max_open_files: namespace.max_open_files.or(Some(1024)),
            scratch_bytes: namespace.scratch_bytes.or(Some(ByteSize::mebibytes(64))),
        }),
        cni: Some(CniFile {
            bin_path: cni.bin_path.or_else(|| searched("/opt/cni/bin")),
            interface_name: cni.interface_name.or_else(|| Some("veth0".to_owned())),
            network_name: cni.network_name.or_else(|| Some("fcnet".to_owned())),
            subnet: cni.subnet.or_else(|| Some("192.168.127.0/24".to_owned())),
        }),
        preserve_network: file.preserve_network.or(Some(false)),
        otlp_exporter_url: file.otlp_exporter_url.or_else(|| Some("127.0.0.1:14532".to_owned())),
        otel_metrics: file.otel_metrics.or(Some(false)),
        otel_metrics_port: file.otel_metrics_port.or(Some(8085)),
        otel_metrics_exporter: file.otel_metrics_exporter.or_else(|| Some("file".to_owned())),
        otel_traces: file.otel_traces.or(Some(false)),
        otel_traces_exporter: file.otel_traces_exporter.or_else(|| Some("file".to_owned())),
        ..file
    }
}

fn functions(file: FunctionsFile) -> FunctionsFile {
    let cache = file.compiled_cache.unwrap_or_default();
    FunctionsFile {
        call_timeout_ms: file.call_timeout_ms.or(Some(5_000)),
        max_call_timeout_ms: file.max_call_timeout_ms.or(Some(60_000)),
        max_concurrent_calls: file.max_concurrent_calls.or(Some(64)),
        max_concurrent_calls_node: file.max_concurrent_calls_node.or(Some(512)),
        queue_length: file.queue_length.or(Some(64)),
        queue_wait_ms: file.queue_wait_ms.or(Some(100)),
        max_memory_bytes: file.max_memory_bytes.or(Some(ByteSize::mebibytes(128))),
        max_output_bytes: file.max_output_bytes.or(Some(ByteSize::mebibytes(1))),
        max_script_bytes: file.max_script_bytes.or(Some(ByteSize::mebibytes(1))),
        compile_timeout_ms: file.compile_timeout_ms.or(Some(30_000)),
        compile_memory_bytes: file.compile_memory_bytes.or(Some(ByteSize::gibibytes(1))),
        compiled_cache: Some(CompiledCacheFile {
            max_bytes: cache.max_bytes.or(Some(ByteSize::gibibytes(1))),
            dir: cache.dir,
        }),
    }
}
