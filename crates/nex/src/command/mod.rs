//! What the program does: one file per command.

mod bench;
mod call;
mod demo;
mod devrun;
mod doctor;
mod events;
mod lameduck;
mod launch;
mod logs;
mod node_config;
mod node_info;
mod node_ls;
mod node_probe;
mod node_up;
mod program;
mod ps;
mod run;
mod source;
mod stop;
mod target;

use crate::args::{Cli, Command, NodeCommand};
use crate::exit::Exit;
use crate::logging;
use crate::output::Printer;

/// Runs the command that was asked for.
pub(crate) async fn run(cli: Cli, printer: &mut Printer) -> anyhow::Result<Exit> {
    let Cli { global, command } = cli;
    let is_node = matches!(command, Command::Node(NodeCommand::Up(_)));
    let own_log = logging::start(&global, !is_node)?;
    match command {
        Command::Node(NodeCommand::Up(args)) => node_up::run(&global, args, own_log, printer).await,
        Command::Node(NodeCommand::Ls) => node_ls::run(&global, printer).await,
        Command::Node(NodeCommand::Info(args)) => node_info::run(&global, &args, printer).await,
        Command::Node(NodeCommand::Probe(args)) => node_probe::run(&global, &args, printer).await,
        Command::Node(NodeCommand::Config(args)) => node_config::run(args, printer),
        Command::Run(args) => run::run(&global, args, printer).await,
        Command::Devrun(args) => devrun::run(&global, args, printer).await,
        Command::Call(args) => call::run(&global, args, printer).await,
        Command::Stop(args) => stop::run(&global, &args, printer).await,
        Command::Ps => ps::run(&global, printer).await,
        Command::Logs(args) => logs::run(&global, args, printer).await,
        Command::Events(args) => events::run(&global, &args, printer).await,
        Command::Lameduck(args) => lameduck::run(&global, &args, printer).await,
        Command::Bench(args) => bench::run(&global, args, printer).await,
        Command::Demo(args) => demo::run(&args, printer).await,
        Command::Doctor(args) => doctor::run(args, printer).await,
        Command::Completions(args) => program::completions(&args, printer),
        Command::Man(args) => program::man(&args, printer),
        Command::Version => program::version(printer),
    }
}

/// How a node is called in tables: its name, else its id.
fn node_label(name: Option<&str>, id: &str) -> String {
    name.filter(|name| !name.is_empty()).unwrap_or(id).to_owned()
}

/// The name in the tags of a node.
fn name_in(tags: &std::collections::BTreeMap<String, String>) -> Option<&str> {
    tags.get(nex_protocol::control::NodeTag::NodeName.as_str()).map(String::as_str)
}
