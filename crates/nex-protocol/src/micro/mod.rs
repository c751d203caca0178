//! NATS micro: how services are found and asked for their statistics.
//!
//! Every function is such a service, so that `nats micro ls`, `info` and `stats` show it, and its
//! failed calls answer with the headers of this protocol. Source: ADR-32 of the NATS architecture
//! repository.

mod responses;
mod subject;

pub use responses::{
    EndpointInfo, EndpointStats, InfoResponse, PingResponse, StatsResponse, endpoint_name,
};
pub use subject::{DiscoverySubject, Verb};

/// Header of the answer to a failed call: a number, as in HTTP.
pub const ERROR_CODE_HEADER: &str = "Nats-Service-Error-Code";

/// Header of the answer to a failed call: what went wrong, in words, on one line.
pub const ERROR_HEADER: &str = "Nats-Service-Error";
