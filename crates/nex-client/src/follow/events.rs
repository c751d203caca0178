//! Events of nodes and workloads.

use async_nats::Message;
use nex_protocol::event::{EventData, EventKind, RawEvent};
use nex_protocol::name::{Namespace, NodeId, WorkloadId, WorkloadName};
use nex_protocol::subject::{EventFilter, EventSubject};
use time::OffsetDateTime;

use super::{FollowError, Following};
use crate::client::Client;

/// Which events to follow.
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is followed before `Client::events`"]
pub struct EventQuery {
    filter: EventFilter,
    node: Option<NodeId>,
    workload: Option<WorkloadName>,
    id: Option<WorkloadId>,
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EventRecord {
    /// Namespace it concerns; `system` for a node's own events.
    pub namespace: Namespace,
    /// Its type, if this version knows it.
    pub kind: Option<EventKind>,
    /// Its type as text. Like everything in `event` it comes from a peer:
    /// escape control characters before they reach a terminal.
    pub kind_text: String,
    /// The event itself.
    pub event: RawEvent,
    /// When it came here, in UTC.
    pub received: OffsetDateTime,
}

impl EventQuery {
    /// Every event.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only those that concern this namespace.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.filter.namespace = Some(namespace);
        self
    }

    /// Only those of this type.
    pub fn kind(mut self, kind: EventKind) -> Self {
        // Every kind's text is a token.
        self.filter.kind = kind.as_str().parse().ok();
        self
    }

    /// Only those a node sends about itself, and about the functions it calls.
    /// (An agent's events do not say which node they come from.)
    pub fn node(mut self, node: NodeId) -> Self {
        self.node = Some(node);
        self
    }

    /// Only those about workloads of this name.
    pub fn workload(mut self, name: WorkloadName) -> Self {
        self.workload = Some(name);
        self
    }

    /// Only those about this workload.
    pub fn id(mut self, id: WorkloadId) -> Self {
        self.id = Some(id);
        self
    }

    fn read(&self, message: &Message) -> Option<EventRecord> {
        let subject: EventSubject = message.subject.parse().ok()?;
        if !self.filter.matches(&subject) {
            return None;
        }
        let event = RawEvent::decode(&message.payload).ok()?;
        let from = |id: &str| event.source == id;
        if self.node.is_some_and(|node| !from(&node.to_string())) {
            return None;
        }
        if let Some(name) = &self.workload
            && !["workload_name", "name"].iter().any(|field| holds(&event, field, name.as_str()))
        {
            return None;
        }
        if let Some(id) = &self.id
            && !from(id.as_str())
            && !holds(&event, "vmid", id.as_str())
        {
            return None;
        }
        Some(EventRecord {
            namespace: subject.namespace,
            kind: event.kind(),
            kind_text: event.kind_text.clone(),
            event,
            received: OffsetDateTime::now_utc(),
        })
    }
}

/// Whether a field of the event's data is this text.
fn holds(event: &RawEvent, field: &str, text: &str) -> bool {
    match &event.data {
        EventData::Json(data) => data.get(field).and_then(|value| value.as_str()) == Some(text),
        EventData::Binary(_) | EventData::None => false,
    }
}

impl Client {
    /// Follows events. When this returns, no event published from now on is
    /// missed.
    pub async fn events(&self, query: EventQuery) -> Result<Following<EventRecord>, FollowError> {
        self.follow(vec![query.filter.pattern()], move |message| query.read(message)).await
    }
}
