//! `nex stop`: end a workload, by name or id.

use nex_client::Client;
use nex_client::discovery::{ResolveError, WorkloadFilter};
use nex_protocol::key::SigningKey;
use nex_protocol::name::{Namespace, NodeId, WorkloadId, WorkloadName};
use serde_json::json;

use crate::args::{GlobalArgs, StopArgs};
use crate::exit::Exit;
use crate::output::Printer;
use crate::{identity, session};

/// A workload that is to be stopped.
struct Target {
    node: NodeId,
    namespace: Namespace,
    id: WorkloadId,
    name: WorkloadName,
}

pub(crate) async fn run(
    global: &GlobalArgs,
    args: &StopArgs,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let (node, text) = match args.target.as_slice() {
        [node, workload] => (Some(node.as_str()), workload.as_str()),
        [workload] => (None, workload.as_str()),
        _ => return Err(crate::exit::usage("name the workload to stop, by its name or id")),
    };
    let issuer = identity::for_stopping(args.issuer.as_deref(), printer)?;
    let client = session::connect(global).await?;
    let node = match node {
        Some(node) => Some(client.resolve_node(Some(node)).await?.id),
        None => None,
    };
    let targets = if args.all {
        all_called(&client, text, global.namespace.as_ref(), node).await?
    } else {
        vec![one(&client, text, global.namespace.as_ref(), node).await?]
    };
    for target in targets {
        if let Some(name) = args.name.as_ref().filter(|name| **name != target.name) {
            anyhow::bail!(
                "the workload {} is called {}, not {name}; correct --name or leave it out",
                target.id,
                target.name
            );
        }
        stop(&client, &target, &issuer, printer).await?;
    }
    Ok(Exit::Ok)
}

async fn stop(
    client: &Client,
    target: &Target,
    issuer: &SigningKey,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let Target { node, namespace, id, name } = target;
    let answer = client.stop(*node, namespace, *id, name, issuer).await?;
    if printer.wants_json() {
        printer.item(&json!({
            "stopped": answer.stopped,
            "id": id,
            "name": name,
            "namespace": namespace,
            "node_id": node,
        }))
    } else {
        printer.line(&format!("stopped {name} ({id}) on {node}"))
    }
}

/// The one workload that `text` names. Without a namespace the default one is
/// searched first, then all: Go nodes answer only about a namespace by name.
async fn one(
    client: &Client,
    text: &str,
    namespace: Option<&Namespace>,
    node: Option<NodeId>,
) -> anyhow::Result<Target> {
    let first = namespace.cloned().unwrap_or_default();
    let found = match client.resolve_workload(text, Some(&first), node).await {
        Err(ResolveError::NoSuchWorkload { .. }) if namespace.is_none() => {
            client.resolve_workload(text, None, node).await?
        }
        found => found?,
    };
    // The start of an id will do, as everywhere; the start of a name is too
    // little to end something by.
    if !found.name.eq_ignore_ascii_case(text) && !found.id.as_str().starts_with(text) {
        anyhow::bail!(
            "no workload is called {text:?}; to stop {} say its whole name, or its id {}",
            found.name,
            found.id
        );
    }
    Ok(Target {
        node: found.node,
        namespace: found.namespace,
        id: found.id,
        name: found.name.parse()?,
    })
}

/// All workloads of this name or id.
async fn all_called(
    client: &Client,
    text: &str,
    namespace: Option<&Namespace>,
    node: Option<NodeId>,
) -> anyhow::Result<Vec<Target>> {
    let filter = WorkloadFilter::in_namespace(namespace.cloned().unwrap_or_default());
    let mut targets = Vec::new();
    for found in client.workloads(&filter.workload(text)).await? {
        let target = Target {
            node: found.node_id.parse()?,
            namespace: found.namespace.parse()?,
            id: found.id.parse()?,
            name: found.name.parse()?,
        };
        if node.is_none_or(|node| node == target.node) {
            targets.push(target);
        }
    }
    if targets.is_empty() {
        anyhow::bail!("no workload called {text:?} runs; `nex ps` lists those that do");
    }
    Ok(targets)
}
