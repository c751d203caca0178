//! Why a deploy was refused.

use nex_protocol::{
    claims::ClaimsError,
    control::WorkloadType,
    environment::{EnvironmentError, VariableError},
    key::{CurvePublicKey, PublicKey},
};

use crate::{
    artifact::ArtifactError,
    compile::CompileError,
    pool::ClaimError,
    sandbox::DeployFailure,
    trigger::{AttachError, TriggerError},
    workload::TableClosed,
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
    /// A call would take longer than the operator allows.
    #[error(
        "'call_timeout_ms' is {asked}; this node takes 1 to {limit} (functions.max_call_timeout_ms)"
    )]
    CallTimeout {
        /// What was asked for, ms.
        asked: u64,
        /// The limit, ms.
        limit: u128,
    },
    /// The function cannot be triggered so.
    #[error("trigger_subjects is refused")]
    Trigger(#[source] TriggerError),
    /// The script is too long.
    #[error(
        "the script has {size} bytes; this node takes at most {limit} (functions.max_script_bytes)"
    )]
    Script {
        /// Its size, bytes.
        size: u64,
        /// The limit, bytes.
        limit: u64,
    },
    /// The function cannot be compiled.
    #[error("the function cannot be compiled")]
    Compile(#[source] CompileError),
    /// The function runs, and nobody could call it.
    #[error("the function's triggers are not listened to")]
    Attach(#[source] AttachError),
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
