//! The namespace sandbox, from inside: how an agent shuts itself in.
//!
//! ```text
//! node ─spawn─▶ launcher ─clone─▶ agent (pid 1) ─clone─▶ keeper (pid 1) ─fork─▶ workload
//!               reads the spec,    own tree, no           own tree, no
//!               joins the cgroup,  rights, then runs      rights, waits for
//!               tells the pid,     as any agent           one order
//!               ends
//! ```
//!
//! The *launcher* is this program in its first milliseconds: one thread, nothing but the spec
//! read. It makes the agent's namespaces (user where the node is not root, mount, pid, net, ipc,
//! uts, cgroup, time) and ends; its child becomes the node's.
//!
//! *Agent* and *keeper* each build a tree of their own on a small tmpfs, in parallel, pivot into
//! it, and then give everything up: another user (where the node is root), a user namespace that
//! owns none of the others, no capability in any set, no new privileges, landlock, a list of
//! system calls. What the one builds the other cannot see:
//!
//! * the workload has a pid namespace of its own: agent and keeper have no number in it, or one
//!   that cannot be signalled (a namespace's pid 1), and neither is dumpable;
//! * the keeper split off before the agent read its secret: it is not in its memory;
//! * the agent's socket and the artifacts of others are in no tree of the workload's. Its own
//!   program comes to the keeper as an open descriptor and is executed from there.
//!
//! The keeper has no rights left before the first byte of a tenant's order reaches it. When its
//! one workload ends it ends too, and the kernel kills whatever else there was.
//!
//! Everything dies with the agent: it is pid 1 of the outer pid namespace.

mod devices;
mod filter;
mod keeper;
mod kernel;
mod landlock;
mod limits;
mod order;
mod shed;
mod syscalls;
mod tree;
pub mod watch;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use nex_protocol::agent::namespaces::{
    FrameError, LANDLOCK_WORD, NamespaceSpec, NetworkView, PID_WORD, SANDBOX_ARGUMENT,
    SandboxCgroup, read_frame,
};

pub use keeper::Keeper;
use tree::Tree;

/// A step that failed.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// The specification.
    #[error(transparent)]
    Spec(#[from] FrameError),
    /// The kernel refused a step.
    #[error("cannot {step}: {source}")]
    Step {
        /// What was tried, in words.
        step: String,
        /// What the system said.
        source: io::Error,
    },
    /// The keeper ended before it was ready; it said why.
    #[error("the workload's side of the sandbox did not come up")]
    Keeper,
}

trait Step<T> {
    /// Says what was tried.
    fn step(self, step: impl Into<String>) -> Result<T, ConfineError>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn step(self, step: impl Into<String>) -> Result<T, ConfineError> {
        self.map_err(|source| ConfineError::Step { step: step.into(), source: source.into() })
    }
}

/// What the agent needs to know of its sandbox once it is in it.
#[derive(Debug)]
pub struct Inside {
    /// The variables that the node gave it.
    pub variables: BTreeMap<String, String>,
    /// Starts the workload.
    pub keeper: Keeper,
    /// Memory that the agent has to watch itself: the kernel does not.
    pub watched_memory: Option<u64>,
}

/// Whether this process was started to make a sandbox.
#[must_use]
pub fn is_asked_for() -> bool {
    std::env::args_os().nth(1).is_some_and(|argument| argument == SANDBOX_ARGUMENT)
}

/// Makes the sandbox. Returns in the agent only, which is inside then; the launcher ends here.
///
/// To be called while the process has one thread and no descriptor but the standard three.
///
/// # Errors
/// A [`ConfineError`]; nothing is left but this process.
pub fn enter() -> Result<Inside, ConfineError> {
    let spec: NamespaceSpec = read_frame(&mut Unbuffered)?;
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o022));
    let group = join_cgroup(&spec.cgroup)?;
    let outside = (rustix::process::geteuid(), rustix::process::getegid());
    let cloned = kernel::clone(flags(&spec), kernel::ParentIs::Ours, group.as_ref());
    if let Some(pid) = cloned.step("make namespaces")? {
        tell_pid(pid).step("tell the node of the agent")?;
        kernel::leave(0);
    }
    drop(group);
    if spec.ids.is_none() {
        shed::write_map(outside).step("map the user of the sandbox")?;
    }
    let inside = enter_as_agent(&spec)?;
    if spec.probe {
        kernel::leave(0);
    }
    Ok(inside)
}

/// Standard input without a buffer: what follows a frame is somebody else's.
struct Unbuffered;

impl io::Read for Unbuffered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(rustix::stdio::stdin(), buffer)?)
    }
}

fn join_cgroup(cgroup: &SandboxCgroup) -> Result<Option<OwnedFd>, ConfineError> {
    match cgroup {
        SandboxCgroup::None => Ok(None),
        SandboxCgroup::V1(files) => {
            for file in files {
                // One thread moves itself: unlike any other move that needs no grace period.
                std::fs::write(file, "0").step(format!("join the cgroup {file}"))?;
            }
            Ok(None)
        }
        SandboxCgroup::V2(folder) => {
            let opened = std::fs::File::open(folder).step(format!("open the cgroup {folder}"))?;
            Ok(Some(opened.into()))
        }
    }
}

fn flags(spec: &NamespaceSpec) -> libc::c_int {
    let mut flags =
        libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    if spec.ids.is_none() {
        flags |= libc::CLONE_NEWUSER;
    }
    if spec.network == NetworkView::None {
        flags |= libc::CLONE_NEWNET;
    }
    flags
}

fn enter_as_agent(spec: &NamespaceSpec) -> Result<Inside, ConfineError> {
    kernel::unshare(libc::CLONE_NEWCGROUP).step("make a cgroup namespace")?;
    rustix::mount::mount_change(
        "/",
        rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC,
    )
    .step("keep mounts to the sandbox")?;
    rustix::system::sethostname(spec.hostname.as_bytes()).step("set the host name")?;
    kernel::own_clocks();
    let keeper = keeper::split_off(spec)?;
    if spec.network == NetworkView::None {
        kernel::loopback_up().step("bring up the loopback interface")?;
    }
    agent_tree(spec)?.enter()?;
    limits::bound_agent().step("set limits")?;
    shed::give_up(spec.ids.map(|ids| ids.agent)).step("give up rights")?;
    let landlock = landlock::bound_agent(spec).step("restrict paths (landlock)")?;
    filter::install().step("restrict system calls (seccomp)")?;
    let keeper = keeper.ready()?;
    if spec.probe {
        let _ = writeln!(io::stderr(), "{LANDLOCK_WORD}{landlock}");
    }
    let variables = read_frame(&mut Unbuffered)?;
    let watched_memory = (spec.cgroup == SandboxCgroup::None).then_some(spec.limits.memory_bytes);
    Ok(Inside { variables, keeper, watched_memory })
}

/// What the agent sees: its socket, its own file, artifacts, a `/tmp`.
fn agent_tree(spec: &NamespaceSpec) -> Result<Tree, ConfineError> {
    let owner = spec.ids.map(|ids| ids.agent);
    let tree = Tree::begin(Path::new(&spec.folder))?;
    tree.proc()?;
    tree.devices()?;
    // First: what is to be seen may itself be below /tmp.
    tree.scratch(Path::new("/tmp"), spec.limits.scratch_bytes, owner)?;
    for folder in &spec.artifacts {
        tree.bind(Path::new(folder), Path::new(folder))?;
    }
    tree.bind(Path::new(&spec.agent), Path::new(&spec.agent))?;
    tree.bind_socket(Path::new(&spec.socket))?;
    Ok(tree)
}

/// Tells the node who the agent is. Written by the launcher, in whose pid namespace (the node's)
/// the number means something.
fn tell_pid(pid: i32) -> io::Result<()> {
    let line = format!("{PID_WORD}{pid}\n");
    io::stdout().write_all(line.as_bytes())?;
    io::stdout().flush()
}
