//! One node for one state directory.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::StateError;

/// The lock of a state directory; the system gives it back when the node dies.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held, not used")] File);

impl Lock {
    pub(super) fn take(dir: &Path) -> Result<Self, StateError> {
        let path = dir.join("lock");
        let failed = |source| StateError::Unwritable { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                // A node that has just taken the lock may not have written its pid yet.
                let _ = (&file).take(32).read_to_string(&mut text);
                let pid = text.trim().parse().ok();
                return Err(StateError::InUse { path: dir.to_owned(), pid });
            }
            // Some network file systems have no locks; without one, two nodes would share a key.
            Err(error) => return Err(StateError::NoLock { path, source: error.into() }),
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self(file))
    }
}
