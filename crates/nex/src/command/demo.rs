//! `nex demo`: NATS, a node, a service and a function; called, watched and stopped.
//!
//! Nothing here is a shortcut: each step runs this very program with the
//! arguments that are printed, as a user would type them. Keys and data are in
//! a temporary folder; NATS listens on a free loopback port.

mod http;
mod stage;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use nex_client::deploy::workload_name_of;

use self::stage::{Background, Stage};
use crate::args::DemoArgs;
use crate::exit::Exit;
use crate::output::{Colour, Printer, printable};
use crate::signals::EndSignals;

/// The service of the demo, a program in `examples/`.
const SERVICE: &str = "echo-service";

/// The function of the demo: its file, and the subject it is called on.
const FUNCTION: (&str, &str) = ("counter.js", "count");

/// Its text.
const FUNCTION_TEXT: &str = include_str!("../../../../examples/functions/javascript/counter.js");

/// What its first line starts with, before its address.
const LISTENING: &str = "listening on ";

/// How long the node may take: a nats-server may have to be downloaded first.
const START_PATIENCE: Duration = Duration::from_secs(180);

/// How long any other step may take.
const STEP_PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn run(args: &DemoArgs, printer: &mut Printer) -> anyhow::Result<Exit> {
    let service = find_service(args.service.as_deref())?;
    let mut signals = EndSignals::listen()?;
    let mut stage = Stage::new()?;
    let played = tokio::select! {
        played = play(args, &service, &mut stage, printer) => played,
        () = signals.next() => {
            printer.message("interrupted");
            Ok(None)
        }
    };
    let exit = match &played {
        Ok(Some(url)) if args.keep => {
            printer.line("")?;
            printer.heading("Everything stays up until Ctrl-C. In another terminal:");
            printer.message(&format!("  {}", stage.exports()));
            printer.message("  nex ps");
            printer.message(&format!("  curl {url}/"));
            printer.message(&format!("  nex call {}", FUNCTION.1));
            signals.next().await;
            Exit::Ok
        }
        Ok(Some(_)) => Exit::Ok,
        Ok(None) | Err(_) => Exit::Failed,
    };
    let ended = stage.end(&mut signals, printer).await;
    played?;
    ended?;
    if exit == Exit::Ok {
        printer.line("Done. Nothing is left running.")?;
    }
    Ok(exit)
}

/// All steps; returns the address of the service.
async fn play(
    args: &DemoArgs,
    service: &Path,
    stage: &mut Stage,
    printer: &mut Printer,
) -> anyhow::Result<Option<String>> {
    step(printer, "Start NATS and a node.")?;
    printer.message("Sandbox \"process\": nothing is isolated, a service runs with your rights.");
    printer.message("Isolation comes in a later version.");
    stage.node_up(START_PATIENCE, printer).await?;

    step(printer, "The node answers:")?;
    stage.run(&["node", "ls"], STEP_PATIENCE, printer).await?;

    step(printer, "Follow the output of workloads, in the background:")?;
    let mut logs = stage.follow(&["logs"], STEP_PATIENCE, printer).await?;

    step(printer, "Deploy a service: upload it, sign it, seal its environment, start it.")?;
    let path = service.display().to_string();
    let greeting = "GREETING=Hello from the demo";
    stage.run(&["devrun", &path, greeting], STEP_PATIENCE, printer).await?;
    let line = next_with(&mut logs, LISTENING, printer).await?;
    let address = line
        .split_once(LISTENING)
        .map(|(_, address)| address.trim().to_owned())
        .context("the service did not say where it listens; run the demo again")?;

    step(printer, "Call it:")?;
    printer.line(&format!("$ curl {address}/"))?;
    let answer = tokio::time::timeout(STEP_PATIENCE, http::get(&address))
        .await
        .context("the service did not answer; run the demo again")??;
    printer.line(&format!("  {}", answer.trim_end()))?;
    next_with(&mut logs, "GET /", printer).await?;

    step(printer, "Deploy a function: JavaScript that counts its calls in the key-value store.")?;
    let (file, subject) = FUNCTION;
    let name = workload_name_of(Path::new(file));
    let file = stage.file(file, FUNCTION_TEXT)?;
    let deploy = ["devrun", &file, "--trigger_subject", subject];
    stage.run(&deploy, STEP_PATIENCE, printer).await?;

    step(printer, "Call it, by its name and on its subject:")?;
    for target in [name.as_str(), subject] {
        stage.run(&["call", target], STEP_PATIENCE, printer).await?;
    }

    step(printer, "What runs, on all nodes:")?;
    stage.run(&["ps"], STEP_PATIENCE, printer).await?;

    if !args.keep {
        step(printer, "Stop both:")?;
        for name in [workload_name_of(service), name] {
            stage.run(&["stop", name.as_str()], STEP_PATIENCE, printer).await?;
        }
        step(printer, "Stop the node and NATS (Ctrl-C in the terminal of `nex node up`).")?;
    }
    Ok(Some(address))
}

fn step(printer: &mut Printer, text: &str) -> anyhow::Result<()> {
    let text = printer.paint().apply(Colour::Bold, text);
    printer.line(&format!("\n{text}"))
}

/// Shows the lines of a background command up to the first that holds `text`.
async fn next_with(
    lines: &mut Background,
    text: &str,
    printer: &mut Printer,
) -> anyhow::Result<String> {
    let find = async {
        loop {
            let Some(line) = lines.next().await? else {
                bail!("the log ended before the service wrote \"{text}\"; run the demo again")
            };
            printer.line(&format!("  log | {}", printable(&line)))?;
            if line.contains(text) {
                return Ok(line);
            }
        }
    };
    tokio::time::timeout(STEP_PATIENCE, find).await.with_context(|| {
        format!("the service did not write \"{text}\" into its log; the demo needs {SERVICE} or a service that does the same")
    })?
}

/// The service to run.
fn find_service(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = given {
        if !path.is_file() {
            bail!("there is no service at {}; correct --service", path.display());
        }
        return Ok(path.to_owned());
    }
    let program = std::env::current_exe()
        .context("cannot tell where this program is; name the service with --service PATH")?;
    let beside = program.with_file_name(SERVICE);
    if !beside.is_file() {
        bail!(
            "there is no {}; build it with `cargo build -p {SERVICE}` (`make demo` does), or name a service with --service PATH",
            beside.display()
        );
    }
    Ok(beside)
}
