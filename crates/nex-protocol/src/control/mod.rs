//! The control API: what clients ask of nodes on the public NATS system, and the replies.

mod deploy_request;
mod node_tag;
mod replies;
mod request_error;
mod stop_request;
mod workload_ping;
mod workload_type;

pub use deploy_request::{
    DeployRequest, MAX_ARGUMENT_BYTES, MAX_ARGUMENTS, MAX_DESCRIPTION_BYTES, MAX_DOMAIN_BYTES,
    MAX_REQUEST_BYTES, MAX_TRIGGER_SUBJECT_BYTES, MAX_TRIGGER_SUBJECTS,
};
pub(crate) use deploy_request::{arguments, required_text, time_of, triggers};
pub use node_tag::{NodeTag, go_arch, go_os};
pub use replies::{
    InfoResponse, LameDuckResponse, MachineSummary, Memory, PingResponse, RunResponse,
    StopResponse, WorkloadPingMachine, WorkloadPingResponse, WorkloadSummary,
};
pub use request_error::RequestError;
pub use stop_request::{MAX_WORKLOAD_ID_BYTES, StopRequest};
pub use workload_ping::WorkloadPingQuery;
pub use workload_type::{UnknownWorkloadType, WorkloadType};
