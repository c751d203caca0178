//! `sandbox: namespace`: Linux namespaces, seccomp, landlock and cgroups. Works for root and for
//! ordinary users, with KVM or without.
//!
//! The agent shuts itself in (`nex-agent`, module `confine`, where the whole construction is
//! described); this driver gives it what only the node has: a cgroup, users of the host nobody
//! else has, the paths to show, and the agent's secret over a pipe. What it gets back is the
//! agent's process id. That process is the node's own child (the one that was spawned made it in
//! the node's name and ended), so its number cannot come to mean another one before the node has
//! reaped it, and it is pid 1 of its pid namespace: when it ends, everything in the sandbox has.

mod cgroup;
mod ids;
mod leftovers;
mod machine;

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::future::BoxFuture;
use nex_protocol::agent::{
    env,
    namespaces::{
        LANDLOCK_WORD, NamespaceSpec, NetworkView, PID_WORD, SANDBOX_ARGUMENT, SandboxCgroup,
        SandboxLimits, SystemView, frame,
    },
};
use rustix::process::Pid;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

pub use cgroup::{CgroupSupport, Cgroups};
use ids::Ids;
pub use leftovers::remove_leftovers;
use machine::{NamespaceMachine, Stderr};

use super::driver::{Boot, Driver, LaunchError, Machine};
use crate::config::{NamespaceNetwork, NamespaceSettings, SandboxKind};

/// From the start of the agent until it has made its namespaces. Takes milliseconds.
const LAUNCH_LIMIT: Duration = Duration::from_secs(10);

/// Longest answer of a launcher, bytes.
const MAX_ANSWER: u64 = 64;

/// Paths of the host that dynamic programs need: the loader, its cache, libraries.
const LIBRARIES: [&str; 9] = [
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libx32",
    "/etc/ld.so.cache",
];

/// Launches agents that shut themselves in.
#[derive(Debug)]
pub struct NamespaceDriver {
    agent: PathBuf,
    artifacts: Vec<PathBuf>,
    settings: NamespaceSettings,
    cgroups: Cgroups,
    ids: Option<Ids>,
    /// The bus's socket was opened to the sandboxes' users.
    socket_opened: AtomicBool,
}

impl NamespaceDriver {
    /// Launches `agent`, which finds artifacts in the folders `artifacts`.
    ///
    /// # Errors
    /// When the folders of artifacts cannot be opened to the sandboxes' users.
    pub fn new(
        agent: PathBuf,
        artifacts: Vec<PathBuf>,
        settings: NamespaceSettings,
        cgroups: Cgroups,
    ) -> io::Result<Self> {
        let ids = Ids::available();
        for folder in &artifacts {
            fs::DirBuilder::new().recursive(true).mode(0o711).create(folder)?;
            if ids.is_some() {
                // Whoever knows a digest may read; nobody may list. What is above the folder is
                // still the node's alone.
                open_to_others(folder, 0o001)?;
            }
        }
        Ok(Self { agent, artifacts, settings, cgroups, ids, socket_opened: AtomicBool::new(false) })
    }

    /// Where the kernel keeps its accounts of these sandboxes.
    pub fn cgroups(&self) -> &Cgroups {
        &self.cgroups
    }

    /// Makes a sandbox and ends it: the only proof that this machine can.
    ///
    /// # Errors
    /// A [`LaunchError`] with what the kernel refused.
    pub async fn probe(&self, folder: &Path) -> Result<Probed, LaunchError> {
        let dir = folder.join("probe");
        let failed = |source| LaunchError::Folder { dir: dir.clone(), source };
        fs::create_dir_all(&dir).map_err(failed)?;
        let result = async {
            // Nobody connects: any file will do for the socket.
            let mut spec = self.spec("probe", &dir, &self.agent, SandboxCgroup::None);
            spec.probe = true;
            let spawned = self.spawn(&spec, &BTreeMap::new()).await?;
            let stderr = Stderr::of(spawned.stderr);
            let mut machine = NamespaceMachine::new(spawned.pid, dir.clone(), None, stderr)
                .map_err(|source| LaunchError::Agent { agent: self.agent.clone(), source })?;
            let ended = machine.ended().await;
            let words = machine.last_words();
            if ended.success() {
                let landlock = words.as_deref().and_then(|line| line.strip_prefix(LANDLOCK_WORD));
                return Ok(Probed { landlock: landlock.map(str::to_owned) });
            }
            Err(LaunchError::Isolation(words.unwrap_or_else(|| ended.to_string())))
        };
        let result = result.await;
        let _ = fs::remove_dir_all(&dir);
        result
    }

    fn spec(&self, name: &str, dir: &Path, socket: &Path, cgroup: SandboxCgroup) -> NamespaceSpec {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let settings = &self.settings;
        NamespaceSpec {
            hostname: name.to_owned(),
            folder: text(dir),
            socket: text(socket),
            agent: text(&self.agent),
            artifacts: self.artifacts.iter().map(|folder| text(folder)).collect(),
            ids: self.ids.as_ref().map(Ids::next),
            system: match &settings.rootfs {
                Some(folder) => SystemView::Rootfs(text(folder)),
                None if settings.host_libraries => {
                    SystemView::Host(LIBRARIES.map(str::to_owned).to_vec())
                }
                None => SystemView::Nothing,
            },
            network: match settings.network {
                NamespaceNetwork::None => NetworkView::None,
                NamespaceNetwork::Full => NetworkView::Full,
            },
            limits: SandboxLimits {
                memory_bytes: settings.memory_bytes,
                processes: settings.max_processes.into(),
                open_files: settings.max_open_files.into(),
                scratch_bytes: settings.scratch_bytes,
            },
            cgroup,
            probe: false,
        }
    }

    fn variables(boot: &Boot) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            (env::WORKLOAD_ID, boot.id.to_string()),
            (env::NODE_SOCKET, boot.socket.to_string_lossy().into_owned()),
            (env::AGENT_SECRET, boot.secret.clone()),
        ])
    }

    async fn launch_machine(&self, boot: &Boot) -> Result<NamespaceMachine, LaunchError> {
        let folder = |source| LaunchError::Folder { dir: boot.dir.clone(), source };
        if self.ids.is_some() && !self.socket_opened.swap(true, Ordering::Relaxed) {
            // The folder around it is the node's alone; the socket asks for a secret.
            open_to_others(&boot.socket, 0o006).map_err(folder)?;
        }
        fs::create_dir(&boot.dir).map_err(folder)?;
        let mut unfinished = Unfinished { dir: &boot.dir, group: None };
        let name = boot.id.to_string();
        let group = self.cgroups.group(&name, &self.settings).map_err(LaunchError::Cgroup)?;
        let seen = group.as_ref().map_or(SandboxCgroup::None, cgroup::Group::seen_by_agent);
        unfinished.group = group;
        let spec = self.spec(&name, &boot.dir, &boot.socket, seen);
        let spawned = self.spawn(&spec, &Self::variables(boot)).await?;
        let stderr = Stderr::of(spawned.stderr);
        let (dir, group) = unfinished.finish();
        NamespaceMachine::new(spawned.pid, dir, group, stderr)
            .map_err(|source| LaunchError::Agent { agent: self.agent.clone(), source })
    }

    /// Starts the launcher and waits until it has made the agent and ended.
    async fn spawn(
        &self,
        spec: &NamespaceSpec,
        variables: &BTreeMap<&'static str, String>,
    ) -> Result<Spawned, LaunchError> {
        let failed = |source| LaunchError::Agent { agent: self.agent.clone(), source };
        let frames = frame(spec).and_then(|spec| Ok((spec, frame(variables)?)));
        let (spec_frame, variables_frame) =
            frames.map_err(|error| LaunchError::Isolation(error.to_string()))?;
        let mut child = Command::new(&self.agent)
            .arg(SANDBOX_ARGUMENT)
            .arg(&spec.folder)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let told = async {
            let input = child.stdin.take();
            if let Some(mut input) = input {
                // An agent that ended early says why itself.
                let _ = input.write_all(&spec_frame).await;
                let _ = input.write_all(&variables_frame).await;
            }
            let pid = read_pid(&mut child).await.map_err(failed)?;
            child.wait().await.map_err(failed)?;
            Ok::<_, LaunchError>(pid)
        };
        let told = timeout(LAUNCH_LIMIT, told).await;
        let pid = match told {
            Ok(pid) => pid?,
            Err(_) => {
                let _ = child.kill().await;
                return Err(LaunchError::Isolation(format!(
                    "the agent made no namespaces within {} s",
                    LAUNCH_LIMIT.as_secs()
                )));
            }
        };
        let stderr = child.stderr.take();
        match pid {
            Some(pid) => Ok(Spawned { pid, stderr }),
            None => {
                let words = Stderr::of(stderr).last_line();
                let words = words.unwrap_or_else(|| "the agent ended without a word".to_owned());
                Err(LaunchError::Isolation(words))
            }
        }
    }
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// How much of landlock this kernel knows: `full`, `partial` or `none`.
    pub landlock: Option<String>,
}

/// Whether each sandbox of this user's node has users of the host of its own.
pub fn has_own_users() -> bool {
    Ids::available().is_some()
}

/// What a launcher left.
struct Spawned {
    pid: Pid,
    stderr: Option<tokio::process::ChildStderr>,
}

async fn read_pid(child: &mut Child) -> io::Result<Option<Pid>> {
    let Some(output) = child.stdout.take() else { return Ok(None) };
    let mut line = String::new();
    BufReader::new(output.take(MAX_ANSWER)).read_line(&mut line).await?;
    let number = line.trim_end().strip_prefix(PID_WORD).and_then(|text| text.parse().ok());
    Ok(number.and_then(Pid::from_raw))
}

/// Gives others some rights to a path, in addition to what they have.
fn open_to_others(path: &Path, rights: u32) -> io::Result<()> {
    let mut permissions = fs::metadata(path)?.permissions();
    permissions.set_mode(permissions.mode() | rights);
    fs::set_permissions(path, permissions)
}

/// Takes away what was made for a machine that did not come about.
struct Unfinished<'a> {
    dir: &'a Path,
    group: Option<cgroup::Group>,
}

impl Unfinished<'_> {
    fn finish(mut self) -> (PathBuf, Option<cgroup::Group>) {
        let group = self.group.take();
        let dir = self.dir.to_owned();
        std::mem::forget(self);
        (dir, group)
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(group) = &mut self.group {
            group.remove();
        }
        machine::remove_dir(self.dir);
    }
}

impl Driver for NamespaceDriver {
    fn kind(&self) -> SandboxKind {
        SandboxKind::Namespace
    }

    fn launch<'a>(
        &'a self,
        boot: &'a Boot,
    ) -> BoxFuture<'a, Result<Box<dyn Machine>, LaunchError>> {
        Box::pin(async move { Ok(Box::new(self.launch_machine(boot).await?) as Box<dyn Machine>) })
    }
}
