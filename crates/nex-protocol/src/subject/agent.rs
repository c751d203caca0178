//! The subjects between a node and its agents: `agentint.{id}.…`.

use std::fmt;
use std::str::FromStr;

use super::{AGENT_TOKEN, SubjectError, SubjectPattern, Token, tokens};
use crate::name::{Namespace, WorkloadId, WorkloadName};
use crate::text_serde::text_serde;

const HANDSHAKE: &str = "handshake";
const DEPLOY: &str = "deploy";
const UNDEPLOY: &str = "undeploy";
const EVENTS: &str = "events";
const LOGS: &str = "logs";
const TRIGGER: &str = "trigger";
const RPC: &str = "rpc";

/// A subject between a node and one agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AgentSubject {
    /// Which agent.
    pub id: WorkloadId,
    /// What about.
    pub kind: AgentSubjectKind,
}

/// What a message between node and agent is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AgentSubjectKind {
    /// `handshake`: the agent asks to be taken.
    Handshake,
    /// `deploy`: the node hands over a workload.
    Deploy,
    /// `undeploy`: the node has the workload stopped.
    Undeploy,
    /// `events.{type}`: the agent reports an event of this type.
    Event(Token),
    /// `logs`: the agent reports a line of output.
    Logs,
    /// `trigger`: the node calls the function.
    Trigger,
    /// `rpc.{namespace}.{workload}.{service}.{method}`: the function calls a host service. The
    /// node must not trust `namespace` and `workload`: it knows whose agent it is.
    Rpc {
        /// Where the agent says the workload belongs.
        namespace: Namespace,
        /// What the agent says the workload is called.
        workload: WorkloadName,
        /// The host service, such as `kv`.
        service: Token,
        /// The method, such as `get`.
        method: Token,
    },
}

impl AgentSubject {
    /// The pattern of everything that one agent may publish or receive.
    #[must_use]
    pub fn pattern(id: WorkloadId) -> SubjectPattern {
        SubjectPattern::from_parts(&[&AGENT_TOKEN, &id, &">"])
    }
}

impl FromStr for AgentSubject {
    type Err = SubjectError;

    fn from_str(subject: &str) -> Result<Self, SubjectError> {
        let mut tokens = tokens(subject)?;
        if tokens.next() != Some(AGENT_TOKEN) {
            return Err(SubjectError::Unknown);
        }
        let id = tokens.next().ok_or(SubjectError::Unknown)?.parse()?;
        let mut next = || tokens.next().ok_or(SubjectError::Unknown);
        let kind = match next()? {
            HANDSHAKE => AgentSubjectKind::Handshake,
            DEPLOY => AgentSubjectKind::Deploy,
            UNDEPLOY => AgentSubjectKind::Undeploy,
            EVENTS => AgentSubjectKind::Event(next()?.parse()?),
            LOGS => AgentSubjectKind::Logs,
            TRIGGER => AgentSubjectKind::Trigger,
            RPC => AgentSubjectKind::Rpc {
                namespace: next()?.parse()?,
                workload: next()?.parse()?,
                service: next()?.parse()?,
                method: next()?.parse()?,
            },
            _ => return Err(SubjectError::Unknown),
        };
        if tokens.next().is_some() {
            return Err(SubjectError::Unknown);
        }
        Ok(Self { id, kind })
    }
}

impl fmt::Display for AgentSubject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{AGENT_TOKEN}.{}.", self.id)?;
        match &self.kind {
            AgentSubjectKind::Handshake => formatter.write_str(HANDSHAKE),
            AgentSubjectKind::Deploy => formatter.write_str(DEPLOY),
            AgentSubjectKind::Undeploy => formatter.write_str(UNDEPLOY),
            AgentSubjectKind::Event(kind) => write!(formatter, "{EVENTS}.{kind}"),
            AgentSubjectKind::Logs => formatter.write_str(LOGS),
            AgentSubjectKind::Trigger => formatter.write_str(TRIGGER),
            AgentSubjectKind::Rpc { namespace, workload, service, method } => {
                write!(formatter, "{RPC}.{namespace}.{workload}.{service}.{method}")
            }
        }
    }
}

text_serde!(AgentSubject, "a subject between a node and an agent");
