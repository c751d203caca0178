//! An agent's place at the endpoint, whether it is connected or not.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use nex_protocol::digest::Digest;
use nex_protocol::name::{Namespace, WorkloadId, WorkloadName};
use nex_protocol::nats::{ErrKind, HeaderMap};
use nex_protocol::subject::{AgentSubject, AgentSubjectKind, Token};
use tokio::sync::mpsc;

use super::endpoint::Hub;
use super::line::Line;
use super::link::{AgentLink, AgentRequest, Responder};
use super::secret::AgentSecret;

/// Messages of one agent that wait for the node, logs aside. When it is full the agent's
/// connection is not read until there is room.
const INBOUND_CAPACITY: usize = 32;
/// Log messages of one agent that wait for the node; more are dropped and counted.
const LOG_CAPACITY: usize = 1024;
/// Bytes of log messages of one agent that wait for the node; more are dropped and counted.
const LOG_BYTES: usize = 4 * 1024 * 1024;

/// What an agent tells the node.
#[derive(Debug)]
pub enum Inbound {
    /// The agent authenticated.
    Connected,
    /// Its connection ended. Comes after everything received on it, its logs included.
    Disconnected,
    /// `handshake`.
    Handshake {
        /// JSON body.
        body: Bytes,
        /// To be answered.
        reply: Responder,
    },
    /// `events.<kind>`.
    Event {
        /// Type of the event.
        kind: Token,
        /// JSON body, a CloudEvent.
        body: Bytes,
    },
    /// `logs`: a JSON body.
    Log(Bytes),
    /// `rpc.…`: a host service is called.
    Rpc {
        /// Namespace as the agent wrote it: not to be trusted.
        namespace: Namespace,
        /// Workload as the agent wrote it: not to be trusted.
        workload: WorkloadName,
        /// Service.
        service: Token,
        /// Method of the service.
        method: Token,
        /// Headers.
        headers: Option<HeaderMap>,
        /// Body.
        body: Bytes,
        /// To be answered.
        reply: Responder,
    },
}

/// The only artifact that an agent sees in its `NEXCACHE` bucket.
#[derive(Debug, Clone)]
pub(super) struct OfferedArtifact {
    /// Object name: the workload's.
    pub(super) name: String,
    /// Where it lies.
    pub(super) path: PathBuf,
    /// Its SHA-256.
    pub(super) digest: Digest,
    /// Its size in bytes.
    pub(super) size: u64,
}

/// What all parties share of a seat.
#[derive(Debug)]
pub(super) struct Seat {
    id: WorkloadId,
    secret: AgentSecret,
    /// May be claimed by a connection without the secret.
    pub(super) legacy: bool,
    subjects: [String; 3],
    inbound: mpsc::Sender<Inbound>,
    logs: mpsc::Sender<Bytes>,
    log_bytes: AtomicUsize,
    dropped_logs: AtomicU64,
    place: Mutex<Place>,
}

#[derive(Debug, Default)]
struct Place {
    revoked: bool,
    line: Option<Arc<Line>>,
    artifact: Option<Arc<OfferedArtifact>>,
}

/// The seat is gone, or is not free.
#[derive(Debug)]
pub(super) struct SeatTaken;

impl Seat {
    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose seat it is.
    pub(super) fn id(&self) -> WorkloadId {
        self.id
    }

    /// The secret of this seat.
    pub(super) fn secret(&self) -> &AgentSecret {
        &self.secret
    }

    /// The connection, if there is one.
    pub(super) fn line(&self) -> Option<Arc<Line>> {
        self.place().line.clone()
    }

    /// Subject of a request to this agent.
    pub(super) fn subject(&self, request: AgentRequest) -> &str {
        let [deploy, undeploy, trigger] = &self.subjects;
        match request {
            AgentRequest::Deploy => deploy,
            AgentRequest::Undeploy => undeploy,
            AgentRequest::Trigger => trigger,
        }
    }

    /// What the facade shows.
    pub(super) fn artifact(&self) -> Option<Arc<OfferedArtifact>> {
        self.place().artifact.clone()
    }

    /// An authenticated connection takes the seat. The one that had it is closed, and has told
    /// its end before the new one's beginning is told.
    pub(super) async fn take(&self, line: &Arc<Line>) -> Result<(), SeatTaken> {
        let older = {
            let mut place = self.place();
            if place.revoked {
                return Err(SeatTaken);
            }
            place.line.replace(Arc::clone(line))
        };
        if let Some(older) = older {
            older.close(Some(ErrKind::DuplicateConnection));
            older.gone().await;
        }
        self.announce(line).await
    }

    /// A connection without the secret takes the seat, if it may and nobody has it.
    pub(super) async fn claim(&self, line: &Arc<Line>) -> Result<(), SeatTaken> {
        {
            let mut place = self.place();
            if place.revoked || !self.legacy || place.line.is_some() {
                return Err(SeatTaken);
            }
            place.line = Some(Arc::clone(line));
        }
        self.announce(line).await
    }

    /// Tells the node of a new connection. One that ended before that is not told of at all.
    async fn announce(&self, line: &Arc<Line>) -> Result<(), SeatTaken> {
        let told = self.hand_over(line, Inbound::Connected).await;
        if told.is_err() {
            self.vacate(line);
            line.mark_gone();
        }
        told
    }

    fn vacate(&self, line: &Arc<Line>) {
        let mut place = self.place();
        if place.line.as_ref().is_some_and(|held| Arc::ptr_eq(held, line)) {
            place.line = None;
        }
    }

    /// A connection that had the seat ended.
    pub(super) async fn leave(&self, line: &Arc<Line>) {
        self.vacate(line);
        // Fails when the node dropped the seat, and with it the interest.
        let _ = self.inbound.send(Inbound::Disconnected).await;
        line.mark_gone();
    }

    /// Gives a message to the node, waiting for room. Ends early when the connection is closed.
    pub(super) async fn hand_over(&self, line: &Line, message: Inbound) -> Result<(), SeatTaken> {
        let message = match self.inbound.try_send(message) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(SeatTaken),
            Err(mpsc::error::TrySendError::Full(message)) => message,
        };
        tokio::select! {
            sent = self.inbound.send(message) => sent.map_err(|_| SeatTaken),
            () = line.closed() => Err(SeatTaken),
        }
    }

    /// Gives a log message to the node if it is not too long and there is room, else drops and
    /// counts it.
    pub(super) fn hand_over_log(&self, body: Bytes, longest: usize) {
        let size = body.len();
        let held = self.log_bytes.fetch_add(size, Ordering::Relaxed);
        let fits = size <= longest && held.saturating_add(size) <= LOG_BYTES;
        if !fits || self.logs.try_send(body).is_err() {
            self.log_bytes.fetch_sub(size, Ordering::Relaxed);
            self.dropped_logs.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes the seat back and closes its connection.
    pub(super) fn revoke(&self) {
        let line = {
            let mut place = self.place();
            place.revoked = true;
            place.artifact = None;
            place.line.take()
        };
        if let Some(line) = line {
            line.close(Some(ErrKind::AuthenticationRevoked));
        }
    }
}

/// The node's side of one agent's place. Dropping it takes the secret back and closes the
/// agent's connection.
#[derive(Debug)]
pub struct AgentSeat {
    seat: Arc<Seat>,
    inbound: InboundReceiver,
    hub: Arc<Hub>,
}

impl AgentSeat {
    pub(super) fn new(hub: Arc<Hub>, id: WorkloadId, secret: AgentSecret, legacy: bool) -> Self {
        let (inbound, main) = mpsc::channel(INBOUND_CAPACITY);
        let (log_sender, logs) = mpsc::channel(LOG_CAPACITY);
        let subjects =
            [AgentSubjectKind::Deploy, AgentSubjectKind::Undeploy, AgentSubjectKind::Trigger]
                .map(|kind| AgentSubject { id, kind }.to_string());
        let seat = Arc::new(Seat {
            id,
            secret,
            legacy,
            subjects,
            inbound,
            logs: log_sender,
            log_bytes: AtomicUsize::new(0),
            dropped_logs: AtomicU64::new(0),
            place: Mutex::default(),
        });
        let inbound = InboundReceiver { seat: Arc::clone(&seat), main, logs, ended: false };
        Self { seat, inbound, hub }
    }

    pub(super) fn shared(&self) -> &Arc<Seat> {
        &self.seat
    }

    /// Whose seat it is.
    #[must_use]
    pub fn id(&self) -> WorkloadId {
        self.seat.id
    }

    /// The password with which the agent has to connect; its user name is [`AgentSeat::id`].
    #[must_use]
    pub fn secret(&self) -> &str {
        self.seat.secret.as_str()
    }

    /// The way to the agent.
    #[must_use]
    pub fn link(&self) -> AgentLink {
        AgentLink::new(Arc::clone(&self.seat))
    }

    /// What the agent says next: something that is no log if there is any, else a log, else
    /// whichever comes first. A [`Inbound::Disconnected`] comes after the logs received before
    /// it. Safe to cancel. There is always more to come: it never gives `None`.
    ///
    /// Do not await an [`AgentLink::request`] to the same agent before coming back for the next
    /// message: when the agent has said more than fits in the queue, its answer is behind that.
    pub async fn recv(&mut self) -> Option<Inbound> {
        self.inbound.recv().await
    }

    /// What the agent has said already, in the same order.
    pub fn try_recv(&mut self) -> Option<Inbound> {
        self.inbound.try_recv()
    }

    /// A log message that the agent has sent already, ahead of whatever else it said.
    pub fn take_log(&mut self) -> Option<Bytes> {
        self.inbound.take_log()
    }

    /// Log messages dropped because the node did not take them as fast as the agent made them.
    #[must_use]
    pub fn dropped_logs(&self) -> u64 {
        self.seat.dropped_logs.load(Ordering::Relaxed)
    }

    /// Shows this agent a file as object `name` of bucket `NEXCACHE`, from which agents of the
    /// old protocol fetch their workload. It replaces the one offered before. The file must not
    /// change while it is offered; `size` is in bytes.
    pub fn offer_artifact(
        &self,
        name: &WorkloadName,
        path: impl Into<PathBuf>,
        digest: Digest,
        size: u64,
    ) {
        self.seat.place().artifact = Some(Arc::new(OfferedArtifact {
            name: name.to_string(),
            path: path.into(),
            digest,
            size,
        }));
    }

    /// Shows no artifact any more.
    pub fn withdraw_artifact(&self) {
        self.seat.place().artifact = None;
    }
}

impl Drop for AgentSeat {
    fn drop(&mut self) {
        self.hub.forget(self.seat.id);
        self.seat.revoke();
    }
}

/// Messages of one agent, in two bounded queues: logs neither delay nor displace the others.
#[derive(Debug)]
struct InboundReceiver {
    seat: Arc<Seat>,
    main: mpsc::Receiver<Inbound>,
    logs: mpsc::Receiver<Bytes>,
    /// An end of connection was heard and waits until the logs before it are out.
    ended: bool,
}

impl InboundReceiver {
    async fn recv(&mut self) -> Option<Inbound> {
        loop {
            if self.ended {
                return self.try_recv();
            }
            // The seat holds both senders, and this receiver the seat: neither queue ends.
            tokio::select! {
                biased;
                message = self.main.recv() => match message {
                    Some(Inbound::Disconnected) => self.ended = true,
                    message => return message,
                },
                body = self.logs.recv() => {
                    let body = body?;
                    self.taken(&body);
                    return Some(Inbound::Log(body));
                }
            }
        }
    }

    fn try_recv(&mut self) -> Option<Inbound> {
        if !self.ended {
            match self.main.try_recv() {
                Ok(Inbound::Disconnected) => self.ended = true,
                Ok(message) => return Some(message),
                Err(_) => {}
            }
        }
        match self.take_log() {
            Some(body) => Some(Inbound::Log(body)),
            None => std::mem::take(&mut self.ended).then_some(Inbound::Disconnected),
        }
    }

    fn take_log(&mut self) -> Option<Bytes> {
        let body = self.logs.try_recv().ok()?;
        self.taken(&body);
        Some(body)
    }

    fn taken(&self, body: &Bytes) {
        self.seat.log_bytes.fetch_sub(body.len(), Ordering::Relaxed);
    }
}
