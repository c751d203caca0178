//! Functions in JavaScript without NATS: a call, copying the image back, the first call of a
//! script, and what computes, against the same engine compiled for this machine.
//!
//! `cargo bench -p nex-agent --bench javascript`. The first run compiles the engine for this
//! machine, which takes a while.

// A benchmark stops at the first surprise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use nex_agent::provider::engine::engine;
use nex_agent::provider::function::{
    BoxFuture, Call, Function, FunctionLimits, Host, HostCall, HostError, HostReply,
};
use nex_agent::provider::js;
use nex_protocol::agent::AgentLevel;
use nex_protocol::nats::HeaderMap;
use tokio::runtime::Runtime;
use wasmtime::{Engine, Module};

struct Nothing;

impl Host for Nothing {
    fn call(
        &self,
        _: HostCall,
        _: tokio::time::Instant,
    ) -> BoxFuture<Result<HostReply, HostError>> {
        Box::pin(async { Err(HostError("no host services".to_owned())) })
    }

    fn log(&self, _: AgentLevel, _: &str) {}
}

const ECHO: &str = "(subject, payload) => payload";
const JSON: &str = "(subject, payload) => ({subject, size: payload.length})";
const FIB: &str = "function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2) }";
const LOOP: &str = "function loop() { let s = 0; for (let i = 0; i < 1000000; i++) s = (s + i * 7) % 1000003; return s }";

struct Bench {
    runtime: Runtime,
    engine: Engine,
    module: Module,
}

impl Bench {
    fn new() -> Self {
        let engine = engine().unwrap();
        let start = Instant::now();
        let module = Module::new(&engine, nex_quickjs::module()).unwrap();
        println!("compile the engine: {:?}", start.elapsed());
        let ticking = engine.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_millis(1));
                ticking.increment_epoch();
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, engine, module }
    }

    fn prepare(&self, script: &str) -> Arc<dyn Function> {
        let limits =
            FunctionLimits { call_timeout: Duration::from_secs(60), ..FunctionLimits::default() };
        let environment = BTreeMap::new();
        let prepared = js::prepare(
            &self.engine,
            &self.module,
            script.as_bytes(),
            limits,
            &environment,
            Arc::new(Nothing),
        );
        self.runtime.block_on(prepared).unwrap()
    }

    /// One call; how long it took to the answer, and with what comes afterwards.
    fn call(&self, function: &Arc<dyn Function>, payload: &Bytes) -> (Duration, Duration) {
        let call = Call {
            subject: "bench.echo".to_owned(),
            reply: None,
            headers: HeaderMap::new(),
            payload: payload.clone(),
            deadline: tokio::time::Instant::now() + Duration::from_secs(60),
        };
        let start = Instant::now();
        let answer = self.runtime.block_on(function.clone().call(call, Arc::new(Nothing))).unwrap();
        let answered = start.elapsed();
        answer.afterwards.unwrap()();
        (answered, start.elapsed())
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let bench = Bench::new();
    calls(&mut criterion, &bench);
    computing(&bench);
    criterion.final_summary();
}

fn calls(criterion: &mut Criterion, bench: &Bench) {
    let echo = bench.prepare(ECHO);
    let small = Bytes::from_static(&[7; 16]);
    let mut group = criterion.benchmark_group("javascript");
    group.bench_function("echo, to the answer", |b| {
        b.iter_custom(|rounds| (0..rounds).map(|_| bench.call(&echo, &small).0).sum());
    });
    group.bench_function("echo, with the image copied back", |b| {
        b.iter(|| bench.call(&echo, &small).1);
    });
    let json = bench.prepare(JSON);
    group.bench_function("JSON, with the image copied back", |b| {
        b.iter(|| bench.call(&json, &small).1);
    });
    let large = Bytes::from(vec![7; 64 << 10]);
    group.throughput(Throughput::Bytes(large.len() as u64));
    group.bench_function("echo of 64 KiB, with the image copied back", |b| {
        b.iter(|| bench.call(&echo, &large).1);
    });
    group.finish();
    let mut group = criterion.benchmark_group("javascript, once");
    group.bench_function("prepare a script", |b| {
        b.iter_custom(|rounds| {
            // Dropping the last one is not part of it.
            let mut taken = Duration::ZERO;
            for _ in 0..rounds {
                let start = Instant::now();
                let function = bench.prepare(ECHO);
                taken += start.elapsed();
                drop(function);
            }
            taken
        });
    });
    group.bench_function("a call in a fresh instance", |b| {
        // Without what comes afterwards no instance is ever idle.
        let call = || Call {
            subject: "bench.echo".to_owned(),
            reply: None,
            headers: HeaderMap::new(),
            payload: small.clone(),
            deadline: tokio::time::Instant::now() + Duration::from_secs(60),
        };
        b.iter(|| {
            let called = echo.clone().call(call(), Arc::new(Nothing));
            drop(bench.runtime.block_on(called).unwrap());
        });
    });
    group.finish();
}

/// Prints how long scripts that compute take, and how long in the native engine.
fn computing(bench: &Bench) {
    let native = native_engine();
    for (name, code, call) in [("fib(27)", FIB, "fib(27)"), ("a loop of 1 M steps", LOOP, "loop()")]
    {
        let function = bench.prepare(&format!("{code}\n() => {call}"));
        let ours = (0..5).map(|_| bench.call(&function, &Bytes::new()).0).min().unwrap();
        let theirs = native.as_ref().map(|native| run_native(native, &format!("{code}\n{call}")));
        match theirs {
            Some(theirs) => println!(
                "{name}: {ours:.1?}; native {theirs:.1?}; ratio {:.2}",
                ours.as_secs_f64() / theirs.as_secs_f64()
            ),
            None => println!("{name}: {ours:.1?}; no C compiler for the native engine"),
        }
    }
}

fn native_engine() -> Option<std::path::PathBuf> {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("native-quickjs-{}", nex_quickjs::ENGINE_VERSION));
    if program.is_file() {
        return Some(program);
    }
    let source = Path::new(nex_quickjs::ENGINE_SOURCE);
    let files =
        ["quickjs.c", "libregexp.c", "libunicode.c", "dtoa.c"].map(|name| source.join(name));
    let made = Command::new("cc")
        .args(["-O2", "-DNDEBUG", "-D_GNU_SOURCE", "-fwrapv", "-fno-strict-aliasing", "-w", "-I"])
        .arg(source)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/native.c"))
        .args(files)
        .args(["-lm", "-lpthread", "-o"])
        .arg(&program)
        .status();
    made.is_ok_and(|status| status.success()).then_some(program)
}

fn run_native(program: &Path, script: &str) -> Duration {
    let mut child =
        Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    Duration::from_nanos(text.trim().parse().expect("the native engine prints a number"))
}
