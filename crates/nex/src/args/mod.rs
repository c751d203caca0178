//! The command line: what may be typed, with its help. One file per group of
//! commands; nothing is done here.

mod deploy;
mod function;
mod global;
mod node;
mod observe;
mod program;

use clap::{Parser, Subcommand};

pub(crate) use deploy::{DevrunArgs, LaunchArgs, RunArgs, StopArgs};
pub(crate) use function::{BenchArgs, CallArgs};
pub(crate) use global::{GlobalArgs, LevelArg, LoggerArg, TimeFormatArg};
pub(crate) use node::{
    ConfigArgs, DoctorArgs, InfoArgs, LameduckArgs, NodeCommand, ProbeArgs, SettingsArgs, UpArgs,
};
pub(crate) use observe::{EventsArgs, LogsArgs};
pub(crate) use program::{CompletionsArgs, DemoArgs, ManArgs};

/// Behind the help of the whole program.
const AFTER_HELP: &str = "\
Try it:
  nex demo                       start NATS and a node, run a service and a function, call them
  nex node up --with-nats        a node of your own on this machine
  nex doctor                     what this machine has to isolate workloads
  nex devrun ./my-service        upload a program and run it on that node
  nex devrun ./hello.js --trigger_subject hello
                                 run a function
  nex call hello Ada             call it
  nex ps, nex logs, nex stop my-service

Exit codes: 0 done, 1 failed, 2 wrong usage.";

/// The whole command line.
#[derive(Parser)]
#[command(
    name = "nex",
    version,
    about = "Run services and functions on any Linux machine that can reach NATS",
    after_help = AFTER_HELP,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// Options that every command takes, before or behind its name.
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start a node, list nodes, look at one
    #[command(subcommand)]
    Node(NodeCommand),
    /// Run a workload that is already in an object store
    Run(RunArgs),
    /// Upload a program and run it, with defaults for everything (developer mode)
    #[command(visible_alias = "yeet")]
    Devrun(DevrunArgs),
    /// Call a function and print its reply
    Call(CallArgs),
    /// Stop a running workload
    Stop(StopArgs),
    /// List the workloads on all nodes
    Ps,
    /// Follow the logs of workloads
    Logs(LogsArgs),
    /// Follow the events of nodes and workloads
    Events(EventsArgs),
    /// Tell a node to take no new work; what runs goes on
    Lameduck(LameduckArgs),
    /// Measure a function against a bare NATS request and reply
    Bench(BenchArgs),
    /// Show everything once: NATS, a node, a service and a function, calls, logs, stop
    Demo(DemoArgs),
    /// Look at this machine: what isolates workloads here, and what to do for more
    Doctor(DoctorArgs),
    /// Print the completion script of a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write all of them into a folder
    Man(ManArgs),
    /// Print the version of this program
    Version,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    fn parse(line: &str) -> Cli {
        Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    #[test]
    fn global_options_stand_before_and_behind_the_command() {
        for line in ["nex -s nats://x --timeout 5s node ls", "nex node ls -s nats://x --timeout 5s"]
        {
            let cli = parse(line);
            assert_eq!(cli.global.server.as_deref(), Some("nats://x"), "{line}");
            assert_eq!(cli.global.timeout(), std::time::Duration::from_secs(5), "{line}");
        }
    }

    #[test]
    fn the_go_spelling_of_every_flag_is_taken() {
        for line in [
            "nex run nats://B/k NID a=b --xkey x --issuer i --name n --type v8 --description d \
             --argv a --essential --trigger_subject s --trigger_subject t",
            "nex devrun f a=b --trigger_subject s --argv a --essential --stop --bucketmaxbytes 5",
            "nex yeet f --no-stop --trigger-subject s --call-timeout 30s --watch --keep",
            "nex run nats://B/k --type wasm --trigger_subject s --call_timeout 1m",
            "nex bench --file f.js --clients 1,4 --size 16B,1KiB --duration 2s",
            "nex bench echo --requests 100 --payload @f",
            "nex stop NID id --name n --issuer i",
            "nex logs --node n --workload_name w --workload_id i --level warn",
            "nex logs --workload-name w --workload-id i",
            "nex node probe --workload w",
            "nex node up --config f",
            "nex node info NID",
            "nex lameduck NID",
            "nex call echo -5 --header a=b -H c=d --json",
            "nex call a.b -",
            "nex events --no-context --conn-name c --logger nats --loglevel debug --logjson \
             --logcolor --timeformat RFC3339",
        ] {
            parse(&line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}
