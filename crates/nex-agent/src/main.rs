//! The program that a node starts for each workload.

use std::process::ExitCode;

use nex_agent::{agent::Agent, boot, boot::Metadata, diagnostics::say};

fn main() -> ExitCode {
    boot::descriptors::close_inherited();
    let metadata = Metadata::from_environment(std::env::var_os);
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
        Ok(runtime) => ExitCode::from(runtime.block_on(Agent::run(metadata))),
        Err(error) => {
            say(&format!("cannot start the runtime: {error}"));
            ExitCode::FAILURE
        }
    }
}
