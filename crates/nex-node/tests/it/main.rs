//! The node against real peers: a real nats-server, real processes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod artifacts;
mod bus;
mod flood;
mod go;
mod host;
mod hostile;
mod isolation;
mod nats_server;
mod services;
mod trigger;
mod world;
