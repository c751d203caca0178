//! `nex`: start nodes, deploy workloads, look at what runs.

mod args;
mod command;
mod exit;
mod identity;
mod input;
mod logging;
mod output;
mod session;
mod signals;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::exit::Exit;
use crate::output::Printer;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Clap's own messages: help and version go to standard output with
        // exit code 0, mistakes to standard error with 2.
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() };
        }
    };
    let mut printer = Printer::stdio(cli.global.json);
    // One thread: a node spends its time waiting on sockets, and measured
    // better so; the main thread outlives all others, which is what
    // PR_SET_PDEATHSIG of child processes asks for.
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            let result = runtime.block_on(command::run(cli, &mut printer));
            // A read of standard input that nobody waits for any more must not
            // keep the program.
            runtime.shutdown_background();
            result
        });
    let (exit, messages) = exit::judge(result);
    for message in messages {
        printer.error(&message);
    }
    exit.into()
}
