//! What a module or component may import, and which of its imports are not among it.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{self, Component};
use wasmtime::{Engine, InstancePre, Linker, Module};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::{cli, filesystem, random};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView as _};

use super::component::World as ComponentWorld;
use super::module::World as ModuleWorld;
use super::{MAX_MISSING_SHOWN, PrepareError, keyvalue, preview1};

/// The version of WASI 0.2 that is offered; a component for an earlier one runs with it.
const WASI: &str = "0.2.12";

/// Joins a module with the host functions.
///
/// # Errors
/// It imports what is not offered.
pub(super) fn link_module(
    engine: &Engine,
    module: &Module,
) -> Result<InstancePre<ModuleWorld>, PrepareError> {
    let linker = preview1::linker(engine).map_err(|error| internal(&error))?;
    linker.instantiate_pre(module).map_err(|error| {
        let missing = missing_of_module(&linker, module);
        refusal(missing, &error)
    })
}

/// Joins a component with the host functions.
///
/// # Errors
/// It imports what is not offered.
pub(super) fn link_component(
    engine: &Engine,
    component: &Component,
) -> Result<component::InstancePre<ComponentWorld>, PrepareError> {
    let linker = component_linker(engine).map_err(|error| internal(&error))?;
    linker.instantiate_pre(component).map_err(|error| {
        let missing = missing_of_component(engine, &linker, component);
        refusal(missing, &error)
    })
}

fn internal(error: &wasmtime::Error) -> PrepareError {
    PrepareError(format!("the host functions cannot be set up: {error:#}"))
}

fn refusal(missing: Vec<String>, error: &wasmtime::Error) -> PrepareError {
    if missing.is_empty() {
        // They are all there, but not as the importer thinks they are.
        return PrepareError(format!("its imports do not fit what is offered: {error:#}"));
    }
    let count = missing.len();
    let mut text = "it imports what is not offered here: ".to_owned();
    let shown: Vec<_> = missing.into_iter().take(MAX_MISSING_SHOWN).collect();
    text.push_str(&shown.join(", "));
    if count > shown.len() {
        text.push_str(&format!(" and {} more", count - shown.len()));
    }
    PrepareError(text)
}

fn missing_of_module(linker: &Linker<ModuleWorld>, module: &Module) -> Vec<String> {
    // A linker refuses a name that it has: so it tells which ones it has.
    let mut probe = linker.clone();
    let mut is_offered = |module: &str, name: &str| probe.func_wrap(module, name, || ()).is_err();
    module
        .imports()
        .filter(|import| !is_offered(import.module(), import.name()))
        .map(|import| format!("{}#{}", import.module(), import.name()))
        .collect()
}

fn missing_of_component(
    engine: &Engine,
    linker: &component::Linker<ComponentWorld>,
    component: &Component,
) -> Vec<String> {
    // As above.
    let mut probe = linker.clone();
    let mut missing = Vec::new();
    for (name, item) in component.component_type().imports(engine) {
        match item.ty {
            ComponentItem::ComponentInstance(instance) => {
                for (function, item) in instance.exports(engine) {
                    if matches!(item.ty, ComponentItem::ComponentFunc(_))
                        && !is_offered(&mut probe, name, function)
                    {
                        missing.push(format!("{name}#{function}"));
                    }
                }
            }
            _ => missing.push(name.to_owned()),
        }
    }
    missing
}

fn is_offered(
    probe: &mut component::Linker<ComponentWorld>,
    interface: &str,
    function: &str,
) -> bool {
    let offered = match interface.split_once('@') {
        Some((name, version)) if version.starts_with("0.2.") => format!("{name}@{WASI}"),
        _ => interface.to_owned(),
    };
    let Ok(mut instance) = probe.instance(&offered) else { return false };
    instance.func_new(function, |_, _, _, _| Ok(())).is_err()
}

/// Everything of `wasi:cli/command` but sockets, and the host services that have standard
/// interfaces: outgoing HTTP and the key-value store. There are no directories, so that the file
/// system, which every compiler's library imports, has nothing in it.
fn component_linker(engine: &Engine) -> wasmtime::Result<component::Linker<ComponentWorld>> {
    type T = ComponentWorld;
    let mut linker = component::Linker::new(engine);
    let l = &mut linker;
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(l)?;
    filesystem::types::add_to_linker::<T, WasiFilesystem>(l, T::filesystem)?;
    filesystem::preopens::add_to_linker::<T, WasiFilesystem>(l, T::filesystem)?;
    random::insecure::add_to_linker::<T, WasiRandom>(l, T::random)?;
    random::insecure_seed::add_to_linker::<T, WasiRandom>(l, T::random)?;
    cli::exit::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::environment::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_input::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_output::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_stdin::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_stdout::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_stderr::add_to_linker::<T, WasiCli>(l, T::cli)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(l)?;
    keyvalue::add(l, T::key_value)?;
    Ok(linker)
}
