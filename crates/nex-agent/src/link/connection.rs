//! One connection to the node, from the first byte to its loss.

use std::io;
use std::time::Duration;

use nex_protocol::nats::{
    ConnectOptions, DecodeError, Decoder, Delivery, ErrKind, Limits, PING, PONG, ServerOp,
    encode_connect,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::{Address, Outbox};

/// How long connecting and authenticating may take.
const GREETING_LIMIT: Duration = Duration::from_secs(3);
/// A silent node is asked for a sign of life this often; with no answer by the next time, it is
/// taken for dead. A closed socket is noticed at once and needs none of this.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Largest message that is believed in, whatever the node says, in bytes: what nats-server warns
/// about, eight times.
const MAX_PAYLOAD: usize = 64 * 1024 * 1024;
/// Messages that were read and wait for the agent. The reader stops reading when it is full.
const INBOUND_QUEUE: usize = 64;
/// Free space in the receive buffer before a read.
const READ_SIZE: usize = 4 * 1024;

/// What arrives.
#[derive(Debug)]
pub enum Inbound {
    /// A message of one of the subscriptions.
    Message(Delivery),
    /// The connection is gone; nothing follows.
    Lost(LinkError),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Nobody listens there, or not for this user.
    #[error("cannot connect to the node")]
    Connect(#[source] io::Error),
    /// It did not speak in time.
    #[error("the node did not answer in time")]
    Silent,
    /// It wants what agents do not do.
    #[error("the node's endpoint demands TLS, which agents do not speak")]
    Tls,
    /// It does not take this agent: wrong secret, or the agent is not expected any more.
    #[error("the node refuses this agent: {0}")]
    Refused(String),
    /// It said something that is not the NATS protocol.
    #[error("the node does not speak the NATS protocol")]
    Protocol(#[source] DecodeError),
    /// It closed the connection.
    #[error("the node closed the connection")]
    Closed,
    /// Reading or writing failed.
    #[error("the connection to the node broke")]
    Broken(#[source] io::Error),
    /// It reads too slowly for even the urgent messages.
    #[error("the node does not read what it is sent")]
    Backlog,
}

/// A live connection. Dropping it ends its tasks.
#[derive(Debug)]
pub struct Link {
    inbound: mpsc::Receiver<Inbound>,
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.reader.abort();
        self.writer.abort();
    }
}

impl Link {
    /// Connects, authenticates and starts to read and to write what `outbox` holds.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn open(
        address: &Address,
        options: &ConnectOptions,
        outbox: &Outbox,
    ) -> Result<Self, LinkError> {
        let deadline = Instant::now() + GREETING_LIMIT;
        match address {
            Address::Unix(path) => {
                let connecting = timeout_at(deadline, UnixStream::connect(path));
                let stream =
                    connecting.await.map_err(|_| LinkError::Silent)?.map_err(LinkError::Connect)?;
                let (read, write) = stream.into_split();
                Self::greet(read, write, options, outbox, deadline).await
            }
            Address::Tcp(address) => {
                let connecting = timeout_at(deadline, TcpStream::connect(address));
                let stream =
                    connecting.await.map_err(|_| LinkError::Silent)?.map_err(LinkError::Connect)?;
                stream.set_nodelay(true).map_err(LinkError::Connect)?;
                let (read, write) = stream.into_split();
                Self::greet(read, write, options, outbox, deadline).await
            }
        }
    }

    async fn greet<R, W>(
        read: R,
        mut write: W,
        options: &ConnectOptions,
        outbox: &Outbox,
        deadline: Instant,
    ) -> Result<Self, LinkError>
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let mut incoming = Incoming { read, decoder: Decoder::new(Limits::default()) };
        let greeting = async {
            match incoming.next().await? {
                ServerOp::Info(info) if info.tls_required => return Err(LinkError::Tls),
                ServerOp::Info(info) => {
                    let max = info.max_payload.clamp(Limits::DEFAULT_PAYLOAD, MAX_PAYLOAD);
                    incoming.decoder.set_limits(Limits { max_payload: max, ..Limits::default() });
                    outbox.set_max_payload(max);
                }
                ServerOp::Err(refusal) => {
                    return Err(LinkError::Refused(refusal.text.to_string()));
                }
                _ => return Err(LinkError::Closed),
            }
            let mut hello = bytes::BytesMut::new();
            // Cannot fail with these types.
            let _ = encode_connect(&mut hello, options);
            hello.extend_from_slice(PING);
            write.write_all(&hello).await.map_err(LinkError::Broken)?;
            loop {
                match incoming.next().await? {
                    ServerOp::Pong => return Ok(()),
                    ServerOp::Err(refusal) => {
                        return Err(LinkError::Refused(refusal.text.to_string()));
                    }
                    ServerOp::Ping => write.write_all(PONG).await.map_err(LinkError::Broken)?,
                    ServerOp::Info(_) | ServerOp::Ok | ServerOp::Message(_) => {}
                }
            }
        };
        timeout_at(deadline, greeting).await.map_err(|_| LinkError::Silent)??;
        let (sender, inbound) = mpsc::channel(INBOUND_QUEUE);
        let (failed, failure) = mpsc::channel(1);
        let writer = tokio::spawn(write_out(write, outbox.clone(), failed));
        let reader = tokio::spawn(read_in(incoming, outbox.clone(), sender, failure));
        Ok(Self { inbound, reader, writer })
    }

    /// The next thing from the node. After [`Inbound::Lost`] there is nothing more to come.
    pub async fn next(&mut self) -> Inbound {
        self.inbound.recv().await.unwrap_or(Inbound::Lost(LinkError::Closed))
    }
}

struct Incoming<R> {
    read: R,
    decoder: Decoder,
}

impl<R: AsyncRead + Unpin> Incoming<R> {
    async fn next(&mut self) -> Result<ServerOp, LinkError> {
        loop {
            if let Some(op) = self.decoder.next_server_op().map_err(LinkError::Protocol)? {
                return Ok(op);
            }
            self.decoder.reserve(READ_SIZE);
            let buffer = self.decoder.buffer_mut();
            // Cancel-safe: bytes are in the buffer or were not read.
            if self.read.read_buf(buffer).await.map_err(LinkError::Broken)? == 0 {
                return Err(LinkError::Closed);
            }
        }
    }
}

async fn read_in<R: AsyncRead + Unpin>(
    mut incoming: Incoming<R>,
    outbox: Outbox,
    inbound: mpsc::Sender<Inbound>,
    mut writer_failed: mpsc::Receiver<LinkError>,
) {
    let error = tokio::select! {
        error = read_all(&mut incoming, &outbox, &inbound) => error,
        Some(error) = writer_failed.recv() => error,
    };
    outbox.close();
    let _ = inbound.send(Inbound::Lost(error)).await;
}

async fn read_all<R: AsyncRead + Unpin>(
    incoming: &mut Incoming<R>,
    outbox: &Outbox,
    inbound: &mpsc::Sender<Inbound>,
) -> LinkError {
    let mut asked = false;
    loop {
        let op = match tokio::time::timeout(PING_INTERVAL, incoming.next()).await {
            Ok(Ok(op)) => op,
            Ok(Err(error)) => return error,
            Err(_) if asked => return LinkError::Silent,
            Err(_) => {
                asked = true;
                outbox.raw(PING);
                continue;
            }
        };
        // Any word is a sign of life.
        asked = false;
        match op {
            ServerOp::Message(delivery) => {
                if inbound.send(Inbound::Message(delivery)).await.is_err() {
                    return LinkError::Closed;
                }
            }
            ServerOp::Ping => outbox.raw(PONG),
            ServerOp::Pong | ServerOp::Ok | ServerOp::Info(_) => {}
            // A refused subject concerns one message; the server keeps the connection.
            ServerOp::Err(refusal) if refusal.kind == ErrKind::PermissionsViolation => {
                crate::diagnostics::say(&format!("the node says: {}", refusal.text));
            }
            ServerOp::Err(refusal) => return LinkError::Refused(refusal.text.to_string()),
        }
    }
}

async fn write_out<W: AsyncWrite + Unpin>(
    mut write: W,
    outbox: Outbox,
    failed: mpsc::Sender<LinkError>,
) {
    while let Some(mut batch) = outbox.next_batch().await {
        if let Err(error) = write.write_all_buf(&mut batch).await {
            let _ = failed.send(LinkError::Broken(error)).await;
            return;
        }
        batch.written();
    }
    let _ = failed.send(LinkError::Backlog).await;
}
