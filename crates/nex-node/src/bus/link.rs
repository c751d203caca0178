//! The node's side of an agent's connection: requests to the agent.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use nex_protocol::{
    name::WorkloadId,
    nats::{HeaderMap, encode_msg},
    subject::{AgentSubject, AgentSubjectKind},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::session::{NODE_INBOX, Session};

/// Frames that wait to be written to one agent. A frame is at most one message.
pub(super) const WRITE_QUEUE: usize = 256;

/// What the node asks of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentRequest {
    /// Run a workload.
    Deploy,
    /// Stop it.
    Undeploy,
    /// Call it.
    Trigger,
}

/// An agent's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its headers.
    pub headers: Option<HeaderMap>,
    /// Its body.
    pub payload: Bytes,
}

/// Why an agent gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It has no subscription for this request.
    #[error("the agent does not listen for this request")]
    NoResponders,
    /// It did not answer in time.
    #[error("the agent did not answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// It is not connected, or went away.
    #[error("the connection to the agent is gone")]
    Disconnected,
    /// It does not read what it was sent before.
    #[error("the agent does not read its messages")]
    Busy,
}

/// The live half of a link.
#[derive(Debug)]
struct Live {
    connection: u64,
    frames: mpsc::Sender<Bytes>,
    session: Arc<Mutex<Session>>,
    hang_up: CancellationToken,
    pending: HashMap<u64, oneshot::Sender<Reply>>,
}

/// What the connection and the seat of an agent share.
#[derive(Debug)]
pub(super) struct LinkState {
    id: WorkloadId,
    live: Mutex<Option<Live>>,
    next_request: AtomicU64,
    next_connection: AtomicU64,
    pub(super) said: super::seat::Mouth,
}

/// The way to one agent. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AgentLink {
    state: Arc<LinkState>,
}

impl LinkState {
    pub(super) fn new(id: WorkloadId, said: super::seat::Mouth) -> Self {
        Self {
            id,
            live: Mutex::new(None),
            next_request: AtomicU64::new(0),
            next_connection: AtomicU64::new(0),
            said,
        }
    }

    fn live(&self) -> MutexGuard<'_, Option<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_connected(&self) -> bool {
        self.live().is_some()
    }

    /// A connection has proved to be this agent's. An older one is closed: it
    /// is a remnant of the same agent, which knew the secret.
    pub(super) fn attach(
        &self,
        frames: mpsc::Sender<Bytes>,
        session: Arc<Mutex<Session>>,
        hang_up: CancellationToken,
    ) -> u64 {
        let connection = self.next_connection.fetch_add(1, Ordering::Relaxed) + 1;
        let live = Live { connection, frames, session, hang_up, pending: HashMap::new() };
        if let Some(older) = self.live().replace(live) {
            older.hang_up.cancel();
        }
        connection
    }

    /// A connection is gone. `true` when it was the agent's present one.
    pub(super) fn detach(&self, connection: u64) -> bool {
        let mut live = self.live();
        let present = live.as_ref().is_some_and(|live| live.connection == connection);
        if present {
            *live = None;
        }
        present
    }

    /// Closes the agent's connection, if there is one.
    pub(super) fn close(&self) {
        if let Some(live) = self.live().take() {
            live.hang_up.cancel();
        }
    }

    /// The agent answered a request.
    pub(super) fn answer(&self, request: u64, reply: Reply) {
        let waiting = self.live().as_mut().and_then(|live| live.pending.remove(&request));
        if let Some(waiting) = waiting {
            let _ = waiting.send(reply);
        }
    }
}

/// Forgets a request whose caller gave up.
struct Pending<'a> {
    state: &'a LinkState,
    request: u64,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(live) = self.state.live().as_mut() {
            live.pending.remove(&self.request);
        }
    }
}

impl AgentLink {
    pub(super) fn new(state: Arc<LinkState>) -> Self {
        Self { state }
    }

    /// Asks the agent and waits up to `limit` for its answer.
    ///
    /// # Errors
    /// A [`LinkError`], at once where that is known at once.
    pub async fn request(
        &self,
        request: AgentRequest,
        headers: &[(&str, &str)],
        payload: Bytes,
        limit: Duration,
    ) -> Result<Reply, LinkError> {
        let kind = match request {
            AgentRequest::Deploy => AgentSubjectKind::Deploy,
            AgentRequest::Undeploy => AgentSubjectKind::Undeploy,
            AgentRequest::Trigger => AgentSubjectKind::Trigger,
        };
        let subject = AgentSubject { id: self.state.id, kind }.to_string();
        let headers = super::headers(headers);
        let number = self.state.next_request.fetch_add(1, Ordering::Relaxed);
        let answer = {
            let mut live = self.state.live();
            let live = live.as_mut().ok_or(LinkError::Disconnected)?;
            let sid = live
                .session
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .deliver(&subject)
                .ok_or(LinkError::NoResponders)?;
            let mut frame = BytesMut::with_capacity(subject.len() + payload.len() + 64);
            let inbox = format!("{NODE_INBOX}{number}");
            encode_msg(&mut frame, &subject, &sid, Some(&inbox), headers.as_ref(), &payload)
                .map_err(|_| LinkError::NoResponders)?;
            live.frames.try_send(frame.freeze()).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => LinkError::Busy,
                mpsc::error::TrySendError::Closed(_) => LinkError::Disconnected,
            })?;
            let (sender, answer) = oneshot::channel();
            live.pending.insert(number, sender);
            answer
        };
        let _pending = Pending { state: &self.state, request: number };
        match timeout(limit, answer).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) => Err(LinkError::Disconnected),
            Err(_) => Err(LinkError::Timeout(limit)),
        }
    }
}
