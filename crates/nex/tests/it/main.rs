//! The program `nex`, run as a user runs it.

mod documents;
mod fake_node;
mod go_node;
mod help;
mod lifecycle;
mod node_up;
mod program;
mod usage;
