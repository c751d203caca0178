//! `nex ps`: all workloads on all nodes.
//!
//! A workload ping tells what runs where in every namespace; the information
//! of each node, asked for each of its namespaces, adds times and health. Go
//! nodes do not answer a ping without a namespace, so each node is also asked
//! about the default one.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use futures_util::{StreamExt, try_join};
use nex_client::Client;
use nex_client::discovery::{FoundWorkload, WorkloadFilter};
use nex_protocol::control::{MachineSummary, PingResponse};
use nex_protocol::name::{Namespace, NodeId};
use serde::Serialize;

use super::{name_in, node_label};
use crate::args::GlobalArgs;
use crate::exit::Exit;
use crate::output::{Printer, Table};
use crate::session;

/// One workload, as it is shown.
#[derive(Serialize)]
struct Row {
    name: String,
    namespace: String,
    #[serde(rename = "type")]
    workload_type: String,
    id: String,
    node_id: String,
    node_name: Option<String>,
    uptime: Option<String>,
    runtime: Option<String>,
    healthy: Option<bool>,
    sandbox: Option<String>,
    description: Option<String>,
    hash: Option<String>,
}

pub(crate) async fn run(global: &GlobalArgs, printer: &mut Printer) -> anyhow::Result<Exit> {
    let client = session::connect(global).await?;
    let (nodes, rows) = match &global.namespace {
        Some(namespace) => of_namespace(&client, namespace).await?,
        None => of_all(&client).await?,
    };
    let mut rows: Vec<Row> = rows.into_values().collect();
    rows.sort_by(|a, b| (&a.namespace, &a.name, &a.id).cmp(&(&b.namespace, &b.name, &b.id)));
    if printer.wants_json() {
        printer.document(&rows)?;
    } else if nodes == 0 {
        printer.message("no node answers; start one with: nex node up");
    } else if rows.is_empty() {
        printer.message("nothing runs; start something with: nex devrun FILE");
    } else {
        printer.table(&table(&rows))?;
    }
    Ok(Exit::Ok)
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "NAME",
        "NAMESPACE",
        "TYPE",
        "ID",
        "NODE",
        "UPTIME",
        "RUNTIME",
        "HEALTHY",
        "SANDBOX",
    ]);
    for row in rows {
        table.row(vec![
            row.name.clone(),
            row.namespace.clone(),
            row.workload_type.clone(),
            row.id.clone(),
            node_label(row.node_name.as_deref(), &row.node_id),
            row.uptime.clone().unwrap_or_default(),
            row.runtime.clone().unwrap_or_default(),
            match row.healthy {
                Some(true) => "yes".to_owned(),
                Some(false) => "no".to_owned(),
                None => String::new(),
            },
            row.sandbox.clone().unwrap_or_default(),
        ]);
    }
    table
}

/// Rows by node and id, so that two answers about one workload are one row.
type Rows = BTreeMap<(String, String), Row>;

/// The workloads of one namespace, with the number of nodes that answered.
async fn of_namespace(client: &Client, namespace: &Namespace) -> anyhow::Result<(usize, Rows)> {
    let mut answers = client.infos(namespace).await?;
    let (mut nodes, mut rows) = (0, Rows::new());
    while let Some(node) = answers.next().await {
        nodes += 1;
        if let Ok(info) = node.info {
            let name = name_in(&node.ping.tags);
            for machine in info.machines {
                add(&mut rows, &node.ping.node_id, name, namespace.as_str(), machine);
            }
        }
    }
    Ok((nodes, rows))
}

/// The workloads of all namespaces, with the number of nodes that answered.
async fn of_all(client: &Client) -> anyhow::Result<(usize, Rows)> {
    let everything = WorkloadFilter::all();
    let (nodes, found) = try_join!(client.nodes(), client.workloads(&everything))?;
    let mut rows = Rows::new();
    for answer in
        join_all(questions(&nodes, &found).into_iter().map(|(node, namespace)| async move {
            let info = client.node_info(node, &namespace).await;
            (node, namespace, info)
        }))
        .await
    {
        let (node, namespace, info) = answer;
        let id = node.to_string();
        let name =
            nodes.iter().find(|ping| ping.node_id == id).and_then(|ping| name_in(&ping.tags));
        // A node that went away meanwhile has nothing to show but its ping.
        for machine in info.map(|info| info.machines).unwrap_or_default() {
            add(&mut rows, &id, name, namespace.as_str(), machine);
        }
    }
    for workload in found {
        rows.entry((workload.node_id.clone(), workload.id.clone())).or_insert(Row {
            name: workload.name,
            namespace: workload.namespace,
            workload_type: workload.workload_type,
            id: workload.id,
            node_id: workload.node_id,
            node_name: workload.node_name,
            uptime: None,
            runtime: None,
            healthy: None,
            sandbox: None,
            description: None,
            hash: None,
        });
    }
    Ok((nodes.len(), rows))
}

/// Which nodes to ask about which namespaces.
fn questions(nodes: &[PingResponse], found: &[FoundWorkload]) -> BTreeSet<(NodeId, Namespace)> {
    let by_default = nodes
        .iter()
        .filter(|node| node.running_machines > 0)
        .filter_map(|node| Some((node.node_id.parse().ok()?, Namespace::default())));
    let told = found.iter().filter_map(|workload| {
        Some((workload.node_id.parse().ok()?, workload.namespace.parse().ok()?))
    });
    by_default.chain(told).collect()
}

fn add(
    rows: &mut Rows,
    node: &str,
    node_name: Option<&str>,
    namespace: &str,
    machine: MachineSummary,
) {
    let namespace =
        if machine.namespace.is_empty() { namespace.to_owned() } else { machine.namespace };
    let row = Row {
        name: machine.workload.name,
        namespace,
        workload_type: machine.workload.workload_type,
        id: machine.id.clone(),
        node_id: node.to_owned(),
        node_name: node_name.map(str::to_owned),
        uptime: Some(machine.uptime),
        runtime: Some(machine.workload.runtime),
        healthy: Some(machine.healthy),
        sandbox: machine.sandbox,
        description: Some(machine.workload.description),
        hash: Some(machine.workload.hash),
    };
    rows.insert((node.to_owned(), machine.id), row);
}
