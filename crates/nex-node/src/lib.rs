//! The Nex node as a library.

pub mod bus;
pub mod sandbox;
