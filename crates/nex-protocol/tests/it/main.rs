//! The wire types against what Go peers write and read.

// Clippy's leave for tests covers only functions marked `#[test]`, not the helpers they call.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]

mod claims;
mod environment;
mod keys;
mod location;
mod names;
mod subjects;
mod triggers;
mod vectors;
