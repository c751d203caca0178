//! A function that is deployed only to be measured.

use anyhow::Context;
use nex_client::Client;
use nex_client::artifact::DEFAULT_BUCKET_BYTES;
use nex_client::discovery::ResolvedNode;
use nex_protocol::name::WorkloadId;
use nex_protocol::subject::Subject;

use super::SUBJECT;
use crate::args::{BenchArgs, GlobalArgs};
use crate::command::launch::Launch;
use crate::command::source::Source;
use crate::command::target::Target;
use crate::identity::{self, Identity};
use crate::output::Printer;

/// What is measured when nothing is named.
const ECHO: &str = include_str!("../../../../../examples/functions/javascript/echo.js");

/// What its file is called: always the same, so that the bucket keeps one.
const ECHO_FILE: &str = "nex-bench-echo.js";

/// What it is called in the table.
const ECHO_LABEL: &str = "JavaScript echo";

/// What people see in lists while it runs.
const DESCRIPTION: &str = "Measured by nex bench, and stopped afterwards";

/// A function of our own.
pub(super) struct Deployed {
    launch: Launch,
    node: ResolvedNode,
    identity: Identity,
    subject: Subject,
    id: Option<WorkloadId>,
    label: String,
}

impl Deployed {
    /// Uploads it and starts it under a name and a subject that nobody else has.
    pub(super) async fn start(
        global: &GlobalArgs,
        args: &BenchArgs,
        client: &Client,
        printer: &mut Printer,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()
            .context("cannot make a temporary folder; set TMPDIR to one you may write")?;
        let file = match &args.file {
            Some(file) => file.clone(),
            None => {
                let file = folder.path().join(ECHO_FILE);
                std::fs::write(&file, ECHO).context("cannot write into a temporary folder")?;
                file
            }
        };
        let label = match &args.file {
            Some(file) => file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            None => ECHO_LABEL.to_owned(),
        };
        let source = Source::new(file, DEFAULT_BUCKET_BYTES)?;
        let id = WorkloadId::generate();
        let subject: Subject = format!("{SUBJECT}.{id}").parse()?;
        let name = format!("bench-{id}").parse()?;
        let launch = Launch::function(
            name,
            global.namespace(),
            source.workload_type(),
            subject.as_str().parse()?,
            DESCRIPTION,
        );
        launch.workload(source.placeholder()?)?;
        let identity = identity::for_deploying(None, None, printer)?;
        let node = client.resolve_node(args.node.as_deref()).await?;
        let artifact = source.upload(client, printer).await?;
        let started = launch.start(client, node.id, artifact, &identity).await?;
        let id = started.id();
        Ok(Self { launch, node, identity, subject, id, label })
    }

    /// What it is called for people: its own name says nothing.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// What to call.
    pub(super) fn target(&self) -> Target {
        Target { subject: self.subject.clone(), function: Some(self.launch.name.clone()) }
    }

    /// Stops it.
    pub(super) async fn stop(self, client: &Client) -> anyhow::Result<()> {
        if let Some(id) = self.id {
            self.launch.stop(client, self.node.id, id, &self.identity.issuer).await?;
        }
        Ok(())
    }
}
