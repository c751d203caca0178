//! Finding the `nats-server` program.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use std::{env, fs, io};

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::install::{self, InstallError, InstallProgress};
use super::release::{Checksum, OLDEST_VERSION, PINNED_VERSION, Release};
use super::spawner;
use super::version::ServerVersion;

/// How long `nats-server --version` may take.
const VERSION_DEADLINE: Duration = Duration::from_secs(5);
/// How much of its output is read.
const VERSION_OUTPUT: u64 = 4096;

/// The name of the program, on `PATH` and in the cache.
pub(super) const PROGRAM: &str = "nats-server";
/// Beside a program that came from the project's release archive: its checksum,
/// written when the archive had been checked.
pub(super) const RECORDED_CHECKSUM: &str = "nats-server.sha256";

/// Folders that may hold a `nats-server` or a tool that gets one.
#[derive(Debug, Clone)]
pub struct Places {
    search_path: OsString,
    cache: PathBuf,
}

impl Places {
    /// Reads `PATH`, `XDG_CACHE_HOME` and `HOME` through `variable`, so that
    /// this room does not look at the environment itself:
    /// `Places::from_variables(|name| std::env::var_os(name))`.
    ///
    /// The cache is `$XDG_CACHE_HOME/nex`, else `$HOME/.cache/nex`, else `/var/cache/nex`.
    #[must_use]
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let cache = absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
            .unwrap_or_else(|| PathBuf::from("/var/cache"));
        Self::new(variable("PATH").unwrap_or_default(), cache.join("nex"))
    }

    /// An own search path (as in `PATH`) and cache folder.
    #[must_use]
    pub fn new(search_path: OsString, cache: PathBuf) -> Self {
        Self { search_path, cache }
    }

    /// The folder that holds the pinned program.
    #[must_use]
    pub fn cache_folder(&self) -> PathBuf {
        self.cache.join(PROGRAM).join(PINNED_VERSION)
    }

    pub(super) fn search_path(&self) -> &OsStr {
        &self.search_path
    }

    /// Every executable file of this name on the search path, in its order.
    pub(super) fn programs(&self, name: &str) -> impl Iterator<Item = PathBuf> {
        // An empty entry means the current folder; nothing is run from there.
        let folders = env::split_paths(&self.search_path).filter(|folder| folder.is_absolute());
        folders.map(move |folder| folder.join(name)).filter(|file| is_executable(file))
    }
}

/// A `nats-server` program that is known to work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    path: PathBuf,
    version: ServerVersion,
}

impl Binary {
    /// The first `nats-server` on the search path that is new enough, else the
    /// one in the cache whose checksum is right. Downloads nothing.
    ///
    /// # Errors
    /// [`NotFound`] when there is none, with those that were passed over and why.
    pub async fn locate(places: &Places) -> Result<Self, NotFound> {
        let mut passed_over = Vec::new();
        for path in places.programs(PROGRAM) {
            match version_of(&path).await {
                Ok(version) if version >= OLDEST_VERSION => return Ok(Self { path, version }),
                Ok(version) => passed_over.push(PassedOver { path, why: Reason::TooOld(version) }),
                Err(why) => passed_over.push(PassedOver { path, why }),
            }
        }
        let path = places.cache_folder().join(PROGRAM);
        match Self::cached(path.clone()).await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(why) => passed_over.push(PassedOver { path, why }),
        }
        Err(NotFound { passed_over })
    }

    /// Like [`Binary::locate`], and installs the pinned version into the cache
    /// when there is none. `progress` hears of each step.
    ///
    /// # Errors
    /// [`InstallError`] when there is none and none could be installed.
    pub async fn ensure(
        places: &Places,
        progress: &mut (dyn FnMut(InstallProgress<'_>) + Send),
    ) -> Result<Self, InstallError> {
        match Self::locate(places).await {
            Ok(found) => Ok(found),
            Err(none) => {
                for other in none.passed_over {
                    progress(InstallProgress::PassedOver(&other));
                }
                Self::install(places, progress).await
            }
        }
    }

    /// Downloads the pinned version into the cache, whatever is there.
    ///
    /// # Errors
    /// [`InstallError`] with what to do next.
    pub async fn install(
        places: &Places,
        progress: &mut (dyn FnMut(InstallProgress<'_>) + Send),
    ) -> Result<Self, InstallError> {
        let path = install::install(places, progress).await?;
        let version = version_of(&path)
            .await
            .map_err(|why| InstallError::DoesNotRun(PassedOver { path: path.clone(), why }))?;
        Ok(Self { path, version })
    }

    /// A program that the caller names; its version is asked for, its checksum is not.
    ///
    /// # Errors
    /// [`PassedOver`] when it does not run or is too old.
    pub async fn at(path: PathBuf) -> Result<Self, PassedOver> {
        match version_of(&path).await {
            Ok(version) if version >= OLDEST_VERSION => Ok(Self { path, version }),
            Ok(version) => Err(PassedOver { path, why: Reason::TooOld(version) }),
            Err(why) => Err(PassedOver { path, why }),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says about itself.
    #[must_use]
    pub fn version(&self) -> ServerVersion {
        self.version
    }

    async fn cached(path: PathBuf) -> Result<Option<Self>, Reason> {
        let file = path.clone();
        let checked = tokio::task::spawn_blocking(move || check_cached(&file)).await;
        if !checked.map_err(|_| Reason::Unreadable(io::ErrorKind::Interrupted))?? {
            return Ok(None);
        }
        let version = version_of(&path).await?;
        Ok(Some(Self { path, version }))
    }
}

/// Whether the cache holds the pinned program; an error when it holds another.
fn check_cached(path: &Path) -> Result<bool, Reason> {
    let unreadable = |error: io::Error| Reason::Unreadable(error.kind());
    let program = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened.map_err(unreadable)?,
    };
    let found = Checksum::of_reader(&program).map_err(unreadable)?;
    let pinned = Release::for_machine(env::consts::ARCH).map(|release| release.program);
    if pinned.as_ref() == Some(&found) {
        return Ok(true);
    }
    // A program from the release archive is another build: what was recorded
    // when its archive had been checked counts, if nobody else can write there.
    let recorded = path.with_file_name(RECORDED_CHECKSUM);
    let text = fs::read_to_string(&recorded).unwrap_or_default();
    let folder = path.parent().unwrap_or(path);
    let trusted = [folder, path, &recorded].into_iter().all(only_we_write);
    if trusted && Checksum::parse(&text) == Some(found) {
        return Ok(true);
    }
    Err(Reason::WrongChecksum)
}

fn only_we_write(path: &Path) -> bool {
    let ours = |owner| owner == 0 || owner == rustix::process::geteuid().as_raw();
    fs::metadata(path).is_ok_and(|meta| ours(meta.uid()) && meta.mode() & 0o022 == 0)
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0)
}

async fn version_of(path: &Path) -> Result<ServerVersion, Reason> {
    let mut command = Command::new(path);
    command.arg("--version").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = spawner::spawn_short(&mut command).await;
    let mut child = child.map_err(|error| Reason::DoesNotStart(error.kind()))?;
    let mut text = String::new();
    let answer = tokio::time::timeout(VERSION_DEADLINE, async {
        if let Some(output) = child.stdout.take() {
            // What cannot be read or is not text shows as an unknown version.
            let _ = output.take(VERSION_OUTPUT).read_to_string(&mut text).await;
        }
        child.wait().await
    });
    match answer.await {
        Err(_) => Err(Reason::NoAnswer),
        Ok(_) => ServerVersion::from_output(&text).ok_or(Reason::NoVersion),
    }
}

/// No usable `nats-server` on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFound {
    /// Those that exist but do not serve.
    pub passed_over: Vec<PassedOver>,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no nats-server {OLDEST_VERSION} or newer was found")?;
        for (index, other) in self.passed_over.iter().enumerate() {
            write!(f, "{}{other}", if index == 0 { " (" } else { "; " })?;
        }
        f.write_str(if self.passed_over.is_empty() { "" } else { ")" })?;
        f.write_str(": put one on PATH, or let Nex install it with `nex node up --with-nats`")
    }
}

impl std::error::Error for NotFound {}

/// A `nats-server` that exists but does not serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct PassedOver {
    /// The program.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: Reason,
}

/// Why a `nats-server` does not serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Older than [`OLDEST_VERSION`].
    #[error("version {0} is older than {OLDEST_VERSION}")]
    TooOld(ServerVersion),
    /// The system did not start it.
    #[error("it does not start: {0}")]
    DoesNotStart(io::ErrorKind),
    /// It did not answer `--version` in time.
    #[error("it did not answer --version within {} s", VERSION_DEADLINE.as_secs())]
    NoAnswer,
    /// It answered `--version` with something else.
    #[error("it does not say its version")]
    NoVersion,
    /// The cached file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    /// The cached file is not what was installed.
    #[error("its checksum is wrong")]
    WrongChecksum,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_follows_the_environment() {
        let cache = |variables: &'static [(&str, &str)]| {
            let places = Places::from_variables(|name| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
            });
            places.cache_folder()
        };
        let tail = "nex/nats-server/2.15.1";
        assert_eq!(cache(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/c")]), Path::new("/c").join(tail));
        let relative = &[("HOME", "/h"), ("XDG_CACHE_HOME", "c")];
        assert_eq!(cache(relative), Path::new("/h/.cache").join(tail));
        assert_eq!(cache(&[]), Path::new("/var/cache").join(tail));
    }

    #[test]
    fn the_refusal_is_one_line_with_a_next_step() {
        let none = NotFound { passed_over: Vec::new() };
        assert_eq!(
            none.to_string(),
            "no nats-server 2.12.0 or newer was found: put one on PATH, \
             or let Nex install it with `nex node up --with-nats`"
        );
        let old = PassedOver {
            path: "/usr/bin/nats-server".into(),
            why: Reason::TooOld(ServerVersion::new(2, 9, 10)),
        };
        let text = NotFound { passed_over: vec![old] }.to_string();
        assert!(text.contains("(/usr/bin/nats-server: version 2.9.10 is older than 2.12.0):"));
    }
}
