//! What people type, turned into checked values: durations, arguments,
//! environment pairs, payloads, object keys, the kind of a file.
//!
//! Everything here is pure but for the readers of files, which bound what
//! they read.

pub(crate) mod argv;
pub(crate) mod duration;
pub(crate) mod object_key;
pub(crate) mod pair;
pub(crate) mod payload;
pub(crate) mod program;
