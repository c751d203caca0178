//! This program's own log: where it goes and how it looks.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;

use anyhow::Context;
use nex_protocol::log::LogLevel;
use tokio::sync::mpsc;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::prelude::*;

use crate::args::{GlobalArgs, LevelArg, LoggerArg, TimeFormatArg};
use crate::output::time_text;

/// The file of `--logger file`, in the working directory, as the Go CLI has it.
const LOG_FILE: &str = "nex.log";

/// Lines kept for NATS while there is no connection; more are dropped.
const MAX_WAITING_LINES: usize = 1024;

/// A line of the own log.
pub(crate) struct OwnLine {
    /// How important it is.
    pub(crate) level: LogLevel,
    /// The line, without its new line.
    pub(crate) text: String,
}

/// Lines of the own log on their way to NATS.
pub(crate) type WaitingLines = mpsc::Receiver<OwnLine>;

/// Starts the log. With `--logger nats` the lines are handed to the caller.
///
/// `quiet` leaves out what is merely informative: right for a command that
/// prints its own answer, wrong for a node.
pub(crate) fn start(global: &GlobalArgs, quiet: bool) -> anyhow::Result<Option<WaitingLines>> {
    let level = match global.loglevel {
        LevelArg::Debug => Level::DEBUG,
        LevelArg::Info if quiet => Level::WARN,
        LevelArg::Info => Level::INFO,
        LevelArg::Warn => Level::WARN,
        LevelArg::Error => Level::ERROR,
    };
    // "nex" covers nex, nex_node and nex_client. What the NATS library has to say
    // comes as errors and events, which these tell in their own words.
    let others =
        if global.loglevel == LevelArg::Debug { LevelFilter::WARN } else { LevelFilter::OFF };
    let filter = Targets::new().with_target("nex", level).with_default(others);
    let colour = |terminal: bool| {
        global.logcolor
            || (terminal && crate::output::Paint::for_stream(&std::io::stderr()).is_on())
    };
    match global.logger {
        LoggerArg::Std => {
            install(global, filter, colour(std::io::stderr().is_terminal()), std::io::stderr);
            Ok(None)
        }
        LoggerArg::File => {
            let file = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(LOG_FILE)
                .with_context(|| {
                    format!("cannot write the log to {LOG_FILE}; go to a folder you may write, or use --logger std")
                })?;
            install(global, filter, colour(false), Mutex::new(file));
            Ok(None)
        }
        LoggerArg::Nats => {
            let (sender, receiver) = mpsc::channel(MAX_WAITING_LINES);
            install(global, filter, colour(false), ToChannel(sender));
            Ok(Some(receiver))
        }
    }
}

fn install<W>(global: &GlobalArgs, filter: Targets, colour: bool, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = fmt::layer()
        .with_writer(writer)
        .with_ansi(colour)
        .with_target(false)
        .with_timer(Timer(global.timeformat));
    let registry = tracing_subscriber::registry().with(filter);
    // A second log in one process could only come from a test: the first stays.
    let _ = if global.logjson {
        registry.with(layer.json()).try_init()
    } else {
        registry.with(layer).try_init()
    };
}

/// Times of the own log, in the format asked for.
struct Timer(TimeFormatArg);

impl FormatTime for Timer {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        writer.write_str(&time_text(self.0, time::OffsetDateTime::now_utc()))
    }
}

/// Writes each line into a bounded channel; a full one drops the line, because
/// a log must never hold up what it tells about.
#[derive(Clone)]
struct ToChannel(mpsc::Sender<OwnLine>);

/// Takes one line.
struct LineWriter<'a> {
    level: LogLevel,
    sender: &'a mpsc::Sender<OwnLine>,
}

impl Write for LineWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(bytes).trim_end().to_owned();
        let _ = self.sender.try_send(OwnLine { level: self.level, text });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for ToChannel {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter { level: LogLevel::INFO, sender: &self.0 }
    }

    fn make_writer_for(&'a self, metadata: &tracing::Metadata<'_>) -> LineWriter<'a> {
        let level = match *metadata.level() {
            Level::ERROR => LogLevel::ERROR,
            Level::WARN => LogLevel::WARN,
            Level::INFO => LogLevel::INFO,
            Level::DEBUG | Level::TRACE => LogLevel::DEBUG,
        };
        LineWriter { level, sender: &self.0 }
    }
}
