//! `nex node info`: one node and its workloads in a namespace.

use nex_protocol::control::InfoResponse;
use serde_json::{Value, json};

use crate::args::{GlobalArgs, InfoArgs};
use crate::exit::Exit;
use crate::output::{Colour, Printer, Table, printable};
use crate::session;

pub(crate) async fn run(
    global: &GlobalArgs,
    args: &InfoArgs,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let client = session::connect(global).await?;
    let node = client.resolve_node(args.node.as_deref()).await?;
    let namespace = global.namespace();
    let info = client.node_info(node.id, &namespace).await?;
    if printer.wants_json() {
        let mut document = json!({ "node_id": node.id, "namespace": namespace });
        if let (Value::Object(into), Value::Object(from)) =
            (&mut document, serde_json::to_value(&info)?)
        {
            into.extend(from);
        }
        printer.document(&document)?;
        return Ok(Exit::Ok);
    }
    for (label, value) in facts(&node.id.to_string(), &info) {
        let label = printer.paint().apply(Colour::Bold, &format!("{label:<10}"));
        printer.line(&format!("{label}{}", printable(&value)))?;
    }
    if info.machines.is_empty() {
        printer.message(&format!("no workloads in the namespace {namespace}"));
        return Ok(Exit::Ok);
    }
    printer.line("")?;
    let mut table = Table::new(&[
        "WORKLOAD",
        "TYPE",
        "ID",
        "UPTIME",
        "RUNTIME",
        "HEALTHY",
        "SANDBOX",
        "DESCRIPTION",
    ]);
    for machine in &info.machines {
        table.row(vec![
            machine.workload.name.clone(),
            machine.workload.workload_type.clone(),
            machine.id.clone(),
            machine.uptime.clone(),
            machine.workload.runtime.clone(),
            if machine.healthy { "yes" } else { "no" }.to_owned(),
            machine.sandbox.clone().unwrap_or_default(),
            machine.workload.description.clone(),
        ]);
    }
    printer.table(&table)?;
    Ok(Exit::Ok)
}

fn facts(id: &str, info: &InfoResponse) -> Vec<(&'static str, String)> {
    let tags: Vec<String> = info.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut facts = vec![
        ("Node", id.to_owned()),
        ("Xkey", info.public_xkey.clone()),
        ("Version", info.version.clone()),
        ("Uptime", info.uptime.clone()),
        ("Tags", tags.join(", ")),
    ];
    if let Some(memory) = &info.memory {
        let mib = |kilobytes: u64| kilobytes / 1024;
        facts.push((
            "Memory",
            format!(
                "{} MiB, {} MiB available, {} MiB free",
                mib(memory.total),
                mib(memory.available),
                mib(memory.free)
            ),
        ));
    }
    if !info.supported_workload_types.is_empty() {
        facts.push(("Runs", info.supported_workload_types.join(", ")));
    }
    facts
}
