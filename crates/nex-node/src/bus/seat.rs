//! The node's ear for one agent.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use nex_protocol::{digest::Digest, name::WorkloadId, nats::encode_msg};
use tokio::sync::mpsc;

use super::{
    link::{AgentLink, LinkState},
    registry::Registration,
    session::Session,
};

/// Messages of an agent, but for logs, that wait to be heard; then its
/// connection is not read until there is room.
pub(super) const SAID_QUEUE: usize = 64;

/// Log lines of an agent that wait to be heard; what exceeds them is dropped
/// and counted.
pub(super) const LOG_QUEUE: usize = 1024;

/// Something an agent said.
#[derive(Debug)]
pub enum Inbound {
    /// It connected and proved who it is.
    Connected,
    /// Its connection ended.
    Disconnected,
    /// It introduces itself and waits for the answer.
    Handshake {
        /// The message.
        body: Bytes,
        /// Where the answer goes, if it wants one.
        reply: Option<Responder>,
    },
    /// A CloudEvent.
    Event {
        /// The type, from the subject.
        kind: String,
        /// The message.
        body: Bytes,
    },
    /// A line of its workload's output.
    Log(Bytes),
    /// It wants a host service.
    Rpc {
        /// `service`, as in `kv`.
        service: String,
        /// `method`, as in `get`.
        method: String,
        /// The message.
        body: Bytes,
        /// Where the answer goes.
        reply: Responder,
    },
}

/// Answers one request of an agent. Dropped unused, it answers nothing, and the
/// agent's own time limit ends its wait.
#[derive(Debug)]
pub struct Responder {
    pub(super) inbox: String,
    pub(super) session: Arc<std::sync::Mutex<Session>>,
    pub(super) frames: mpsc::Sender<Bytes>,
}

impl Responder {
    /// Sends the answer. An agent that is gone, or does not read, misses it.
    pub fn respond(self, headers: &[(&str, &str)], payload: Bytes) {
        let sid = self
            .session
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .deliver(&self.inbox);
        let Some(sid) = sid else { return };
        let headers = super::headers(headers);
        let mut frame = BytesMut::new();
        if encode_msg(&mut frame, &self.inbox, &sid, None, headers.as_ref(), &payload).is_ok() {
            let _ = self.frames.try_send(frame.freeze());
        }
    }
}

/// The connection's end of the seat's queues.
#[derive(Debug, Clone)]
pub(super) struct Mouth {
    said: mpsc::Sender<Inbound>,
    logs: mpsc::Sender<Bytes>,
    dropped: Arc<AtomicU64>,
}

impl Mouth {
    /// Waits for room: an agent that says too much is read more slowly.
    pub(super) async fn say(&self, inbound: Inbound) {
        let _ = self.said.send(inbound).await;
    }

    /// Never waits.
    pub(super) fn log(&self, line: Bytes) {
        if self.logs.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What the agent of a seat may read as its artifact.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// The seat of one agent at the endpoint. Dropping it revokes the agent's secret
/// and closes its connection.
#[derive(Debug)]
pub struct AgentSeat {
    id: WorkloadId,
    secret: String,
    state: Arc<LinkState>,
    said: mpsc::Receiver<Inbound>,
    logs: mpsc::Receiver<Bytes>,
    dropped: Arc<AtomicU64>,
    _registration: Registration,
}

/// The queues of a seat before the seat is there.
pub(super) struct Ears {
    said: mpsc::Receiver<Inbound>,
    logs: mpsc::Receiver<Bytes>,
    dropped: Arc<AtomicU64>,
}

pub(super) fn queues() -> (Mouth, Ears) {
    let (said, hear_said) = mpsc::channel(SAID_QUEUE);
    let (logs, hear_logs) = mpsc::channel(LOG_QUEUE);
    let dropped = Arc::new(AtomicU64::new(0));
    let ears = Ears { said: hear_said, logs: hear_logs, dropped: Arc::clone(&dropped) };
    (Mouth { said, logs, dropped }, ears)
}

impl AgentSeat {
    pub(super) fn new(
        id: WorkloadId,
        secret: String,
        state: Arc<LinkState>,
        ears: Ears,
        registration: Registration,
    ) -> Self {
        let Ears { said, logs, dropped } = ears;
        Self { id, secret, state, said, logs, dropped, _registration: registration }
    }

    /// The agent's id.
    pub fn id(&self) -> WorkloadId {
        self.id
    }

    /// What the agent has to know to take this seat: a secret.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The way to the agent.
    pub fn link(&self) -> AgentLink {
        AgentLink::new(Arc::clone(&self.state))
    }

    /// What the agent says next; log lines only when there is nothing else.
    pub async fn recv(&mut self) -> Option<Inbound> {
        tokio::select! {
            biased;
            said = self.said.recv() => said,
            Some(line) = self.logs.recv() => Some(Inbound::Log(line)),
        }
    }

    /// What the agent has said already.
    pub fn try_recv(&mut self) -> Option<Inbound> {
        self.said.try_recv().ok().or_else(|| self.logs.try_recv().ok().map(Inbound::Log))
    }

    /// Log lines that found no room since the start.
    pub fn dropped_logs(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Lets the agent read `path` as object `name` of its NEXCACHE bucket.
    pub fn offer_artifact(&self, name: &str, path: &Path, digest: Digest, size: u64) {
        let _ = Offer { name: name.to_owned(), path: path.to_owned(), digest, size };
    }
}
