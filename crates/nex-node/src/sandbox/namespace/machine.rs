//! One launched namespace sandbox.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use futures_util::future::BoxFuture;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_open, pidfd_send_signal,
    waitid,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    process::ChildStderr,
};

use super::cgroup::Group;
use crate::{
    artifact::ArtifactLease,
    sandbox::driver::{ArtifactAccess, Machine},
};

/// How much of what an agent complained about is looked at, bytes: what a pipe holds.
const WORDS: usize = 64 << 10;

/// How the agent's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Code(i32),
    Signal(i32),
    Unknown,
}

impl End {
    fn of(status: &WaitIdStatus) -> Self {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Unknown,
        }
    }

    pub(super) fn success(self) -> bool {
        self == Self::Code(0)
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status: {code}"),
            Self::Signal(signal) => write!(f, "signal: {signal}"),
            Self::Unknown => f.write_str("nobody knows how"),
        }
    }
}

/// The agent's complaints.
pub(super) struct Stderr(Option<OwnedFd>);

impl Stderr {
    pub(super) fn of(stderr: Option<ChildStderr>) -> Self {
        Self(stderr.and_then(|stderr| stderr.into_owned_fd().ok()))
    }

    /// The last line that is there now; does not wait.
    pub(super) fn last_line(&self) -> Option<String> {
        let pipe = self.0.as_ref()?;
        let flags = rustix::fs::fcntl_getfl(pipe).ok()?;
        rustix::fs::fcntl_setfl(pipe, flags | rustix::fs::OFlags::NONBLOCK).ok()?;
        let mut words = vec![0; WORDS];
        let read = rustix::io::read(pipe, words.as_mut_slice()).ok()?;
        let text = String::from_utf8_lossy(words.get(..read)?);
        let line = text.lines().next_back()?.trim();
        (!line.is_empty()).then(|| line.to_owned())
    }
}

/// A sandbox's agent, which is pid 1 of everything in it.
pub(super) struct NamespaceMachine {
    agent: AsyncFd<OwnedFd>,
    end: Option<End>,
    dir: PathBuf,
    group: Option<Group>,
    stderr: Stderr,
    removed: bool,
}

impl NamespaceMachine {
    /// The machine whose agent is `pid`, a child of this process that was not reaped.
    pub(super) fn new(
        pid: Pid,
        dir: PathBuf,
        group: Option<Group>,
        stderr: Stderr,
    ) -> io::Result<Self> {
        let handle = pidfd_open(pid, PidfdFlags::empty())?;
        // SAFETY: an `OwnedFd` is open, and the same, for as long as it lives; this one is never
        // taken out of the `AsyncFd`.
        #[allow(unsafe_code)]
        let agent = unsafe { AsyncFd::register_with_interest(handle, Interest::READABLE) }?;
        Ok(Self { agent, end: None, dir, group, stderr, removed: false })
    }

    /// Waits for the agent and reaps it.
    pub(super) async fn ended(&mut self) -> End {
        loop {
            if let Some(end) = self.end {
                return end;
            }
            // Readable once the process has ended, and ever after.
            if self.agent.readable().await.is_err() {
                return End::Unknown;
            }
            self.reap(WaitIdOptions::NOHANG);
            if self.end.is_none() {
                tokio::task::yield_now().await;
            }
        }
    }

    fn reap(&mut self, options: WaitIdOptions) {
        if self.end.is_some() {
            return;
        }
        use std::os::fd::AsFd as _;
        let waited =
            waitid(WaitId::PidFd(self.agent.get_ref().as_fd()), WaitIdOptions::EXITED | options);
        match waited {
            Ok(Some(status)) => self.end = Some(End::of(&status)),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                tracing::warn!(%error, "an agent cannot be waited for");
                self.end = Some(End::Unknown);
            }
        }
    }

    fn signal(&self) {
        if self.end.is_none() {
            // It may have ended by itself.
            let _ = pidfd_send_signal(self.agent.get_ref(), Signal::KILL);
        }
    }

    /// Takes away what is left when nothing runs any more.
    fn remove(&mut self) {
        if !std::mem::replace(&mut self.removed, true) {
            if let Some(group) = &mut self.group {
                group.remove();
            }
            remove_dir(&self.dir);
        }
    }
}

impl Drop for NamespaceMachine {
    fn drop(&mut self) {
        if !self.removed {
            self.signal();
            // A killed process is gone within milliseconds.
            while self.end.is_none() {
                self.reap(WaitIdOptions::empty());
            }
            self.remove();
        }
    }
}

impl Machine for NamespaceMachine {
    fn exited(&mut self) -> BoxFuture<'_, String> {
        Box::pin(async move {
            let end = self.ended().await;
            format!("the agent ended: {end}")
        })
    }

    fn kill(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.signal();
            self.ended().await;
            self.remove();
        })
    }

    fn artifact(&self, lease: &ArtifactLease) -> ArtifactAccess {
        ArtifactAccess::File(lease.path().to_owned())
    }

    fn last_words(&self) -> Option<String> {
        self.stderr.last_line()
    }

    fn cause_of_death(&self) -> Option<String> {
        self.group.as_ref()?.out_of_memory()
    }
}

pub(super) fn remove_dir(dir: &Path) {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(dir = %dir.display(), %error, "sandbox folder stays behind");
        }
        _ => {}
    }
}
