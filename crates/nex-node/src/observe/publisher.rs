//! Events and log lines of the node and its workloads, in the forms of the wire.

use std::{collections::BTreeMap, time::Duration};

use nex_protocol::{
    agent::AgentLog,
    event::{
        CloudEvent, EnteredLameDuck, EventBody, EventKind, FunctionFailed, FunctionSucceeded,
        Heartbeat, NodeStarted, NodeStopped, RawEvent, WorkloadStopped,
    },
    log::{LogLevel, LogLine},
    name::{Namespace, NodeId, WorkloadId, WorkloadName},
    subject::{EventSubject, LogSubject, TriggerSubject},
};

use super::Outbox;
use crate::sandbox::{StopReason, WorkloadExit};

/// What events and logs say about a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadTag {
    /// Its id.
    pub id: WorkloadId,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: WorkloadName,
}

/// Publishes for one node. Cheap to clone, never waits.
#[derive(Debug, Clone)]
pub struct Publisher {
    node: NodeId,
    outbox: Outbox,
}

impl Publisher {
    /// Publishes for `node` through `outbox`.
    pub(crate) fn new(node: NodeId, outbox: Outbox) -> Self {
        Self { node, outbox }
    }

    /// `node_started`.
    pub(crate) fn node_started(&self) {
        let data = NodeStarted { version: crate::VERSION.to_owned(), id: self.node.to_string() };
        self.system(data);
    }

    /// `node_stopped`; `graceful` when every workload was stopped in time.
    pub(crate) fn node_stopped(&self, graceful: bool) {
        self.system(NodeStopped { id: self.node.to_string(), graceful });
    }

    /// `node_entered_lameduck`.
    pub(crate) fn entered_lame_duck(&self) {
        let (version, id) = (crate::VERSION.to_owned(), self.node.to_string());
        self.system(EnteredLameDuck { version, id });
    }

    /// `heartbeat`.
    pub(crate) fn heartbeat(
        &self,
        uptime: String,
        tags: BTreeMap<String, String>,
        running_machines: u64,
    ) {
        self.system(Heartbeat {
            version: crate::VERSION.to_owned(),
            node_id: self.node.to_string(),
            uptime,
            tags,
            running_machines,
        });
    }

    fn system(&self, data: impl EventBody) {
        let event = CloudEvent::now(self.node.to_string(), data);
        let subject = EventSubject { namespace: Namespace::system(), kind: event.kind().into() };
        self.outbox.event(subject.to_string(), event.encode().into());
    }

    /// An event that a workload's agent made. What it says about itself is
    /// checked: it speaks for nobody but this workload.
    pub(crate) fn agent_event(&self, tag: &WorkloadTag, kind: EventKind, event: &RawEvent) {
        let subject = EventSubject { namespace: tag.namespace.clone(), kind: kind.into() };
        self.outbox.event(subject.to_string(), event.encode().into());
    }

    /// `workload_stopped`: with the node as its source and its reason when the
    /// node stopped it, with the workload as its source when it ended by itself.
    pub(crate) fn workload_stopped(
        &self,
        tag: &WorkloadTag,
        exit: &WorkloadExit,
        reason: Option<StopReason>,
    ) {
        let source = if reason.is_some() { self.node.to_string() } else { tag.id.to_string() };
        let data = WorkloadStopped {
            workload_name: tag.name.to_string(),
            code: i64::from(exit.code),
            message: exit.message.clone(),
            name: reason.map(|_| tag.name.to_string()),
            reason: reason.map(|reason| reason.as_str().to_owned()),
            vmid: reason.map(|_| tag.id.to_string()),
        };
        let event = CloudEvent::now(source, data);
        let subject = EventSubject { namespace: tag.namespace.clone(), kind: event.kind().into() };
        self.outbox.event(subject.to_string(), event.encode().into());
    }

    /// `function_exec_succeeded`: `count` calls that ran for `elapsed` each.
    pub(crate) fn function_succeeded(
        &self,
        tag: &WorkloadTag,
        trigger: &TriggerSubject,
        elapsed: Duration,
        count: u64,
    ) {
        self.function(
            tag,
            FunctionSucceeded {
                workload_name: tag.name.to_string(),
                trigger_subject: trigger.to_string(),
                elapsed_nanos: i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX),
                namespace: tag.namespace.to_string(),
                count: (count != 1).then_some(count),
            },
        );
    }

    /// `function_exec_failed`: `count` calls, the last of them with this error.
    pub(crate) fn function_failed(
        &self,
        tag: &WorkloadTag,
        trigger: &TriggerSubject,
        error: &str,
        count: u64,
    ) {
        self.function(
            tag,
            FunctionFailed {
                workload_name: tag.name.to_string(),
                trigger_subject: trigger.to_string(),
                namespace: tag.namespace.to_string(),
                error: error.to_owned(),
                count: (count != 1).then_some(count),
            },
        );
    }

    /// An event of the node's about a function.
    fn function(&self, tag: &WorkloadTag, data: impl EventBody) {
        let event = CloudEvent::now(self.node.to_string(), data);
        let subject = EventSubject { namespace: tag.namespace.clone(), kind: event.kind().into() };
        self.outbox.event(subject.to_string(), event.encode().into());
    }

    /// A line that a workload wrote. `false` when the node had to drop it.
    pub(crate) fn workload_log(&self, tag: &WorkloadTag, line: AgentLog) -> bool {
        self.log(tag, line.level.into(), line.text)
    }

    /// A line of the node's own about a workload.
    pub(crate) fn node_log(
        &self,
        tag: &WorkloadTag,
        level: LogLevel,
        text: impl Into<String>,
    ) -> bool {
        self.log(tag, level, text.into())
    }

    fn log(&self, tag: &WorkloadTag, level: LogLevel, text: String) -> bool {
        let subject = LogSubject {
            namespace: tag.namespace.clone(),
            node: self.node,
            workload: tag.name.clone(),
            id: tag.id,
        };
        let line = LogLine { text, level, id: tag.id.to_string() };
        self.outbox.log(subject.to_string(), line.encode().into())
    }
}
