//! Runs `nex` in a home of its own, with nothing of the caller's environment.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use nex_testkit::DEADLINE;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

/// A user with an empty home.
pub(crate) struct User {
    home: TempDir,
    nats: Option<String>,
}

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl User {
    pub(crate) fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), nats: None }
    }

    pub(crate) fn at(nats_url: &str) -> Self {
        Self { nats: Some(nats_url.to_owned()), ..Self::new() }
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Writes a file into the home, and returns its path.
    pub(crate) fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home().join(name);
        std::fs::write(&path, contents).unwrap();
        path
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nex"));
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            // A nats-server that an earlier run downloaded is good enough.
            .envs(std::env::var_os("HOME").map(|home| {
                (
                    "XDG_CACHE_HOME",
                    std::env::var_os("XDG_CACHE_HOME")
                        .unwrap_or_else(|| Path::new(&home).join(".cache").into()),
                )
            }))
            .current_dir(self.home())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(url) = &self.nats {
            command.env("NATS_URL", url);
        }
        command
    }

    /// Runs a command to its end.
    pub(crate) async fn nex(&self, args: &[&str]) -> Ended {
        end_of(self.command(args)).await
    }

    /// Runs a command that has to succeed; returns what it printed.
    pub(crate) async fn ok(&self, args: &[&str]) -> String {
        let Ended { status, out, err } = self.nex(args).await;
        assert_eq!(status.code(), Some(0), "nex {args:?}\n{out}\n{err}");
        out
    }

    /// Runs a command that has to fail with `code` and say one line about it.
    pub(crate) async fn fails(&self, code: i32, args: &[&str]) -> String {
        let Ended { status, out, err } = self.nex(args).await;
        assert_eq!(status.code(), Some(code), "nex {args:?}\n{out}\n{err}");
        assert_eq!(out, "", "nex {args:?}: data in spite of an error");
        err
    }

    /// Runs a command with `--json`; returns what it printed.
    pub(crate) async fn json(&self, args: &[&str]) -> serde_json::Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.ok(&args).await).unwrap()
    }

    /// Starts a node that keeps its state in the user's home, and says in JSON
    /// that it is ready.
    pub(crate) fn up(&self, more: &[&str]) -> Running {
        let up = ["node", "up", "--sandbox", "process", "--state-dir", "state", "--json"];
        self.start(&[&up[..], more].concat())
    }

    /// Starts a command that goes on.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        let mut child = self.command(args).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let err = BufReader::new(child.stderr.take().unwrap()).lines();
        Running { child, out, err }
    }
}

/// Runs a command to its end.
pub(crate) async fn end_of(mut command: Command) -> Ended {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let output = timeout(2 * DEADLINE, command.output()).await.expect("ended in time").unwrap();
    Ended { status: output.status, out: text(output.stdout), err: text(output.stderr) }
}

/// A command that goes on.
pub(crate) struct Running {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    err: Lines<BufReader<ChildStderr>>,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("runs")
    }

    /// Sends a signal by its name: `INT`, `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Its next line of data.
    pub(crate) async fn line(&mut self) -> String {
        match timeout(DEADLINE, self.out.next_line()).await {
            Ok(line) => line.unwrap().expect("another line of data"),
            Err(_) => panic!("no line of data in time"),
        }
    }

    /// Reads lines of data up to the first that holds `text`.
    pub(crate) async fn line_with(&mut self, text: &str) -> String {
        loop {
            let line = self.line().await;
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Reads messages up to the first that holds `text`.
    pub(crate) async fn message_with(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        let find = async {
            while let Some(line) = self.err.next_line().await.unwrap() {
                seen.push(line.clone());
                if line.contains(text) {
                    return Some(line);
                }
            }
            None
        };
        match timeout(DEADLINE, find).await {
            Ok(Some(line)) => line,
            _ => panic!("no message with {text:?} among {seen:#?}"),
        }
    }

    /// Waits for its end; returns the exit code and what it still said.
    pub(crate) async fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        let end = async {
            // Both pipes, or a full one would keep it from ending.
            let (mut out, mut err) = (self.out.into_inner(), self.err.into_inner());
            let mut ignored = Vec::new();
            let (_, read) =
                tokio::join!(out.read_to_end(&mut ignored), err.read_to_string(&mut rest));
            read.unwrap();
            self.child.wait().await.unwrap()
        };
        let status = timeout(2 * DEADLINE, end).await.expect("ended in time");
        (status.code(), rest)
    }
}

/// `text` with what changes from run to run replaced.
pub(crate) fn steady(text: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}
