//! Running the agent's program for a task that ends: bounded in time and in what it says.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use super::CompileError;
use crate::sandbox::process_tree::kill_tree;

/// How much of what it says is kept, bytes; the rest is read and forgotten.
const MAX_WORDS: usize = 16 * 1024;

/// How a program ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// What it said on stdout.
    pub(super) output: String,
    /// What it said on stderr.
    pub(super) complaint: String,
}

/// Runs `agent` without an environment, in a process group of its own, and waits for its end; it is
/// killed with all its children when that takes longer than `limit`, or nobody waits any more.
pub(super) async fn run(
    agent: &Path,
    arguments: &[&OsStr],
    input: Stdio,
    limit: Duration,
) -> Result<Ended, CompileError> {
    let failed = |source| CompileError::Agent { agent: agent.to_owned(), source };
    let mut child = Command::new(agent)
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ended = async {
        let (output, complaint, status) = tokio::join!(words(stdout), words(stderr), child.wait());
        io::Result::Ok(Ended { status: status?, output, complaint })
    };
    match tokio::time::timeout(limit, ended).await {
        Ok(ended) => ended.map_err(failed),
        Err(_) => {
            kill(&mut child).await;
            Err(CompileError::Timeout(limit))
        }
    }
}

async fn kill(child: &mut Child) {
    // `id` is there only while the child has not been reaped.
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        kill_tree(pid);
        let _ = child.wait().await;
    }
}

/// What is said on a pipe, up to a bound, without the white space around it.
async fn words(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut pipe) = pipe else { return String::new() };
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(read) = pipe.read(&mut buffer).await {
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { break };
        let room = MAX_WORDS - kept.len();
        kept.extend(part.iter().take(room));
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}
