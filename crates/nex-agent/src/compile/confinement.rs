//! What a compiler may use of the system: little, and not for long.

use std::io;
use std::path::Path;

use rustix::process::{Resource, Rlimit, Signal, setrlimit};

use super::request::Request;

/// Largest file that is written, in bytes: machine code is several times as large as what it was
/// made from, not hundreds of times.
const MAX_FILE: u64 = 2 << 30;

/// Gives up what the compiler does not need. Descriptors are closed already.
pub(super) fn enter(request: &Request) -> io::Result<()> {
    if request.with_parent {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    rustix::thread::set_no_new_privs(true)?;
    // Where there is no Landlock, the limits have to do.
    let folder = request.output.parent().filter(|folder| !folder.as_os_str().is_empty());
    let _ = super::landlock::restrict(folder.unwrap_or(Path::new(".")));
    let exactly = |limit| Rlimit { current: Some(limit), maximum: Some(limit) };
    setrlimit(Resource::Core, exactly(0))?;
    setrlimit(Resource::Fsize, exactly(MAX_FILE))?;
    setrlimit(Resource::As, exactly(request.memory_bytes))?;
    // A second more to say so, and then for good.
    setrlimit(
        Resource::Cpu,
        Rlimit { current: Some(request.seconds), maximum: Some(request.seconds.saturating_add(1)) },
    )?;
    last_words()
}

/// Explains the two signals that a limit sends: no more time, and no more memory, where an
/// allocation that cannot be had aborts the process.
#[allow(unsafe_code)]
fn last_words() -> io::Result<()> {
    extern "C" fn say(signal: libc::c_int) {
        let text: &[u8] = if signal == libc::SIGXCPU {
            b"compiling it takes longer than it may; make the module smaller\n"
        } else {
            b"compiling it takes more memory than it may; make the module smaller\n"
        };
        // SAFETY: both calls may be made in a signal handler; the text is static.
        unsafe {
            libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len());
            libc::_exit(1);
        }
    }
    for signal in [libc::SIGXCPU, libc::SIGABRT] {
        let handler: extern "C" fn(libc::c_int) = say;
        // SAFETY: the handler makes system calls only and does not return.
        if unsafe { libc::signal(signal, handler as libc::sighandler_t) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
