//! `nex node probe`: which nodes run what.

use nex_client::discovery::WorkloadFilter;
use serde_json::json;

use super::node_label;
use crate::args::{GlobalArgs, ProbeArgs};
use crate::exit::Exit;
use crate::output::{Printer, Table};
use crate::session;

pub(crate) async fn run(
    global: &GlobalArgs,
    args: &ProbeArgs,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let client = session::connect(global).await?;
    let mut filter =
        global.namespace.clone().map_or_else(WorkloadFilter::all, WorkloadFilter::in_namespace);
    if let Some(workload) = &args.workload {
        filter = filter.workload(workload);
    }
    let found = client.workloads(&filter).await?;
    if printer.wants_json() {
        let rows: Vec<_> = found
            .iter()
            .map(|workload| {
                json!({
                    "id": workload.id,
                    "name": workload.name,
                    "namespace": workload.namespace,
                    "type": workload.workload_type,
                    "node_id": workload.node_id,
                    "node_name": workload.node_name,
                })
            })
            .collect();
        printer.document(&rows)?;
    } else if found.is_empty() {
        printer.message("no workloads match");
    } else {
        let mut table = Table::new(&["ID", "NAME", "TYPE", "NAMESPACE", "NODE"]);
        for workload in &found {
            table.row(vec![
                workload.id.clone(),
                workload.name.clone(),
                workload.workload_type.clone(),
                workload.namespace.clone(),
                node_label(workload.node_name.as_deref(), &workload.node_id),
            ]);
        }
        printer.table(&table)?;
    }
    Ok(Exit::Ok)
}
