//! The Nex node as a library.

pub mod sandbox;
