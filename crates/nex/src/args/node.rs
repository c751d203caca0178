//! `nex node …` and `nex lameduck`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use nex_node::config::SandboxChoice;

/// Commands that start or look at nodes.
#[derive(Subcommand)]
pub(crate) enum NodeCommand {
    /// Start a node here and keep it running until Ctrl-C
    Up(UpArgs),
    /// List all nodes that answer
    Ls,
    /// Show one node and its workloads
    Info(InfoArgs),
    /// Ask all nodes for matching workloads
    Probe(ProbeArgs),
    /// Print the configuration that `node up` would use
    Config(ConfigArgs),
}

/// Where the configuration of a node comes from: the same for `up` and `config`.
#[derive(Args)]
pub(crate) struct SettingsArgs {
    /// Configuration file (JSON, comments allowed)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// What isolates workloads
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) sandbox: Option<SandboxArg>,

    /// Folder for the node's identity, cache and NATS data [default: chosen by the node]
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,

    /// How many sandboxes to keep warm
    #[arg(long, value_name = "N")]
    pub(crate) pool: Option<u32>,

    /// Name of the node, shown in lists [default: a generated one]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Tag of the node, shown to whoever looks for one; may be repeated
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = parse_tag)]
    pub(crate) tags: Vec<(String, String)>,
}

/// `nex node up`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  nex node up --with-nats                      NATS and a node on this machine
  nex node up --config node.json -s nats://nats.example.com:4222

The first Ctrl-C (or SIGTERM) drains the node; a second one ends it at once.")]
pub(crate) struct UpArgs {
    /// Settings that `nex node config` shows too.
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,

    /// Start a nats-server of the node's own beside it and use that
    #[arg(long)]
    pub(crate) with_nats: bool,

    /// Port of the node's own nats-server; 0 takes a free one
    #[arg(long, value_name = "N", requires = "with_nats")]
    pub(crate) nats_port: Option<u16>,

    /// End when the process that started this one ends (for programs that start a node)
    #[arg(long, hide = true)]
    pub(crate) end_with_parent: bool,
}

/// `nex node info`.
#[derive(Args)]
pub(crate) struct InfoArgs {
    /// Id or name of the node; not needed when only one answers
    #[arg(value_name = "NODE")]
    pub(crate) node: Option<String>,
}

/// `nex node probe`.
#[derive(Args)]
pub(crate) struct ProbeArgs {
    /// Only workloads with this id or name
    #[arg(long, value_name = "WORKLOAD")]
    pub(crate) workload: Option<String>,
}

/// `nex node config`.
#[derive(Args)]
pub(crate) struct ConfigArgs {
    /// Settings to combine with the file.
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,

    /// Print the JSON Schema of the file instead, for editors
    #[arg(long, conflicts_with = "origins")]
    pub(crate) schema: bool,

    /// Print for each setting where its value comes from
    #[arg(long)]
    pub(crate) origins: bool,
}

/// `nex doctor`.
#[derive(Args)]
#[command(after_help = "\
Exits with 1 if a node with this configuration would not start.")]
pub(crate) struct DoctorArgs {
    /// Settings of the node that is meant.
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

/// `nex lameduck`.
#[derive(Args)]
pub(crate) struct LameduckArgs {
    /// Id or name of the node; not needed when only one answers
    #[arg(value_name = "NODE")]
    pub(crate) node: Option<String>,
}

/// What isolates workloads.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SandboxArg {
    /// The strongest this machine can run
    Auto,
    /// A microVM (needs KVM)
    Firecracker,
    /// A QEMU microVM
    Qemu,
    /// Linux namespaces
    Namespace,
    /// None: workloads are plain processes with the rights of the node
    Process,
}

impl From<SandboxArg> for SandboxChoice {
    fn from(from: SandboxArg) -> Self {
        match from {
            SandboxArg::Auto => Self::Auto,
            SandboxArg::Firecracker => Self::Firecracker,
            SandboxArg::Qemu => Self::Qemu,
            SandboxArg::Namespace => Self::Namespace,
            SandboxArg::Process => Self::Process,
        }
    }
}

fn parse_tag(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a tag is given as KEY=VALUE"),
    }
}
