//! What an agent in a virtual machine reads from Firecracker's metadata service.

use std::fmt;
use std::num::NonZeroU16;

use serde::Serialize;

use crate::control::{RequestError, required_text};
use crate::json::{self, FieldError, read_like_go};
use crate::name::WorkloadId;

/// Largest metadata that are read, in bytes: what Firecracker's metadata service holds.
pub const MAX_METADATA_BYTES: usize = 51_200;

const MAX_ID_BYTES: usize = 64;
const MAX_HOST_BYTES: usize = 255;
const MAX_MESSAGE_BYTES: usize = 4 << 10;
const MAX_SECRET_BYTES: usize = 256;

/// How an agent in a virtual machine finds its node.
#[derive(Clone, PartialEq, Eq)]
pub struct MachineMetadata {
    /// Id of the workload, the agent and the machine.
    pub id: WorkloadId,
    /// Host of the node's endpoint for agents.
    pub host: String,
    /// Port of the node's endpoint for agents.
    pub port: NonZeroU16,
    /// A remark for the log.
    pub message: Option<String>,
    /// Ours: the secret that proves which agent this is. Not shown by `Debug`.
    pub secret: Option<String>,
}

impl fmt::Debug for MachineMetadata {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MachineMetadata")
            .field("id", &self.id)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Fields {
    vmid: Option<String>,
    node_nats_host: Option<String>,
    node_nats_port: Option<u16>,
    message: Option<String>,
    agent_secret: Option<String>,
}
read_like_go!(Fields {
    values: [],
    options: [
        vmid => "vmid",
        node_nats_host => "node_nats_host",
        node_nats_port => "node_nats_port",
        message => "message",
        agent_secret => "agent_secret",
    ],
});

#[derive(Serialize)]
struct Wire<'a> {
    vmid: String,
    node_nats_host: &'a str,
    node_nats_port: u16,
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_secret: Option<&'a str>,
}

impl MachineMetadata {
    /// Reads metadata. Until the node has set them they are incomplete: ask again then.
    ///
    /// # Errors
    /// [`RequestError`], naming the field at fault.
    pub fn decode(message: &[u8]) -> Result<Self, RequestError> {
        let fields: Fields = json::read(message, MAX_METADATA_BYTES)?;
        let port = json::required(fields.node_nats_port, "node_nats_port")?;
        Ok(Self {
            id: required_text("vmid", fields.vmid, MAX_ID_BYTES)?
                .parse()
                .map_err(|source| RequestError::Name { field: "vmid", source })?,
            host: required_text("node_nats_host", fields.node_nats_host, MAX_HOST_BYTES)?,
            port: NonZeroU16::new(port).ok_or(FieldError::Empty { field: "node_nats_port" })?,
            message: fields
                .message
                .map(|message| json::within(message, "message", MAX_MESSAGE_BYTES))
                .transpose()?,
            secret: fields
                .agent_secret
                .map(|secret| json::filled(secret, "agent_secret", MAX_SECRET_BYTES))
                .transpose()?,
        })
    }

    /// Writes metadata.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        json::write(&Wire {
            vmid: self.id.to_string(),
            node_nats_host: &self.host,
            node_nats_port: self.port.get(),
            message: self.message.as_deref(),
            agent_secret: self.secret.as_deref(),
        })
    }
}
