//! Where the demo plays: a temporary folder, and this program as child
//! processes. All of them are gone when the stage is.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::identity;
use crate::output::{Colour, Printer, printable};
use crate::signals::EndSignals;

/// What a shell may hold that would make the commands of the demo reach
/// something else than its own NATS.
const FOREIGN_VARIABLES: [&str; 12] = [
    "NATS_CONTEXT",
    "NATS_USER",
    "NATS_PASSWORD",
    "NATS_CREDS",
    "NATS_NKEY",
    "NATS_CERT",
    "NATS_KEY",
    "NATS_CA",
    "NATS_TIMEOUT",
    "NEX_NAMESPACE",
    "NEX_LOGGER",
    "NEX_LOGLEVEL",
];

/// How long a background command may take to end when it is told to.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// A command that runs beside the others.
pub(super) struct Background {
    child: Child,
    lines: Lines<BufReader<pipe::Receiver>>,
}

impl Background {
    /// Its next line, of standard output or standard error.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<String>> {
        self.lines.next_line().await.context("cannot read the output of a command of the demo")
    }

    fn tell_to_end(&self) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

/// The place and its processes.
pub(super) struct Stage {
    folder: TempDir,
    program: PathBuf,
    node: Option<Background>,
    nats_url: Option<String>,
}

impl Stage {
    /// An empty stage.
    pub(super) fn new() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("nex-demo-")
            .tempdir()
            .context("cannot make a temporary folder; set TMPDIR to one you may write")?;
        let program = std::env::current_exe().context("cannot tell where this program is")?;
        Ok(Self { folder, program, node: None, nats_url: None })
    }

    /// What another terminal needs to talk to this node.
    pub(super) fn exports(&self) -> String {
        format!(
            "export NATS_URL={} {}={}",
            self.nats_url.as_deref().unwrap_or_default(),
            identity::FOLDER_VARIABLE,
            self.keys().display()
        )
    }

    /// Writes a file that a command of the demo is to read; its path.
    pub(super) fn file(&self, name: &str, text: &str) -> anyhow::Result<String> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text)
            .with_context(|| format!("cannot write {}; make room there", path.display()))?;
        Ok(path.display().to_string())
    }

    fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    /// Starts this program with its output in one pipe, so that lines keep
    /// their order.
    fn spawn(&self, args: &[&str]) -> anyhow::Result<Background> {
        let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(writer.try_clone().context("cannot make a pipe")?)
            .stderr(writer)
            .env(identity::FOLDER_VARIABLE, self.keys())
            // The user's own NATS contexts are not for this NATS.
            .env("XDG_CONFIG_HOME", self.folder.path().join("config"))
            // Ctrl-C is for the demo, which ends the others in order.
            .process_group(0)
            .kill_on_drop(true);
        for name in FOREIGN_VARIABLES {
            command.env_remove(name);
        }
        match &self.nats_url {
            Some(url) => command.env("NATS_URL", url),
            None => command.env_remove("NATS_URL"),
        };
        let child = command.spawn().context("cannot run this program once more")?;
        let lines = pipe::Receiver::from_owned_fd(reader.into()).context("cannot read a pipe")?;
        Ok(Background { child, lines: BufReader::new(lines).lines() })
    }

    /// Starts the node, and waits until it is ready.
    pub(super) async fn node_up(
        &mut self,
        patience: Duration,
        printer: &mut Printer,
    ) -> anyhow::Result<()> {
        let state_dir = self.folder.path().join("node").display().to_string();
        let shown = [
            "node",
            "up",
            "--with-nats",
            "--nats-port",
            "0",
            "--sandbox",
            "process",
            "--name",
            "demo",
            "--state-dir",
            &state_dir,
        ];
        show(&shown, printer)?;
        let args: Vec<&str> = shown.into_iter().chain(["--json", "--end-with-parent"]).collect();
        let mut node = self.spawn(&args)?;
        let ready = async {
            while let Some(line) = node.next().await? {
                // The one line of data among messages.
                if let Some(url) = nats_url_in(&line) {
                    return Ok(url);
                }
                printer.line(&format!("  {}", printable(&line)))?;
            }
            bail!("the node did not start; what it said stands above")
        };
        let ready = timeout(patience, ready).await.unwrap_or_else(|_| {
            Err(anyhow::anyhow!("the node was not ready in time; what it said stands above"))
        });
        self.node = Some(node);
        self.nats_url = Some(ready?);
        Ok(())
    }

    /// Runs a command to its end, and shows what it prints.
    pub(super) async fn run(
        &self,
        args: &[&str],
        patience: Duration,
        printer: &mut Printer,
    ) -> anyhow::Result<()> {
        show(args, printer)?;
        let mut command = self.spawn(args)?;
        let end = async {
            while let Some(line) = command.next().await? {
                printer.line(&format!("  {}", printable(&line)))?;
            }
            command.child.wait().await.context("cannot wait for a command of the demo")
        };
        match timeout(patience, end).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => {
                bail!("the command above failed ({status}); what it said stands there")
            }
            Ok(Err(error)) => Err(error),
            Err(_) => bail!("the command above did not end within {} s", patience.as_secs()),
        }
    }

    /// Starts a command that goes on, and waits for its first line.
    pub(super) async fn follow(
        &self,
        args: &[&str],
        patience: Duration,
        printer: &mut Printer,
    ) -> anyhow::Result<Background> {
        show(args, printer)?;
        let mut command = self.spawn(args)?;
        match timeout(patience, command.next()).await {
            Ok(line) => match line? {
                Some(line) => printer.line(&format!("  {}", printable(&line)))?,
                None => bail!("the command above ended at once"),
            },
            Err(_) => bail!("the command above said nothing within {} s", patience.as_secs()),
        }
        Ok(command)
    }

    /// Ends the node and all that belongs to it.
    pub(super) async fn end(
        self,
        signals: &mut EndSignals,
        printer: &mut Printer,
    ) -> anyhow::Result<()> {
        let Some(mut node) = self.node else { return Ok(()) };
        node.tell_to_end();
        let ended = async {
            while let Some(line) = node.next().await? {
                printer.line(&format!("  {}", printable(&line)))?;
            }
            node.child.wait().await.context("cannot wait for the node")
        };
        tokio::select! {
            status = ended => match status? {
                status if status.success() => Ok(()),
                status => bail!("the node did not end in order ({status}); what it said stands above"),
            },
            () = signals.next() => {
                node.tell_to_end();
                // The second wish: the node ends at once, and says nothing more.
                let _ = timeout(END_PATIENCE, node.child.wait()).await;
                bail!("ended at once")
            }
        }
    }
}

/// Prints a command as a user would type it.
fn show(args: &[&str], printer: &mut Printer) -> anyhow::Result<()> {
    let quoted: Vec<String> = args.iter().map(|arg| quoted(arg)).collect();
    let line = printer.paint().apply(Colour::Cyan, &format!("$ nex {}", quoted.join(" ")));
    printer.line(&line)
}

/// `text` as a shell reads it back.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn nats_url_in(line: &str) -> Option<String> {
    let ready: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(ready.get("nats_url")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_typed_again() {
        assert_eq!(quoted("a=b"), "a=b");
        assert_eq!(quoted("GREETING=Hello there"), "'GREETING=Hello there'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
        let words = crate::input::argv::split(&quoted("it's \"x\" $HOME")).unwrap();
        assert_eq!(words, ["it's \"x\" $HOME"]);
    }

    #[test]
    fn the_ready_line_is_found() {
        assert_eq!(nats_url_in(r#"{"nats_url":"nats://x"}"#).as_deref(), Some("nats://x"));
        assert_eq!(nats_url_in("nex node demo is ready"), None);
    }
}
