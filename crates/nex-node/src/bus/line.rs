//! One connection, as both its own tasks and the rest of the node see it.
//!
//! Everything that has to stay in step — what the agent listens to, which requests wait, what is
//! still to be written — is under one short lock, so that a request finds its subscriber and is
//! queued in one go, and no message can slip behind the end of the connection.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use nex_protocol::name::WorkloadId;
use nex_protocol::nats::{
    ClientOp, ErrKind, HeaderMap, NO_RESPONDERS, OK, PING, PONG, encode_err, encode_info,
    encode_msg_head,
};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::BusLimits;
use super::link::{LinkError, Reply};
use super::outbox::{Batch, Outbox};
use super::requests::{Answered, Requests, reply_subject};
use super::session::{Effect, Session, refuse_publish};

/// A connection.
#[derive(Debug)]
pub(super) struct Line {
    number: u64,
    limits: BusLimits,
    state: Mutex<State>,
    /// There is something to write.
    wake_writer: Notify,
    /// The socket took something.
    drained: Notify,
    /// The agent subscribed to something.
    subscribed: Notify,
    closed: CancellationToken,
    gone: CancellationToken,
}

#[derive(Debug)]
struct State {
    session: Session,
    requests: Requests,
    outbox: Outbox,
}

/// A message to the agent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outgoing<'a> {
    /// The subject whose subscriber gets it.
    pub(super) to: &'a str,
    /// The subject written on it.
    pub(super) subject: &'a str,
    /// Where an answer is expected.
    pub(super) reply: Option<&'a str>,
    /// Headers; left out for a client that cannot read them.
    pub(super) headers: Option<&'a HeaderMap>,
}

impl Line {
    /// A new connection, with its `INFO` queued.
    pub(super) fn new(
        number: u64,
        limits: BusLimits,
        session: Session,
        info: &nex_protocol::nats::ServerInfo,
    ) -> Self {
        let mut outbox = Outbox::default();
        // Cannot fail: plain data. Without INFO the client would just wait for it and leave.
        let _ = encode_info(outbox.lines(), info);
        Self {
            number,
            limits,
            state: Mutex::new(State { session, requests: Requests::default(), outbox }),
            wake_writer: Notify::new(),
            drained: Notify::new(),
            subscribed: Notify::new(),
            closed: CancellationToken::new(),
            gone: CancellationToken::new(),
        }
    }

    /// The connection's number, for logs.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// A panic elsewhere does not make the state wrong: every change is complete in itself.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges an operation and does what can be done at once. What is left has to be done by the
    /// caller, and is never [`Effect::Pong`], [`Effect::Refuse`], [`Effect::Answer`] or
    /// [`Effect::NobodyListens`].
    pub(super) fn step(&self, op: ClientOp) -> Effect {
        let is_subscribe = matches!(op, ClientOp::Subscribe(_));
        let mut state = self.state();
        let mut effect = state.session.step(op);
        if let Effect::Answer(number, publish) = effect {
            effect = match state.requests.answer(number) {
                Answered::Waiting(waiting) => {
                    // Nobody waits any more if this fails, which is their business.
                    let _ =
                        waiting.send(Reply { headers: publish.headers, payload: publish.payload });
                    Effect::Accepted
                }
                Answered::Late => Effect::Accepted,
                Answered::NeverAsked => refuse_publish(&publish),
            };
        }
        if effect.is_accepted() && state.session.is_verbose() {
            state.outbox.lines().extend_from_slice(OK);
        }
        match effect {
            Effect::Pong => state.outbox.lines().extend_from_slice(PONG),
            Effect::Refuse { kind, ref text } => {
                tracing::debug!(connection = self.number, %kind, text, "agent was refused");
                encode_err(state.outbox.lines(), text);
                effect = Effect::Nothing;
            }
            Effect::NobodyListens(ref reply) => {
                if let Ok(headers) = HeaderMap::with_status(NO_RESPONDERS, "") {
                    let message = Outgoing {
                        to: reply,
                        subject: reply,
                        reply: None,
                        headers: Some(&headers),
                    };
                    // No one waits for the refusal either.
                    let _ = self.queue(&mut state, message, Bytes::new());
                }
                effect = Effect::Nothing;
            }
            _ => {}
        }
        if matches!(effect, Effect::Pong) {
            effect = Effect::Nothing;
        }
        self.after_queueing(state);
        if is_subscribe && effect == Effect::Accepted {
            self.subscribed.notify_waiters();
        }
        effect
    }

    /// Says a refusal that was found out later.
    pub(super) fn refuse(&self, refusal: Effect) {
        if let Effect::Refuse { text, .. } = refusal {
            let mut state = self.state();
            encode_err(state.outbox.lines(), &text);
            self.after_queueing(state);
        }
    }

    /// Largest message, in bytes.
    pub(super) fn max_payload(&self) -> usize {
        self.limits.max_payload
    }

    /// Bytes that may wait for the agent to read them.
    pub(super) fn max_pending(&self) -> usize {
        self.limits.max_pending
    }

    /// The connection is this agent's.
    pub(super) fn admit(&self, id: WorkloadId) {
        self.state().session.admit(id);
    }

    /// Answers `+OK` to a client that wants it; for operations that take time to judge.
    pub(super) fn acknowledge(&self) {
        let mut state = self.state();
        if state.session.is_verbose() {
            state.outbox.lines().extend_from_slice(OK);
        }
        self.after_queueing(state);
    }

    /// Queues `PING`.
    pub(super) fn ping(&self) {
        let mut state = self.state();
        state.outbox.lines().extend_from_slice(PING);
        self.after_queueing(state);
    }

    /// Sends a message to whoever listens at `message.to` on this connection.
    pub(super) fn deliver(&self, message: Outgoing<'_>, payload: Bytes) -> Result<(), LinkError> {
        let mut state = self.state();
        let queued = self.queue(&mut state, message, payload);
        self.after_queueing(state);
        queued
    }

    /// Sends a request; its answer arrives in the channel, or the channel ends with the
    /// connection. Gives the number to [`Line::cancel`] with.
    pub(super) fn request(
        &self,
        subject: &str,
        headers: Option<&HeaderMap>,
        payload: Bytes,
        answer: oneshot::Sender<Reply>,
    ) -> Result<u64, LinkError> {
        let mut state = self.state();
        if state.outbox.is_ended() {
            return Err(LinkError::Disconnected);
        }
        // Closing the connection is for answers that nobody takes; a request can be refused.
        let limit = self.limits.max_pending;
        if state.outbox.pending().saturating_add(payload.len()) > limit {
            return Err(LinkError::Backlog { limit });
        }
        let limit = self.limits.max_requests;
        let number = state.requests.issue(answer, limit).ok_or(LinkError::Busy { limit })?;
        let reply = reply_subject(number);
        let message = Outgoing { to: subject, subject, reply: Some(&reply), headers };
        let queued = self.queue(&mut state, message, payload);
        if queued.is_err() {
            state.requests.cancel(number);
        }
        self.after_queueing(state);
        queued.map(|()| number)
    }

    /// Nobody waits for this request any more.
    pub(super) fn cancel(&self, number: u64) {
        self.state().requests.cancel(number);
    }

    fn queue(
        &self,
        state: &mut State,
        message: Outgoing<'_>,
        payload: Bytes,
    ) -> Result<(), LinkError> {
        if state.outbox.is_ended() {
            return Err(LinkError::Disconnected);
        }
        let headers = message.headers.filter(|_| state.session.reads_headers());
        let size = payload.len().saturating_add(headers.map_or(0, HeaderMap::encoded_len));
        if size > self.limits.max_payload {
            return Err(LinkError::TooLarge { size, limit: self.limits.max_payload });
        }
        if size - payload.len() > self.limits.max_headers {
            return Err(LinkError::HeadersTooLarge { limit: self.limits.max_headers });
        }
        let sid =
            state.session.subscriptions().deliver(message.to).ok_or(LinkError::NoResponders)?;
        encode_msg_head(
            state.outbox.lines(),
            message.subject,
            &sid,
            message.reply,
            headers,
            payload.len(),
        )
        .map_err(LinkError::Unsendable)?;
        state.outbox.payload(payload);
        Ok(())
    }

    /// Wakes the writer; ends the connection if its peer reads too slowly.
    fn after_queueing(&self, state: MutexGuard<'_, State>) {
        let pending = state.outbox.pending();
        let slow = pending > self.limits.max_pending && !state.outbox.is_ended();
        drop(state);
        if slow {
            tracing::warn!(
                connection = self.number,
                pending,
                limit = self.limits.max_pending,
                "agent reads too slowly; its connection is closed"
            );
            self.close(Some(ErrKind::SlowConsumer));
        } else if pending > 0 {
            self.wake_writer.notify_one();
        }
    }

    /// Ends the connection, with a last word if there is one. Requests under way fail at once.
    /// What was queued before is still written, but for a slow reader's.
    pub(super) fn close(&self, reason: Option<ErrKind>) {
        let mut state = self.state();
        if state.outbox.is_ended() {
            return;
        }
        if reason == Some(ErrKind::SlowConsumer) {
            state.outbox.discard();
        }
        if let Some(reason) = reason {
            encode_err(state.outbox.lines(), reason.as_str());
        }
        state.outbox.end();
        state.requests.fail_all();
        state.session.subscriptions().clear();
        drop(state);
        self.closed.cancel();
        self.wake_writer.notify_one();
        self.drained.notify_waiters();
        self.subscribed.notify_waiters();
    }

    /// Until the connection was closed by either side.
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// The connection's last message to the node was handed over.
    pub(super) fn mark_gone(&self) {
        self.gone.cancel();
    }

    /// Until that.
    pub(super) async fn gone(&self) {
        self.gone.cancelled().await;
    }

    /// The writer's next work: everything queued, waiting for it if there is nothing.
    pub(super) async fn take_batch(&self) -> Batch {
        loop {
            // A permit is kept if the wake-up comes first, so that none is lost.
            match self.state().outbox.take() {
                Batch::Empty => {}
                batch => return batch,
            }
            self.wake_writer.notified().await;
        }
    }

    /// The socket took so many bytes.
    pub(super) fn written(&self, bytes: usize) {
        self.state().outbox.written(bytes);
        self.drained.notify_waiters();
    }

    /// Waits until at most `limit` bytes are still to be written. `false` if it was closed.
    pub(super) async fn drained_to(&self, limit: usize) -> bool {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            {
                let state = self.state();
                if state.outbox.is_ended() {
                    return false;
                }
                if state.outbox.pending() <= limit {
                    return true;
                }
            }
            drained.await;
        }
    }

    /// Waits until somebody listens at `subject`. `false` if the connection was closed.
    pub(super) async fn listening(&self, subject: &str) -> bool {
        loop {
            let subscribed = self.subscribed.notified();
            tokio::pin!(subscribed);
            subscribed.as_mut().enable();
            {
                let mut state = self.state();
                if state.outbox.is_ended() {
                    return false;
                }
                if state.session.subscriptions().interest(subject) {
                    return true;
                }
            }
            subscribed.await;
        }
    }
}
