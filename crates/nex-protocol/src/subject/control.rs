//! The subjects of the control API: `$NEX.{PING,WPING,INFO,DEPLOY,STOP,LAMEDUCK}…`.

use std::fmt;
use std::str::FromStr;

use super::{NEX_TOKEN, SubjectError, SubjectPattern, Token, tokens};
use crate::name::{Namespace, NodeId};
use crate::text_serde::text_serde;

const PING: &str = "PING";
const WORKLOAD_PING: &str = "WPING";
const INFO: &str = "INFO";
const DEPLOY: &str = "DEPLOY";
const STOP: &str = "STOP";
const LAME_DUCK: &str = "LAMEDUCK";

/// The subject of a request to the control API.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ControlSubject {
    /// `$NEX.PING`: which nodes are there?
    PingAll,
    /// `$NEX.PING.{node}`: is this node there?
    Ping(NodeId),
    /// `$NEX.WPING…`: which nodes run such workloads?
    WorkloadPing(WorkloadPingScope),
    /// `$NEX.INFO.{namespace}.{node}`: what does this node run in the namespace?
    Info {
        /// Whose workloads are shown.
        namespace: Namespace,
        /// The node that is asked.
        node: NodeId,
    },
    /// `$NEX.DEPLOY.{namespace}.{node}`: run a workload.
    Deploy {
        /// Where the workload will belong.
        namespace: Namespace,
        /// The node that is asked.
        node: NodeId,
    },
    /// `$NEX.STOP.{namespace}.{node}`: stop a workload.
    Stop {
        /// Where the workload belongs.
        namespace: Namespace,
        /// The node that is asked.
        node: NodeId,
    },
    /// `$NEX.LAMEDUCK.{node}`: take no more workloads.
    LameDuck(NodeId),
}

/// Which workloads a workload ping asks for. Both parts are compared without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WorkloadPingScope {
    /// `$NEX.WPING`: all of them. A Go node does not answer this one.
    All,
    /// `$NEX.WPING.{namespace}`
    Namespace(Namespace),
    /// `$NEX.WPING.{namespace}.{workload}`
    Workload {
        /// Where the workload belongs.
        namespace: Namespace,
        /// Its id or its name.
        workload: Token,
    },
}

impl WorkloadPingScope {
    /// The namespace that is asked for, if one is.
    #[must_use]
    pub const fn namespace(&self) -> Option<&Namespace> {
        match self {
            Self::All => None,
            Self::Namespace(namespace) | Self::Workload { namespace, .. } => Some(namespace),
        }
    }

    /// The id or name of the workload that is asked for, if one is.
    #[must_use]
    pub const fn workload(&self) -> Option<&Token> {
        match self {
            Self::All | Self::Namespace(_) => None,
            Self::Workload { workload, .. } => Some(workload),
        }
    }
}

impl ControlSubject {
    /// The patterns that a node subscribes to, in order to receive every request that is meant
    /// for it.
    #[must_use]
    pub fn patterns(node: NodeId) -> Vec<SubjectPattern> {
        let pattern = |parts: &[&dyn fmt::Display]| SubjectPattern::from_parts(parts);
        vec![
            pattern(&[&NEX_TOKEN, &PING]),
            pattern(&[&NEX_TOKEN, &PING, &node]),
            pattern(&[&NEX_TOKEN, &WORKLOAD_PING]),
            pattern(&[&NEX_TOKEN, &WORKLOAD_PING, &">"]),
            pattern(&[&NEX_TOKEN, &INFO, &"*", &node]),
            pattern(&[&NEX_TOKEN, &DEPLOY, &"*", &node]),
            pattern(&[&NEX_TOKEN, &STOP, &"*", &node]),
            pattern(&[&NEX_TOKEN, &LAME_DUCK, &node]),
        ]
    }
}

impl FromStr for ControlSubject {
    type Err = SubjectError;

    fn from_str(subject: &str) -> Result<Self, SubjectError> {
        let mut tokens = tokens(subject)?;
        if tokens.next() != Some(NEX_TOKEN) {
            return Err(SubjectError::Unknown);
        }
        let verb = tokens.next().ok_or(SubjectError::Unknown)?;
        let rest = (tokens.next(), tokens.next(), tokens.next());
        Ok(match (verb, rest) {
            (PING, (None, ..)) => Self::PingAll,
            (PING, (Some(node), None, _)) => Self::Ping(node.parse()?),
            (WORKLOAD_PING, (None, ..)) => Self::WorkloadPing(WorkloadPingScope::All),
            (WORKLOAD_PING, (Some(namespace), None, _)) => {
                Self::WorkloadPing(WorkloadPingScope::Namespace(namespace.parse()?))
            }
            (WORKLOAD_PING, (Some(namespace), Some(workload), None)) => {
                Self::WorkloadPing(WorkloadPingScope::Workload {
                    namespace: namespace.parse()?,
                    workload: workload.parse()?,
                })
            }
            (INFO, (Some(namespace), Some(node), None)) => {
                Self::Info { namespace: namespace.parse()?, node: node.parse()? }
            }
            (DEPLOY, (Some(namespace), Some(node), None)) => {
                Self::Deploy { namespace: namespace.parse()?, node: node.parse()? }
            }
            (STOP, (Some(namespace), Some(node), None)) => {
                Self::Stop { namespace: namespace.parse()?, node: node.parse()? }
            }
            (LAME_DUCK, (Some(node), None, _)) => Self::LameDuck(node.parse()?),
            _ => return Err(SubjectError::Unknown),
        })
    }
}

impl fmt::Display for ControlSubject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PingAll => write!(formatter, "{NEX_TOKEN}.{PING}"),
            Self::Ping(node) => write!(formatter, "{NEX_TOKEN}.{PING}.{node}"),
            Self::WorkloadPing(scope) => match scope {
                WorkloadPingScope::All => write!(formatter, "{NEX_TOKEN}.{WORKLOAD_PING}"),
                WorkloadPingScope::Namespace(namespace) => {
                    write!(formatter, "{NEX_TOKEN}.{WORKLOAD_PING}.{namespace}")
                }
                WorkloadPingScope::Workload { namespace, workload } => {
                    write!(formatter, "{NEX_TOKEN}.{WORKLOAD_PING}.{namespace}.{workload}")
                }
            },
            Self::Info { namespace, node } => {
                write!(formatter, "{NEX_TOKEN}.{INFO}.{namespace}.{node}")
            }
            Self::Deploy { namespace, node } => {
                write!(formatter, "{NEX_TOKEN}.{DEPLOY}.{namespace}.{node}")
            }
            Self::Stop { namespace, node } => {
                write!(formatter, "{NEX_TOKEN}.{STOP}.{namespace}.{node}")
            }
            Self::LameDuck(node) => write!(formatter, "{NEX_TOKEN}.{LAME_DUCK}.{node}"),
        }
    }
}

text_serde!(ControlSubject, "a subject of the control API");
