//! Killing a process with all its descendants.
//!
//! Process groups do not suffice: a workload may start a session of its own.
//! The tree is read from `/proc`, stopped from the root downwards so that it
//! cannot grow while it is read, then killed. A descendant whose parent died
//! before is found through the agent, which is its tree's child subreaper.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// Rounds of looking for children that were born meanwhile.
const ROUNDS: usize = 16;

/// Kills `root` and everything below it. `root` must not have been reaped, so
/// that its number cannot mean another process by now.
pub(crate) fn kill_tree(root: Pid) {
    let mut tree = vec![root];
    for _ in 0..ROUNDS {
        for pid in &tree {
            let _ = kill_process(*pid, Signal::STOP);
        }
        let known = tree.len();
        let children: Vec<Pid> = tree.iter().flat_map(|pid| children_of(*pid)).collect();
        for child in children {
            if !tree.contains(&child) {
                tree.push(child);
            }
        }
        if tree.len() == known {
            break;
        }
    }
    // Leaves first: a parent that is still stopped cannot be replaced by a
    // reaper for its children before these have their signal.
    for pid in tree.iter().rev() {
        let _ = kill_process(*pid, Signal::KILL);
    }
}

fn children_of(pid: Pid) -> Vec<Pid> {
    let pid = pid.as_raw_nonzero();
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| {
            list.split_ascii_whitespace()
                .filter_map(|pid| pid.parse().ok().and_then(Pid::from_raw))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_shell_with_children_in_other_sessions_dies_as_a_whole() {
        let marker = format!("86{}", std::process::id());
        let script = format!("setsid sleep {marker} & sleep {marker} & wait");
        let mut shell =
            Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).spawn().unwrap();
        let root = Pid::from_raw(i32::try_from(shell.id()).unwrap()).unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while children_of(root).len() < 2 {
            assert!(std::time::Instant::now() < deadline, "the shell started no children");
            std::thread::yield_now();
        }
        let children = children_of(root);
        kill_tree(root);
        shell.wait().unwrap();
        for child in children {
            // Reaped by init (or a subreaper) in its own time; a zombie is dead.
            loop {
                let state = fs::read_to_string(format!("/proc/{}/stat", child.as_raw_nonzero()));
                match state {
                    Ok(stat) if !stat.contains(") Z") && stat.contains("sleep") => {
                        assert!(std::time::Instant::now() < deadline, "{child:?} survived");
                        std::thread::yield_now();
                    }
                    _ => break,
                }
            }
        }
    }
}
