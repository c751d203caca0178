//! NATS CLI contexts: the files that `nats context add` writes, read the way
//! the Go library (`jsm.go/natscontext`) reads them.
//!
//! ```text
//! $XDG_CONFIG_HOME/nats/context/<name>.json    one file for each context
//! $XDG_CONFIG_HOME/nats/context.txt            name of the selected one
//! ```
//!
//! Without `XDG_CONFIG_HOME` the folder is `~/.config`. Reading stops at the
//! values: which of them are used, and how options of the caller override
//! them, is decided by [`Settings`](crate::connect::Settings).

mod expand;
mod file;
mod folder;
mod name;

pub use expand::Expansion;
pub use file::{Context, ContextFormatError};
pub use folder::{ContextError, ContextFolder};
pub use name::{ContextName, ContextNameError};
