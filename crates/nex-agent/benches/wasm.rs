//! One call of a function in WebAssembly, without the way to it: a new instance, the call, its
//! end. `cargo bench -p nex-agent --bench wasm`. Machines are shared and noisy: compare.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use nex_agent::provider::function::{
    BoxFuture, Call, Function, FunctionLimits, Host, HostCall, HostError, HostReply,
};
use nex_agent::provider::{engine, wasm};
use nex_protocol::agent::AgentLevel;
use nex_protocol::environment::Environment;
use nex_protocol::nats::HeaderMap;
use tokio::time::Instant;

const LARGE: usize = 64 << 10;

/// A host that nobody calls.
struct NoHost;

impl Host for NoHost {
    fn call(&self, _: HostCall, _: Instant) -> BoxFuture<Result<HostReply, HostError>> {
        Box::pin(async { Err(HostError("there is none".to_owned())) })
    }

    fn log(&self, _: AgentLevel, _: &str) {}
}

fn prepare(engine: &wasmtime::Engine, folder: &Path, wat: &str) -> Arc<dyn Function> {
    let path = folder.join("compiled");
    let _ = std::fs::remove_file(&path);
    let compiler = engine::compiler().unwrap();
    std::fs::write(&path, wasm::compile(&compiler, &wat::parse_str(wat).unwrap()).unwrap())
        .unwrap();
    let limits = FunctionLimits::default();
    wasm::prepare(engine, &path, "bench", &Environment::default(), limits).unwrap()
}

fn benches(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let engine = engine::engine().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let probe = include_str!("../tests/it/wat/probe.wat");
    let component = include_str!("../tests/it/wat/component.wat");
    for (kind, wat, prefix) in [("module", probe, "="), ("component", component, "")] {
        let function = prepare(&engine, folder.path(), wat);
        for size in [16, LARGE] {
            let mut payload = prefix.as_bytes().to_vec();
            payload.resize(size, b'x');
            let payload = Bytes::from(payload);
            criterion.bench_function(&format!("{kind}, {size} bytes"), |bencher| {
                bencher.iter(|| {
                    let call = Call {
                        subject: "bench.echo".to_owned(),
                        reply: None,
                        headers: HeaderMap::new(),
                        payload: payload.clone(),
                        deadline: Instant::now() + Duration::from_secs(5),
                    };
                    let answer = Arc::clone(&function).call(call, Arc::new(NoHost));
                    let answer = runtime.block_on(answer).unwrap();
                    assert!(answer.payload.len() + 1 >= payload.len());
                });
            });
        }
    }
}

criterion_group!(all, benches);
criterion_main!(all);
