//! `nex node ls`: the nodes that answer.

use nex_protocol::control::{NodeTag, PingResponse};

use super::{name_in, node_label};
use crate::args::GlobalArgs;
use crate::exit::Exit;
use crate::output::{Printer, Table};
use crate::session;

pub(crate) async fn run(global: &GlobalArgs, printer: &mut Printer) -> anyhow::Result<Exit> {
    let nodes = session::connect(global).await?.nodes().await?;
    if printer.wants_json() {
        printer.document(&nodes)?;
    } else if nodes.is_empty() {
        printer.message("no node answers; start one with: nex node up");
    } else {
        let mut table = Table::new(&["NAME", "ID", "VERSION", "UPTIME", "WORKLOADS", "STATE"]);
        for node in &nodes {
            table.row(vec![
                node_label(name_in(&node.tags), ""),
                node.node_id.clone(),
                node.version.clone(),
                node.uptime.clone(),
                node.running_machines.to_string(),
                state(node),
            ]);
        }
        printer.table(&table)?;
    }
    Ok(Exit::Ok)
}

/// What an operator should know about a node at a glance.
fn state(node: &PingResponse) -> String {
    let has = |tag: NodeTag| node.tags.get(tag.as_str()).is_some_and(|value| value == "true");
    let mut words = vec![if has(NodeTag::LameDuck) { "lame duck" } else { "ready" }];
    if has(NodeTag::Unsafe) {
        words.push("no sandbox");
    }
    words.join(", ")
}
