//! The program that a node starts for each workload.

use std::process::ExitCode;

use nex_agent::{agent::Agent, boot, boot::Metadata, confine, diagnostics::say};

fn main() -> ExitCode {
    boot::descriptors::close_inherited();
    let inside = match confine::is_asked_for().then(confine::enter).transpose() {
        Ok(inside) => inside,
        Err(error) => {
            say(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
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
