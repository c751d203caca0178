//! The agent's own process: what it inherits, what it gives away, what it is for its descendants.

use std::io;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, set_child_subreaper, set_dumpable_behavior, setrlimit,
};

/// Size of the kernel's set of signals.
const SIGNAL_SET_BYTES: usize = 8;

/// Makes the process what the rest of the agent relies on.
///
/// * No core dumps, here or in the workload, and no reading of this process by others of the same
///   user: its memory holds the secret of its link and the workload's environment.
/// * Default signal handling and nothing blocked, whatever the parent had; SIGPIPE is ignored.
/// * Descendants whose parent ends become children of this process.
///
/// # Errors
/// What the system says; each of these calls succeeds on every Linux that Nex supports.
pub fn prepare() -> io::Result<()> {
    reset_signals();
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // Rustix names the reaper by a process id, the kernel only asks whether it is one.
    set_child_subreaper(Some(rustix::process::getpid()))?;
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o022));
    Ok(())
}

/// A parent's ignored and blocked signals survive `execve`: `nohup` and careless supervisors
/// would make a workload that cannot be terminated.
#[allow(unsafe_code)]
pub(crate) fn reset_signals() {
    // All zero is the kernel's `struct sigaction` for the default, on every architecture. The
    // system call and not `signal`, because glibc keeps 32 and 33 for itself and refuses to touch
    // them, ignored or not.
    let default = [0_u64; 4];
    for signal in 1..=64 {
        // SAFETY: the structure is at least as large as the kernel's and lives on this stack; no
        // handler is installed. SIGKILL and SIGSTOP answer an error, which changes nothing.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                SIGNAL_SET_BYTES,
            );
        }
    }
    // SAFETY: a constant, no handler.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
    }
    unblock_signals();
}

/// What a program is born with, if [`reset_signals`] was called in a process before it: nothing
/// ignored, nothing blocked. Allocates nothing.
#[allow(unsafe_code)]
pub(crate) fn default_signals() {
    // SAFETY: a constant, no handler.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
    unblock_signals();
}

#[allow(unsafe_code)]
fn unblock_signals() {
    // SAFETY: the set lives on this stack and is made before it is read.
    unsafe {
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Overwrites the environment in place and forgets it.
///
/// `/proc/<pid>/environ` shows the memory that the kernel laid out at the start, so that removing
/// a variable alone would leave the secret readable.
#[allow(unsafe_code)]
pub fn scrub_environment() {
    unsafe extern "C" {
        static mut environ: *mut *mut libc::c_char;
    }
    // SAFETY: called before any thread or task exists, so that nobody reads the environment at
    // the same time. Every entry up to the null pointer is a NUL-terminated string in writable
    // memory, and `clearenv` then drops the list.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            let text = *entry;
            std::ptr::write_bytes(text, 0, libc::strlen(text));
            entry = entry.add(1);
        }
        libc::clearenv();
    }
}
