//! The Nex node as a library.

pub mod artifact;
pub mod bus;
mod compile;
pub mod config;
mod control;
mod deploy;
pub mod host;
pub mod nats_server;
mod node;
pub mod observe;
pub mod pool;
pub mod preflight;
pub mod sandbox;
mod start_error;
pub mod state;
mod trigger;
pub mod workload;

pub use node::{Node, StopReport};
pub use start_error::StartError;

/// The version that this node reports.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// An error with all its causes in one line.
pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
