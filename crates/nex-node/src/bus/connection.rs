//! The task that reads one connection.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use nex_protocol::agent::MAX_AGENT_LOG_BYTES;
use nex_protocol::name::WorkloadId;
use nex_protocol::nats::{ClientOp, Decoder, ErrKind, Publish};
use nex_protocol::subject::AgentSubjectKind;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, MissedTickBehavior};

use super::endpoint::Hub;
use super::line::Line;
use super::link::Responder;
use super::nexcache::{self, Facade};
use super::outbox::run_writer;
use super::seat::{Inbound, Seat};
use super::session::{Effect, Session};

/// Bytes asked of the socket at a time.
const READ_CHUNK: usize = 16 * 1024;

/// How a connection came in.
pub(super) struct Entrance {
    /// It may claim to be a legacy agent.
    pub(super) legacy: bool,
    /// Its place among those that are nobody's yet; given back with the verdict.
    pub(super) ticket: OwnedSemaphorePermit,
}

/// Serves one connection from its first byte to its last.
pub(super) async fn serve<R, W>(hub: Arc<Hub>, reader: R, writer: W, entrance: Entrance)
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let limits = hub.limits();
    let number = hub.next_connection();
    let session = Session::new(entrance.legacy, limits.max_subscriptions);
    let info = hub.info(number, !entrance.legacy);
    let line = Arc::new(Line::new(number, limits, session, &info));
    hub.tasks().spawn(run_writer(Arc::clone(&line), writer));
    let mut connection = Connection {
        line: Arc::clone(&line),
        decoder: Decoder::new(limits.protocol_of_strangers()),
        seat: None,
        ticket: Some(entrance.ticket),
        facade: None,
        hub,
    };
    let reason = connection.read(reader).await;
    line.close(reason);
    if let Some(seat) = connection.seat.take() {
        tracing::debug!(connection = number, agent = %seat.id(), reason = reason.map(ErrKind::as_str), "agent's connection ended");
        seat.leave(&line).await;
    }
}

struct Connection {
    hub: Arc<Hub>,
    line: Arc<Line>,
    decoder: Decoder,
    /// Whose connection it is, once that is known.
    seat: Option<Arc<Seat>>,
    ticket: Option<OwnedSemaphorePermit>,
    /// Made when the agent first asks for it.
    facade: Option<Facade>,
}

impl Connection {
    /// Reads until the end; gives the last word to the agent, if there is one.
    async fn read<R: AsyncRead + Unpin>(&mut self, mut reader: R) -> Option<ErrKind> {
        let limits = self.hub.limits();
        let mut deadline = std::pin::pin!(tokio::time::sleep(limits.connect_deadline));
        let mut ping = ping_clock(limits.ping_interval);
        let (mut heard, mut pings_out) = (true, 0);
        loop {
            loop {
                match self.decoder.next_client_op() {
                    Ok(Some(op)) => {
                        let is_connect = matches!(op, ClientOp::Connect(_));
                        if let ControlFlow::Break(reason) = self.handle(op).await {
                            return reason;
                        }
                        if let Some(policy) = self.hub.legacy().filter(|_| is_connect) {
                            deadline.as_mut().reset(Instant::now() + policy.claim_deadline);
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        tracing::debug!(connection = self.line.number(), %error, "unreadable");
                        return Some(if self.seat.is_some() {
                            error.err_kind()
                        } else {
                            // A stranger learns nothing about the parser.
                            ErrKind::AuthorizationViolation
                        });
                    }
                }
            }
            self.decoder.reserve(READ_CHUNK);
            tokio::select! {
                biased;
                () = self.line.closed() => return None,
                () = self.hub.shutdown().cancelled() => return None,
                () = &mut deadline, if self.seat.is_none() => {
                    return Some(ErrKind::AuthenticationTimeout);
                }
                read = reader.read_buf(self.decoder.buffer_mut()) => match read {
                    Ok(0) | Err(_) => return None,
                    // Anything it says is a sign of life.
                    Ok(_) => heard = true,
                },
                _ = ping.tick(), if self.seat.is_some() => {
                    if std::mem::take(&mut heard) {
                        pings_out = 0;
                    } else if pings_out >= limits.max_pings_out {
                        return Some(ErrKind::StaleConnection);
                    } else {
                        pings_out += 1;
                        self.line.ping();
                    }
                }
            }
        }
    }

    async fn handle(&mut self, op: ClientOp) -> ControlFlow<Option<ErrKind>> {
        match self.line.step(op) {
            Effect::Nothing
            | Effect::Accepted
            // Done by the line.
            | Effect::Pong
            | Effect::Refuse { .. }
            | Effect::Answer(..)
            | Effect::NobodyListens(_) => ControlFlow::Continue(()),
            Effect::Close(kind) => ControlFlow::Break(Some(kind)),
            Effect::Verify { user, pass } => match self.hub.authenticate(&user, &pass) {
                Some(seat) => {
                    self.line.admit(seat.id());
                    let taken = seat.take(&self.line).await;
                    self.seated(seat, taken.is_ok())?;
                    self.line.acknowledge();
                    ControlFlow::Continue(())
                }
                None => {
                    // Only what is an id is shown: the rest is a stranger's text.
                    let agent = user.parse::<WorkloadId>().ok().map(tracing::field::display);
                    tracing::warn!(agent, "a connection with wrong credentials was refused");
                    ControlFlow::Break(Some(ErrKind::AuthorizationViolation))
                }
            },
            Effect::Claim { id, op } => {
                let Some(seat) = self.hub.claimable(id) else {
                    tracing::warn!(agent = %id, "a connection claimed an agent it cannot be");
                    return ControlFlow::Break(Some(ErrKind::AuthorizationViolation));
                };
                self.line.admit(id);
                let taken = seat.claim(&self.line).await;
                self.seated(seat, taken.is_ok())?;
                // The session knows the agent now, so that this goes one level deep at most.
                Box::pin(self.handle(op)).await
            }
            Effect::Inbound(kind, publish) => self.inbound(kind, publish).await,
            Effect::JetStream(publish) => {
                match &self.seat {
                    Some(seat) => {
                        let new = || Facade::new(Arc::clone(&self.line), Arc::clone(seat));
                        self.facade.get_or_insert_with(new).handle(&publish);
                    }
                    None => nexcache::answer_stranger(&self.line, &publish),
                }
                ControlFlow::Continue(())
            }
        }
    }

    fn seated(&mut self, seat: Arc<Seat>, taken: bool) -> ControlFlow<Option<ErrKind>> {
        if !taken {
            return ControlFlow::Break(Some(ErrKind::AuthorizationViolation));
        }
        self.ticket = None;
        self.decoder.set_limits(self.hub.limits().protocol());
        self.seat = Some(seat);
        ControlFlow::Continue(())
    }

    async fn inbound(
        &mut self,
        kind: AgentSubjectKind,
        publish: Publish,
    ) -> ControlFlow<Option<ErrKind>> {
        let Some(seat) = &self.seat else {
            return ControlFlow::Break(Some(ErrKind::AuthorizationViolation));
        };
        let body = publish.payload;
        let reply = Responder::new(Arc::clone(&self.line), publish.reply);
        let message = match kind {
            AgentSubjectKind::Handshake => Inbound::Handshake { body, reply },
            AgentSubjectKind::Event(kind) => Inbound::Event { kind, body },
            AgentSubjectKind::Logs => {
                // A longer one cannot be read by the node anyway, and is dropped all the same.
                seat.hand_over_log(body, MAX_AGENT_LOG_BYTES);
                return ControlFlow::Continue(());
            }
            AgentSubjectKind::Rpc { namespace, workload, service, method } => Inbound::Rpc {
                namespace,
                workload,
                service,
                method,
                headers: publish.headers,
                body,
                reply,
            },
            // The session does not let these through.
            AgentSubjectKind::Deploy | AgentSubjectKind::Undeploy | AgentSubjectKind::Trigger => {
                return ControlFlow::Continue(());
            }
        };
        match seat.hand_over(&self.line, message).await {
            Ok(()) => ControlFlow::Continue(()),
            // The seat is gone, or the connection was closed, which has said why.
            Err(_) => ControlFlow::Break(None),
        }
    }
}

fn ping_clock(interval: Duration) -> tokio::time::Interval {
    // A period of zero is refused by the timer.
    let interval = interval.max(Duration::from_millis(1));
    let mut clock = tokio::time::interval_at(Instant::now() + interval, interval);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clock
}
