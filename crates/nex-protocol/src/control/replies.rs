//! The data of the replies of the control API.
//!
//! Ids are kept as texts here: a client shows what the node says, and some nodes say strange
//! things. Where a Go node leaves out empty fields, so do we.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::json::read_like_go;

/// Data of the reply to `$NEX.PING` and `$NEX.PING.{node}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PingResponse {
    /// Public key of the node.
    pub node_id: String,
    /// Version of its program.
    pub version: String,
    /// How long it has run, as [`format_uptime`](crate::uptime::format_uptime) writes it.
    pub uptime: String,
    /// Its tags.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Number of workloads that run on it.
    pub running_machines: u64,
}
read_like_go!(PingResponse {
    values: [
        node_id => "node_id",
        version => "version",
        uptime => "uptime",
        tags => "tags",
        running_machines => "running_machines",
    ],
    options: [],
});

/// Data of the reply to a workload ping. A node that runs none of the workloads asked for does
/// not answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WorkloadPingResponse {
    /// Public key of the node.
    pub node_id: String,
    /// Version of its program.
    pub version: String,
    /// Its tags.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// How long it has run, as [`format_uptime`](crate::uptime::format_uptime) writes it.
    pub uptime: String,
    /// The workloads asked for.
    pub running_machines: Vec<WorkloadPingMachine>,
}
read_like_go!(WorkloadPingResponse {
    values: [
        node_id => "node_id",
        version => "version",
        tags => "tags",
        uptime => "uptime",
        running_machines => "running_machines",
    ],
    options: [],
});

/// A workload in the reply to a workload ping.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WorkloadPingMachine {
    /// Its id.
    pub id: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub workload_type: String,
}
read_like_go!(WorkloadPingMachine {
    values: [id => "id", namespace => "namespace", name => "name", workload_type => "type"],
    options: [],
});

/// Data of the reply to `$NEX.INFO.{namespace}.{node}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct InfoResponse {
    /// Version of the node's program.
    pub version: String,
    /// How long it has run, as [`format_uptime`](crate::uptime::format_uptime) writes it.
    pub uptime: String,
    /// Public curve key of the node, for which environments are sealed.
    pub public_xkey: String,
    /// Its tags.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Its memory, if it can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// The workloads of the namespace that was asked about.
    pub machines: Vec<MachineSummary>,
    /// The types of workloads it runs, by their names; there may be some this version does not
    /// know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub supported_workload_types: Vec<String>,
}
read_like_go!(InfoResponse {
    values: [
        version => "version",
        uptime => "uptime",
        public_xkey => "public_xkey",
        tags => "tags",
        machines => "machines",
        supported_workload_types => "supported_workload_types",
    ],
    options: [memory => "memory"],
});

/// Memory of a node's machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// All of it, in kB.
    pub total: u64,
    /// What nothing uses, in kB.
    pub free: u64,
    /// What programs can get without swapping, in kB.
    pub available: u64,
}
read_like_go!(Memory {
    values: [total => "total", free => "free", available => "available"],
    options: [],
});

/// A workload of a node, and the machine it runs in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MachineSummary {
    /// Id of the workload.
    pub id: String,
    /// Whether it runs as it should.
    pub healthy: bool,
    /// How long the machine has run.
    pub uptime: String,
    /// Namespace of the workload.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Ours: what isolates it, as the configuration names it. Go nodes do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// The workload.
    pub workload: WorkloadSummary,
}
read_like_go!(MachineSummary {
    values: [
        id => "id",
        healthy => "healthy",
        uptime => "uptime",
        namespace => "namespace",
        workload => "workload",
    ],
    options: [sandbox => "sandbox"],
});

/// A workload of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WorkloadSummary {
    /// Its name.
    pub name: String,
    /// What its owner says about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// A service: how long it has run, like an uptime. A function: how long it has worked, as
    /// [`format_runtime`](crate::uptime::format_runtime) writes it.
    pub runtime: String,
    /// Its type.
    #[serde(rename = "type")]
    pub workload_type: String,
    /// SHA-256 of its artifact in hex.
    pub hash: String,
}
read_like_go!(WorkloadSummary {
    values: [
        name => "name",
        description => "description",
        runtime => "runtime",
        workload_type => "type",
        hash => "hash",
    ],
    options: [],
});

/// Data of the reply to a deploy request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RunResponse {
    /// Whether the workload has started.
    pub started: bool,
    /// Its id.
    pub id: String,
    /// Public key of who deployed it.
    pub issuer: String,
    /// Its name.
    pub name: String,
}
read_like_go!(RunResponse {
    values: [started => "started", id => "id", issuer => "issuer", name => "name"],
    options: [],
});

/// Data of the reply to a stop request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StopResponse {
    /// Whether the workload has stopped.
    pub stopped: bool,
    /// Its id.
    pub id: String,
    /// Public key of who deployed it.
    pub issuer: String,
    /// Its name.
    pub name: String,
}
read_like_go!(StopResponse {
    values: [stopped => "stopped", id => "id", issuer => "issuer", name => "name"],
    options: [],
});

/// Data of the reply to `$NEX.LAMEDUCK.{node}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LameDuckResponse {
    /// Public key of the node.
    pub node_id: String,
    /// Whether the node is in lame duck mode now.
    pub success: bool,
}
read_like_go!(LameDuckResponse {
    values: [node_id => "node_id", success => "success"],
    options: [],
});
