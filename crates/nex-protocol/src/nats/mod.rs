//! The NATS client protocol, as bytes: what the node's bus (the server side) and the agent (the
//! client side) share.
//!
//! There is no I/O here. A [`Decoder`] is fed bytes in pieces of any size and hands out whole
//! operations; payloads are slices of the receive buffer, never copies. The `encode_*` functions
//! append to a `BytesMut`. Everything a peer can make large is checked against [`Limits`] before
//! memory is set aside for it.
//!
//! Source of the protocol: <https://docs.nats.io/reference/reference-protocols/nats-protocol> and,
//! for headers, ADR-4 of the NATS architecture repository.

mod decode;
mod encode;
mod error;
mod handshake;
mod header;
mod limits;
mod op;
mod text;

#[cfg(test)]
mod tests;

pub use decode::Decoder;
pub use encode::{
    CRLF, EncodeError, OK, PING, PONG, encode_connect, encode_err, encode_info, encode_msg,
    encode_msg_head, encode_pub, encode_pub_head, encode_sub, encode_unsub,
};
pub use error::{DecodeError, ErrKind};
pub use handshake::{ConnectOptions, ServerInfo};
pub use header::{HeaderError, HeaderMap, MAX_HEADER_ENTRIES, NO_RESPONDERS, Status};
pub use limits::Limits;
pub use op::{ClientOp, Delivery, Publish, ServerOp, ServerRefusal, Subscribe, Unsubscribe};
pub use text::{Text, TextError};
