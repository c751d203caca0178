//! The types of events.

use std::fmt;
use std::str::FromStr;

/// What an event tells: the `type` of the CloudEvent and the last token of its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// A node has started.
    NodeStarted,
    /// A node has stopped.
    NodeStopped,
    /// A node takes no more workloads.
    EnteredLameDuck,
    /// A node is alive; sent every 30 seconds.
    Heartbeat,
    /// An agent has started.
    AgentStarted,
    /// An agent has stopped.
    AgentStopped,
    /// A workload has started.
    WorkloadStarted,
    /// A workload has stopped, by itself or because the node stopped it.
    WorkloadStopped,
    /// A function has answered a trigger.
    FunctionSucceeded,
    /// A function has failed to answer a trigger.
    FunctionFailed,
}

/// A type of event that this version does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown type of event; `nex events` shows those that nodes publish")]
pub struct UnknownEventKind;

impl EventKind {
    /// All kinds of events.
    pub const ALL: [Self; 10] = [
        Self::NodeStarted,
        Self::NodeStopped,
        Self::EnteredLameDuck,
        Self::Heartbeat,
        Self::AgentStarted,
        Self::AgentStopped,
        Self::WorkloadStarted,
        Self::WorkloadStopped,
        Self::FunctionSucceeded,
        Self::FunctionFailed,
    ];

    /// The text of this kind on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NodeStarted => "node_started",
            Self::NodeStopped => "node_stopped",
            Self::EnteredLameDuck => "node_entered_lameduck",
            Self::Heartbeat => "heartbeat",
            Self::AgentStarted => "agent_started",
            Self::AgentStopped => "agent_stopped",
            Self::WorkloadStarted => "workload_started",
            Self::WorkloadStopped => "workload_stopped",
            Self::FunctionSucceeded => "function_exec_succeeded",
            Self::FunctionFailed => "function_exec_failed",
        }
    }

    /// Whether an agent may tell this of itself or its workload. Everything else is the node's to
    /// say: an agent that claims it is refused.
    #[must_use]
    pub const fn comes_from_agents(self) -> bool {
        match self {
            Self::AgentStarted
            | Self::AgentStopped
            | Self::WorkloadStarted
            | Self::WorkloadStopped => true,
            Self::NodeStarted
            | Self::NodeStopped
            | Self::EnteredLameDuck
            | Self::Heartbeat
            | Self::FunctionSucceeded
            | Self::FunctionFailed => false,
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for EventKind {
    type Err = UnknownEventKind;

    fn from_str(text: &str) -> Result<Self, UnknownEventKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownEventKind)
    }
}
