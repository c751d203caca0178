//! The envelope around every reply of the control API: `{"type", "data", "error"?}`.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::json::{self, FieldError};

/// Largest reply that is read, in bytes. A node describes each of its workloads in some hundred
/// bytes; NATS itself allows 1 MiB unless told otherwise.
pub const MAX_ENVELOPE_BYTES: usize = 8 << 20;

/// What kind of reply an envelope holds: its `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// The reply to a deploy request.
    Run,
    /// The reply to a stop request.
    Stop,
    /// The reply to a ping, and to a workload ping.
    Ping,
    /// The reply to a request for information.
    Info,
    /// The reply to a request to enter lame duck mode.
    LameDuck,
}

impl MessageType {
    /// All kinds of replies.
    pub const ALL: [Self; 5] = [Self::Run, Self::Stop, Self::Ping, Self::Info, Self::LameDuck];

    /// The text of this type on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "io.nats.nex.v1.run_response",
            Self::Stop => "io.nats.nex.v1.stop_response",
            Self::Ping => "io.nats.nex.v1.ping_response",
            Self::Info => "io.nats.nex.v1.info_response",
            Self::LameDuck => "io.nats.nex.v1.lameduck_response",
        }
    }
}

/// Why a reply could not be read, or what it refuses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The peer answered with an error; this is its text.
    #[error("the node refused: {0}")]
    Refused(String),
    /// The reply is no envelope.
    #[error("the reply is not an envelope of the control API; check what answers on this subject")]
    Malformed(#[source] FieldError),
    /// The envelope holds something else than was asked for.
    #[error("the reply holds other data than was asked for; check the versions of node and client")]
    UnexpectedData(#[source] serde_json::Error),
}

/// Reading and writing of envelopes.
#[derive(Debug, Clone, Copy)]
pub struct Envelope;

#[derive(Serialize)]
struct Success<'a, T> {
    #[serde(rename = "type")]
    kind: &'static str,
    data: &'a T,
}

#[derive(Serialize)]
struct Failure<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    // Go peers send an empty byte slice here, which JSON shows as an empty text.
    data: &'static str,
    error: &'a str,
}

#[derive(Default)]
struct Verdict {
    error: Option<serde_json::Value>,
    has_data: bool,
}

impl json::Object for Verdict {
    const FIELDS: &'static [&'static str] = &["error", "data"];

    fn read_field<'de, A: serde::de::MapAccess<'de>>(
        &mut self,
        field: &'static str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        if field == "error" {
            self.error = map.next_value()?;
        } else {
            self.has_data = map.next_value::<Option<json::Skipped>>()?.is_some();
        }
        Ok(())
    }
}

struct Data<T>(Option<T>);

impl<T> Default for Data<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: DeserializeOwned> json::Object for Data<T> {
    const FIELDS: &'static [&'static str] = &["data"];

    fn read_field<'de, A: serde::de::MapAccess<'de>>(
        &mut self,
        _: &'static str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        self.0 = map.next_value()?;
        Ok(())
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Data<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::deserialize(deserializer)
    }
}

impl Envelope {
    /// Writes a reply. Data that cannot be written as JSON (a map with keys that are no texts)
    /// becomes a failure that says so, so that a request is answered in any case.
    #[must_use]
    pub fn encode_success<T: Serialize>(kind: MessageType, data: &T) -> Vec<u8> {
        serde_json::to_vec(&Success { kind: kind.as_str(), data }).unwrap_or_else(|error| {
            Self::encode_failure(kind, &format!("the reply could not be written: {error}"))
        })
    }

    /// Writes the reply to a request that was refused or failed.
    #[must_use]
    pub fn encode_failure(kind: MessageType, error: &str) -> Vec<u8> {
        json::write(&Failure { kind: kind.as_str(), data: "", error })
    }

    /// Reads a reply.
    ///
    /// Go clients do not look at the type, so it is not looked at here either; and like them, a
    /// reply without data is read as one with nothing set.
    ///
    /// # Errors
    /// [`EnvelopeError::Refused`] when `error` is there and not `null`, whatever `data` holds (an
    /// `error` that is no text is shown as JSON), the other variants when the reply cannot be read.
    pub fn decode<T: DeserializeOwned>(reply: &[u8]) -> Result<T, EnvelopeError> {
        // Two passes, since `error` may follow `data` and decides whether that is worth reading.
        let verdict: Verdict =
            json::read(reply, MAX_ENVELOPE_BYTES).map_err(EnvelopeError::Malformed)?;
        match verdict.error {
            Some(serde_json::Value::String(text)) => return Err(EnvelopeError::Refused(text)),
            Some(other) => return Err(EnvelopeError::Refused(other.to_string())),
            None => {}
        }
        let data = if verdict.has_data {
            serde_json::from_str::<Data<T>>(&json::text(reply))
                .map_err(EnvelopeError::UnexpectedData)?
                .0
        } else {
            None
        };
        match data {
            Some(data) => Ok(data),
            None => T::deserialize(serde_json::Value::Null).map_err(EnvelopeError::UnexpectedData),
        }
    }
}
