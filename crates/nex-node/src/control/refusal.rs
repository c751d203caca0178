//! The one map from errors to what a requester reads.

use nex_protocol::{
    claims::{ClaimsError, StopClaimsError},
    control::RequestError,
    name::NodeId,
    subject::SubjectError,
};

use crate::{deploy::DeployError, error_chain, workload::TableClosed};

/// Why a stop was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StopError {
    /// Unknown id, or of another namespace: the texts are the same, so that
    /// nobody learns what runs in a namespace that is not theirs.
    #[error("No such workload")]
    NoSuchWorkload,
    /// The claims do not hold.
    #[error("workload_jwt is refused")]
    Claims(#[source] ClaimsError),
    /// The claims hold, but do not fit the claims of the deploy.
    #[error("workload_jwt is refused")]
    Mismatch(#[source] StopClaimsError),
    /// The node went down meanwhile.
    #[error("not stopped")]
    Closed(#[source] TableClosed),
}

/// Why a request was not carried out. Every refusal of the control API is one
/// of these.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The body cannot be understood.
    #[error("the request is refused")]
    Request(#[source] RequestError),
    /// The subject cannot be understood.
    #[error("the subject is refused")]
    Subject(#[source] SubjectError),
    /// The body says that it is meant for another node.
    #[error("the request is for node {asked}, this is node {this}; send it to $NEX.….{asked}")]
    OtherNode {
        /// The `target_node` of the body.
        asked: NodeId,
        /// This node.
        this: NodeId,
    },
    /// The node takes no new work.
    #[error("Node is in lame duck mode, workload deploy requests not allowed; use another node")]
    LameDuck,
    /// Too many requests at once.
    #[error("this node is busy with other requests; try again or use another node")]
    Busy,
    /// A deploy failed.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// A stop failed.
    #[error(transparent)]
    Stop(#[from] StopError),
    /// The node has a bug, and its log a panic.
    #[error("internal error of the node, see its log")]
    Bug,
}

impl Refusal {
    /// The text of the error envelope: the whole chain in one line.
    pub(crate) fn text(&self) -> String {
        error_chain(self)
    }
}
