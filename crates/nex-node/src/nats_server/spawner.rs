//! Starts children. [`spawn_bound`]: those that die with this process, whatever kills it.
//!
//! `PR_SET_PDEATHSIG` fires when the *thread* that forked ends, and threads of
//! an async runtime come and go. So every such child is forked by one thread
//! that lives as long as the process.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

/// How often a program that somebody writes to is tried again.
const BUSY_TRIES: u32 = 50;
/// Pause between two tries.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// Spawns a short-lived child. A program that was just written may be "busy" for
/// a moment: a child forked meanwhile holds its descriptor until it has exec'd.
pub(super) async fn spawn_short(command: &mut Command) -> io::Result<Child> {
    let mut tries = tokio::time::interval(BUSY_PAUSE);
    for _ in 1..BUSY_TRIES {
        tries.tick().await;
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {}
            decided => return decided,
        }
    }
    command.spawn()
}

struct Job {
    command: Command,
    runtime: tokio::runtime::Handle,
    answer: oneshot::Sender<io::Result<Child>>,
}

/// Spawns `command` as the head of its own process group. It gets SIGKILL when
/// this process dies, keeps `inherited` open, and is killed when the returned
/// value is dropped.
#[allow(unsafe_code, reason = "pre_exec is the only place to set the death signal")]
pub(super) async fn spawn_bound(
    mut command: Command,
    inherited: Arc<[OwnedFd]>,
) -> io::Result<Child> {
    let parent = getpid();
    command.process_group(0).kill_on_drop(true);
    // SAFETY: the closure runs between fork and exec and makes a few system
    // calls; it allocates nothing and takes no lock. It owns the descriptors.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have died before the signal was armed.
            if getppid() != Some(parent) {
                return Err(io::ErrorKind::NotFound.into());
            }
            for descriptor in &*inherited {
                fcntl_setfd(descriptor, FdFlags::empty())?;
            }
            Ok(())
        });
    }
    let gone = || io::Error::other("the thread that starts children is gone");
    let (answer, spawned) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    spawner()?.send(Job { command, runtime, answer }).map_err(|_| gone())?;
    spawned.await.map_err(|_| gone())?
}

fn spawner() -> io::Result<&'static mpsc::Sender<Job>> {
    static SPAWNER: OnceLock<io::Result<mpsc::Sender<Job>>> = OnceLock::new();
    let started = SPAWNER.get_or_init(|| {
        // Bounded in fact: each sender waits for its answer.
        let (jobs, inbox) = mpsc::channel::<Job>();
        let body = move || {
            for mut job in inbox {
                // The child is watched by the runtime of whoever asked for it.
                let _entered = job.runtime.enter();
                // Who gave up waiting does not read the answer: the child is
                // dropped with it, and so killed.
                let _ = job.answer.send(job.command.spawn());
            }
        };
        thread::Builder::new().name("nex-spawner".into()).spawn(body).map(|_| jobs)
    });
    started.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))
}
