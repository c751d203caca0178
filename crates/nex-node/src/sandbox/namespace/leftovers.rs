//! Agents that outlived their node. They end by themselves when their connection does; this is
//! for a next node that comes quicker, and for an agent that does not notice.

use std::{fs, os::unix::ffi::OsStrExt as _, os::unix::fs::MetadataExt as _, path::Path};

use nex_protocol::agent::namespaces::SANDBOX_ARGUMENT;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Kills the agents whose sandboxes are in `sandboxes`, a folder that the caller has the lock
/// for: whoever made them is gone. Returns how many there were.
///
/// A process is told by its command line, which names its folder. Others can write that on theirs
/// too; only processes of this user, or made by it as root, are looked at.
pub fn remove_leftovers(sandboxes: &Path) -> usize {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Pid::from_raw).filter(|pid| end_if_ours(*pid, sandboxes)).count()
}

fn end_if_ours(pid: Pid, sandboxes: &Path) -> bool {
    // Opened before it is looked at: the number may go to another process meanwhile.
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    if !is_ours(pid, sandboxes) {
        return false;
    }
    let killed = pidfd_send_signal(&handle, Signal::KILL).is_ok();
    if killed {
        tracing::info!(pid = pid.as_raw_nonzero(), "agent of an earlier run killed");
    }
    killed
}

fn is_ours(pid: Pid, sandboxes: &Path) -> bool {
    let folder = format!("/proc/{pid}");
    let Ok(line) = fs::read(format!("{folder}/cmdline")) else { return false };
    let mut arguments = line.split(|byte| *byte == 0).skip(1);
    let (Some(word), Some(dir)) = (arguments.next(), arguments.next()) else { return false };
    if word != SANDBOX_ARGUMENT.as_bytes() {
        return false;
    }
    let dir = Path::new(std::ffi::OsStr::from_bytes(dir));
    // A process that is not dumpable shows root as its owner; its user is in its status.
    dir.parent() == Some(sandboxes)
        && fs::metadata(&folder).is_ok_and(|found| {
            let own = rustix::process::geteuid().as_raw();
            own == 0 || found.uid() == own || found.uid() == 0
        })
}
