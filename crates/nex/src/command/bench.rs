//! `nex bench`: a function against a bare NATS request and reply.
//!
//! ```text
//! for each number of clients and each payload:
//!   warm up ─▶ round: echo, function ─▶ round: function, echo ─▶ … ─▶ medians
//! ```
//!
//! The two take turns in short slices, in alternating order, so that whatever
//! else the machine does hits both. Each client has a connection of its own, as
//! clients do; the echo has one too, and a thread.

mod deployed;
mod echo;
mod load;
mod report;
mod statistics;

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use nex_client::Client;
use nex_client::call::HeaderMap;
use nex_protocol::name::WorkloadId;
use nex_protocol::subject::Subject;

use self::deployed::Deployed;
use self::echo::Echo;
use self::load::{Budget, Message, Slice};
use self::report::Case;
use self::statistics::{Latencies, Rounds};
use super::target::{self, Target};
use crate::args::{BenchArgs, GlobalArgs};
use crate::exit::{Exit, usage};
use crate::input::payload::{self, PayloadSource};
use crate::output::{Printer, RoundBar, printable};
use crate::session;
use crate::signals::EndSignals;

/// Rounds of one measurement: enough for a median that a few bad ones do not move.
const ROUNDS: u32 = 20;

/// How long each side is called before it is measured.
const WARM_UP: Duration = Duration::from_millis(300);

/// First token of the subjects that are made up here.
const SUBJECT: &str = "nexbench";

pub(crate) async fn run(
    global: &GlobalArgs,
    args: BenchArgs,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let plan = Plan::of(global, &args)?;
    let mut signals = EndSignals::listen()?;
    let client = session::connect(global).await?;
    plan.fits(&client)?;
    let (target, deployed) = match &args.target {
        Some(text) => (target::resolve(&client, text, &global.namespace()).await?, None),
        None => {
            let deployed = Deployed::start(global, &args, &client, printer).await?;
            (deployed.target(), Some(deployed))
        }
    };
    let measured = tokio::select! {
        measured = plan.measure(global, &client, &target.subject, printer) => measured.map(Some),
        () = signals.next() => Ok(None),
    };
    let label = deployed.as_ref().map(|deployed| deployed.label().to_owned());
    if let Some(deployed) = deployed {
        deployed.stop(&client).await?;
    }
    let Some(cases) = measured? else {
        printer.message("interrupted");
        return Ok(Exit::Failed);
    };
    show(&target, label.as_deref(), &cases, printer)?;
    Ok(Exit::Ok)
}

fn show(
    target: &Target,
    label: Option<&str>,
    cases: &[Case],
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let name = target.function.as_ref().map(AsRef::as_ref);
    if printer.wants_json() {
        printer.document(&report::document(name, &target.subject, cases))?;
    } else {
        let label = label.or(name).unwrap_or(target.subject.as_str());
        printer.table(&report::table(label, cases))?;
    }
    // One text for each kind of failure, not one for each case.
    let mut told: Vec<&str> = Vec::new();
    for error in cases.iter().filter_map(|case| case.first_error.as_deref()) {
        if !told.contains(&error) {
            printer.warning(&printable(error));
            told.push(error);
        }
    }
    Ok(())
}

/// What is to be measured.
struct Plan {
    clients: Vec<u16>,
    payloads: Vec<Bytes>,
    headers: HeaderMap,
    timeout: Duration,
    /// For both sides of one case together.
    whole: Budget,
}

impl Plan {
    fn of(global: &GlobalArgs, args: &BenchArgs) -> anyhow::Result<Self> {
        let payloads = match &args.payload {
            Some(text) => vec![PayloadSource::of(Some(text)).read()?.into()],
            None => args
                .size
                .iter()
                .map(|size| payload::filler(*size).map(Bytes::from))
                .collect::<Result<_, _>>()
                .map_err(usage)?,
        };
        let whole = match args.requests {
            Some(requests) => Budget::Calls(requests),
            None if args.duration.is_zero() => {
                return Err(usage("--duration 0 leaves no time to measure; give more"));
            }
            None => Budget::Time(args.duration),
        };
        Ok(Self {
            clients: args.clients.clone(),
            payloads,
            headers: payload::headers(&args.headers).map_err(usage)?,
            timeout: global.call_timeout(),
            whole,
        })
    }

    /// Refuses payloads that the server would not let through.
    fn fits(&self, client: &Client) -> anyhow::Result<()> {
        let limit = client.nats().server_info().max_payload;
        match self.payloads.iter().map(Bytes::len).max() {
            Some(largest) if largest > limit => anyhow::bail!(
                "a payload of {largest} bytes is too large for the NATS server, which lets {limit} bytes through; send less, or raise its max_payload"
            ),
            _ => Ok(()),
        }
    }

    async fn measure(
        &self,
        global: &GlobalArgs,
        client: &Client,
        subject: &Subject,
        printer: &mut Printer,
    ) -> anyhow::Result<Vec<Case>> {
        let echo: Subject = format!("{SUBJECT}.echo.{}", WorkloadId::generate()).parse()?;
        let echo = Echo::start(session::connect_options(global), echo).await?;
        let mut clients = vec![client.clone()];
        let most = self.clients.iter().copied().max().unwrap_or(1);
        while clients.len() < usize::from(most) {
            clients.push(session::connect(global).await?);
        }
        let mut cases = Vec::new();
        for payload in &self.payloads {
            let message = Message {
                payload: payload.clone(),
                headers: self.headers.clone(),
                timeout: self.timeout,
            };
            for count in &self.clients {
                let callers = clients.get(..usize::from(*count)).unwrap_or(&clients);
                printer.message(&format!(
                    "measuring: {count} {}, {} bytes",
                    if *count == 1 { "client" } else { "clients" },
                    payload.len()
                ));
                let bar = RoundBar::new(printer.messages_on_terminal(), u64::from(ROUNDS));
                let sides = Sides { callers, echo: echo.subject(), function: subject };
                cases.push(self.case(&sides, &message, &bar).await?);
            }
        }
        Ok(cases)
    }

    async fn case(
        &self,
        sides: &Sides<'_>,
        message: &Message,
        bar: &RoundBar,
    ) -> anyhow::Result<Case> {
        sides.warm_up(message).await?;
        let slice = self.slice();
        let mut case = Case {
            clients: u16::try_from(sides.callers.len()).unwrap_or(u16::MAX),
            payload_bytes: message.payload.len(),
            rounds: ROUNDS,
            echo: Latencies::new(),
            function: Latencies::new(),
            ratios: None,
            first_error: None,
        };
        let mut rounds = Rounds::default();
        for round in 0..ROUNDS {
            let (echo, function) = sides.round(round, message, slice).await;
            rounds.add(&echo.latencies, &function.latencies);
            case.echo.add(&echo.latencies);
            case.function.add(&function.latencies);
            case.first_error = case.first_error.or(function.first_error).or(echo.first_error);
            bar.advance();
        }
        case.ratios = rounds.ratios();
        Ok(case)
    }

    /// One side of one round.
    fn slice(&self) -> Budget {
        match self.whole {
            Budget::Time(time) => Budget::Time(time / (2 * ROUNDS)),
            Budget::Calls(calls) => Budget::Calls(calls.div_ceil(u64::from(ROUNDS))),
        }
    }
}

/// The two that are compared.
struct Sides<'a> {
    callers: &'a [Client],
    echo: &'a Subject,
    function: &'a Subject,
}

impl Sides<'_> {
    /// Calls both for a while. A function that never answers is not measured.
    async fn warm_up(&self, message: &Message) -> anyhow::Result<()> {
        for subject in [self.echo, self.function] {
            let warm = load::run(self.callers, subject, message, Budget::Time(WARM_UP)).await;
            if warm.latencies.calls() == 0 {
                let why = warm.first_error.context("no call was made; try again")?;
                anyhow::bail!("nothing to measure: {}", printable(&why));
            }
        }
        Ok(())
    }

    /// A slice of each; which is first alternates.
    async fn round(&self, round: u32, message: &Message, slice: Budget) -> (Slice, Slice) {
        let echo = load::run(self.callers, self.echo, message, slice);
        let function = load::run(self.callers, self.function, message, slice);
        if round.is_multiple_of(2) {
            let echo = echo.await;
            (echo, function.await)
        } else {
            let function = function.await;
            (echo.await, function)
        }
    }
}
