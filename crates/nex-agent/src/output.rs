//! What a workload prints: cut into lines, limited, handed to the link.
//!
//! ```text
//! pipe ──64 KiB reads──▶ Splitter ──pieces──▶ Limiter ──▶ log lane of the link
//!                             (over the limit: newlines counted, bytes dropped)
//! ```
//!
//! The service is never blocked for ever and nothing here grows: a line is at most
//! [`split::MAX_LINE`], the lane is bounded, and what finds no room is counted and reported.

pub mod capture;
pub mod limit;
pub mod lines;
pub mod split;
