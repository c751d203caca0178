//! Limits of single processes. Those of the sandbox as a whole are the cgroup's, where the node
//! has one.

use std::io;

use nex_protocol::agent::namespaces::{NamespaceSpec, SandboxCgroup};
use rustix::process::{Resource, Rlimit, setrlimit};

/// Memory that may be locked, bytes: a few keys.
const LOCKED_BYTES: u64 = 64 << 10;

/// Signals that may wait.
const PENDING_SIGNALS: u64 = 1024;

/// Processes that the kernel may count with the workload's, being the same user's: agent and
/// keeper, and a child of the agent's.
const OWN_PROCESSES: u64 = 4;

/// Open files of the agent: its link, a module or two, a child.
const AGENT_FILES: u64 = 256;

/// Too small for a dump, and the one value with which the kernel starts no program of the host
/// that takes dumps (`core_pattern` with a pipe), which it does even where the limit is zero.
const NO_CORE: u64 = 1;

/// How willingly the kernel ends workloads when the whole machine is out of memory (0 to 1000):
/// before the node and what else runs on it.
const OUT_OF_MEMORY_SCORE: &str = "800";

fn set(resource: Resource, most: u64) -> io::Result<()> {
    let now = rustix::process::getrlimit(resource);
    // What is lower already stays so: only root could raise it.
    let most = now.maximum.map_or(most, |maximum| maximum.min(most));
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}

/// For the agent.
pub(super) fn bound_agent() -> io::Result<()> {
    set(Resource::Core, 0)?;
    set(Resource::Nofile, AGENT_FILES)?;
    set(Resource::Memlock, LOCKED_BYTES)
}

/// For the keeper and the workload.
pub(super) fn bound_workload(spec: &NamespaceSpec) -> io::Result<()> {
    let limits = &spec.limits;
    std::fs::write("/proc/self/oom_score_adj", OUT_OF_MEMORY_SCORE)?;
    set(Resource::Core, NO_CORE)?;
    set(Resource::Nofile, limits.open_files)?;
    set(Resource::Nproc, limits.processes.saturating_add(OWN_PROCESSES))?;
    set(Resource::Memlock, LOCKED_BYTES)?;
    set(Resource::Sigpending, PENDING_SIGNALS)?;
    set(Resource::Msgqueue, 0)?;
    set(Resource::Rtprio, 0)?;
    if spec.cgroup == SandboxCgroup::None {
        // Per process only; the agent watches the sum.
        set(Resource::Data, limits.memory_bytes)?;
    }
    Ok(())
}
