//! The program `nex`, run as a user runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod doctor;
mod documents;
mod fake_node;
mod go_node;
mod help;
mod lifecycle;
mod node_up;
mod program;
mod usage;
