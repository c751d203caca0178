//! The one wasmtime engine of an agent, for functions in WebAssembly and, since the JavaScript
//! engine is itself a WebAssembly module, in JavaScript.

use std::hash::{Hash, Hasher};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Most calls that run at the same time.
pub const MAX_INSTANCES: u32 = 256;

/// Modules and tables of one call, on average: a component is made of several.
const PARTS: u32 = 4;

/// Most elements of one table: programs with tens of thousands of functions have as many.
pub const MAX_TABLE_ELEMENTS: usize = 64 << 10;

/// Native stack of one running call, bytes: WebAssembly's own, and what host functions need on
/// top of it.
const ASYNC_STACK: usize = 2 << 20;

/// The part of it that WebAssembly may use, bytes.
const WASM_STACK: usize = 1 << 20;

/// Address space of one memory, bytes. Compiled code relies on it.
const MEMORY_RESERVATION: u64 = 4 << 30;

/// Memory that a finished instance keeps for the next one, bytes: cleared by hand, which for the
/// few pages that a short call touches is faster than to give them back and fault them in again.
const KEEP_RESIDENT: usize = 128 << 10;

/// Ticks of the epoch that a call may see before it gives way for the first time. With one, a
/// short call that a tick happens to fall into would be moved to another thread for nothing.
pub const FIRST_TICKS: u64 = 2;

/// An engine that runs functions.
///
/// Its pool takes more than a terabyte of address space. Where that cannot be had, instances are
/// made one by one, which is slower and otherwise the same.
///
/// # Errors
/// The machine cannot run compiled WebAssembly.
pub fn engine() -> wasmtime::Result<Engine> {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_core_instances(PARTS * MAX_INSTANCES)
        .total_tables(PARTS * MAX_INSTANCES)
        // One more for what is tidied up after an answer, or waits for the next call.
        .total_memories(2 * MAX_INSTANCES)
        .total_stacks(MAX_INSTANCES)
        .total_component_instances(MAX_INSTANCES)
        .table_elements(MAX_TABLE_ELEMENTS)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        .pagemap_scan(Enabled::Auto);
    let mut config = settings();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config).or_else(|_| compiler())
}

/// An engine that only compiles: without the pool, so that it works where address space is
/// limited. What it makes is what [`engine`] runs.
///
/// # Errors
/// There is no compiler for this machine.
pub fn compiler() -> wasmtime::Result<Engine> {
    let mut config = settings();
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    Engine::new(&config)
}

/// A name for everything that compiled code depends on besides what it was compiled from: code
/// that was made under another key is not to be used.
///
/// # Errors
/// As [`compiler`].
pub fn key() -> wasmtime::Result<String> {
    struct Digesting(Sha256);

    impl Hasher for Digesting {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        fn finish(&self) -> u64 {
            0
        }
    }

    let engine = compiler()?;
    let mut hasher = Digesting(Sha256::new());
    hasher.write(concat!("nex-agent ", env!("CARGO_PKG_VERSION"), "\n").as_bytes());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.write(&Sha256::digest(nex_quickjs::module()));
    Ok(HEXLOWER.encode(&hasher.0.finalize()))
}

/// The settings that compiled code is made for.
fn settings() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .async_stack_size(ASYNC_STACK)
        .max_wasm_stack(WASM_STACK)
        .memory_reservation(MEMORY_RESERVATION)
        .memory_may_move(false)
        .wasm_component_model(true);
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Collecting(Vec<u8>);

    impl Hasher for Collecting {
        fn write(&mut self, bytes: &[u8]) {
            self.0.extend_from_slice(bytes);
        }

        fn finish(&self) -> u64 {
            0
        }
    }

    fn hashed(engine: &Engine) -> Vec<u8> {
        let mut all = Collecting(Vec::new());
        engine.precompile_compatibility_hash().hash(&mut all);
        all.0
    }

    #[test]
    fn what_one_engine_compiles_the_other_runs() {
        let (pooled, compiler) = (engine().unwrap(), compiler().unwrap());
        assert_eq!(hashed(&pooled), hashed(&compiler));
        let code = compiler.precompile_module(b"\0asm\x01\0\0\0").unwrap();
        assert!(crate::provider::compiled::module_from_bytes(&pooled, &code).is_ok());
    }

    #[test]
    fn the_key_is_one_word_and_always_the_same() {
        let first = key().unwrap();
        assert_eq!(first.len(), 64);
        assert_eq!(first, key().unwrap());
    }
}
