//! `nex events`: what happens on nodes and to workloads.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use nex_client::follow::{EventQuery, EventRecord};
use nex_protocol::event::{EventData, EventKind};
use serde_json::Value;

use crate::args::{EventsArgs, GlobalArgs};
use crate::exit::{Exit, usage};
use crate::output::{Colour, Printer, duration_text, printable, time_text};
use crate::session;
use crate::signals::EndSignals;

pub(crate) async fn run(
    global: &GlobalArgs,
    args: &EventsArgs,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    for text in &args.types {
        if text.parse::<EventKind>().is_err() {
            let known: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
            return Err(usage(format!(
                "--type '{text}' is no type of event; there are {}",
                known.join(", ")
            )));
        }
    }
    let mut query = EventQuery::all();
    if let Some(namespace) = &global.namespace {
        query = query.namespace(namespace.clone());
    }
    let mut signals = EndSignals::listen()?;
    let client = session::connect(global).await?;
    let records = client.events(query).await?;
    printer.message("following events; Ctrl-C ends");
    let patience = args.no_follow.then_some(global.timeout());
    follow(records, patience, &mut signals, |record| {
        let wanted = args.types.is_empty() || args.types.contains(&record.kind_text);
        let heartbeat = record.kind == Some(EventKind::Heartbeat);
        if wanted && !(args.no_heartbeats && heartbeat) {
            show(global, &record, printer)?;
        }
        Ok(())
    })
    .await
}

/// Shows each record until a signal, the end of the stream, or a silence as
/// long as `patience`.
pub(super) async fn follow<T>(
    mut records: impl Stream<Item = T> + Unpin,
    patience: Option<Duration>,
    signals: &mut EndSignals,
    mut show: impl FnMut(T) -> anyhow::Result<()>,
) -> anyhow::Result<Exit> {
    loop {
        let silence = async {
            match patience {
                Some(patience) => tokio::time::sleep(patience).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = signals.next() => return Ok(Exit::Ok),
            () = silence => return Ok(Exit::Ok),
            record = records.next() => match record {
                Some(record) => show(record)?,
                None => anyhow::bail!("the connection to NATS was closed; start the command again"),
            },
        }
    }
}

fn show(global: &GlobalArgs, record: &EventRecord, printer: &mut Printer) -> anyhow::Result<()> {
    if printer.wants_json() {
        // The CloudEvent as it came, with the namespace of its subject.
        let mut event: Value = serde_json::from_slice(&record.event.encode())?;
        if let Value::Object(fields) = &mut event {
            fields.insert("namespace".to_owned(), Value::from(record.namespace.as_str()));
        }
        return printer.item(&event);
    }
    let paint = printer.paint();
    let when = record.event.time.unwrap_or(record.received);
    let colour = match record.kind {
        Some(EventKind::FunctionFailed) => Colour::Red,
        Some(EventKind::Heartbeat) => Colour::Dim,
        _ => Colour::Green,
    };
    let data = match &record.event.data {
        EventData::Json(data) => in_words(data),
        EventData::None | EventData::Binary(_) => String::new(),
    };
    let line = format!(
        "{} {} {} {} {}",
        paint.apply(Colour::Dim, &time_text(global.timeformat, when)),
        paint.apply(colour, &format!("{:<22}", printable(&record.kind_text))),
        paint.apply(Colour::Cyan, record.namespace.as_str()),
        printable(&record.event.source),
        data,
    );
    printer.line(line.trim_end())
}

/// The fields of an event as `key=value`.
fn in_words(data: &Value) -> String {
    let Value::Object(fields) = data else { return printable(&data.to_string()) };
    let word = |(key, value): (&String, &Value)| match value {
        // Of a function: how long it ran.
        Value::Number(number) if key == "elapsed_nanos" => {
            let elapsed = Duration::from_nanos(number.as_u64().unwrap_or_default());
            format!("elapsed={}", duration_text(elapsed).replace(' ', ""))
        }
        Value::String(text) if !text.contains(char::is_whitespace) => format!("{key}={text}"),
        other => format!("{key}={other}"),
    };
    printable(&fields.iter().map(word).collect::<Vec<_>>().join(" "))
}
