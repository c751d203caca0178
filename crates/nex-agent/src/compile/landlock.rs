//! No file system but the folder that is written to, where the kernel has Landlock.
//!
//! Source: `Documentation/userspace-api/landlock.rst` of Linux, first version of the interface.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

const WRITE_FILE: u64 = 1 << 1;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_REG: u64 = 1 << 8;
/// All 13 kinds of access of the first version: those that are not allowed somewhere are refused.
const HANDLED: u64 = (1 << 13) - 1;
/// Kind of a rule: a folder and everything below it.
const PATH_BENEATH: libc::c_int = 1;

#[repr(C)]
struct Ruleset {
    handled_access_fs: u64,
}

#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: RawFd,
}

/// From now on, files can only be made and removed in `folder`.
///
/// # Errors
/// The kernel has no Landlock, or it is switched off; nothing has changed.
#[allow(unsafe_code)]
pub(super) fn restrict(folder: &Path) -> io::Result<()> {
    let ruleset = Ruleset { handled_access_fs: HANDLED };
    // SAFETY: the structure has the size that is given, and lives on this stack.
    let made = unsafe {
        let size = size_of::<Ruleset>();
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const ruleset, size, 0)
    };
    let made = owned(made)?;
    let path = CString::new(folder.as_os_str().as_bytes())?;
    // SAFETY: the path is NUL-terminated and lives until after the call.
    let parent = unsafe { libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) };
    let parent = owned(parent.into())?;
    let rule = PathBeneath {
        allowed_access: WRITE_FILE | REMOVE_FILE | MAKE_REG,
        parent_fd: parent.as_raw_fd(),
    };
    // SAFETY: both descriptors are open, and the structure is the one of this kind of rule.
    let added = unsafe {
        let rule = &raw const rule;
        libc::syscall(libc::SYS_landlock_add_rule, made.as_raw_fd(), PATH_BENEATH, rule, 0)
    };
    if added != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a system call without pointers.
    let restricted =
        unsafe { libc::syscall(libc::SYS_landlock_restrict_self, made.as_raw_fd(), 0) };
    if restricted == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A descriptor that a system call answered.
#[allow(unsafe_code)]
fn owned(answer: libc::c_long) -> io::Result<OwnedFd> {
    match RawFd::try_from(answer) {
        // SAFETY: it was just made, and nobody else knows it.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}
