//! The program `nex`, run as a user runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod calls;
mod doctor;
mod documents;
mod economy;
mod fake_function;
mod fake_node;
mod go_node;
mod help;
mod lifecycle;
mod measuring;
mod node_up;
mod program;
mod usage;
mod watching;
