//! Why there is no machine code.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a function could not be compiled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompileError {
    /// The module is no good; the compiler's words, for its owner.
    #[error("{0}")]
    Refused(String),
    /// It takes too long.
    #[error(
        "it took longer than {} ms (functions.compile_timeout_ms); make the module smaller or ask the node's operator",
        .0.as_millis()
    )]
    Timeout(Duration),
    /// The compiler died.
    #[error(
        "the compiler failed ({status}) {complaint:?}; the module may need more than functions.compile_memory_bytes"
    )]
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// Its last words.
        complaint: String,
    },
    /// The compiler does not run.
    #[error("the agent {} cannot be run to compile", agent.display())]
    Agent {
        /// The program.
        agent: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The agent is one that runs no functions.
    #[error("the agent {} runs no functions; correct agent_path or leave it out", agent.display())]
    NoEngine {
        /// The program.
        agent: PathBuf,
    },
    /// The artifact cannot be read.
    #[error("the artifact {} cannot be read", path.display())]
    Artifact {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Code that would be run cannot be trusted there.
    #[error(
        "{} belongs to another user or can be written by others (mode {mode:o}); what lies there is run, so the node does not use it: remove it or set functions.compiled_cache.dir",
        path.display()
    )]
    Untrusted {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The store cannot be written.
    #[error("compiled functions cannot be kept in {}; check that the disk has room", dir.display())]
    Store {
        /// The folder.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Everything in the store is in use.
    #[error(
        "the store of compiled functions is full of functions in use; stop some or raise functions.compiled_cache.max_bytes"
    )]
    Full,
    /// The node has a bug, and its log a panic.
    #[error("internal error of the node, see its log")]
    Bug,
}
