//! Test support for Nex: real peers with deadlines, never mocks with sleeps.
//!
//! * [`TestNats`] is a real `nats-server` with JetStream on a random loopback
//!   port. It can be stopped and started again on the same port.
//! * [`wait`] waits on values, [`Collector`] on messages.
//! * [`process`] counts what a process tree holds: processes, descriptors, memory.
//!
//! Everything here panics when something is wrong, with a text that says what:
//! the caller is a test.
#![allow(clippy::panic, reason = "a test helper reports by panicking")]

mod collector;
mod nats;
pub mod process;
mod server_binary;
mod spawner;
mod tls;
pub mod wait;

pub use collector::{Collector, settle};
pub use nats::{TestNats, TestNatsOptions};
pub use server_binary::nats_server_binary;
pub use tls::TestTls;
pub use wait::{wait_for, wait_until};

/// How long the helpers of this crate wait before they call a test failed.
///
/// Generous on purpose: it is only reached by a failing test, and the machines
/// that run tests are shared.
pub const DEADLINE: std::time::Duration = std::time::Duration::from_secs(30);
