//! The program that a node starts for each workload, and that compiles functions for it.

use std::process::ExitCode;

use nex_agent::{
    agent::Agent,
    boot,
    boot::Metadata,
    compile,
    confine::{self, Inside},
    diagnostics::say,
};
use nex_protocol::agent::namespaces::SANDBOX_ARGUMENT;

fn main() -> ExitCode {
    boot::descriptors::close_inherited();
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into()).collect();
    match arguments.split_first() {
        // The two ways in which a node starts it.
        None => serve(None),
        Some((command, [_folder])) if command == SANDBOX_ARGUMENT => match confine::enter() {
            Ok(inside) => serve(Some(inside)),
            Err(error) => {
                say(&error.to_string());
                ExitCode::FAILURE
            }
        },
        Some((command, [])) if command == "engine-key" => compile::print_key(),
        Some((command, rest)) if command == "compile" => compile::run(rest),
        Some((command, _)) => {
            say(&format!(
                "unknown command {command:?}; an agent is started by a node, without any"
            ));
            ExitCode::from(2)
        }
    }
}

fn serve(inside: Option<Inside>) -> ExitCode {
    let metadata = match &inside {
        Some(inside) => {
            Metadata::from_environment(|name| inside.variables.get(name).map(Into::into))
        }
        None => Metadata::from_environment(std::env::var_os),
    };
    // Before any thread: the environment holds the agent's secret.
    boot::hygiene::scrub_environment();
    let metadata = match metadata {
        Ok(metadata) => metadata,
        Err(error) => {
            say(&error.to_string());
            return ExitCode::from(2);
        }
    };
    if let Err(error) = boot::hygiene::prepare() {
        say(&format!("cannot prepare: {error}"));
        return ExitCode::FAILURE;
    }
    // One thread: it spawns the workload, which dies with it.
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => ExitCode::from(runtime.block_on(Agent::run(metadata, inside))),
        Err(error) => {
            say(&format!("cannot start the runtime: {error}"));
            ExitCode::FAILURE
        }
    }
}
