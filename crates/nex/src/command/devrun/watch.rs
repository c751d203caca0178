//! `nex devrun --watch`: deploy again whenever the file is saved.
//!
//! ```text
//! saved ─▶ upload ─▶ function: start the new one ─▶ stop the old one ─▶ wait
//!    ▲          │                 │
//!    │          ▼ fails           ▼ fails
//!    └──── say why, the old one runs on
//! ```
//!
//! Two instances of a function share its subjects, so no call is lost between
//! them. A service is stopped first: two of them would want the same port.

use anyhow::Context;
use nex_protocol::digest::Digest;
use nex_protocol::name::WorkloadId;

use super::Project;
use super::file_changes::FileChanges;
use crate::exit::{self, Exit, OutputClosed};
use crate::output::Printer;
use crate::signals::EndSignals;

/// Deploys, and again after each save, until a signal. Then stops what runs
/// unless it is to be kept.
pub(super) async fn run(
    project: &Project,
    stops_first: bool,
    keep: bool,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let file = project.source.file();
    let mut signals = EndSignals::listen()?;
    // Before the first deploy, so that no save is missed.
    let mut changes = FileChanges::watch(file).with_context(|| {
        format!("cannot watch {}; check that its folder exists", file.display())
    })?;
    let mut line = Succession {
        running: if stops_first { project.namesakes().await? } else { Vec::new() },
        digest: None,
    };
    loop {
        let first = line.digest.is_none();
        let (renewed, interrupted) = {
            let renew = line.renew(project, printer);
            tokio::pin!(renew);
            tokio::select! {
                renewed = &mut renew => (renewed, false),
                // What is under way has an end: only then it is known what runs.
                () = signals.next() => tokio::select! {
                    renewed = &mut renew => (renewed, true),
                    () = signals.next() => return Ok(Exit::Failed),
                },
            }
        };
        match renewed {
            Ok(()) if first && !printer.wants_json() => project.launch.explain(printer),
            Ok(()) => {}
            Err(error) if error.is::<OutputClosed>() => return Err(error),
            Err(error) => {
                for message in exit::in_words(&error) {
                    printer.error(&message);
                }
            }
        }
        if interrupted {
            break;
        }
        printer.message(&line.outlook(project, keep));
        tokio::select! {
            saved = changes.saved() => {
                saved.with_context(|| format!("cannot watch {} any more", file.display()))?;
            }
            () = signals.next() => break,
        }
    }
    if keep {
        printer.message(&format!("{} runs on", project.launch.name));
        return Ok(Exit::Ok);
    }
    for id in line.running {
        project.stop(id, printer).await?;
    }
    Ok(Exit::Ok)
}

/// What runs now and makes room for the next.
struct Succession {
    /// What is stopped when there is a new one: the last one, and what could not be stopped before.
    running: Vec<WorkloadId>,
    /// The program of the last one, once one was deployed.
    digest: Option<Digest>,
}

impl Succession {
    /// Deploys the file as it is now.
    async fn renew(&mut self, project: &Project, printer: &mut Printer) -> anyhow::Result<()> {
        let Project { source, launch, identity, client, node } = project;
        let artifact = source.upload(client, printer).await?;
        let digest = artifact.digest;
        if self.digest == Some(digest) {
            printer.message("nothing has changed");
            return Ok(());
        }
        let gapless = source.workload_type().is_function();
        if !gapless {
            self.end_all(project, printer).await;
        }
        let started = launch.start(client, node.id, artifact, identity).await?;
        self.digest = Some(digest);
        if gapless {
            self.end_all(project, printer).await;
        }
        self.running.extend(started.id());
        if printer.wants_json() {
            printer.item(&launch.description_of(&started, node))
        } else {
            launch.announce(&started, node, printer)
        }
    }

    /// Stops what ran before. What cannot be stopped is tried again the next time.
    async fn end_all(&mut self, project: &Project, printer: &mut Printer) {
        for id in std::mem::take(&mut self.running) {
            if let Err(error) = project.stop(id, printer).await {
                for message in exit::in_words(&error) {
                    printer.warning(&message);
                }
                self.running.push(id);
            }
        }
    }

    /// What happens next.
    fn outlook(&self, project: &Project, keep: bool) -> String {
        let file = project.source.file().display();
        match (self.running.is_empty(), keep) {
            (false, false) => {
                format!(
                    "watching {file}: save it to deploy again; Ctrl-C stops {}",
                    project.launch.name
                )
            }
            (false, true) => format!("watching {file}: save it to deploy again; Ctrl-C ends"),
            (true, _) => format!("watching {file}: correct and save it; Ctrl-C ends"),
        }
    }
}
