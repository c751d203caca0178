//! What a node hands to the agent that it starts as a namespace sandbox.
//!
//! Node and agent are one build here, and what passes between them is an inherited pipe, not a
//! wire: unknown keys are errors, and nothing is read like Go. Two frames come over standard
//! input, each a length and then JSON ([`frame`], [`MAX_FRAME_BYTES`]):
//!
//! 1. a [`NamespaceSpec`], read before there are namespaces;
//! 2. the agent's variables ([`env`](super::env)) as one object, read by the agent alone after
//!    the workload's keeper has split off, so that the secret is never in its memory, in an
//!    environment or on a command line.
//!
//! Back comes one line on standard output: [`PID_WORD`] and the agent's process id.

use serde::{Deserialize, Serialize};

/// The argument that makes an agent build its own sandbox. The folder of the sandbox follows it:
/// so the next node can tell whose process this was.
pub const SANDBOX_ARGUMENT: &str = "sandbox";

/// The word before the agent's process id on standard output.
pub const PID_WORD: &str = "pid ";

/// What a probe says last on standard error: this, and how much of landlock the kernel knows
/// (`full`, `partial` or `none`).
pub const LANDLOCK_WORD: &str = "landlock ";

/// Largest frame, in bytes, without its length.
pub const MAX_FRAME_BYTES: usize = 64 << 10;

/// The namespaces to make and what is in them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamespaceSpec {
    /// The host name inside.
    pub hostname: String,
    /// An empty folder of the host; the trees are mounted over it while they are built.
    pub folder: String,
    /// The node's Unix socket for agents; it has the same path inside.
    pub socket: String,
    /// The agent's own file; it has the same path inside.
    pub agent: String,
    /// Folders that the agent reads artifacts from; they have the same paths inside.
    pub artifacts: Vec<String>,
    /// Users of the host to become. Only a node that is root gives them; without, everything
    /// stays the node's own user, which is mapped to an unprivileged one.
    pub ids: Option<SandboxIds>,
    /// What the workload sees of a system.
    pub system: SystemView,
    /// Which network there is.
    pub network: NetworkView,
    /// The bounds.
    pub limits: SandboxLimits,
    /// Where the kernel's accounts of this sandbox are.
    pub cgroup: SandboxCgroup,
    /// Only find out whether a sandbox can be made, and end.
    pub probe: bool,
}

/// Users (and groups of the same numbers) of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxIds {
    /// Who the agent is.
    pub agent: u32,
    /// Who the workload is.
    pub workload: u32,
}

/// The files that a workload sees besides its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemView {
    /// None: static programs only.
    Nothing,
    /// These paths of the host, read-only, under the same names.
    Host(Vec<String>),
    /// Everything in this folder of the host, read-only, as root.
    Rootfs(String),
}

/// The network of a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkView {
    /// A loopback interface of its own and nothing else.
    None,
    /// The host's.
    Full,
}

/// The bounds of a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxLimits {
    /// Memory of everything in it, bytes.
    pub memory_bytes: u64,
    /// Processes and threads of the workload.
    pub processes: u64,
    /// Open files of each process.
    pub open_files: u64,
    /// Size of each of the workload's writable folders, bytes.
    pub scratch_bytes: u64,
}

/// Where the kernel's accounts of a sandbox are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxCgroup {
    /// Nowhere: the agent watches the memory itself.
    None,
    /// Version 1: the `tasks` file of each controller.
    V1(Vec<String>),
    /// Version 2: the group's folder.
    V2(String),
}

/// A frame that holds `value`.
///
/// # Errors
/// [`FrameError::TooLarge`].
pub fn frame(value: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    let body = serde_json::to_vec(value).map_err(FrameError::Json)?;
    if body.len() > MAX_FRAME_BYTES {
        return Err(FrameError::TooLarge(body.len()));
    }
    let length = u32::try_from(body.len()).map_err(|_| FrameError::TooLarge(body.len()))?;
    Ok([length.to_le_bytes().as_slice(), &body].concat())
}

/// Reads one frame and not a byte more.
///
/// # Errors
/// [`FrameError`].
pub fn read_frame<T: for<'de> Deserialize<'de>>(
    input: &mut impl std::io::Read,
) -> Result<T, FrameError> {
    let mut length = [0; 4];
    input.read_exact(&mut length).map_err(FrameError::Read)?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX_FRAME_BYTES {
        return Err(FrameError::TooLarge(length));
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body).map_err(FrameError::Read)?;
    let value = serde_json::from_slice(&body).map_err(FrameError::Json);
    // It may hold a secret.
    body.fill(0);
    value
}

/// Why a frame could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// It is larger than [`MAX_FRAME_BYTES`].
    #[error("the sandbox's specification has {0} bytes; at most {MAX_FRAME_BYTES} are taken")]
    TooLarge(usize),
    /// The pipe ended or failed.
    #[error("the sandbox's specification cannot be read")]
    Read(#[source] std::io::Error),
    /// It is not what it should be.
    #[error("the sandbox's specification makes no sense; node and agent are of different versions")]
    Json(#[source] serde_json::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> NamespaceSpec {
        NamespaceSpec {
            hostname: "nex".to_owned(),
            folder: "/state/sandboxes/x".to_owned(),
            socket: "/state/bus.sock".to_owned(),
            agent: "/state/agents/nex-agent".to_owned(),
            artifacts: vec!["/state/artifacts/sha256".to_owned()],
            ids: Some(SandboxIds { agent: 7, workload: 8 }),
            system: SystemView::Host(vec!["/usr/lib".to_owned()]),
            network: NetworkView::None,
            limits: SandboxLimits {
                memory_bytes: 1 << 28,
                processes: 64,
                open_files: 1024,
                scratch_bytes: 1 << 20,
            },
            cgroup: SandboxCgroup::V2("/sys/fs/cgroup/nex/x".to_owned()),
            probe: false,
        }
    }

    #[test]
    fn a_frame_is_read_back_and_leaves_the_next_one() {
        let bytes = [frame(&spec()).unwrap(), frame(&1).unwrap()].concat();
        let mut input = bytes.as_slice();
        assert_eq!(read_frame::<NamespaceSpec>(&mut input).unwrap(), spec());
        assert_eq!(read_frame::<u8>(&mut input).unwrap(), 1);
    }

    #[test]
    fn sizes_are_checked_before_anything_is_read() {
        let mut input = [0xff; 8].as_slice();
        assert!(matches!(read_frame::<u8>(&mut input), Err(FrameError::TooLarge(_))));
        let text = "x".repeat(MAX_FRAME_BYTES);
        assert!(matches!(frame(&text), Err(FrameError::TooLarge(_))));
        let cut = frame(&spec()).unwrap();
        let mut input = &cut[..cut.len() - 1];
        assert!(matches!(read_frame::<NamespaceSpec>(&mut input), Err(FrameError::Read(_))));
        let other = frame(&serde_json::json!({"hostname": "x", "more": 1})).unwrap();
        let read = read_frame::<NamespaceSpec>(&mut other.as_slice());
        assert!(matches!(read, Err(FrameError::Json(_))));
    }
}
