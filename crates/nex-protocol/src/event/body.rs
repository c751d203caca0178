//! What the events of Nex say.
//!
//! The readers take what any peer is known to send: fields that are absent have no value.

use std::collections::BTreeMap;

use serde::Serialize;

use super::EventKind;
use crate::json::read_like_go;

/// The data of an event of a known type.
pub trait EventBody: Serialize {
    /// The type of the event that holds this.
    const KIND: EventKind;
}

macro_rules! bodies {
    ($($body:ident: $kind:ident),* $(,)?) => {
        $(impl EventBody for $body {
            const KIND: EventKind = EventKind::$kind;
        })*
    };
}

bodies! {
    NodeStarted: NodeStarted,
    NodeStopped: NodeStopped,
    EnteredLameDuck: EnteredLameDuck,
    Heartbeat: Heartbeat,
    AgentStarted: AgentStarted,
    AgentStopped: AgentStopped,
    WorkloadStarted: WorkloadStarted,
    WorkloadStopped: WorkloadStopped,
    FunctionSucceeded: FunctionSucceeded,
    FunctionFailed: FunctionFailed,
}

/// A node has started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NodeStarted {
    /// Version of the node's program.
    pub version: String,
    /// Public key of the node.
    pub id: String,
}
read_like_go!(NodeStarted {
    values: [version => "version", id => "id"],
    options: [],
});

/// A node has stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NodeStopped {
    /// Public key of the node.
    pub id: String,
    /// Whether it had the time to stop its workloads.
    pub graceful: bool,
}
read_like_go!(NodeStopped {
    values: [id => "id", graceful => "graceful"],
    options: [],
});

/// A node takes no more workloads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EnteredLameDuck {
    /// Version of the node's program.
    pub version: String,
    /// Public key of the node.
    pub id: String,
}
read_like_go!(EnteredLameDuck {
    values: [version => "version", id => "id"],
    options: [],
});

/// A node is alive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Heartbeat {
    /// Version of the node's program.
    pub version: String,
    /// Public key of the node.
    pub node_id: String,
    /// How long it has run, as [`format_uptime`](crate::uptime::format_uptime) writes it.
    pub uptime: String,
    /// The node's tags.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Number of workloads that run on it.
    pub running_machines: u64,
}
read_like_go!(Heartbeat {
    values: [
        version => "version",
        node_id => "node_id",
        uptime => "uptime",
        tags => "tags",
        running_machines => "running_machines",
    ],
    options: [],
});

/// An agent has started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AgentStarted {
    /// Version of the agent's program.
    pub agent_version: String,
}
read_like_go!(AgentStarted {
    values: [agent_version => "agent_version"],
    options: [],
});

/// An agent has stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AgentStopped {
    /// Why.
    pub message: String,
    /// Its exit code.
    pub code: i64,
}
read_like_go!(AgentStopped {
    values: [message => "message", code => "code"],
    options: [],
});

/// A workload has started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WorkloadStarted {
    /// Name of the workload.
    pub workload_name: String,
    /// Always 0.
    pub code: i64,
}
read_like_go!(WorkloadStarted {
    values: [workload_name => "workload_name", code => "code"],
    options: [],
});

/// A workload has stopped.
///
/// Go has two forms of this: an agent that saw the workload exit sends the first three fields, a
/// node that stopped it the other three. Ours sends all six in the second case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WorkloadStopped {
    /// Name of the workload.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub workload_name: String,
    /// Its exit code; -1 when it never started or a signal ended it.
    pub code: i64,
    /// How it ended, for people.
    pub message: String,
    /// Name of the workload once more, when the node stopped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Why the node stopped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Id of the workload, when the node stopped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vmid: Option<String>,
}
read_like_go!(WorkloadStopped {
    values: [workload_name => "workload_name", code => "code", message => "message"],
    options: [name => "name", reason => "reason", vmid => "vmid"],
});

impl WorkloadStopped {
    /// The name of the workload, from whichever field holds it.
    #[must_use]
    pub fn workload(&self) -> &str {
        match &self.name {
            Some(name) if self.workload_name.is_empty() => name,
            _ => &self.workload_name,
        }
    }
}

/// A function has answered a trigger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FunctionSucceeded {
    /// Name of the function.
    pub workload_name: String,
    /// The pattern the function subscribes to, not the subject of the message.
    pub trigger_subject: String,
    /// How long it ran, in nanoseconds. In an event that stands for several calls, the mean.
    pub elapsed_nanos: i64,
    /// Its namespace.
    pub namespace: String,
    /// Ours: how many calls this event stands for, if for more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}
read_like_go!(FunctionSucceeded {
    values: [
        workload_name => "workload_name",
        trigger_subject => "trigger_subject",
        elapsed_nanos => "elapsed_nanos",
        namespace => "namespace",
    ],
    options: [count => "count"],
});

/// A function has failed to answer a trigger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FunctionFailed {
    /// Name of the function.
    pub workload_name: String,
    /// The pattern the function subscribes to, not the subject of the message.
    pub trigger_subject: String,
    /// Its namespace.
    pub namespace: String,
    /// What went wrong; in an event that stands for several calls, the last time.
    pub error: String,
    /// Ours: how many calls this event stands for, if for more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}
read_like_go!(FunctionFailed {
    values: [
        workload_name => "workload_name",
        trigger_subject => "trigger_subject",
        namespace => "namespace",
        error => "error",
    ],
    options: [count => "count"],
});
