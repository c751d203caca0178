//! Where the agents' socket is: in the state directory, unless its path is too
//! long for the address of a Unix socket (108 bytes).

use std::{
    fs,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use nex_protocol::digest::Digest;

use super::StateError;
use crate::config;

/// Longest path, bytes, with some room for other systems.
const MAX_PATH: usize = 100;

#[derive(Debug)]
pub(super) struct SocketPath {
    path: PathBuf,
    /// A folder that was made for the socket alone.
    folder: Option<PathBuf>,
}

impl SocketPath {
    pub(super) fn in_dir(dir: &Path) -> Result<Self, StateError> {
        let path = dir.join("bus.sock");
        if path.as_os_str().len() < MAX_PATH {
            return Ok(Self { path, folder: None });
        }
        let uid = rustix::process::geteuid().as_raw();
        let mut short = Digest::of(dir.as_os_str().as_encoded_bytes()).to_string();
        short.truncate(16);
        let base = config::runtime_dir()
            .filter(|base| base.as_os_str().len() < MAX_PATH / 2)
            .unwrap_or_else(|| PathBuf::from("/tmp"));
        let folder = base.join(format!("nex-{uid}-{short}"));
        let failed = |source| StateError::Folder { path: folder.clone(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
        // In /tmp anybody may have made it before.
        let metadata = fs::symlink_metadata(&folder).map_err(failed)?;
        if !metadata.is_dir() || metadata.uid() != uid || metadata.mode() & 0o077 != 0 {
            return Err(failed(std::io::Error::other("it belongs to somebody else")));
        }
        Ok(Self { path: folder.join("bus.sock"), folder: Some(folder) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            let _ = fs::remove_file(&self.path);
            let _ = fs::remove_dir(folder);
        }
    }
}
