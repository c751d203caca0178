//! The keeper: pid 1 of the workload's own namespaces. It starts one program, waits for it, and
//! ends.
//!
//! ```text
//! agent ──'L' length, order, three descriptors──▶ keeper     start this
//!       ◀──'S' errno────────────────────────────             it executes (0), or why it does not
//!       ──'T'───────────────────────────────────▶            SIGTERM to all of it
//!       ◀──'E' wait status───────────────────────            it ended; so does the keeper
//! ```
//!
//! The end of the keeper is the end of everything in its pid namespace. The end of the agent's
//! side of their socket is its own.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nex_protocol::agent::namespaces::{NamespaceSpec, SystemView};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{Pid, WaitOptions, WaitStatus};

use super::landlock::WorkloadRules;
use super::order::{Descriptors, MAX_BYTES, Order};
use super::tree::Tree;
use super::{ConfineError, Step as _, filter, kernel, limits, shed};
use crate::boot::hygiene;
use crate::provider::elf::tree::Exit;

/// The workload's working directory.
const WORK: &str = "/work";

/// Folders that the workload may write to.
const WRITABLE: [&str; 2] = ["/tmp", WORK];

/// What programs look up about users and hosts.
const ETC: [(&str, &str); 4] = [
    ("/etc/passwd", "nex:x:1000:1000:workload:/work:/\nnobody:x:65534:65534::/:/\n"),
    ("/etc/group", "nex:x:1000:\nnogroup:x:65534:\n"),
    ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
];

/// Names of a root file system that are the sandbox's own.
const OWN_NAMES: [&str; 6] = ["dev", "proc", "sys", "tmp", "run", "work"];

/// How long the keeper may take to start a program, or to get ready.
const PATIENCE: Duration = Duration::from_secs(10);

const LAUNCH: u8 = b'L';
const TERMINATE: u8 = b'T';
const READY: u8 = b'R';
const STARTED: u8 = b'S';
const ENDED: u8 = b'E';

/// Size of every message but the body of an order: what it is, and a number.
const MESSAGE: usize = 5;

/// The agent's end.
#[derive(Debug)]
pub struct Keeper {
    socket: OwnedFd,
    pid: Pid,
}

/// Forks the keeper; returns in the agent only.
pub(super) fn split_off(spec: &NamespaceSpec) -> Result<Keeper, ConfineError> {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .step("make a socket pair")?;
    let namespaces = libc::CLONE_NEWNS | libc::CLONE_NEWPID;
    let cloned = kernel::clone(namespaces, kernel::ParentIs::This, None);
    match cloned.step("make the workload's namespaces")? {
        Some(pid) => {
            let pid = Pid::from_raw(pid).ok_or(ConfineError::Keeper)?;
            rustix::net::sockopt::set_socket_timeout(
                &ours,
                rustix::net::sockopt::Timeout::Recv,
                Some(PATIENCE),
            )
            .step("set a time limit")?;
            Ok(Keeper { socket: ours, pid })
        }
        None => {
            drop(ours);
            kernel::leave(live(spec, &theirs));
        }
    }
}

impl Keeper {
    /// Waits until everything is shut.
    pub(super) fn ready(self) -> Result<Self, ConfineError> {
        match receive(self.socket.as_fd()) {
            Ok(Some((READY, _, _))) => Ok(self),
            _ => Err(ConfineError::Keeper),
        }
    }

    /// The keeper's process id, as the agent sees it; also stands for the workload.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The workload's working directory, as the workload sees it.
    #[must_use]
    pub fn directory(&self) -> &'static Path {
        Path::new(WORK)
    }

    /// Starts a program, once. Blocks until it executes.
    ///
    /// # Errors
    /// What `execve` said, or what went wrong on the way there.
    pub fn launch(
        &self,
        directory: &CStr,
        arguments: Vec<CString>,
        environment: Vec<CString>,
        descriptors: [BorrowedFd<'_>; 3],
    ) -> io::Result<()> {
        let order = Order { directory: directory.to_owned(), arguments, environment };
        let too_long = || io::Error::from_raw_os_error(libc::E2BIG);
        let body = order.encode().ok_or_else(too_long)?;
        let length = u32::try_from(body.len()).map_err(|_| too_long())?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        let head = message(LAUNCH, length);
        let sent =
            sendmsg(&self.socket, &[io::IoSlice::new(&head)], &mut ancillary, SendFlags::NOSIGNAL)?;
        if sent != head.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        write_all(self.socket.as_fd(), &body)?;
        match receive(self.socket.as_fd())? {
            Some((STARTED, 0, _)) => Ok(()),
            Some((STARTED, errno, _)) => Err(io::Error::from_raw_os_error(errno.cast_signed())),
            _ => Err(io::Error::other("the keeper of the workload has ended")),
        }
    }

    /// Asks all of the workload to end.
    pub fn terminate(&self) {
        // A keeper that is gone took the workload with it.
        let _ = write_all(self.socket.as_fd(), &message(TERMINATE, 0));
    }

    /// How the workload ended, once the keeper has. `None` if it was killed with its keeper.
    #[must_use]
    pub fn verdict(&self) -> Option<Exit> {
        match receive(self.socket.as_fd()) {
            Ok(Some((ENDED, status, _))) => Exit::of(status.cast_signed()),
            _ => None,
        }
    }
}

fn message(kind: u8, number: u32) -> [u8; MESSAGE] {
    let [a, b, c, d] = number.to_le_bytes();
    [kind, a, b, c, d]
}

fn write_all(socket: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn read_exact(socket: BorrowedFd<'_>, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        match rustix::io::read(socket, &mut *buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => buffer = buffer.get_mut(read..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// One message with its descriptors; `None` at the end.
fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<(u8, u32, Vec<OwnedFd>)>> {
    let mut head = [0; MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let read = loop {
        let mut places = [io::IoSliceMut::new(&mut head)];
        match recvmsg(socket, &mut places, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::CONNRESET) | Ok(rustix::net::RecvMsg { bytes: 0, .. }) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
            Ok(received) => break received.bytes,
        }
    };
    let mut descriptors = Vec::new();
    for part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            descriptors.extend(rights);
        }
    }
    read_exact(socket, head.get_mut(read..).unwrap_or_default())?;
    let [kind, a, b, c, d] = head;
    Ok(Some((kind, u32::from_le_bytes([a, b, c, d]), descriptors)))
}

/// The keeper's whole life; answers its exit code.
fn live(spec: &NamespaceSpec, socket: &OwnedFd) -> i32 {
    match shut_in(spec, socket) {
        Ok(()) => {}
        Err(error) => {
            crate::diagnostics::say(&error.to_string());
            return 1;
        }
    }
    match keep(socket) {
        Ok(()) => 0,
        Err(error) => {
            crate::diagnostics::say(&format!("the workload cannot be kept: {error}"));
            1
        }
    }
}

fn shut_in(spec: &NamespaceSpec, socket: &OwnedFd) -> Result<(), ConfineError> {
    let rules = WorkloadRules::begin(spec).step("restrict paths (landlock)")?;
    workload_tree(spec)?.enter()?;
    limits::bound_workload(spec).step("set limits")?;
    hygiene::reset_signals();
    shed::give_up(spec.ids.map(|ids| ids.workload)).step("give up rights")?;
    rules.restrict(&WRITABLE).step("restrict paths (landlock)")?;
    filter::install().step("restrict system calls (seccomp)")?;
    // The node's pipes are the agent's business.
    let null = open_null().step("open /dev/null")?;
    rustix::stdio::dup2_stdin(&null).step("let go of the node's pipe")?;
    rustix::stdio::dup2_stdout(&null).step("let go of the node's pipe")?;
    write_all(socket.as_fd(), &message(READY, 0)).step("report to the agent")
}

fn open_null() -> io::Result<OwnedFd> {
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
    Ok(rustix::fs::open("/dev/null", flags, rustix::fs::Mode::empty())?)
}

/// What the workload sees: libraries or a root file system, and two folders of its own.
fn workload_tree(spec: &NamespaceSpec) -> Result<Tree, ConfineError> {
    let owner = spec.ids.map(|ids| ids.workload);
    let tree = Tree::begin(Path::new(&spec.folder))?;
    match &spec.system {
        SystemView::Nothing => {}
        SystemView::Host(paths) => {
            for path in paths {
                show(&tree, Path::new(path), Path::new(path))?;
            }
        }
        SystemView::Rootfs(folder) => show_rootfs(&tree, Path::new(folder))?,
    }
    if !matches!(spec.system, SystemView::Rootfs(_)) {
        for (path, text) in ETC {
            tree.file(Path::new(path), text)?;
        }
    }
    tree.proc()?;
    tree.devices()?;
    for folder in WRITABLE {
        tree.scratch(Path::new(folder), spec.limits.scratch_bytes, owner)?;
    }
    Ok(tree)
}

/// A path of the host as it is: a link stays a link.
fn show(tree: &Tree, host: &Path, inside: &Path) -> Result<(), ConfineError> {
    let looked = std::fs::symlink_metadata(host);
    let Ok(kind) = looked.map(|metadata| metadata.file_type()) else { return Ok(()) };
    if kind.is_symlink() {
        let target = std::fs::read_link(host).step(format!("read {}", host.display()))?;
        return tree.link(inside, &target);
    }
    if kind.is_dir() || kind.is_file() { tree.bind(host, inside) } else { Ok(()) }
}

fn show_rootfs(tree: &Tree, folder: &Path) -> Result<(), ConfineError> {
    let reading = || format!("read the root file system {}", folder.display());
    for entry in std::fs::read_dir(folder).step(reading())? {
        let entry = entry.step(reading())?;
        let name = entry.file_name();
        if OWN_NAMES.iter().all(|own| name != *own) {
            show(tree, &entry.path(), &Path::new("/").join(&name))?;
        }
    }
    Ok(())
}

/// Waits for the order, then for the end of what it started.
fn keep(socket: &OwnedFd) -> io::Result<()> {
    let Some((LAUNCH, length, descriptors)) = receive(socket.as_fd())? else { return Ok(()) };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > MAX_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    read_exact(socket.as_fd(), &mut body)?;
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let order = Order::decode(&body).ok_or_else(invalid)?;
    let [program, stdout, stderr] = <[OwnedFd; 3]>::try_from(descriptors).map_err(|_| invalid())?;
    let descriptors = Descriptors { program, stdout, stderr };
    let events = kernel::watch_children()?;
    let started = start(&order, &descriptors);
    drop((descriptors, order, body));
    let errno = match &started {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(libc::EIO).cast_unsigned(),
    };
    write_all(socket.as_fd(), &message(STARTED, errno))?;
    match started {
        Ok(main) => {
            let status = attend(socket, &events, main)?;
            write_all(socket.as_fd(), &message(ENDED, status.as_raw().cast_unsigned()))
        }
        // Nothing runs. The node drops a sandbox that started nothing.
        Err(_) => Ok(()),
    }
}

/// Forwards the agent's wishes and reaps, until the first process has ended.
fn attend(socket: &OwnedFd, events: &OwnedFd, main: Pid) -> io::Result<WaitStatus> {
    use rustix::event::{PollFd, PollFlags, poll};
    loop {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == main => return Ok(status),
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) => break,
                Err(error) => return Err(error.into()),
            }
        }
        let mut polled = [PollFd::new(socket, PollFlags::IN), PollFd::new(events, PollFlags::IN)];
        match poll(&mut polled, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [from_agent, children] = &polled;
        let (from_agent, children) =
            (!from_agent.revents().is_empty(), !children.revents().is_empty());
        if children {
            // Which child it was, `wait` says.
            let mut event = [0; 128];
            let _ = rustix::io::read(events, &mut event);
        }
        if from_agent {
            match receive(socket.as_fd())? {
                Some((TERMINATE, _, _)) => kernel::terminate_all(),
                Some(_) => {}
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
}

/// Forks and executes; returns once it really executes.
fn start(order: &Order, descriptors: &Descriptors) -> io::Result<Pid> {
    let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(&order.arguments), pointers(&order.environment));
    let null = open_null()?;
    let (failed, fails) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    if let Some(pid) = kernel::fork()? {
        drop(fails);
        let mut errno = [0; 4];
        // Closed by a successful exec.
        return match read_exact(failed.as_fd(), &mut errno) {
            Err(_) => Pid::from_raw(pid).ok_or_else(|| io::ErrorKind::Other.into()),
            Ok(()) => {
                let _ = rustix::process::waitpid(Pid::from_raw(pid), WaitOptions::empty());
                Err(io::Error::from_raw_os_error(i32::from_le_bytes(errno)))
            }
        };
    }
    let prepare = || -> io::Result<()> {
        rustix::process::setsid()?;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&descriptors.stdout)?;
        rustix::stdio::dup2_stderr(&descriptors.stderr)?;
        rustix::process::chdir(order.directory.as_c_str())?;
        hygiene::default_signals();
        Ok(())
    };
    let error = match prepare() {
        // SAFETY: lists of `CString`s that end with a null pointer; `order` is borrowed.
        #[allow(unsafe_code)]
        Ok(()) => unsafe {
            kernel::execute(descriptors.program.as_fd(), arguments.as_ptr(), environment.as_ptr())
        },
        Err(error) => error,
    };
    let errno = error.raw_os_error().unwrap_or(libc::EIO);
    let _ = rustix::io::write(&fails, &errno.to_le_bytes());
    kernel::leave(127)
}
