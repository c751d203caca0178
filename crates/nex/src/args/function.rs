//! `nex call` and `nex bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use nex_protocol::config::ByteSize;

use crate::input::duration;

/// `nex call`.
#[derive(Args)]
#[command(after_help = "\
The reply goes to standard output as it is, all else to standard error. A function that fails is
exit code 1. A payload that begins with @ is written @@.

Examples:
  nex call hello Ada                    a function by its name, or a subject
  nex call orders.new @order.json --header Trace=yes
  date | nex call clock.set -")]
pub(crate) struct CallArgs {
    /// A subject, or the name of a function that has one
    #[arg(value_name = "SUBJECT | FUNCTION")]
    pub(crate) target: String,

    /// What to send: a text, @FILE, or - for standard input [default: nothing]
    #[arg(value_name = "PAYLOAD", allow_negative_numbers = true)]
    pub(crate) payload: Option<String>,

    /// Header of the message; may be repeated
    #[arg(short = 'H', long = "header", value_name = "KEY=VALUE")]
    pub(crate) headers: Vec<String>,

    /// Take the name as a subject, even if a function is called so
    #[arg(long)]
    pub(crate) subject: bool,
}

/// `nex bench`.
#[derive(Args)]
#[command(after_help = "\
Calls and bare NATS requests (to an echo in this program, through the same server) take turns, so
that their ratio holds on a machine that does other things as well. Without a function and without
--file, an echo in JavaScript is deployed, measured and stopped.

Examples:
  nex bench                             an echo in JavaScript
  nex bench resize --payload @image.png --clients 1,4,16
  nex bench --file echo.wasm --size 16B,64KiB --json")]
pub(crate) struct BenchArgs {
    /// The function that runs already: a subject, or its name if it has one subject
    #[arg(value_name = "SUBJECT | FUNCTION", conflicts_with = "file")]
    pub(crate) target: Option<String>,

    /// Deploy this .js, .wasm or .wat file, measure it and stop it
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Node to deploy to (id or name); not needed when only one answers
    #[arg(long, value_name = "NODE", conflicts_with = "target")]
    pub(crate) node: Option<String>,

    /// How many clients call at the same time, each on a connection of its own
    #[arg(
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "1,16",
        value_parser = clap::value_parser!(u16).range(1..=MAX_CLIENTS)
    )]
    pub(crate) clients: Vec<u16>,

    /// Size of the payload
    #[arg(long, value_name = "SIZE,…", value_delimiter = ',', default_value = "16B,64KiB")]
    pub(crate) size: Vec<ByteSize>,

    /// Send this instead of payloads of a size: a text, @FILE, or - for standard input
    #[arg(long, value_name = "PAYLOAD", conflicts_with = "size", allow_hyphen_values = true)]
    pub(crate) payload: Option<String>,

    /// Header of the messages; may be repeated
    #[arg(short = 'H', long = "header", value_name = "KEY=VALUE")]
    pub(crate) headers: Vec<String>,

    /// Time for each number of clients and each size
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration::parse)]
    pub(crate) duration: Duration,

    /// So many calls instead, for each number of clients and each size
    #[arg(
        long,
        value_name = "N",
        conflicts_with = "duration",
        value_parser = clap::value_parser!(u64).range(1..=MAX_REQUESTS)
    )]
    pub(crate) requests: Option<u64>,
}

/// Most clients of one measurement: each has a connection.
const MAX_CLIENTS: i64 = 256;

/// Most calls of one measurement.
const MAX_REQUESTS: u64 = 1_000_000_000;
