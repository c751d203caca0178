//! The real agent program, driven by a node of a few lines over the real protocol.

// Helpers are not recognized as test code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr, reason = "what is skipped is said")]
#![allow(clippy::needless_pass_by_value)]

mod boot;
mod deploy;
mod function;
mod javascript;
mod node;
mod old_node;
mod output;
mod scripts;
mod stop;
mod wasm;
