//! Why a state directory cannot be used.

use std::{io, path::PathBuf};

/// Why a state directory cannot be used. No text shows what is in a seed file.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another node runs with it.
    #[error("{} is in use by another node{}; stop that one, or give this one another directory with --state-dir", .path.display(), pid.map_or(String::new(), |pid| format!(" (pid {pid})")))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The other node's process, if it could be read.
        pid: Option<u32>,
    },
    /// Its file system has no locks.
    #[error("{} cannot be locked; choose a directory on a local disk with --state-dir", .path.display())]
    NoLock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The directory cannot be made or entered.
    #[error("{} cannot be made or entered; check its permissions, or choose another with --state-dir", .path.display())]
    Folder {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file in it cannot be read.
    #[error("{} cannot be read; check its owner and permissions", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file in it cannot be written.
    #[error("{} cannot be written; check permissions and free space", .path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} does not hold {what}; restore it from a backup, or move it away to start with a new one", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// A newer version of Nex has written it.
    #[error("{} says layout {found}, which a newer Nex has written; use that version, or another directory", .path.display())]
    Newer {
        /// The version file.
        path: PathBuf,
        /// The version in it.
        found: u32,
    },
    /// There is no home directory to keep it in.
    #[error("there is no home directory to keep the node's state in; set --state-dir")]
    NoHome,
}
