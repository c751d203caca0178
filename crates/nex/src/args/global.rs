//! The options that every command takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use nex_client::call::DEFAULT_CALL_TIMEOUT;
use nex_client::connect::DEFAULT_TIMEOUT;
use nex_protocol::name::Namespace;

use crate::input::duration;

const CONNECTION: &str = "Connection";
const OUTPUT: &str = "Output";

/// Options of every command. The rarely used ones are in `--help` only.
#[derive(Args)]
pub(crate) struct GlobalArgs {
    /// NATS server URLs, separated by commas [default: the selected context, else nats://127.0.0.1:4222]
    #[arg(
        short = 's',
        long,
        global = true,
        env = "NATS_URL",
        value_name = "URL",
        help_heading = CONNECTION,
        hide_env_values = true
    )]
    pub(crate) server: Option<String>,

    /// User name, or a token when there is no password
    #[arg(
        long,
        global = true,
        env = "NATS_USER",
        value_name = "USER",
        help_heading = CONNECTION,
        hide_short_help = true,
        hide_env_values = true
    )]
    pub(crate) user: Option<String>,

    /// Password; better set NATS_PASSWORD: other users of this machine can read a command line
    #[arg(
        long,
        global = true,
        env = "NATS_PASSWORD",
        value_name = "PASSWORD",
        help_heading = CONNECTION,
        hide_short_help = true,
        hide_env_values = true
    )]
    pub(crate) password: Option<String>,

    /// User credentials file (JWT and seed)
    #[arg(
        long,
        global = true,
        env = "NATS_CREDS",
        value_name = "FILE",
        help_heading = CONNECTION,
        hide_short_help = true,
        hide_env_values = true
    )]
    pub(crate) creds: Option<PathBuf>,

    /// File with the seed of a user nkey
    #[arg(
        long,
        global = true,
        env = "NATS_NKEY",
        value_name = "FILE",
        help_heading = CONNECTION,
        hide_short_help = true,
        hide_env_values = true
    )]
    pub(crate) nkey: Option<PathBuf>,

    /// TLS client certificate
    #[arg(
        long,
        global = true,
        env = "NATS_CERT",
        value_name = "FILE",
        help_heading = CONNECTION,
        hide_short_help = true,
        hide_env_values = true
    )]
    pub(crate) tlscert: Option<PathBuf>,

    /// TLS client private key
    #[arg(
        long,
        global = true,
        env = "NATS_KEY",
        value_name = "FILE",
        help_heading = CONNECTION,
        hide_short_help = true,
        hide_env_values = true
    )]
    pub(crate) tlskey: Option<PathBuf>,

    /// TLS certificate authorities to trust
    #[arg(
        long,
        global = true,
        env = "NATS_CA",
        value_name = "FILE",
        help_heading = CONNECTION,
        hide_short_help = true,
        hide_env_values = true
    )]
    pub(crate) tlsca: Option<PathBuf>,

    /// Start TLS before the server's greeting
    #[arg(long, global = true, help_heading = CONNECTION, hide_short_help = true)]
    pub(crate) tlsfirst: bool,

    /// How long to wait for answers (2s, 500ms, 1m) [default: 2s; call and bench: 10s for a reply]
    #[arg(
        long,
        global = true,
        env = "NATS_TIMEOUT",
        value_name = "DURATION",
        value_parser = duration::parse,
        help_heading = CONNECTION,
        hide_env_values = true
    )]
    timeout: Option<Duration>,

    /// Namespace of workloads [default: default; ps, node probe, logs and events show all]
    #[arg(
        long,
        global = true,
        env = "NEX_NAMESPACE",
        value_name = "NAME",
        help_heading = CONNECTION,
        hide_env_values = true
    )]
    pub(crate) namespace: Option<Namespace>,

    /// NATS context, as the nats program knows it [default: the selected one]
    #[arg(
        long,
        global = true,
        env = "NATS_CONTEXT",
        value_name = "NAME",
        help_heading = CONNECTION,
        hide_env_values = true
    )]
    pub(crate) context: Option<String>,

    /// Do not use the selected NATS context
    #[arg(
        long,
        global = true,
        help_heading = CONNECTION,
        hide_short_help = true
    )]
    pub(crate) no_context: bool,

    /// Name of the connection, as NATS monitoring shows it
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        default_value = concat!("nex-", env!("CARGO_PKG_VERSION")),
        help_heading = CONNECTION,
        hide_short_help = true
    )]
    pub(crate) conn_name: String,

    /// Print data as JSON: one document, or one object per line for streams
    #[arg(long, global = true, help_heading = OUTPUT)]
    pub(crate) json: bool,

    /// Where this program's own log goes: standard error, the file nex.log, or NATS
    #[arg(
        long,
        global = true,
        env = "NEX_LOGGER",
        value_enum,
        default_value_t = LoggerArg::Std,
        value_name = "KIND",
        help_heading = OUTPUT,
        hide_short_help = true,
        hide_env_values = true
    )]
    pub(crate) logger: LoggerArg,

    /// Least level of this program's own log
    #[arg(
        long,
        global = true,
        env = "NEX_LOGLEVEL",
        value_enum,
        default_value_t = LevelArg::Info,
        value_name = "LEVEL",
        help_heading = OUTPUT,
        hide_short_help = true,
        hide_env_values = true
    )]
    pub(crate) loglevel: LevelArg,

    /// Write this program's own log as JSON
    #[arg(
        long,
        global = true,
        env = "NEX_LOGJSON",
        value_parser = clap::builder::FalseyValueParser::new(),
        help_heading = OUTPUT,
        hide_short_help = true,
        hide_env_values = true
    )]
    pub(crate) logjson: bool,

    /// Colour this program's own log even where it goes to no terminal
    #[arg(
        long,
        global = true,
        env = "NEX_LOG_COLORIZED",
        value_parser = clap::builder::FalseyValueParser::new(),
        help_heading = OUTPUT,
        hide_short_help = true,
        hide_env_values = true
    )]
    pub(crate) logcolor: bool,

    /// How times are written in logs
    #[arg(
        long,
        global = true,
        env = "NEX_LOG_TIMEFORMAT",
        value_enum,
        default_value_t = TimeFormatArg::DateTime,
        value_name = "FORMAT",
        help_heading = OUTPUT,
        hide_short_help = true,
        hide_env_values = true
    )]
    pub(crate) timeformat: TimeFormatArg,
}

impl GlobalArgs {
    /// The namespace to act in.
    pub(crate) fn namespace(&self) -> Namespace {
        self.namespace.clone().unwrap_or_default()
    }

    /// How long to wait for answers of nodes and of NATS.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(DEFAULT_TIMEOUT)
    }

    /// How long to wait for the reply of a function: longer, so that what the
    /// node says about one that took too long is heard.
    pub(crate) fn call_timeout(&self) -> Duration {
        self.timeout.unwrap_or(DEFAULT_CALL_TIMEOUT)
    }
}

/// Where this program's own log goes.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LoggerArg {
    /// Standard error
    Std,
    /// The file nex.log in the working directory
    File,
    /// NATS, as the log of a workload called "nex" in the namespace "system"
    Nats,
}

/// Least level of a log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum LevelArg {
    /// Everything
    Debug,
    /// What an operator wants to know
    Info,
    /// What should be looked at
    #[value(alias = "warning")]
    Warn,
    /// What failed
    Error,
}

/// How times are written (Go's names).
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TimeFormatArg {
    /// 2006-01-02
    #[value(name = "DateOnly", alias = "dateonly")]
    DateOnly,
    /// 2006-01-02 15:04:05
    #[value(name = "DateTime", alias = "datetime")]
    DateTime,
    /// Jan _2 15:04:05
    #[value(name = "Stamp", alias = "stamp")]
    Stamp,
    /// 02 Jan 06 15:04 MST
    #[value(name = "RFC822", alias = "rfc822")]
    Rfc822,
    /// 2006-01-02T15:04:05Z07:00
    #[value(name = "RFC3339", alias = "rfc3339")]
    Rfc3339,
}
