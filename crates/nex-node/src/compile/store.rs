//! Machine code on disk: `<dir>/<engine key>/<digest>.cwasm`.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use nex_protocol::digest::Digest;
use tempfile::TempDir;

use super::CompileError;
use crate::artifact::index::{Full, Index};

/// Ending of the files.
const ENDING: &str = ".cwasm";

/// Beginning of folders in which a file is being made.
const STAGING: &str = ".staging-";

/// Those of this age are left over from a node that died. (Younger ones may be another
/// node's that shares the store.)
const LEFT_OVER: Duration = Duration::from_secs(3600);

/// What a file holds the code of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// A module with this digest.
    Module(Digest),
    /// The engine that runs scripts. Always kept, and not counted.
    ScriptEngine,
}

impl Name {
    fn file_name(self) -> String {
        match self {
            Self::Module(digest) => format!("{digest}{ENDING}"),
            Self::ScriptEngine => format!("javascript-engine{ENDING}"),
        }
    }
}

/// The code of one engine version.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    /// Held for a few map operations, never across I/O.
    index: Mutex<Index>,
}

/// Room for a file that is being made; gone with everything in it when dropped.
#[derive(Debug)]
pub(super) struct Staging {
    /// Where the file is to be.
    pub(super) file: PathBuf,
    _dir: TempDir,
}

/// Machine code in the store; it stays there while this lives. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Compiled(Arc<Held>);

#[derive(Debug)]
struct Held {
    path: PathBuf,
    /// What is counted as in use.
    lease: Option<(Digest, Arc<Store>)>,
}

impl Compiled {
    /// The read-only file.
    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some((digest, store)) = &self.lease {
            store.index().release(digest);
        }
    }
}

impl Store {
    /// Opens the folder of the engine `key` below `root`, and removes those of other engines: they
    /// are of no use to this node.
    pub(super) fn open(root: &Path, key: &str, max_bytes: u64) -> Result<Self, CompileError> {
        let dir = root.join(key);
        let failed = |source| CompileError::Store { dir: dir.clone(), source };
        for folder in [root, &dir] {
            // Sandboxes run as other users: these may look up what they know the name of.
            DirBuilder::new().recursive(true).mode(0o711).create(folder).map_err(failed)?;
            check(folder, &fs::symlink_metadata(folder).map_err(failed)?)?;
        }
        for other in fs::read_dir(root).map_err(failed)?.flatten() {
            let is_engine = other.file_type().is_ok_and(|kind| kind.is_dir());
            if is_engine && other.file_name().to_str() != Some(key) {
                let path = other.path();
                match fs::remove_dir_all(&path) {
                    Ok(()) => {
                        tracing::info!(path = %path.display(), "code of another engine removed");
                    }
                    Err(error) => {
                        tracing::warn!(path = %path.display(), %error, "code of another engine stays");
                    }
                }
            }
        }
        let mut found = Vec::new();
        for file in fs::read_dir(&dir).map_err(failed)?.flatten() {
            let (Ok(facts), Some(name)) = (file.metadata(), file.file_name().into_string().ok())
            else {
                continue;
            };
            let modified = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let digest = name.strip_suffix(ENDING).and_then(|digest| digest.parse().ok());
            if let Some(digest) = digest {
                found.push((modified, digest, facts.len()));
            } else if name.starts_with(STAGING)
                && modified.elapsed().is_ok_and(|age| age > LEFT_OVER)
            {
                // It is in nobody's way if it stays.
                let _ = fs::remove_dir_all(file.path());
            }
        }
        found.sort_unstable_by_key(|(modified, _, _)| *modified);
        let mut index = Index::new(max_bytes);
        for (_, digest, size) in found {
            index.adopt(digest, size);
        }
        let store = Self { dir, index: Mutex::new(index) };
        // A limit that was lowered since the last run holds from the start.
        if let Ok(victims) = store.index().reserve(0) {
            store.remove(&victims);
        }
        Ok(store)
    }

    /// The index is consistent between its operations, so a panic elsewhere cannot have left it
    /// half changed.
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is here under a name.
    pub(super) fn find(self: &Arc<Self>, name: Name) -> Option<Compiled> {
        let path = self.dir.join(name.file_name());
        let lease = match name {
            Name::Module(digest) => {
                self.index().lease(&digest)?;
                Some((digest, Arc::clone(self)))
            }
            Name::ScriptEngine => None,
        };
        let held = Held { path, lease };
        match fs::symlink_metadata(&held.path) {
            Ok(facts) if is_code(&facts) => Some(Compiled(Arc::new(held))),
            Ok(_) | Err(_) => {
                if let Name::Module(digest) = name {
                    self.index().forget(&digest);
                }
                None
            }
        }
    }

    /// Room for a file that is being made.
    pub(super) fn staging(&self) -> Result<Staging, CompileError> {
        let dir = tempfile::Builder::new().prefix(STAGING).tempdir_in(&self.dir);
        let dir = dir.map_err(|source| self.failed(source))?;
        let file = dir.path().join("code");
        Ok(Staging { file, _dir: dir })
    }

    /// Keeps a file that has been made. It is on the disk before it has its name: a torn one would
    /// be run.
    pub(super) fn keep(
        self: &Arc<Self>,
        name: Name,
        staging: &Staging,
    ) -> Result<Compiled, CompileError> {
        let failed = |source| self.failed(source);
        let file = File::open(&staging.file).map_err(failed)?;
        file.set_permissions(fs::Permissions::from_mode(0o444)).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        if size == 0 {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        let path = self.dir.join(name.file_name());
        let Name::Module(digest) = name else {
            fs::rename(&staging.file, &path).map_err(failed)?;
            return Ok(Compiled(Arc::new(Held { path, lease: None })));
        };
        let victims = self.index().reserve(size).map_err(|Full| CompileError::Full)?;
        self.remove(&victims);
        if let Err(error) = fs::rename(&staging.file, &path) {
            self.index().cancel(size);
            return Err(failed(error));
        }
        self.index().commit(digest, size);
        let lease = Some((digest, Arc::clone(self)));
        Ok(Compiled(Arc::new(Held { path, lease })))
    }

    fn remove(&self, victims: &[Digest]) {
        for digest in victims {
            let path = self.dir.join(Name::Module(*digest).file_name());
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "compiled code could not be removed");
            }
        }
    }

    fn failed(&self, source: io::Error) -> CompileError {
        CompileError::Store { dir: self.dir.clone(), source }
    }
}

/// Only the node's user decides what lies in a folder.
fn check(path: &Path, facts: &fs::Metadata) -> Result<(), CompileError> {
    if facts.is_dir() && is_ours(facts) {
        return Ok(());
    }
    Err(CompileError::Untrusted { path: path.to_owned(), mode: facts.mode() & 0o7777 })
}

fn is_code(facts: &fs::Metadata) -> bool {
    facts.is_file() && facts.len() > 0 && is_ours(facts)
}

fn is_ours(facts: &fs::Metadata) -> bool {
    facts.uid() == rustix::process::geteuid().as_raw() && facts.mode() & 0o022 == 0
}
