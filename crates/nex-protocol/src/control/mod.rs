//! The control API: what clients ask of nodes on the public NATS system, and the replies.

mod node_tag;
mod replies;
mod workload_ping;
mod workload_type;

pub use node_tag::{NodeTag, go_arch, go_os};
pub use replies::{
    InfoResponse, LameDuckResponse, MachineSummary, Memory, PingResponse, RunResponse,
    StopResponse, WorkloadPingMachine, WorkloadPingResponse, WorkloadSummary,
};
pub use workload_ping::WorkloadPingQuery;
pub use workload_type::{UnknownWorkloadType, WorkloadType};
