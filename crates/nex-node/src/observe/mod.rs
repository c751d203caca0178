//! What the node tells the world: CloudEvents, log lines, heartbeats.

mod memory;
mod outbox;
mod publisher;

pub(crate) use memory::memory;
pub(crate) use outbox::Outbox;
pub use publisher::{Publisher, WorkloadTag};
