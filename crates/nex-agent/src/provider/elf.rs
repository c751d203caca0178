//! Native programs.
//!
//! `header` says whether a file can run here at all, `launch` starts it, `tree` signals it and
//! everything that came of it.

pub mod header;
pub mod launch;
pub mod tree;

pub use header::{ElfError, Linkage, Program};
pub use launch::{Child, Launch, LaunchError};
