//! Functions in WebAssembly: commands, run once for each call.
//!
//! ```text
//! artifact ─compile (another process)─▶ machine code ─mapped─▶ linked once ─▶ an instance per call
//! ```
//!
//! The payload is standard input, all of standard output is the answer, standard error goes to the
//! workload's log. There is no file system and no network. Two kinds of file are taken: modules of
//! WASI preview 1 (`module`, over the host functions of `preview1`) and components of WASI 0.2
//! (`component`, over those of wasmtime). `imports` says what is offered, and names what is not.

mod component;
mod environment;
mod guard;
mod http;
mod imports;
mod keyvalue;
mod module;
mod outcome;
mod output;
mod preview1;

use std::path::Path;
use std::sync::Arc;

use nex_protocol::environment::Environment;
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use super::compiled::{Compiled, Trusted};
use super::function::{Function, FunctionLimits, PrepareError};
use component::ComponentFunction;
use module::ModuleFunction;

/// Longest list of missing imports that is shown.
const MAX_MISSING_SHOWN: usize = 20;

/// What all calls of one function share.
#[derive(Debug)]
struct Program {
    /// `argv[0]`.
    name: String,
    /// The environment of the deploy.
    environment: Vec<(String, String)>,
    limits: FunctionLimits,
}

/// Compiles a module or component, and checks that it can run here.
///
/// # Errors
/// A text for whoever wrote it.
pub fn compile(engine: &Engine, artifact: &[u8]) -> Result<Vec<u8>, PrepareError> {
    match artifact.get(..8) {
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => {
            let module = Module::new(engine, artifact).map_err(|error| invalid(&error))?;
            module::check(&module)?;
            imports::link_module(engine, &module)?;
            module.serialize()
        }
        Some([0, b'a', b's', b'm', _, 0, 1, 0]) => {
            let component = Component::new(engine, artifact).map_err(|error| invalid(&error))?;
            component::check(engine, &component)?;
            imports::link_component(engine, &component)?;
            component.serialize()
        }
        _ => {
            return Err(PrepareError(
                "this is no WebAssembly: a module or component starts with \"\\0asm\"; \
                 deploy the .wasm file that the compiler made"
                    .to_owned(),
            ));
        }
    }
    .map_err(|error| PrepareError(format!("the machine code cannot be written out: {error:#}")))
}

fn invalid(error: &wasmtime::Error) -> PrepareError {
    PrepareError(format!("this WebAssembly cannot be compiled: {error:#}"))
}

/// Makes a function out of what [`compile`] made.
///
/// # Errors
/// The code is of another version of the agent, or does not fit the limits.
pub fn prepare(
    engine: &Engine,
    compiled: &Path,
    name: &str,
    environment: &Environment,
    limits: FunctionLimits,
) -> Result<Arc<dyn Function>, PrepareError> {
    // What no process could be given makes no sense here either.
    environment.for_process().map_err(|error| PrepareError(error.to_string()))?;
    let program = Arc::new(Program {
        name: name.to_owned(),
        environment: environment
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        limits,
    });
    let loaded = Trusted::vouch(compiled).load(engine);
    match loaded.map_err(|error| PrepareError(format!("cannot load machine code: {error:#}")))? {
        Compiled::Module(module) => {
            check_memory(module.resources_required().max_initial_memory_size, limits)?;
            let linked = imports::link_module(engine, &module)?;
            Ok(Arc::new(ModuleFunction::new(program, &module, linked)?))
        }
        Compiled::Component(component) => {
            let needed = component.resources_required();
            check_memory(needed.and_then(|needed| needed.max_initial_memory_size), limits)?;
            let linked = imports::link_component(engine, &component)?;
            Ok(Arc::new(ComponentFunction::new(program, linked)?))
        }
    }
}

/// A memory that is too large from the start would fail every call.
fn check_memory(pages: Option<u64>, limits: FunctionLimits) -> Result<(), PrepareError> {
    let needed = pages.unwrap_or_default().saturating_mul(64 << 10);
    if needed <= limits.max_memory_bytes {
        return Ok(());
    }
    Err(PrepareError(format!(
        "it starts with {needed} bytes of memory and may have {}; \
         link it with a smaller initial memory, or raise the limit",
        limits.max_memory_bytes
    )))
}
