//! A client that says exactly what a test tells it to.

use std::path::Path;

use nex_node::bus::AgentSeat;
use nex_protocol::nats::{
    ConnectOptions, Decoder, Delivery, ErrKind, Limits, ServerInfo, ServerOp, encode_connect,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::within;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

pub(crate) struct Wire {
    pub(crate) stream: Box<dyn Stream>,
    decoder: Decoder,
    pub(crate) info: ServerInfo,
}

impl Wire {
    pub(crate) async fn unix(path: &Path) -> Self {
        Self::open(Box::new(UnixStream::connect(path).await.unwrap())).await
    }

    pub(crate) async fn tcp(address: std::net::SocketAddr) -> Self {
        Self::open(Box::new(TcpStream::connect(address).await.unwrap())).await
    }

    async fn open(stream: Box<dyn Stream>) -> Self {
        let limits = Limits { max_payload: 64 << 20, ..Limits::default() };
        let decoder = Decoder::new(limits);
        let mut wire = Self { stream, decoder, info: ServerInfo::default() };
        match wire.next().await {
            Some(ServerOp::Info(info)) => wire.info = *info,
            other => panic!("{other:?} instead of INFO"),
        }
        wire
    }

    /// A connection that has shown the seat's secret and heard `PONG`.
    pub(crate) async fn agent(path: &Path, seat: &AgentSeat) -> Self {
        let mut wire = Self::unix(path).await;
        wire.connect(&credentials(seat)).await;
        wire.pong().await;
        wire
    }

    pub(crate) async fn connect(&mut self, options: &ConnectOptions) {
        let mut out = bytes::BytesMut::new();
        encode_connect(&mut out, options).unwrap();
        self.send_bytes(&out).await;
    }

    /// Sends lines; `\n` stands for CR LF.
    pub(crate) async fn send(&mut self, text: &str) {
        self.send_bytes(text.replace('\n', "\r\n").as_bytes()).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        // The endpoint may have hung up already; what it said is what tests look at.
        let _ = self.stream.write_all(bytes).await;
    }

    /// Round trip: whatever was sent before has been judged. Fails on any other answer.
    pub(crate) async fn pong(&mut self) {
        self.send("PING\n").await;
        assert_eq!(self.next().await, Some(ServerOp::Pong));
    }

    /// As [`Wire::pong`] where messages may come in between.
    pub(crate) async fn pong_among_others(&mut self) {
        self.send("PING\n").await;
        while self.next().await != Some(ServerOp::Pong) {}
    }

    /// The next thing the endpoint says but pings, `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<ServerOp> {
        loop {
            match self.next_or_ping().await {
                Some(ServerOp::Ping) => self.send("PONG\n").await,
                other => return other,
            }
        }
    }

    pub(crate) async fn next_or_ping(&mut self) -> Option<ServerOp> {
        loop {
            if let Some(op) = self.decoder.next_server_op().unwrap() {
                return Some(op);
            }
            let read = self.stream.read_buf(self.decoder.buffer_mut());
            match within("word from the endpoint", read).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    pub(crate) async fn message(&mut self) -> Delivery {
        match self.next().await {
            Some(ServerOp::Message(message)) => message,
            other => panic!("{other:?} instead of a message"),
        }
    }

    pub(crate) async fn refused(&mut self) -> (ErrKind, String) {
        match self.next().await {
            Some(ServerOp::Err(refusal)) => (refusal.kind, refusal.text.to_string()),
            other => panic!("{other:?} instead of -ERR"),
        }
    }

    /// The endpoint says this and hangs up.
    pub(crate) async fn closed_with(&mut self, kind: ErrKind) {
        assert_eq!(self.refused().await.0, kind);
        assert_eq!(self.next().await, None);
    }
}

pub(crate) fn credentials(seat: &AgentSeat) -> ConnectOptions {
    ConnectOptions {
        user: Some(seat.id().to_string()),
        pass: Some(seat.secret().to_owned()),
        headers: true,
        no_responders: true,
        ..ConnectOptions::default()
    }
}
