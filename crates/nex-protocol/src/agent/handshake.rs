//! The first message of an agent: `agentint.{id}.handshake`.

use serde::Serialize;
use time::OffsetDateTime;

use crate::control::{RequestError, required_text, time_of};
use crate::json::{self, read_like_go};
use crate::timestamp;

/// Largest handshake that is read, in bytes.
pub const MAX_HANDSHAKE_BYTES: usize = 16 << 10;
/// The body of a node's answer to a handshake.
pub const HANDSHAKE_RESPONSE: &[u8] = b"{}";

const MAX_ID_BYTES: usize = 64;
const MAX_MESSAGE_BYTES: usize = 4 << 10;

/// An agent tells its node that it is ready.
///
/// A Go node crashes on a handshake without `id` or `message`: both are always written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// The id of the agent as it gives it. The subject and the connection say who it really is.
    pub id: String,
    /// When the agent started.
    pub start_time: Option<OffsetDateTime>,
    /// How the agent found its node, for the node's log.
    pub message: String,
}

#[derive(Default)]
struct Fields {
    id: Option<String>,
    start_time: Option<String>,
    message: Option<String>,
}
read_like_go!(Fields {
    values: [],
    options: [id => "id", start_time => "start_time", message => "message"],
});

#[derive(Serialize)]
struct Wire<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    message: &'a str,
}

impl Handshake {
    /// Reads a handshake. A missing `message` is an empty one.
    ///
    /// # Errors
    /// [`RequestError`], naming the field at fault.
    pub fn decode(message: &[u8]) -> Result<Self, RequestError> {
        let fields: Fields = json::read(message, MAX_HANDSHAKE_BYTES)?;
        Ok(Self {
            id: required_text("id", fields.id, MAX_ID_BYTES)?,
            start_time: time_of("start_time", fields.start_time)?,
            message: json::within(
                fields.message.unwrap_or_default(),
                "message",
                MAX_MESSAGE_BYTES,
            )?,
        })
    }

    /// Writes a handshake.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        json::write(&Wire {
            id: &self.id,
            start_time: self.start_time.map(timestamp::format),
            message: &self.message,
        })
    }
}
