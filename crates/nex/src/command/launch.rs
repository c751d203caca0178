//! What `run` and `devrun` have in common: from flags to a workload.

use nex_client::Client;
use nex_client::deploy::{Artifact, Workload, WorkloadError};
use nex_client::discovery::ResolvedNode;
use nex_protocol::control::WorkloadType;
use nex_protocol::name::{Namespace, WorkloadName};
use nex_protocol::subject::TriggerSubject;
use serde_json::json;

use super::{name_in, node_label};
use crate::args::LaunchArgs;
use crate::exit::usage;
use crate::identity::Identity;
use crate::input::{argv, pair};
use crate::output::{Printer, printable};

/// Everything about a workload but where its program is.
pub(super) struct Launch {
    /// Its name.
    pub(super) name: WorkloadName,
    /// Where it belongs.
    pub(super) namespace: Namespace,
    /// Its type.
    pub(super) workload_type: WorkloadType,
    description: String,
    essential: bool,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    triggers: Vec<TriggerSubject>,
}

impl Launch {
    /// Checks the flags. Files with values are read here, before anything is sent.
    pub(super) fn new(
        name: WorkloadName,
        namespace: Namespace,
        workload_type: WorkloadType,
        pairs: &[String],
        args: LaunchArgs,
        description: &str,
    ) -> anyhow::Result<Self> {
        let arguments = argv::collect(args.argv.as_deref(), &args.arguments).map_err(usage)?;
        let triggers = args
            .trigger_subjects
            .iter()
            .map(|text| {
                text.parse().map_err(|error| usage(format!("--trigger_subject '{text}': {error}")))
            })
            .collect::<anyhow::Result<Vec<TriggerSubject>>>()?;
        let environment = pair::parse_all(pairs)
            .and_then(pair::resolve)
            .map_err(|error| if error.is_usage() { usage(error) } else { error.into() })?;
        Ok(Self {
            name,
            namespace,
            workload_type,
            description: args.description.unwrap_or_else(|| description.to_owned()),
            essential: args.essential,
            arguments,
            environment: environment.into_iter().collect(),
            triggers,
        })
    }

    /// The workload, with its program at `artifact`.
    pub(super) fn workload(&self, artifact: Artifact) -> Result<Workload, WorkloadError> {
        let mut builder = Workload::builder(self.name.clone(), self.workload_type, artifact)
            .namespace(self.namespace.clone())
            .description(&self.description)
            .arguments(self.arguments.iter().cloned())
            .essential(self.essential);
        for (key, value) in &self.environment {
            builder = builder.variable(key, value);
        }
        for trigger in &self.triggers {
            builder = builder.trigger(trigger.clone());
        }
        builder.build()
    }

    /// Deploys the workload and prints what came of it.
    pub(super) async fn deploy(
        &self,
        client: &Client,
        node: &ResolvedNode,
        artifact: Artifact,
        identity: &Identity,
        printer: &mut Printer,
    ) -> anyhow::Result<()> {
        let digest = artifact.digest;
        let workload = self.workload(artifact)?;
        let started = client.run(&workload, node.id, &identity.issuer, &identity.publisher).await?;
        if printer.wants_json() {
            return printer.document(&json!({
                "started": started.started,
                "id": started.id,
                "name": started.name,
                "issuer": started.issuer,
                "namespace": self.namespace,
                "type": self.workload_type.as_str(),
                "node_id": node.id,
                "node_name": name_in(&node.ping.tags),
                "sha256": digest.to_string(),
            }));
        }
        let id = node.id.to_string();
        let place = printable(&node_label(name_in(&node.ping.tags), &id));
        printer.line(&format!("{} runs on {place} as {}", self.name, printable(&started.id)))?;
        printer.message(&format!("  its output:  nex logs --workload_name {}", self.name));
        if let Some(subject) = self.triggers.first() {
            printer.message(&format!("  to call it:  nats request {subject} 'hello'"));
        }
        printer.message(&format!("  to stop it:  nex stop {}", self.name));
        Ok(())
    }
}
