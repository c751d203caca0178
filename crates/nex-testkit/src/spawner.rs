//! Starts children that die with this process, whatever kills it.
//!
//! `PR_SET_PDEATHSIG` fires when the *thread* that forked ends, and the test
//! harness ends a thread after each test. So every child is forked by one
//! thread that lives as long as the process.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::sync::{OnceLock, mpsc};
use std::thread;

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

struct Job {
    command: Command,
    answer: mpsc::Sender<io::Result<Child>>,
}

/// Spawns `command` in its own process group; SIGKILL follows when this process dies.
#[allow(unsafe_code, reason = "pre_exec is the only place to set the death signal")]
pub(crate) fn spawn_bound(mut command: Command) -> io::Result<Child> {
    let parent = getpid();
    command.process_group(0);
    // SAFETY: the closure runs between fork and exec and makes two system
    // calls; it allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have died before the signal was armed.
            if getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
        });
    }
    let (answer, spawned) = mpsc::channel();
    let gone = || io::Error::other("the spawner thread is gone");
    thread_of_spawner().send(Job { command, answer }).map_err(|_| gone())?;
    spawned.recv().map_err(|_| gone())?
}

fn thread_of_spawner() -> &'static mpsc::Sender<Job> {
    static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let body = move || {
            for mut job in inbox {
                // A test that gave up does not read its answer.
                let _ = job.answer.send(job.command.spawn());
            }
        };
        if let Err(error) = thread::Builder::new().name("test-spawner".into()).spawn(body) {
            panic!("cannot start the thread that spawns test children: {error}");
        }
        jobs
    })
}
