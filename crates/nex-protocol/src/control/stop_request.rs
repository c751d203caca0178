//! The request to stop a workload: `$NEX.STOP.{namespace}.{node}`.

use serde::Serialize;

use super::RequestError;
use super::deploy_request::{MAX_REQUEST_BYTES, required_text, target_node};
use crate::claims::MAX_TOKEN_CHARACTERS;
use crate::json::{self, read_like_go};
use crate::name::{NodeId, WorkloadId};

/// Longest id of a workload in a stop request, in bytes; real ones have 20.
pub const MAX_WORKLOAD_ID_BYTES: usize = 64;

/// A request to stop a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopRequest {
    /// The id of the workload, as it was given; see [`Self::id`].
    pub workload_id: String,
    /// Claims signed by who deployed the workload.
    pub workload_jwt: String,
    /// The node that is meant; a node refuses requests for another.
    pub target_node: NodeId,
}

#[derive(Default)]
struct Fields {
    workload_id: Option<String>,
    workload_jwt: Option<String>,
    target_node: Option<String>,
}
read_like_go!(Fields {
    values: [],
    options: [
        workload_id => "workload_id",
        workload_jwt => "workload_jwt",
        target_node => "target_node",
    ],
});

#[derive(Serialize)]
struct Wire<'a> {
    workload_id: &'a str,
    workload_jwt: &'a str,
    target_node: String,
}

impl StopRequest {
    /// The id of the workload; `None` for a text that is no id, which therefore names no
    /// workload: such a request is answered like one for an unknown id.
    #[must_use]
    pub fn id(&self) -> Option<WorkloadId> {
        self.workload_id.parse().ok()
    }

    /// Reads a request.
    ///
    /// # Errors
    /// [`RequestError`], naming the field at fault. A `workload_id` that is no id is none.
    pub fn decode(message: &[u8]) -> Result<Self, RequestError> {
        let fields: Fields = json::read(message, MAX_REQUEST_BYTES)?;
        let workload_id = json::within(
            json::required(fields.workload_id, "workload_id")?,
            "workload_id",
            MAX_WORKLOAD_ID_BYTES,
        )?;
        let workload_jwt =
            required_text("workload_jwt", fields.workload_jwt, MAX_TOKEN_CHARACTERS)?;
        Ok(Self { workload_id, workload_jwt, target_node: target_node(fields.target_node)? })
    }

    /// Writes the request.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        json::write(&Wire {
            workload_id: &self.workload_id,
            workload_jwt: &self.workload_jwt,
            target_node: self.target_node.to_string(),
        })
    }
}
