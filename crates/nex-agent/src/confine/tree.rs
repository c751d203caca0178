//! A file tree of nothing but what is put into it.
//!
//! It is a tmpfs mounted over the sandbox's folder, filled with folders, binds and small mounts,
//! made read-only and pivoted into. The host's tree, which the mount namespace began with, is
//! unmounted from it then: there is no path that leads out.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind_recursive, unmount};

use super::{ConfineError, Step as _, devices, kernel};

/// Room of the tree itself: folders, links and a few short files.
const TREE_BYTES: u64 = 256 << 10;
const TREE_INODES: u64 = 1024;

/// A folder that a workload writes to holds a file per so many bytes at most.
const BYTES_PER_FILE: u64 = 4096;

/// Size of the numbers in `mount_setattr(2)`, from `linux/mount.h`.
pub(super) mod attribute {
    pub(in super::super) const READ_ONLY: u64 = 0x1;
    pub(in super::super) const NO_SUID: u64 = 0x2;
    pub(in super::super) const NO_DEVICES: u64 = 0x4;
    pub(in super::super) const NO_EXEC: u64 = 0x8;
}

use attribute::{NO_DEVICES, NO_EXEC, NO_SUID, READ_ONLY};

/// A tree that is being built. Paths are given as they will be inside.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Begins an empty tree at a folder of the host.
    pub(super) fn begin(folder: &Path) -> Result<Self, ConfineError> {
        let options = format!("mode=755,size={TREE_BYTES},nr_inodes={TREE_INODES}");
        mount_tmpfs(folder, &options)?;
        Ok(Self { root: folder.to_owned() })
    }

    fn at(&self, inside: &Path) -> PathBuf {
        self.root.join(inside.strip_prefix("/").unwrap_or(inside))
    }

    /// A folder with those above it.
    pub(super) fn folder(&self, inside: &Path) -> Result<PathBuf, ConfineError> {
        let path = self.at(inside);
        let made = DirBuilder::new().recursive(true).mode(0o755).create(&path);
        made.step(format!("make the folder {}", inside.display()))?;
        Ok(path)
    }

    /// A file with the folders above it.
    pub(super) fn file(&self, inside: &Path, text: &str) -> Result<PathBuf, ConfineError> {
        if let Some(folder) = inside.parent() {
            self.folder(folder)?;
        }
        let path = self.at(inside);
        fs::write(&path, text).step(format!("make the file {}", inside.display()))?;
        Ok(path)
    }

    /// A symbolic link.
    pub(super) fn link(&self, inside: &Path, target: &Path) -> Result<(), ConfineError> {
        if let Some(folder) = inside.parent() {
            self.folder(folder)?;
        }
        std::os::unix::fs::symlink(target, self.at(inside))
            .step(format!("link {}", inside.display()))
    }

    /// A file or folder of the host, with what is mounted below it, to read and execute.
    pub(super) fn bind(&self, host: &Path, inside: &Path) -> Result<(), ConfineError> {
        self.bind_with(host, inside, READ_ONLY | NO_SUID | NO_DEVICES)
    }

    /// The socket of the node. Connecting is no writing.
    pub(super) fn bind_socket(&self, path: &Path) -> Result<(), ConfineError> {
        self.bind_with(path, path, READ_ONLY | NO_SUID | NO_DEVICES | NO_EXEC)
    }

    pub(super) fn bind_with(
        &self,
        host: &Path,
        inside: &Path,
        attributes: u64,
    ) -> Result<(), ConfineError> {
        let show = || format!("show {} inside", host.display());
        let target = if fs::metadata(host).step(show())?.is_dir() {
            self.folder(inside)?
        } else {
            self.file(inside, "")?
        };
        mount_bind_recursive(host, &target).step(show())?;
        kernel::set_mount_attributes(&target, attributes)
            .step(format!("make {} read-only", inside.display()))
    }

    /// The processes of this process's pid namespace, and nothing about the machine.
    pub(super) fn proc(&self) -> Result<(), ConfineError> {
        let target = self.folder(Path::new("/proc"))?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("proc", &target, "proc", flags, c"hidepid=2,subset=pid").step("mount /proc")
    }

    /// The few devices that every program may use.
    pub(super) fn devices(&self) -> Result<(), ConfineError> {
        devices::fill(self)
    }

    /// A bounded folder in memory that `owner` (the present user, if none) may write to.
    pub(super) fn scratch(
        &self,
        inside: &Path,
        bytes: u64,
        owner: Option<u32>,
    ) -> Result<(), ConfineError> {
        let target = self.folder(inside)?;
        let owner = owner.map_or(String::new(), |id| format!(",uid={id},gid={id}"));
        let files = (bytes / BYTES_PER_FILE).max(16);
        mount_tmpfs(&target, &format!("mode=700,size={bytes},nr_inodes={files}{owner}"))
    }

    /// Makes the tree read-only and the only one that this process sees.
    pub(super) fn enter(self) -> Result<(), ConfineError> {
        rustix::mount::mount_remount(
            &self.root,
            MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV,
            "",
        )
        .step("make the tree read-only")?;
        rustix::process::chdir(&self.root).step("enter the tree")?;
        // The old root is mounted over the new one and taken away: no folder is needed for it.
        rustix::process::pivot_root(".", ".").step("change the root")?;
        unmount(".", UnmountFlags::DETACH).step("let go of the host's tree")?;
        rustix::process::chdir("/").step("enter the tree")
    }
}

fn mount_tmpfs(target: &Path, options: &str) -> Result<(), ConfineError> {
    let options = std::ffi::CString::new(options).map_err(std::io::Error::other);
    let options = options.step("mount memory")?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", target, "tmpfs", flags, options.as_c_str())
        .step(format!("mount memory at {}", target.display()))
}
