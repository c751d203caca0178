//! Signals a workload and everything that came of it.
//!
//! The agent is the subreaper of its descendants: whatever a workload forks stays below the agent,
//! even if it makes a session of its own and its parent ends. So "nothing of the workload is left"
//! is the same as "the agent has no children", and the kernel answers that exactly. Finding the
//! descendants in `/proc` is needed only to signal them.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::io;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process};

/// Most rounds of freezing: each finds only what was forked during the round before.
const MAX_ROUNDS: usize = 16;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal {
        /// The signal's number.
        number: i32,
        /// The kernel wrote a core dump.
        core: bool,
    },
}

impl Exit {
    /// The number for events: the exit code, or -1 when a signal ended it, as Go agents have it.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal { .. } => -1,
        }
    }

    /// From the number that `wait` gives. `None` for a process that has not ended.
    pub(crate) fn of(status: i32) -> Option<Self> {
        if libc::WIFEXITED(status) {
            return Some(Self::Code(libc::WEXITSTATUS(status)));
        }
        libc::WIFSIGNALED(status)
            .then(|| Self::Signal { number: libc::WTERMSIG(status), core: libc::WCOREDUMP(status) })
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal { number, core } => {
                match signal_name(number) {
                    Some(name) => write!(f, "killed by {name}")?,
                    None => write!(f, "killed by signal {number}")?,
                }
                if core { f.write_str(" (core dumped)") } else { Ok(()) }
            }
        }
    }
}

fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGVTALRM => "SIGVTALRM",
        libc::SIGPROF => "SIGPROF",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        _ => return None,
    })
}

/// What is left after reaping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// How the awaited process ended, if it did.
    pub main: Option<Exit>,
    /// There are no more children, so nothing of the workload is left.
    pub tree_gone: bool,
}

/// Reaps every child that has ended, adopted ones included. Never blocks.
#[must_use]
pub fn reap(main: Option<Pid>) -> Reaped {
    let mut reaped = Reaped { main: None, tree_gone: false };
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                if Some(pid) == main {
                    reaped.main = Exit::of(status.as_raw()).or(reaped.main);
                }
            }
            Ok(None) => return reaped,
            Err(rustix::io::Errno::INTR) => {}
            // ECHILD, the only other answer.
            Err(_) => {
                reaped.tree_gone = true;
                return reaped;
            }
        }
    }
}

/// Asks the workload to end: SIGTERM to its group, and to what has left the group.
pub fn terminate(main: Pid) {
    let _ = rustix::process::kill_process_group(main, Signal::TERM);
    for process in descendants() {
        if rustix::process::getpgid(Some(process.pid)).ok() != Some(main) {
            process.signal(Signal::TERM);
        }
    }
}

/// Ends every descendant: first all are stopped, so that none can fork away, then all are killed.
/// They are gone only when [`reap`] says so.
pub fn kill() {
    if getpid().is_init() {
        // All processes of this PID namespace but the caller: exactly the workload's.
        kill_everything();
        return;
    }
    let mut stopped = HashSet::new();
    for _ in 0..MAX_ROUNDS {
        let before = stopped.len();
        walk(&mut |process| {
            if stopped.insert(process.pid) {
                process.signal(Signal::STOP);
            }
        });
        if stopped.len() == before {
            break;
        }
    }
    for process in descendants() {
        process.signal(Signal::KILL);
    }
}

/// `kill(-1, SIGKILL)`, only for PID 1.
#[allow(unsafe_code)]
fn kill_everything() {
    // SAFETY: a plain system call without pointers.
    unsafe {
        libc::kill(-1, libc::SIGKILL);
    }
}

/// A process and the parent it was found under.
#[derive(Debug, Clone, Copy)]
struct Process {
    pid: Pid,
    parent: Pid,
}

impl Process {
    /// Signals it unless its number has meanwhile come to belong to another process: a grandchild
    /// can be reaped by its parent at any moment. A child of the agent cannot, as only the agent
    /// reaps it.
    fn signal(self, signal: Signal) {
        if self.parent == getpid() {
            let _ = kill_process(self.pid, signal);
            return;
        }
        let flags = rustix::process::PidfdFlags::empty();
        let Ok(handle) = rustix::process::pidfd_open(self.pid, flags) else { return };
        let parent = parent_of(self.pid);
        // Its parent may have ended since: then it is the agent's child.
        if parent == Some(self.parent) || parent == Some(getpid()) {
            let _ = rustix::process::pidfd_send_signal(handle, signal);
        }
    }
}

fn descendants() -> Vec<Process> {
    let mut found = Vec::new();
    walk(&mut |process| found.push(process));
    found
}

/// Visits every descendant, parents before their children.
fn walk(visit: &mut impl FnMut(Process)) {
    let all = if has_children_files() { None } else { Some(all_processes()) };
    let mut seen = HashSet::from([getpid()]);
    let mut waiting = vec![getpid()];
    while let Some(parent) = waiting.pop() {
        let children = match &all {
            None => children_of(parent),
            Some(all) => {
                all.iter().filter(|process| process.parent == parent).map(|it| it.pid).collect()
            }
        };
        for pid in children {
            if seen.insert(pid) {
                visit(Process { pid, parent });
                waiting.push(pid);
            }
        }
    }
}

/// Kernels without `CONFIG_PROC_CHILDREN` lack the files that name a thread's children.
fn has_children_files() -> bool {
    fs::metadata("/proc/thread-self/children").is_ok()
}

/// A process's children are listed per thread that forked them.
fn children_of(parent: Pid) -> Vec<Pid> {
    let mut children = Vec::new();
    let Ok(threads) = fs::read_dir(format!("/proc/{parent}/task")) else { return children };
    for thread in threads.flatten() {
        let text = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        children.extend(text.split_ascii_whitespace().filter_map(parse_pid));
    }
    children
}

fn all_processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| parse_pid(entry.file_name().to_str()?));
    pids.filter_map(|pid| Some(Process { pid, parent: parent_of(pid)? })).collect()
}

fn parse_pid(text: &str) -> Option<Pid> {
    text.parse().ok().and_then(Pid::from_raw)
}

/// The fourth field of `/proc/<pid>/stat`; the second is the program's name, which may hold
/// anything, blanks and brackets included.
fn parent_of(pid: Pid) -> Option<Pid> {
    let text: io::Result<Vec<u8>> = fs::read(format!("/proc/{pid}/stat"));
    let text = text.ok()?;
    let after = text.get(memchr::memrchr(b')', &text)?..)?;
    let field = after.split(|byte| *byte == b' ').nth(2)?;
    parse_pid(std::str::from_utf8(field).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_are_told_in_words() {
        assert_eq!(Exit::Code(3).to_string(), "exited with code 3");
        let killed = Exit::Signal { number: libc::SIGSEGV, core: false };
        assert_eq!(killed.to_string(), "killed by SIGSEGV");
        assert_eq!(killed.code(), -1);
        let dumped = Exit::Signal { number: libc::SIGABRT, core: true };
        assert_eq!(dumped.to_string(), "killed by SIGABRT (core dumped)");
        let real_time = Exit::Signal { number: 40, core: false };
        assert_eq!(real_time.to_string(), "killed by signal 40");
    }

    #[test]
    fn parents_are_read_from_proc() {
        assert_eq!(parent_of(getpid()), rustix::process::getppid());
    }
}
