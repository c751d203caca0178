//! The few system calls for which there is no safe wrapper.

#![allow(unsafe_code)]

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// `CLONE_INTO_CGROUP` of `linux/sched.h`; libc has it in a type that is too small.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Who becomes the parent of a new process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ParentIs {
    /// This process.
    This,
    /// This process's own parent.
    Ours,
}

/// As fork, into new namespaces and into a cgroup of version 2. `None` in the child.
///
/// Not to be called with more than one thread: the child has only this one, and what the others
/// had locked stays locked.
pub(super) fn clone(
    namespaces: libc::c_int,
    parent: ParentIs,
    group: Option<&OwnedFd>,
) -> io::Result<Option<i32>> {
    let mut flags = u64::from(namespaces.cast_unsigned());
    let mut exit_signal = 0;
    match parent {
        // The kernel gives the child our own signal then.
        ParentIs::Ours => flags |= u64::from(libc::CLONE_PARENT.cast_unsigned()),
        ParentIs::This => exit_signal = u64::from(libc::SIGCHLD.cast_unsigned()),
    }
    let mut cgroup = 0;
    if let Some(group) = group {
        flags |= CLONE_INTO_CGROUP;
        cgroup = u64::from(group.as_raw_fd().cast_unsigned());
    }
    let arguments = libc::clone_args {
        flags,
        pidfd: 0,
        child_tid: 0,
        parent_tid: 0,
        exit_signal,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup,
    };
    // SAFETY: without CLONE_VM the child gets a copy of this process, as after fork, and goes on
    // from here on a copy of this stack. The structure is the kernel's and lives on this stack.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const arguments,
            std::mem::size_of::<libc::clone_args>(),
        )
    };
    match answer {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        pid => i32::try_from(pid).map(Some).map_err(io::Error::other),
    }
}

/// As fork: `None` in the child. The one way that is left behind the list of system calls.
///
/// Not to be called with more than one thread, as [`clone`].
pub(super) fn fork() -> io::Result<Option<i32>> {
    // SAFETY: the child gets a copy of this process, which has one thread.
    match unsafe { libc::fork() } {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Some(pid)),
    }
}

/// Ends this process without running anything: no destructors, no buffers.
pub(super) fn leave(code: i32) -> ! {
    // SAFETY: takes no pointers and does not return.
    unsafe { libc::_exit(code) }
}

/// Leaves namespaces for new ones. None of them shares memory or descriptors with anybody.
pub(super) fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: takes no pointers; CLONE_FILES and CLONE_FS, which could surprise, are never passed.
    answer(unsafe { libc::unshare(flags) }.into())
}

/// Gives children a monotonic and a boot clock that start now: how long the host has run is not
/// theirs to know. Kernels without time namespaces show it.
pub(super) fn own_clocks() {
    if unshare(libc::CLONE_NEWTIME).is_err() {
        return;
    }
    let offset = |name: &str, clock| {
        let now = rustix::time::clock_gettime(clock);
        format!("{name} -{} 0\n", now.tv_sec)
    };
    let offsets = offset("monotonic", rustix::time::ClockId::Monotonic)
        + &offset("boottime", rustix::time::ClockId::Boottime);
    // Then they start where the host's are.
    let _ = fs::write("/proc/self/timens_offsets", offsets);
}

/// Makes a capability unreachable; `false` for one that this kernel does not know.
pub(super) fn drop_from_bounding_set(capability: libc::c_ulong) -> bool {
    // SAFETY: takes no pointers.
    unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) == 0 }
}

/// Mounts that hang together and what they are to be, as `mount_setattr(2)` has it.
pub(super) fn set_mount_attributes(mount: &Path, attributes: u64) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = std::ffi::CString::new(mount.as_os_str().as_bytes())?;
    // struct mount_attr: attr_set, attr_clr, propagation, userns_fd.
    let request: [u64; 4] = [attributes, 0, 0, 0];
    // SAFETY: the path is NUL-terminated and the structure as long as is said; both live here.
    answer(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            request.as_ptr(),
            std::mem::size_of_val(&request),
        )
    })
}

/// Brings up `lo` in this network namespace.
pub(super) fn loopback_up() -> io::Result<()> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // struct ifreq: a name of 16 bytes, then a union of 24 that begins with the flags.
    let mut request = [0_u8; 40];
    if let Some(name) = request.get_mut(..2) {
        name.copy_from_slice(b"lo");
    }
    let flags = (libc::IFF_UP | libc::IFF_RUNNING) as u16;
    if let Some(place) = request.get_mut(16..18) {
        place.copy_from_slice(&flags.to_ne_bytes());
    }
    // SAFETY: the structure is as large as the kernel's and only read.
    answer(
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, request.as_mut_ptr()) }.into(),
    )
}

/// Installs a seccomp program; what it refuses is logged by the kernel.
pub(super) fn install_filter(program: &[libc::sock_filter]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    // SAFETY: the program lives until the call returns; the kernel copies and checks it.
    answer(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_LOG,
            &raw const program,
        )
    })
}

/// From now on the ends of children are told by this descriptor.
pub(super) fn watch_children() -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd as _;
    // SAFETY: the set lives on this stack and is made before it is read; the descriptor is new
    // and nobody else's.
    unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        answer(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()).into())?;
        let descriptor = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC);
        answer(descriptor.into())?;
        Ok(OwnedFd::from_raw_fd(descriptor))
    }
}

/// SIGTERM to every process of this pid namespace but the caller, which is its pid 1.
pub(super) fn terminate_all() {
    if !rustix::process::getpid().is_init() {
        return;
    }
    // SAFETY: takes no pointers. The answer says only that there is nobody left.
    unsafe {
        libc::kill(-1, libc::SIGTERM);
    }
}

/// Executes an open file. Returns only on failure.
///
/// # Safety
/// `arguments` and `environment` are lists of NUL-terminated texts that end with a null pointer.
pub(super) unsafe fn execute(
    file: BorrowedFd<'_>,
    arguments: *const *const libc::c_char,
    environment: *const *const libc::c_char,
) -> io::Error {
    // SAFETY: the caller's promise; the empty path is a constant.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            arguments,
            environment,
            libc::AT_EMPTY_PATH,
        );
    }
    io::Error::last_os_error()
}

fn answer(answer: libc::c_long) -> io::Result<()> {
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
