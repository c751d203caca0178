//! `sandbox: process`: the agent as a plain child process. It isolates nothing,
//! is used only when asked for by name, and marks the node `nex.unsafe`.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use futures_util::future::BoxFuture;
use nex_protocol::agent::env;
use rustix::process::Pid;
use tokio::process::{Child, Command};

use super::{
    driver::{ArtifactAccess, Boot, Driver, LaunchError, Machine},
    process_tree::kill_tree,
};
use crate::{artifact::ArtifactLease, config::SandboxKind};

/// File in the sandbox's folder that takes what the agent says on stderr.
const AGENT_LOG: &str = "agent.log";

/// Folder in the sandbox's folder that the workload starts in.
const WORK_DIR: &str = "work";

/// How much of the end of [`AGENT_LOG`] goes into an error, bytes.
const LAST_WORDS: u64 = 512;

/// Launches agents as child processes.
#[derive(Debug)]
pub struct ProcessDriver {
    agent: PathBuf,
    /// The agent is not ours: it reads the artifact over its link.
    legacy: bool,
}

impl ProcessDriver {
    /// Launches `agent`, our own.
    pub fn new(agent: PathBuf) -> Self {
        Self { agent, legacy: false }
    }

    /// Launches `agent`, which speaks the protocol of the Go node's agents and
    /// reads its artifact from the NEXCACHE bucket.
    pub fn legacy(agent: PathBuf) -> Self {
        Self { agent, legacy: true }
    }

    fn spawn(&self, boot: &Boot) -> Result<ProcessMachine, LaunchError> {
        let folder = |source| LaunchError::Folder { dir: boot.dir.clone(), source };
        fs::create_dir(&boot.dir).map_err(folder)?;
        let mut machine =
            ProcessMachine { child: None, dir: boot.dir.clone(), legacy: self.legacy };
        let work = boot.dir.join(WORK_DIR);
        let prepared = fs::create_dir(&work)
            .and_then(|()| File::create_new(boot.dir.join(AGENT_LOG)))
            .inspect_err(|_| machine.remove_dir());
        let log = prepared.map_err(folder)?;
        let mut command = Command::new(&self.agent);
        command
            .env_clear()
            .env(env::SANDBOX, "false")
            .env(env::WORKLOAD_ID, boot.id.to_string())
            .env(env::NODE_SOCKET, &boot.socket)
            .env(env::AGENT_SECRET, &boot.secret)
            .env(env::WORKING_DIRECTORY, &work)
            .current_dir(&boot.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // Of its own, so that Ctrl-C in the node's terminal does not reach it.
            .process_group(0);
        if let Some(SocketAddr::V4(tcp)) = boot.tcp {
            command
                .env(env::NODE_NATS_HOST, tcp.ip().to_string())
                .env(env::NODE_NATS_PORT, tcp.port().to_string());
        }
        if self.legacy {
            // It writes the artifact and looks for programs as it always did.
            command.env("TMPDIR", &boot.dir).env("HOME", &boot.dir);
            if let Some(path) = crate::config::search_path() {
                command.env("PATH", path);
            }
        }
        let agent = |source| LaunchError::Agent { agent: self.agent.clone(), source };
        match command.spawn() {
            Ok(child) => machine.child = Some(child),
            Err(error) => {
                machine.remove_dir();
                return Err(agent(error));
            }
        }
        Ok(machine)
    }
}

impl Driver for ProcessDriver {
    fn kind(&self) -> SandboxKind {
        SandboxKind::Process
    }

    fn launch<'a>(
        &'a self,
        boot: &'a Boot,
    ) -> BoxFuture<'a, Result<Box<dyn Machine>, LaunchError>> {
        Box::pin(async move { Ok(Box::new(self.spawn(boot)?) as Box<dyn Machine>) })
    }
}

/// An agent process.
struct ProcessMachine {
    child: Option<Child>,
    dir: PathBuf,
    legacy: bool,
}

impl ProcessMachine {
    fn remove_dir(&self) {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(dir = %self.dir.display(), %error, "sandbox folder stays behind");
            }
            _ => {}
        }
    }
}

impl Drop for ProcessMachine {
    fn drop(&mut self) {
        // Only a machine that nobody wanted any more when it was ready.
        let Some(child) = self.child.take() else { return };
        if let Some(pid) =
            child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw)
        {
            kill_tree(pid);
        }
        self.remove_dir();
    }
}

impl Machine for ProcessMachine {
    fn exited(&mut self) -> BoxFuture<'_, String> {
        Box::pin(async move {
            match self.child.as_mut() {
                Some(child) => match child.wait().await {
                    Ok(status) => format!("the agent ended: {status}"),
                    Err(error) => format!("the agent cannot be waited for: {error}"),
                },
                None => "the agent was killed".to_owned(),
            }
        })
    }

    fn kill(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(mut child) = self.child.take() {
                // `id` is there only while the child has not been reaped.
                let pid =
                    child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
                if let Some(pid) = pid {
                    kill_tree(pid);
                    let _ = child.wait().await;
                }
                self.remove_dir();
            }
        })
    }

    fn artifact(&self, lease: &ArtifactLease) -> ArtifactAccess {
        if self.legacy {
            ArtifactAccess::Link
        } else {
            ArtifactAccess::File(lease.path().to_owned())
        }
    }

    fn shared_file(&self, path: &Path) -> Option<PathBuf> {
        (!self.legacy).then(|| path.to_owned())
    }

    fn last_words(&self) -> Option<String> {
        last_words(&self.dir.join(AGENT_LOG)).ok().filter(|text| !text.is_empty())
    }
}

fn last_words(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(io::SeekFrom::Start(size.saturating_sub(LAST_WORDS)))?;
    let mut bytes = Vec::new();
    file.take(LAST_WORDS).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().next_back().unwrap_or_default().trim().to_owned())
}
