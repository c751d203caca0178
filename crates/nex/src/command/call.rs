//! `nex call`: one message to a function, one reply.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::BASE64;
use nex_client::Client;
use nex_client::call::{
    CallError, ERROR_CODE_HEADER, ERROR_HEADER, HeaderMap, Reply, ServiceError,
};
use nex_protocol::subject::Subject;
use serde::Serialize;

use super::target::{self, Target};
use crate::args::{CallArgs, GlobalArgs};
use crate::exit::{Exit, usage};
use crate::input::payload::{self, PayloadSource};
use crate::output::{Printer, duration_text, printable};
use crate::session;

pub(crate) async fn run(
    global: &GlobalArgs,
    args: CallArgs,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let literal = target::subject(&args.target)?;
    let headers = payload::headers(&args.headers).map_err(usage)?;
    let payload = PayloadSource::of(args.payload.as_deref()).read()?;
    let client = session::connect(global).await?;
    let target = if args.subject {
        Target { subject: literal, function: None }
    } else {
        target::resolve(&client, &args.target, &global.namespace()).await?
    };
    let answer = client.call(&target.subject, payload, headers, global.call_timeout()).await;
    match answer {
        Ok(reply) => {
            show_reply(&target.subject, &reply, printer)?;
            Ok(Exit::Ok)
        }
        Err(CallError::Failed { subject, error }) => {
            show_failure(&subject, *error, printer)?;
            Ok(Exit::Failed)
        }
        Err(error) if args.subject => Err(error.into()),
        Err(error) => Err(explained(error, &target, global, &client)),
    }
}

/// A name that is neither a function nor a subject anybody listens on is more
/// likely meant as the former.
fn explained(
    error: CallError,
    target: &Target,
    global: &GlobalArgs,
    client: &Client,
) -> anyhow::Error {
    let plain_name = !target.subject.as_str().contains('.');
    if matches!(error, CallError::NoResponders { .. }) && plain_name && target.function.is_none() {
        return anyhow::anyhow!(
            "no function in the namespace {} is called {}, and nobody listens on that subject at {}; `nex ps` lists what runs",
            global.namespace(),
            target.subject,
            client.server(),
        );
    }
    error.into()
}

fn show_reply(subject: &Subject, reply: &Reply, printer: &mut Printer) -> anyhow::Result<()> {
    if printer.wants_json() {
        let (text, base64) = match std::str::from_utf8(&reply.payload) {
            Ok(text) => (Some(text.to_owned()), None),
            Err(_) => (None, Some(BASE64.encode(&reply.payload))),
        };
        return printer.document(&Document {
            subject,
            reply: text,
            reply_base64: base64,
            headers: by_name(&reply.headers),
            error: None,
            elapsed_ms: milliseconds(reply.elapsed),
        });
    }
    // Before the reply: on a terminal it then stands alone at the end.
    show_headers(&reply.headers, &[], printer);
    printer.message(&format!("{subject} answered in {}", duration_text(reply.elapsed)));
    printer.raw(&reply.payload)?;
    if printer.data_on_terminal() && reply.payload.last().is_some_and(|last| *last != b'\n') {
        printer.raw(b"\n")?;
    }
    Ok(())
}

fn show_failure(
    subject: &Subject,
    error: ServiceError,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let (elapsed, headers) = (error.elapsed, by_name(&error.headers));
    if printer.wants_json() {
        return printer.document(&Document {
            subject,
            reply: None,
            reply_base64: None,
            headers,
            error: Some(Failure { code: error.code, text: error.text }),
            elapsed_ms: milliseconds(elapsed),
        });
    }
    show_headers(&error.headers, &[ERROR_CODE_HEADER, ERROR_HEADER], printer);
    printer.message(&format!("{subject} answered in {}", duration_text(elapsed)));
    let failed = CallError::Failed { subject: subject.clone(), error: Box::new(error) };
    printer.error(&printable(&failed.to_string()));
    Ok(())
}

/// Headers as messages, but for those that are told otherwise.
fn show_headers(headers: &HeaderMap, but: &[&str], printer: &mut Printer) {
    for (name, values) in by_name(headers) {
        for value in values.iter().filter(|_| !but.contains(&name.as_str())) {
            printer.message(&printable(&format!("{name}: {value}")));
        }
    }
}

fn by_name(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let pairs = headers
        .iter()
        .map(|(name, values)| (name.to_string(), values.iter().map(ToString::to_string).collect()));
    pairs.collect()
}

/// With three decimals, which are microseconds.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// The answer as JSON.
#[derive(Serialize)]
struct Document<'a> {
    subject: &'a Subject,
    /// The reply, if it is a text.
    reply: Option<String>,
    /// The reply, if it is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_base64: Option<String>,
    headers: BTreeMap<String, Vec<String>>,
    error: Option<Failure>,
    elapsed_ms: f64,
}

#[derive(Serialize)]
struct Failure {
    code: Option<u16>,
    text: String,
}
