//! What can run a workload: one module per type of workload.

pub mod compiled;
pub mod elf;
pub mod engine;
pub mod function;
pub mod js;
pub mod wasm;
