//! The wire types against what Go peers write and read.

// Clippy's leave for tests covers only functions marked `#[test]`, not the helpers they call.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod agent;
mod claims;
mod control;
mod envelope;
mod environment;
mod events;
mod keys;
mod location;
mod logs;
mod names;
mod requests;
mod round_trip;
mod subjects;
mod surface;
mod triggers;
mod uptime;
mod vectors;
