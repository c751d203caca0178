//! The node against real peers: a real nats-server, real processes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod bus;
mod hostile;
mod services;
mod world;
