//! `nex logs`: what workloads write, as they write it.

use nex_client::follow::{LogQuery, LogRecord};
use nex_protocol::log::LogLevel;
use serde_json::json;
use time::format_description::well_known::Rfc3339;

use super::events::follow;
use crate::args::{GlobalArgs, LevelArg, LogsArgs};
use crate::exit::{Exit, usage};
use crate::output::{Colour, Printer, printable, time_text};
use crate::session;
use crate::signals::EndSignals;

pub(crate) async fn run(
    global: &GlobalArgs,
    args: LogsArgs,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    // `*` is what the Go CLI has for "any".
    let given = |text: Option<String>| text.filter(|text| !text.is_empty() && text != "*");
    let mut query = LogQuery::all().min_level(match args.level {
        LevelArg::Debug => LogLevel::from_slog(i32::MIN),
        LevelArg::Info => LogLevel::INFO,
        LevelArg::Warn => LogLevel::WARN,
        LevelArg::Error => LogLevel::ERROR,
    });
    if let Some(namespace) = &global.namespace {
        query = query.namespace(namespace.clone());
    }
    if let Some(name) = given(args.workload_name) {
        query = query.workload(
            name.parse().map_err(|error| usage(format!("--workload_name '{name}': {error}")))?,
        );
    }
    if let Some(id) = given(args.workload_id) {
        query = query
            .id(id.parse().map_err(|error| usage(format!("--workload_id '{id}': {error}")))?);
    }
    let mut signals = EndSignals::listen()?;
    let client = session::connect(global).await?;
    if let Some(node) = given(args.node) {
        query = query.node(client.resolve_node(Some(&node)).await?.id);
    }
    let records = client.logs(query).await?;
    printer.message("following logs; Ctrl-C ends");
    let patience = args.no_follow.then_some(global.timeout());
    follow(records, patience, &mut signals, |record| show(global, &record, printer)).await
}

fn show(global: &GlobalArgs, record: &LogRecord, printer: &mut Printer) -> anyhow::Result<()> {
    if printer.wants_json() {
        return printer.item(&json!({
            "time": record.received.format(&Rfc3339).unwrap_or_default(),
            "level": record.level.to_string(),
            "workload": record.workload,
            "id": record.id,
            "namespace": record.namespace,
            "node_id": record.node,
            "text": record.text,
        }));
    }
    let paint = printer.paint();
    let colour = match record.level.slog() {
        ..0 => Colour::Dim,
        0..4 => Colour::Green,
        4..8 => Colour::Yellow,
        8.. => Colour::Red,
    };
    let time = paint.apply(Colour::Dim, &time_text(global.timeformat, record.received));
    let level = paint.apply(colour, &format!("{:<5}", record.level.to_string()));
    let name = paint.apply(Colour::Cyan, record.workload.as_str());
    printer.line(&format!("{time} {level} {name} {}", printable(record.text.trim_end())))
}
