//! CloudEvents on the public NATS system (`$NEX.events.{namespace}.{type}`) and from agents to
//! their node.
//!
//! [`CloudEvent<T>`] is an event of ours, made from one of the bodies in this module; [`RawEvent`]
//! is what was read off a wire and may hold anything within bounds. The form is the JSON format
//! of CloudEvents 1.0 as the Go SDK 1.2.0 reads and writes it.

mod body;
mod kind;
mod raw;

pub use body::{
    AgentStarted, AgentStopped, EnteredLameDuck, EventBody, FunctionFailed, FunctionSucceeded,
    Heartbeat, NodeStarted, NodeStopped, WorkloadStarted, WorkloadStopped,
};
pub use kind::{EventKind, UnknownEventKind};
pub use raw::{EventData, EventError, Extension, RawEvent, SpecVersion};

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{json, timestamp};

/// Largest event that is read, in bytes.
pub const MAX_EVENT_BYTES: usize = 256 << 10;
/// Longest id, source, type, subject, content type or schema of an event that is read, in bytes.
pub const MAX_EVENT_ATTRIBUTE_BYTES: usize = 1 << 10;
/// Most extension attributes of an event that is read.
pub const MAX_EVENT_EXTENSIONS: usize = 32;

const JSON_CONTENT_TYPE: &str = "application/json";

/// An event to be published.
#[derive(Debug, Clone, PartialEq)]
pub struct CloudEvent<T> {
    /// Names this event among those of its source; a UUID of version 4.
    pub id: Uuid,
    /// Where it happened: a node's public key or a workload's id.
    pub source: String,
    /// When it happened; written in UTC.
    pub time: OffsetDateTime,
    /// What happened.
    pub data: T,
}

#[derive(Serialize)]
struct Wire<'a, T> {
    specversion: &'static str,
    id: String,
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    time: String,
    datacontenttype: &'static str,
    data: &'a T,
}

impl<T: EventBody> CloudEvent<T> {
    /// An event that happens now, with a new id.
    #[must_use]
    pub fn now(source: impl Into<String>, data: T) -> Self {
        Self { id: Uuid::new_v4(), source: source.into(), time: OffsetDateTime::now_utc(), data }
    }

    /// What kind of event this is: its `type`.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        T::KIND
    }

    /// Writes the event.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        json::write(&Wire {
            specversion: SpecVersion::V1.as_str(),
            id: self.id.to_string(),
            source: &self.source,
            kind: T::KIND.as_str(),
            time: timestamp::format(self.time.to_offset(time::UtcOffset::UTC)),
            datacontenttype: JSON_CONTENT_TYPE,
            data: &self.data,
        })
    }
}
