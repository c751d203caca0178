//! `nex logs` and `nex events`.

use clap::Args;

use super::LevelArg;

/// `nex logs`.
#[derive(Args)]
#[command(after_help = "\
NATS keeps no logs: what is shown is what is written from now on. Ctrl-C ends with exit code 0.")]
pub(crate) struct LogsArgs {
    /// Only workloads on this node (id or name)
    #[arg(long, value_name = "NODE")]
    pub(crate) node: Option<String>,

    /// Only workloads with this name
    #[arg(long = "workload_name", visible_alias = "workload-name", value_name = "NAME")]
    pub(crate) workload_name: Option<String>,

    /// Only the workload with this id
    #[arg(long = "workload_id", visible_alias = "workload-id", value_name = "ID")]
    pub(crate) workload_id: Option<String>,

    /// Only lines of this level and above
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = LevelArg::Debug)]
    pub(crate) level: LevelArg,

    /// End once nothing came for as long as --timeout, instead of following for ever
    #[arg(long)]
    pub(crate) no_follow: bool,
}

/// `nex events`.
#[derive(Args)]
#[command(after_help = "\
Without --namespace the events of all namespaces are shown, with it those of that namespace and
of the nodes. Ctrl-C ends with exit code 0.")]
pub(crate) struct EventsArgs {
    /// Only events of this type, such as workload_started; may be repeated
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) types: Vec<String>,

    /// Leave out the heartbeats of nodes
    #[arg(long)]
    pub(crate) no_heartbeats: bool,

    /// End once nothing came for as long as --timeout, instead of following for ever
    #[arg(long)]
    pub(crate) no_follow: bool,
}
