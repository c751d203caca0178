//! Why a deploy was refused.

use nex_protocol::{
    claims::ClaimsError,
    control::WorkloadType,
    environment::{EnvironmentError, VariableError},
    key::{CurvePublicKey, PublicKey},
};

use crate::{
    artifact::ArtifactError, pool::ClaimError, sandbox::DeployFailure, workload::TableClosed,
};

/// Why a deploy was refused, at which step and what to do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeployError {
    /// This node does not run that kind of program.
    #[error("this node does not run workloads of type '{asked}' (it runs: {}); choose another node", list(.offered))]
    UnsupportedType {
        /// The type of the request.
        asked: WorkloadType,
        /// The types of this node.
        offered: Vec<WorkloadType>,
    },
    /// The operator's limit is reached.
    #[error(
        "this node runs {0} workloads, as many as limits.max_workloads allows; stop one or use another node"
    )]
    TooMany(usize),
    /// A variable cannot be given to a program.
    #[error("environment is refused")]
    Variable(#[source] VariableError),
    /// Only services can be essential.
    #[error("'essential' is for services (elf, oci) only; functions are started by their triggers")]
    EssentialFunction,
    /// The requester is not on the operator's list.
    #[error("requester {0} is not among this node's requester_public_keys; ask its operator")]
    UnknownRequester(CurvePublicKey),
    /// The issuer is not on the operator's list.
    #[error("issuer {0} is not among this node's valid_issuers; ask its operator")]
    UnknownIssuer(PublicKey),
    /// The claims do not hold.
    #[error("workload_jwt is refused")]
    Claims(#[source] ClaimsError),
    /// The operator wants a digest in the claims.
    #[error(
        "the claims carry no SHA-256 of the artifact, which this node requires; sign them with one"
    )]
    NoHash,
    /// The environment cannot be opened.
    #[error("environment is refused")]
    Environment(#[source] EnvironmentError),
    /// The artifact cannot be had.
    #[error("artifact is refused")]
    Artifact(#[source] ArtifactError),
    /// There is no sandbox for it.
    #[error("no sandbox")]
    Claim(#[source] ClaimError),
    /// The program did not start.
    #[error("the workload did not start")]
    Start(#[source] DeployFailure),
    /// The node went down meanwhile.
    #[error("not deployed")]
    Closed(#[source] TableClosed),
}

fn list(types: &[WorkloadType]) -> String {
    types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
