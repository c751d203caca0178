//! The operations of both directions.

use bytes::Bytes;

use super::{ConnectOptions, ErrKind, HeaderMap, ServerInfo, Text};

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientOp {
    /// `CONNECT`: who the client is and what it can do.
    Connect(Box<ConnectOptions>),
    /// `PUB` or `HPUB`.
    Publish(Publish),
    /// `SUB`.
    Subscribe(Subscribe),
    /// `UNSUB`.
    Unsubscribe(Unsubscribe),
    /// `PING`; the server answers `PONG`.
    Ping,
    /// `PONG`, the answer to the server's `PING`.
    Pong,
}

/// A message on its way to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Where it goes. Any text without blanks and control characters: whether it is a subject one
    /// may publish to is for the receiver to say.
    pub subject: Text,
    /// Where an answer is expected.
    pub reply: Option<Text>,
    /// The header block of an `HPUB`.
    pub headers: Option<HeaderMap>,
    /// The body, a slice of the receive buffer.
    pub payload: Bytes,
}

/// Interest in a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// Subject, wildcards allowed (not checked here).
    pub subject: Text,
    /// Queue group.
    pub queue: Option<Text>,
    /// The client's name for this subscription, repeated in every delivery.
    pub sid: Text,
}

/// The end of an interest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Which subscription.
    pub sid: Text,
    /// End it only after this many deliveries, those already made included. `None` and 0 are now.
    pub max: Option<u64>,
}

/// What a server sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerOp {
    /// `INFO`: the first thing a server says, and whenever it changes.
    Info(Box<ServerInfo>),
    /// `MSG` or `HMSG`.
    Message(Delivery),
    /// `PING`; the client answers `PONG`.
    Ping,
    /// `PONG`, the answer to the client's `PING`.
    Pong,
    /// `+OK`, sent after each operation of a verbose client.
    Ok,
    /// `-ERR`.
    Err(ServerRefusal),
}

/// A message delivered to a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The subject it was published to.
    pub subject: Text,
    /// The subscription it is for.
    pub sid: Text,
    /// Where an answer is expected.
    pub reply: Option<Text>,
    /// The header block of an `HMSG`; a status such as 503 is in it.
    pub headers: Option<HeaderMap>,
    /// The body, a slice of the receive buffer.
    pub payload: Bytes,
}

/// A server's complaint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerRefusal {
    /// What kind of complaint it is.
    pub kind: ErrKind,
    /// Its text, without the quotes.
    pub text: Text,
}
