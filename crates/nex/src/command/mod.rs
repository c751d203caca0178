//! What the program does: one file per command.

mod program;

use crate::args::{Cli, Command};
use crate::exit::Exit;
use crate::output::Printer;

/// Runs the command that was asked for.
pub(crate) async fn run(cli: Cli, printer: &mut Printer) -> anyhow::Result<Exit> {
    let Cli { global, command } = cli;
    match command {
        Command::Completions(args) => program::completions(&args, printer),
        Command::Man(args) => program::man(&args, printer),
        Command::Version => program::version(printer),
        _ => anyhow::bail!("not yet"),
    }
}
