//! The connection to the node: the NATS client protocol over a Unix socket or TCP.
//!
//! One task reads and one writes. What is to be sent waits in an [`Outbox`] with two lanes, so
//! that a flood of log lines never delays a reply or an event. The node is not trusted more than
//! any peer: sizes are bounded by the codec's limits.

pub mod address;
mod batch;
pub mod connection;
pub mod outbox;

pub use address::Address;
pub use batch::Batch;
pub use connection::{Inbound, Link, LinkError};
pub use outbox::{Afterwards, LaneFull, Outbox};
