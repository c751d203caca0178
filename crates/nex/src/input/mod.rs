//! What people type, turned into checked values: durations, arguments,
//! environment pairs, object keys, the kind of a file.
//!
//! Everything here is pure but for the two readers of files, which bound what
//! they read.

pub(crate) mod argv;
pub(crate) mod duration;
pub(crate) mod object_key;
pub(crate) mod pair;
pub(crate) mod program;
