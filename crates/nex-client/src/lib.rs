//! Async client for Nex.

pub mod connect;
pub mod context;
mod secret;

pub use connect::{ConnectError, ConnectOptions};
pub use secret::Secret;
