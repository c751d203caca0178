//! `nex completions`, `nex man`, `nex version`: about the program itself.

use anyhow::Context;
use clap::CommandFactory;
use serde_json::json;

use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::exit::Exit;
use crate::output::Printer;

/// Prints the completion script of a shell.
pub(crate) fn completions(args: &CompletionsArgs, printer: &mut Printer) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "nex", &mut script);
    printer.raw(&script)?;
    Ok(Exit::Ok)
}

/// Prints `nex(1)`, or writes a page for each command.
pub(crate) fn man(args: &ManArgs, printer: &mut Printer) -> anyhow::Result<Exit> {
    let Some(folder) = &args.out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command())
            .render(&mut page)
            .context("cannot make the manual page")?;
        printer.raw(&page)?;
        return Ok(Exit::Ok);
    };
    let cannot = || {
        format!("cannot write manual pages into {}; name a folder you may write", folder.display())
    };
    std::fs::create_dir_all(folder).with_context(cannot)?;
    clap_mangen::generate_to(Cli::command(), folder).with_context(cannot)?;
    printer.message(&format!("wrote the manual pages into {}", folder.display()));
    Ok(Exit::Ok)
}

/// Prints the version.
pub(crate) fn version(printer: &mut Printer) -> anyhow::Result<Exit> {
    let version = env!("CARGO_PKG_VERSION");
    if printer.wants_json() {
        printer.document(&json!({"name": "nex", "version": version}))?;
    } else {
        printer.line(&format!("nex {version}"))?;
    }
    Ok(Exit::Ok)
}
