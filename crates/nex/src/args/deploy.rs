//! `nex run`, `nex devrun`, `nex stop`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use nex_protocol::control::WorkloadType;
use nex_protocol::name::WorkloadName;

use crate::input::duration;

/// What `run` and `devrun` have in common.
#[derive(Args)]
pub(crate) struct LaunchArgs {
    /// Arguments of the program, split as a shell would; those behind -- are passed as they are
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) argv: Option<String>,

    /// Start the program again when it fails
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value_t = false,
        action = ArgAction::Set,
        hide_default_value = true,
        hide_possible_values = true,
        value_name = "BOOL"
    )]
    pub(crate) essential: bool,

    /// Subject that calls the function; may be repeated
    #[arg(long = "trigger_subject", visible_alias = "trigger-subject", value_name = "SUBJECT")]
    pub(crate) trigger_subjects: Vec<String>,

    /// How long one call of the function may take (500ms, 30s) [default: the node's own]
    #[arg(
        long = "call_timeout",
        visible_alias = "call-timeout",
        value_name = "DURATION",
        value_parser = duration::parse
    )]
    pub(crate) call_timeout: Option<Duration>,

    /// What the workload does, shown in lists
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,

    /// Arguments of the program, passed as they are
    #[arg(last = true, value_name = "ARGUMENT")]
    pub(crate) arguments: Vec<String>,
}

/// `nex run`.
#[derive(Args)]
#[command(after_help = "\
The node may be left out when only one answers. A value is read from a file with KEY=@FILE
and from standard input with KEY=@-, so that a secret need not be on the command line.

Example:
  nex run nats://MYBUCKET/echo --name echo --issuer issuer.nk --xkey publisher.xk PORT=8080")]
pub(crate) struct RunArgs {
    /// Where the program is: nats://BUCKET/KEY
    #[arg(value_name = "URL")]
    pub(crate) url: String,

    /// Node (id or name), then environment variables
    #[arg(value_name = "NODE | KEY=VALUE")]
    pub(crate) rest: Vec<String>,

    /// File with the seed of your curve key, which seals the environment [default: ~/.nex/publisher.xk]
    #[arg(long, value_name = "FILE")]
    pub(crate) xkey: Option<PathBuf>,

    /// File with the seed of the account key that signs [default: ~/.nex/issuer.nk]
    #[arg(long, value_name = "FILE")]
    pub(crate) issuer: Option<PathBuf>,

    /// Name of the workload [default: made from the key]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<WorkloadName>,

    /// Type of the workload
    #[arg(long = "type", value_enum, value_name = "TYPE", default_value_t = TypeArg::Elf)]
    pub(crate) workload_type: TypeArg,

    /// JetStream domain of the object store
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) jsdomain: Option<String>,

    /// Options shared with `devrun`.
    #[command(flatten)]
    pub(crate) launch: LaunchArgs,
}

/// `nex devrun`.
#[derive(Args)]
#[command(after_help = "\
The keys in ~/.nex (NEX_HOME) are made when they are missing. A value is read from a file with
KEY=@FILE and from standard input with KEY=@-, so that a secret need not be on the command line.

With --watch a function is deployed again whenever its file is saved: the new one answers before
the old one is stopped, and one that cannot run leaves the old one as it is. A service is stopped
before it is started again, as the two would want the same port. Ctrl-C stops what was deployed.

Examples:
  nex devrun ./echo-service PORT=8080
  nex devrun ./worker TOKEN=@token.txt -- --greeting 'hello there'
  nex devrun ./hello.js --trigger_subject hello --watch")]
pub(crate) struct DevrunArgs {
    /// The program: an ELF file, a .js, .wasm or .wat file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Environment variables of the workload
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) environment: Vec<String>,

    /// Name of the workload [default: made from the file's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<WorkloadName>,

    /// Node (id or name); not needed when only one answers
    #[arg(long, value_name = "NODE")]
    pub(crate) node: Option<String>,

    /// Stop a running workload of the same name on that node first (the default)
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value_t = true,
        action = ArgAction::Set,
        hide_default_value = true,
        hide_possible_values = true,
        value_name = "BOOL",
        overrides_with = "no_stop"
    )]
    stop: bool,

    /// Let a running workload of the same name run on
    #[arg(long)]
    no_stop: bool,

    /// Deploy again whenever the file is saved, until Ctrl-C
    #[arg(long)]
    pub(crate) watch: bool,

    /// With --watch: leave the workload running at the end
    #[arg(long, requires = "watch")]
    pub(crate) keep: bool,

    /// Size limit of the bucket for uploads, should it have to be made, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 100 * 1024 * 1024)]
    pub(crate) bucketmaxbytes: u64,

    /// Options shared with `run`.
    #[command(flatten)]
    pub(crate) launch: LaunchArgs,
}

impl DevrunArgs {
    /// Whether a workload of the same name is to be stopped first.
    pub(crate) fn stops_first(&self) -> bool {
        self.stop && !self.no_stop
    }
}

/// `nex stop`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  nex stop echo                  the workload called echo, wherever it runs
  nex stop NODE cv1d6j8s…        as the older nex had it")]
pub(crate) struct StopArgs {
    /// The workload, by name or id; a node (id or name) may stand before it
    #[arg(value_name = "[NODE] WORKLOAD", num_args = 1..=2, required = true)]
    pub(crate) target: Vec<String>,

    /// Name of the workload, checked when given
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<WorkloadName>,

    /// File with the seed of the account key that signed its start [default: ~/.nex/issuer.nk]
    #[arg(long, value_name = "FILE")]
    pub(crate) issuer: Option<PathBuf>,

    /// Stop all that carry this name, should there be several
    #[arg(long)]
    pub(crate) all: bool,
}

/// Type of a workload.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TypeArg {
    /// A Linux program
    #[value(alias = "native")]
    Elf,
    /// A JavaScript function
    #[value(aliases = ["js", "javascript"])]
    V8,
    /// A WebAssembly function
    Wasm,
    /// A container image
    Oci,
}

impl From<TypeArg> for WorkloadType {
    fn from(from: TypeArg) -> Self {
        match from {
            TypeArg::Elf => Self::Elf,
            TypeArg::V8 => Self::V8,
            TypeArg::Wasm => Self::Wasm,
            TypeArg::Oci => Self::Oci,
        }
    }
}
