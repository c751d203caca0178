//! One agent's connection: a task that reads and one that writes.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use nex_protocol::{
    name::WorkloadId,
    nats::{
        ClientOp, Decoder, ErrKind, HeaderMap, Limits, NO_RESPONDERS, OK, PING, PONG, Publish,
        ServerInfo, encode_err, encode_info, encode_msg,
    },
    subject::AgentSubjectKind,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, interval, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    link::{LinkState, Reply, WRITE_QUEUE},
    registry::Registry,
    seat::{Inbound, Responder},
    session::{Effect, Session},
};

/// From the accept to a right `CONNECT`.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// Between two `PING`s to an agent.
const PING_PERIOD: Duration = Duration::from_secs(2);

/// `PING`s without an answer after which an agent is gone.
const MAX_SILENT_PINGS: u32 = 5;

/// Bytes asked of the socket at once.
const READ_SIZE: usize = 32 * 1024;

/// Frames written in one go.
const WRITE_BATCH: usize = 64;

/// What a connection needs of the endpoint.
#[derive(Debug, Clone)]
pub(super) struct Door {
    pub(super) registry: Arc<Registry>,
    pub(super) legacy: bool,
    pub(super) strangers: Arc<Semaphore>,
    pub(super) stop: CancellationToken,
}

/// Why a connection ends.
enum End {
    /// The agent hung up, or was told to.
    Over,
    /// It made a mistake that ends it.
    Refused(ErrKind),
}

struct Connection {
    door: Door,
    session: Arc<Mutex<Session>>,
    frames: mpsc::Sender<Bytes>,
    hang_up: CancellationToken,
    /// Set once the agent is known.
    attached: Option<(Arc<LinkState>, u64)>,
    /// Given back once the agent is known.
    stranger: Option<OwnedSemaphorePermit>,
    silent_pings: u32,
}

/// Serves one connection to its end.
pub(super) async fn serve<S>(stream: S, door: Door, place: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (reader, writer) = tokio::io::split(stream);
    let (frames, queue) = mpsc::channel(WRITE_QUEUE);
    let hang_up = door.stop.child_token();
    let write = tokio::spawn(write(writer, queue, hang_up.clone()));
    let session = Arc::new(Mutex::new(Session::new(door.legacy)));
    let mut connection = Connection {
        door,
        session,
        frames,
        hang_up,
        attached: None,
        stranger: Some(place),
        silent_pings: 0,
    };
    if let End::Refused(kind) = connection.run(reader).await {
        let mut frame = BytesMut::new();
        encode_err(&mut frame, kind.as_str());
        let _ = connection.frames.try_send(frame.freeze());
    }
    if let Some((link, number)) = connection.attached.take()
        && link.detach(number)
    {
        link.said.say(Inbound::Disconnected).await;
    }
    // The writer ends when the last sender is gone, after what is queued.
    drop(connection);
    let _ = write.await;
}

async fn write<S: AsyncWrite>(
    mut writer: WriteHalf<S>,
    mut queue: mpsc::Receiver<Bytes>,
    hang_up: CancellationToken,
) {
    let mut batch = Vec::with_capacity(WRITE_BATCH);
    let mut buffer = BytesMut::new();
    loop {
        let count = tokio::select! {
            biased;
            count = queue.recv_many(&mut batch, WRITE_BATCH) => count,
            () = hang_up.cancelled() => break,
        };
        if count == 0 {
            break;
        }
        let written = if let [frame] = batch.as_slice() {
            writer.write_all(frame).await
        } else {
            buffer.clear();
            batch.iter().for_each(|frame| buffer.extend_from_slice(frame));
            writer.write_all(&buffer).await
        };
        batch.clear();
        if written.is_err() {
            hang_up.cancel();
            break;
        }
    }
    let _ = writer.shutdown().await;
}

impl Connection {
    async fn run<S: AsyncRead>(&mut self, mut reader: ReadHalf<S>) -> End {
        if !self.send_info() {
            return End::Over;
        }
        let mut decoder = Decoder::new(Limits::default());
        let deadline = Instant::now() + CONNECT_DEADLINE;
        let mut pings = interval(PING_PERIOD);
        pings.tick().await;
        loop {
            loop {
                match decoder.next_client_op() {
                    Ok(None) => break,
                    Ok(Some(op)) => {
                        if let Some(end) = self.operate(op).await {
                            return end;
                        }
                    }
                    Err(error) => {
                        tracing::debug!(%error, "an agent does not speak the protocol");
                        return End::Refused(error.err_kind());
                    }
                }
            }
            decoder.buffer_mut().reserve(READ_SIZE);
            let hang_up = self.hang_up.clone();
            let known = self.stranger.is_none();
            let read = async {
                if known {
                    Ok(reader.read_buf(decoder.buffer_mut()).await)
                } else {
                    timeout_at(deadline, reader.read_buf(decoder.buffer_mut())).await
                }
            };
            tokio::select! {
                read = read => match read {
                    Err(_) => return End::Refused(ErrKind::AuthenticationTimeout),
                    Ok(Ok(0) | Err(_)) => return End::Over,
                    Ok(Ok(_)) => self.silent_pings = 0,
                },
                _ = pings.tick(), if known => {
                    self.silent_pings += 1;
                    if self.silent_pings > MAX_SILENT_PINGS {
                        return End::Refused(ErrKind::StaleConnection);
                    }
                    // A full queue means that the agent does not read.
                    let _ = self.frames.try_send(Bytes::from_static(PING));
                }
                () = hang_up.cancelled() => return End::Over,
            }
        }
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send_info(&self) -> bool {
        let info = ServerInfo {
            server_id: "nex".to_owned(),
            server_name: "nex-node".to_owned(),
            version: "2.10.0".to_owned(),
            headers: true,
            max_payload: Limits::DEFAULT_PAYLOAD,
            proto: 1,
            auth_required: !self.door.legacy,
            jetstream: self.door.legacy,
            ..ServerInfo::default()
        };
        let mut frame = BytesMut::new();
        encode_info(&mut frame, &info).is_ok() && self.frames.try_send(frame.freeze()).is_ok()
    }

    async fn operate(&mut self, op: ClientOp) -> Option<End> {
        let effects = self.session().step(op);
        for effect in effects {
            match effect {
                Effect::Authenticate { user, secret } => {
                    let Some((id, link)) = self.door.registry.authenticate(&user, &secret) else {
                        tracing::warn!("a connection to the bus had no right secret");
                        return Some(End::Refused(ErrKind::AuthorizationViolation));
                    };
                    let more = self.session().authenticated(id);
                    self.attach(link).await;
                    if more.contains(&Effect::Ok) {
                        self.send(Bytes::from_static(OK)).await;
                    }
                }
                Effect::Identify(id) => {
                    let Some(link) = self.identify(id) else {
                        return Some(End::Refused(ErrKind::AuthorizationViolation));
                    };
                    self.attach(link).await;
                }
                Effect::Pong => self.send(Bytes::from_static(PONG)).await,
                Effect::Ok => self.send(Bytes::from_static(OK)).await,
                Effect::Complain(kind) => {
                    let mut frame = BytesMut::new();
                    encode_err(&mut frame, kind.as_str());
                    self.send(frame.freeze()).await;
                }
                Effect::Close(kind) => return Some(End::Refused(kind)),
                Effect::Answer { request, message } => {
                    if let Some((link, _)) = &self.attached {
                        let Publish { headers, payload, .. } = message;
                        link.answer(request, Reply { headers, payload });
                    }
                }
                Effect::Said { kind, message } => self.said(kind, message).await,
                Effect::NoResponders(message) => self.no_responders(&message).await,
            }
        }
        None
    }

    fn identify(&mut self, id: WorkloadId) -> Option<Arc<LinkState>> {
        if self.attached.is_some() {
            return None;
        }
        let link = self.door.registry.identify(id)?;
        self.session().identified(id);
        Some(link)
    }

    async fn attach(&mut self, link: Arc<LinkState>) {
        let number =
            link.attach(self.frames.clone(), Arc::clone(&self.session), self.hang_up.clone());
        link.said.say(Inbound::Connected).await;
        self.attached = Some((link, number));
        self.stranger = None;
    }

    async fn said(&self, kind: AgentSubjectKind, message: Publish) {
        let Some((link, _)) = &self.attached else { return };
        let reply = message.reply.map(|inbox| Responder {
            inbox: inbox.as_str().to_owned(),
            session: Arc::clone(&self.session),
            frames: self.frames.clone(),
        });
        let body = message.payload;
        match kind {
            AgentSubjectKind::Handshake => {
                link.said.say(Inbound::Handshake { body, reply }).await;
            }
            AgentSubjectKind::Event(kind) => {
                let kind = kind.to_string();
                link.said.say(Inbound::Event { kind, body }).await;
            }
            AgentSubjectKind::Logs => link.said.log(body),
            AgentSubjectKind::Rpc { service, method, .. } => {
                if let Some(reply) = reply {
                    let (service, method) = (service.to_string(), method.to_string());
                    link.said.say(Inbound::Rpc { service, method, body, reply }).await;
                }
            }
            // These are the node's to say.
            AgentSubjectKind::Deploy | AgentSubjectKind::Undeploy | AgentSubjectKind::Trigger => {}
        }
    }

    async fn no_responders(&self, message: &Publish) {
        let Some(inbox) = &message.reply else { return };
        let sid = self.session().deliver(inbox.as_str());
        let (Some(sid), Ok(headers)) = (sid, HeaderMap::with_status(NO_RESPONDERS, "")) else {
            return;
        };
        let mut frame = BytesMut::new();
        if encode_msg(&mut frame, inbox.as_str(), &sid, None, Some(&headers), b"").is_ok() {
            self.send(frame.freeze()).await;
        }
    }

    /// Waits for the writer; an agent that does not read is not read either.
    async fn send(&self, frame: Bytes) {
        tokio::select! {
            _ = self.frames.send(frame) => {}
            () = self.hang_up.cancelled() => {}
        }
    }
}
