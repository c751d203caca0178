//! The one wasmtime engine of an agent, for functions in WebAssembly and, since the JavaScript
//! engine is itself a WebAssembly module, in JavaScript.

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Most instances at the same time, of all calls that run.
pub const MAX_INSTANCES: u32 = 256;

/// Native stack of one running call, bytes: WebAssembly's own, and what host functions need on
/// top of it.
const ASYNC_STACK: usize = 2 << 20;

/// The part of it that WebAssembly may use, bytes.
const WASM_STACK: usize = 1 << 20;

/// An engine, with the settings that compiled code is made for: code made under others is not
/// accepted.
///
/// # Errors
/// The machine cannot run compiled WebAssembly.
pub fn engine() -> wasmtime::Result<Engine> {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_core_instances(MAX_INSTANCES)
        .total_memories(MAX_INSTANCES)
        .total_tables(MAX_INSTANCES)
        .total_stacks(MAX_INSTANCES)
        .total_component_instances(MAX_INSTANCES);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        .async_stack_size(ASYNC_STACK)
        .max_wasm_stack(WASM_STACK);
    Engine::new(&config)
}
