//! Descriptors that the agent was born with, and those its workload must not get.

use std::fs;

/// The first descriptor that is not one of the standard three.
const FIRST: libc::c_uint = 3;

/// Closes everything that was inherited besides standard input, output and error.
///
/// To be called before anything else is opened.
pub fn close_inherited() {
    if close_range(0) {
        return;
    }
    // Before Linux 5.9.
    for fd in open_descriptors() {
        close(fd);
    }
}

/// Marks everything but the standard three to be closed by the next `execve`. Called between fork
/// and exec: allocates nothing.
pub fn mark_close_on_exec() {
    // Refused before Linux 5.11. Then the descriptors' own flags have to do: the agent opens
    // nothing without close-on-exec.
    let _ = close_range(libc::CLOSE_RANGE_CLOEXEC);
}

#[allow(unsafe_code)]
fn close_range(flags: libc::c_uint) -> bool {
    // SAFETY: a system call without pointers. Without flags it closes descriptors, and the only
    // caller that does so runs before any are owned.
    unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, flags) == 0 }
}

#[allow(unsafe_code)]
fn close(fd: libc::c_int) {
    // SAFETY: as above: nothing owns a descriptor yet.
    unsafe {
        libc::close(fd);
    }
}

/// Collected first: closing while listing would change the list.
fn open_descriptors() -> Vec<libc::c_int> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|fd: &libc::c_int| u32::try_from(*fd).is_ok_and(|fd| fd >= FIRST))
        .collect()
}
