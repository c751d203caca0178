//! Everything that needs a real `nats-server`, or only the files in `tests/vectors`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod calling;
mod connecting;
mod context_vectors;
mod deploying;
mod discovering;
mod fake_node;
mod following;
mod properties;
mod uploading;
