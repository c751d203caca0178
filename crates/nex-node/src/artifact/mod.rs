//! Artifacts: what a workload's location names, kept on disk by content.
//!
//! ```text
//!  object store ──chunks──▶ hash + temp file ──verified──▶ rename to <digest> ──▶ lease
//!                                                              │
//!                                       evicted when nobody holds a lease and room is needed
//! ```
//!
//! An artifact is never whole in memory, never executed before its digest was
//! checked, and never stored under a name that a tenant chose.

mod cache;
mod error;
pub(crate) mod index;
mod object_store;
mod turns;

pub use cache::{ArtifactCache, ArtifactLease};
pub use error::ArtifactError;
pub use object_store::ObjectSource;
pub(crate) use turns::Turns;
