//! Commands about the program itself: `demo`, `completions`, `man`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// `nex demo`.
#[derive(Args)]
#[command(after_help = "\
Everything runs on this machine and in a temporary folder, with the sandbox \"process\": the
service is a plain process with your rights. Isolation is not shown yet.")]
pub(crate) struct DemoArgs {
    /// Leave everything running at the end, until Ctrl-C
    #[arg(long)]
    pub(crate) keep: bool,

    /// The service to run [default: echo-service beside this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) service: Option<PathBuf>,
}

/// `nex completions`.
#[derive(Args)]
#[command(after_help = "\
Example:
  nex completions bash > ~/.local/share/bash-completion/completions/nex")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// `nex man`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  nex man | man -l -
  nex man --out ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Write one page for each command into this folder, which is made when missing
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}
