//! What `run`, `devrun` and `bench` have in common: from flags to a running workload.

use std::time::Duration;

use nex_client::Client;
use nex_client::RequestError;
use nex_client::deploy::{Artifact, StopError, Workload, WorkloadError};
use nex_client::discovery::ResolvedNode;
use nex_protocol::control::{RunResponse, WorkloadType};
use nex_protocol::digest::Digest;
use nex_protocol::key::SigningKey;
use nex_protocol::name::{Namespace, NodeId, WorkloadId, WorkloadName};
use nex_protocol::subject::TriggerSubject;
use serde_json::{Value, json};

use super::{name_in, node_label, target};
use crate::args::LaunchArgs;
use crate::exit::usage;
use crate::identity::Identity;
use crate::input::{argv, pair};
use crate::output::{Printer, printable};

/// Most subjects of which is shown how to call them.
const MAX_SHOWN_CALLS: usize = 4;

/// How a node refuses to stop what is not there (any more).
const NO_SUCH_WORKLOAD: &str = "No such workload";

/// Everything about a workload but where its program is.
pub(super) struct Launch {
    /// Its name.
    pub(super) name: WorkloadName,
    /// Where it belongs.
    pub(super) namespace: Namespace,
    /// Its type.
    pub(super) workload_type: WorkloadType,
    /// The subjects it is called on, if it is a function.
    pub(super) triggers: Vec<TriggerSubject>,
    description: String,
    essential: bool,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    call_timeout: Option<Duration>,
}

/// A workload that a node has started.
pub(super) struct Started {
    answer: RunResponse,
    digest: Digest,
}

impl Started {
    /// Its id, if the node told one.
    pub(super) fn id(&self) -> Option<WorkloadId> {
        self.answer.id.parse().ok()
    }
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
            triggers,
            description: args.description.unwrap_or_else(|| description.to_owned()),
            essential: args.essential,
            arguments,
            environment: environment.into_iter().collect(),
            call_timeout: args.call_timeout,
        })
    }

    /// A function that is called on one subject, with nothing else about it.
    pub(super) fn function(
        name: WorkloadName,
        namespace: Namespace,
        workload_type: WorkloadType,
        trigger: TriggerSubject,
        description: &str,
    ) -> Self {
        Self {
            name,
            namespace,
            workload_type,
            triggers: vec![trigger],
            description: description.to_owned(),
            essential: false,
            arguments: Vec::new(),
            environment: Vec::new(),
            call_timeout: None,
        }
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
        if let Some(timeout) = self.call_timeout {
            builder = builder.call_timeout(timeout);
        }
        builder.build()
    }

    /// Deploys the workload; returns once the node has started it.
    pub(super) async fn start(
        &self,
        client: &Client,
        node: NodeId,
        artifact: Artifact,
        identity: &Identity,
    ) -> anyhow::Result<Started> {
        let digest = artifact.digest;
        let workload = self.workload(artifact)?;
        let answer = client.run(&workload, node, &identity.issuer, &identity.publisher).await?;
        Ok(Started { answer, digest })
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
        let started = self.start(client, node.id, artifact, identity).await?;
        self.announce(&started, node, printer)?;
        if !printer.wants_json() {
            self.explain(printer);
        }
        Ok(())
    }

    /// Prints what was started, and where.
    pub(super) fn announce(
        &self,
        started: &Started,
        node: &ResolvedNode,
        printer: &mut Printer,
    ) -> anyhow::Result<()> {
        if printer.wants_json() {
            return printer.document(&self.description_of(started, node));
        }
        let id = node.id.to_string();
        let place = printable(&node_label(name_in(&node.ping.tags), &id));
        printer.line(&format!("{} runs on {place} as {}", self.name, printable(&started.answer.id)))
    }

    /// What was started, and where, as JSON.
    pub(super) fn description_of(&self, started: &Started, node: &ResolvedNode) -> Value {
        let Started { answer, digest } = started;
        json!({
            "started": answer.started,
            "id": answer.id,
            "name": answer.name,
            "issuer": answer.issuer,
            "namespace": self.namespace,
            "type": self.workload_type.as_str(),
            "node_id": node.id,
            "node_name": name_in(&node.ping.tags),
            "trigger_subjects": self.triggers,
            "sha256": digest.to_string(),
        })
    }

    /// Says what can be done with it now.
    pub(super) fn explain(&self, printer: &mut Printer) {
        printer.message(&format!("  its output:  nex logs --workload_name {}", self.name));
        for trigger in self.triggers.iter().take(MAX_SHOWN_CALLS) {
            let subject = target::example(trigger.pattern());
            printer.message(&format!("  to call it:  nex call {subject} 'hello'"));
        }
        printer.message(&format!("  to stop it:  nex stop {}", self.name));
    }

    /// The ids of what runs on a node under the name of this workload.
    pub(super) async fn namesakes(
        &self,
        client: &Client,
        node: NodeId,
    ) -> anyhow::Result<Vec<WorkloadId>> {
        let info = client.node_info(node, &self.namespace).await?;
        let named = info
            .machines
            .into_iter()
            .filter(|machine| self.name.is_asked_for_by(&machine.workload.name));
        Ok(named.filter_map(|machine| machine.id.parse().ok()).collect())
    }

    /// Stops an instance of this workload. One that is not there any more counts as stopped.
    pub(super) async fn stop(
        &self,
        client: &Client,
        node: NodeId,
        id: WorkloadId,
        issuer: &SigningKey,
    ) -> Result<(), StopError> {
        match client.stop(node, &self.namespace, id, &self.name, issuer).await {
            Err(StopError::Request(RequestError::Refused { reason, .. }))
                if reason == NO_SUCH_WORKLOAD =>
            {
                Ok(())
            }
            answer => answer.map(drop),
        }
    }
}
