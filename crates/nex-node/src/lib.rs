//! The Nex node as a library.

pub mod nats_server;
pub mod sandbox;
