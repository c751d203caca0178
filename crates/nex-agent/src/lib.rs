//! The agent: runs one workload for a node, beside or inside its sandbox.
//!
//! [`session`] decides, [`agent`] does. The rest are the rooms it does it with:
//! [`boot`] before anything else, [`confine`] the sandbox that it may make for itself, [`link`] to
//! the node, [`cache`] where the node offers no file, [`provider`] for the program, [`output`] for
//! what it prints, [`calls`] for those of a function.
//! [`compile`] is a command of its own, in a process of its own.

pub mod agent;
pub mod boot;
pub mod cache;
pub mod calls;
pub mod compile;
pub mod confine;
pub mod diagnostics;
pub mod health;
pub mod link;
pub mod output;
pub mod provider;
pub mod session;

/// The version that the agent reports.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
