//! Starts a program so that it holds nothing of the agent's and cannot outlive it.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::io::Errno;
use rustix::process::Pid;

use crate::confine::Keeper;

/// What is started, and how.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    /// The file to execute.
    pub program: &'a Path,
    /// `argv[0]`: the workload's name, as the file's is a digest.
    pub name: &'a str,
    /// The arguments after it.
    pub arguments: &'a [String],
    /// The whole environment; names are upper-cased.
    pub environment: &'a BTreeMap<String, String>,
    /// The working directory.
    pub directory: &'a Path,
}

/// A started program. Whoever owns this has to reap the process.
#[derive(Debug)]
pub struct Child {
    /// Process, process group and session: the three have the same number.
    pub pid: Pid,
    /// Reading end of its standard output.
    pub stdout: OwnedFd,
    /// Reading end of its standard error.
    pub stderr: OwnedFd,
}

/// Why a program did not start. It never ran.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The file is being written, or was a moment ago: the caller tries again for a while.
    #[error("the program's file is still open for writing")]
    Busy,
    /// A name that no environment can hold.
    #[error("environment name {0:?} is empty or holds '=' or a NUL; rename it")]
    EnvironmentName(String),
    /// A value that no environment can hold. The value itself is never shown.
    #[error("environment value of {0:?} holds a NUL; encode it")]
    EnvironmentValue(String),
    /// An argument that no command line can hold.
    #[error("argument {0} holds a NUL; encode it")]
    Argument(usize),
    /// Arguments and environment together are more than the kernel takes.
    #[error("arguments and environment are too long for this system; shorten them")]
    TooLong,
    /// The kernel refuses the format though the headers looked right.
    #[error("the kernel does not run this program (wrong format)")]
    Format,
    /// The file is not executable, or its file system is mounted `noexec`.
    #[error("the program may not be executed here; check its mode and the mount's noexec")]
    Denied,
    /// The kernel does not find what the program needs, its loader.
    #[error("the program needs a file that is not there")]
    NotFound,
    /// Anything else.
    #[error("cannot start the program")]
    System(#[source] io::Error),
}

impl Launch<'_> {
    /// Starts the program and returns once it is really executing.
    ///
    /// It gets its own session, an environment of nothing but the given one, `/dev/null` for
    /// standard input, default signal handling, no other descriptor, and SIGKILL when the calling
    /// *thread* ends: call it from the thread that lives as long as the agent.
    ///
    /// # Errors
    /// [`LaunchError`]; after [`LaunchError::Busy`] it makes sense to try again.
    pub fn start(&self) -> Result<Child, LaunchError> {
        let environment = self.checked_environment()?;
        if let Some(index) = self.arguments.iter().position(|text| text.contains('\0')) {
            return Err(LaunchError::Argument(index));
        }
        let mut command = Command::new(self.program);
        command
            .arg0(OsStr::new(self.name))
            .args(self.arguments)
            .env_clear()
            .envs(environment)
            .current_dir(self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        isolate(&mut command);
        let mut child = command.spawn().map_err(classify)?;
        // Dropping std's handle neither waits nor kills; the agent reaps all its children alike.
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        match (pid, child.stdout.take(), child.stderr.take()) {
            (Some(pid), Some(stdout), Some(stderr)) => {
                Ok(Child { pid, stdout: stdout.into(), stderr: stderr.into() })
            }
            _ => Err(LaunchError::System(io::ErrorKind::Other.into())),
        }
    }

    /// As [`Self::start`], in the workload's own namespaces. The directory is one of theirs; the
    /// program is executed from its open file, which need not be among what is visible there.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(&self, keeper: &Keeper, program: &File) -> Result<Child, LaunchError> {
        let environment = self.checked_environment()?;
        let mut arguments = Vec::with_capacity(1 + self.arguments.len());
        for (index, text) in
            std::iter::once(self.name).chain(self.arguments.iter().map(String::as_str)).enumerate()
        {
            // The name comes first; it is none of the arguments that a tenant counts.
            let refused = |_| LaunchError::Argument(index.saturating_sub(1));
            arguments.push(CString::new(text).map_err(refused)?);
        }
        let variables = environment.iter().map(|(name, value)| {
            let refused = |_| LaunchError::EnvironmentValue(name.clone());
            CString::new(format!("{name}={value}")).map_err(refused)
        });
        let variables = variables.collect::<Result<_, _>>()?;
        let directory = CString::new(self.directory.as_os_str().as_encoded_bytes())
            .map_err(|error| LaunchError::System(error.into()))?;
        let pipe = || io::pipe().map_err(LaunchError::System);
        let ((stdout, gets_stdout), (stderr, gets_stderr)) = (pipe()?, pipe()?);
        let descriptors = [program.as_fd(), gets_stdout.as_fd(), gets_stderr.as_fd()];
        keeper.launch(&directory, arguments, variables, descriptors).map_err(classify)?;
        Ok(Child { pid: keeper.pid(), stdout: stdout.into(), stderr: stderr.into() })
    }

    /// Names are upper-cased, as Go agents do. Where two become one, the one that was already
    /// upper-case wins, else the first in order: never by chance.
    fn checked_environment(&self) -> Result<BTreeMap<String, &str>, LaunchError> {
        let mut checked = BTreeMap::new();
        for (name, value) in self.environment {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(LaunchError::EnvironmentName(name.clone()));
            }
            if value.contains('\0') {
                return Err(LaunchError::EnvironmentValue(name.clone()));
            }
            let upper = name.to_uppercase();
            if upper == *name {
                checked.insert(upper, value.as_str());
            } else {
                checked.entry(upper).or_insert(value);
            }
        }
        Ok(checked)
    }
}

/// What happens in the child between fork and exec.
#[allow(unsafe_code)]
fn isolate(command: &mut Command) {
    let agent = rustix::process::getpid();
    let between = move || -> io::Result<()> {
        rustix::process::setsid()?;
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // The agent may have died before the line above: then no signal will come.
        if rustix::process::getppid() != Some(agent) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        // The agent opens everything close-on-exec; this holds even if a library one day does
        // not. Not a plain close: std reports a failing exec through a descriptor of its own.
        crate::boot::descriptors::mark_close_on_exec();
        Ok(())
    };
    // SAFETY: the closure runs in the forked child. It makes system calls only, allocates nothing
    // and takes no lock; besides, the agent has a single thread.
    unsafe {
        command.pre_exec(between);
    }
}

fn classify(error: io::Error) -> LaunchError {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::TXTBSY) => LaunchError::Busy,
        Some(Errno::NOENT) => LaunchError::NotFound,
        Some(Errno::TOOBIG) => LaunchError::TooLong,
        Some(Errno::NOEXEC) => LaunchError::Format,
        Some(Errno::ACCESS | Errno::PERM) => LaunchError::Denied,
        _ => LaunchError::System(error),
    }
}
