//! Functions in WebAssembly, with the agent that the node really runs.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use nex_client::deploy::Artifact;
use nex_protocol::config::{CompiledCacheFile, FunctionsFile};
use nex_protocol::control::WorkloadType;
use nex_testkit::wait::wait_for_async;
use nex_testkit::{Collector, DEADLINE, process};

use super::{Answer, call, function};
use crate::world::World;

/// Copies standard input to standard output.
pub(crate) const ECHO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read"
    (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 3)
  (func (export "_start")
    (local $n i32)
    (loop $again
      (i32.store (i32.const 0) (i32.const 1024))
      (i32.store (i32.const 4) (i32.const 65536))
      (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (local.set $n (i32.load (i32.const 8)))
      (if (local.get $n)
        (then
          (i32.store (i32.const 4) (local.get $n))
          (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
          (br $again))))))"#;

/// Does what the first byte of its input says: `t` traps, `l` loops, `m` wants memory, `e` exits
/// with 7; else it answers with what it got.
const MOODY: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read"
    (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 3)
  (func (export "_start")
    (local $c i32)
    (i32.store (i32.const 0) (i32.const 1024))
    (i32.store (i32.const 4) (i32.const 4096))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (local.set $c (i32.load8_u (i32.const 1024)))
    (if (i32.eq (local.get $c) (i32.const 116)) (then unreachable))
    (if (i32.eq (local.get $c) (i32.const 101)) (then (call $exit (i32.const 7))))
    (if (i32.eq (local.get $c) (i32.const 108)) (then (loop $l (br $l))))
    (if (i32.eq (local.get $c) (i32.const 109))
      (then (loop $l
        (if (i32.eq (memory.grow (i32.const 64)) (i32.const -1)) (then unreachable))
        (br $l))))
    (i32.store (i32.const 4) (i32.load (i32.const 8)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

/// Compiled code of all tests of this run, so that each module is compiled once.
fn compiled() -> PathBuf {
    static DIR: OnceLock<tempfile::TempDir> = OnceLock::new();
    DIR.get_or_init(|| tempfile::tempdir().unwrap()).path().to_owned()
}

async fn world(functions: FunctionsFile) -> World {
    let cache = CompiledCacheFile {
        dir: Some(compiled().to_str().unwrap().to_owned()),
        ..CompiledCacheFile::default()
    };
    let functions = FunctionsFile { compiled_cache: Some(cache), ..functions };
    World::with(|config| config.functions(functions).workload_types([WorkloadType::Wasm])).await
}

async fn module(world: &World, text: &str) -> Artifact {
    let bytes = wat::parse_str(text).unwrap();
    world.upload_bytes("module", &bytes).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_answers_messages() {
    let world = world(FunctionsFile::default()).await;
    let nats = world.nats.client().await;
    let artifact = module(&world, ECHO).await;
    let id = world.run(function("echo", artifact, &["echo.*"])).await;
    assert_eq!(call(&nats, "echo.x", "hello").await, Answer::raw("hello"));
    assert_eq!(call(&nats, "echo.x", "").await, Answer::raw(""));
    let large: Bytes = (0..64u32 << 10).map(|n| (n % 251) as u8).collect();
    assert_eq!(call(&nats, "echo.x", large.clone()).await, Answer::Raw(large));
    let calls = join_all((0..200).map(|n| call(&nats, "echo.x", format!("{n}")))).await;
    let answered = calls.iter().filter(|answer| matches!(answer, Answer::Raw(_))).count();
    let busy = calls.iter().filter(|answer| answer.code() == Some(429)).count();
    assert_eq!(answered + busy, 200, "{calls:?}");
    assert!(answered >= 64, "{answered} answered");
    world.stop_workload(id, "echo").await;
    assert_eq!(call(&nats, "echo.x", "x").await, Answer::Nobody);
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_function_does_wrong_is_told_and_the_next_call_works() {
    let functions = FunctionsFile { call_timeout_ms: Some(400), ..FunctionsFile::default() };
    let world = world(functions).await;
    let nats = world.nats.client().await;
    let artifact = module(&world, MOODY).await;
    let id = world.run(function("moody", artifact, &["moody"])).await;
    for (mood, code) in [("trap", 500), ("exit", 500), ("loop", 504), ("memory", 507)] {
        let answer = call(&nats, "moody", mood).await;
        assert_eq!(answer.code(), Some(code), "{mood}: {answer:?}");
        assert_eq!(call(&nats, "moody", "fine").await, Answer::raw("fine"));
    }
    assert_eq!(world.node.workloads().get(id).unwrap().restarts, 0);
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_large_is_none() {
    let functions = FunctionsFile {
        max_output_bytes: Some(nex_protocol::config::ByteSize::bytes(10)),
        ..FunctionsFile::default()
    };
    let world = world(functions).await;
    let nats = world.nats.client().await;
    let artifact = module(&world, ECHO).await;
    world.run(function("echo", artifact, &["echo"])).await;
    assert_eq!(call(&nats, "echo", "0123456789").await, Answer::raw("0123456789"));
    assert_eq!(call(&nats, "echo", "0123456789x").await.code(), Some(502));
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_compiled_is_refused_with_the_reason() {
    let world = world(FunctionsFile::default()).await;
    let refused = async |bytes: &[u8]| {
        let artifact = world.upload_bytes("module", bytes).await;
        let builder = function("bad", artifact, &["bad"]);
        world.deploy(builder).await.unwrap_err().to_string()
    };
    let text = refused(b"this is not WebAssembly").await;
    assert!(text.contains("cannot be compiled"), "{text}");
    let imports = wat::parse_str(
        r#"(module (import "env" "secret_door" (func)) (func (export "_start")) (memory (export "memory") 1))"#,
    );
    let text = refused(&imports.unwrap()).await;
    assert!(text.contains("secret_door"), "{text}");
    assert!(world.node.workloads().is_empty());
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_in_the_middle_of_calls_is_replaced() {
    let functions = FunctionsFile { call_timeout_ms: Some(30_000), ..FunctionsFile::default() };
    let world = world(functions).await;
    let nats = world.nats.client().await;
    let artifact = module(&world, MOODY).await;
    let id = world.run(function("moody", artifact, &["moody"])).await;
    let mut events = Collector::new(&nats, "$NEX.events.default.workload_stopped").await;
    let hang = join_all((0..3).map(|_| call(&nats, "moody", "loop")));
    let kill = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let folder = world.dir.path().join("state/sandboxes").join(id.to_string());
        for pid in process::tree(std::process::id()) {
            let cwd = std::fs::read_link(format!("/proc/{pid}/cwd"));
            if cwd.is_ok_and(|cwd| cwd.starts_with(&folder)) {
                std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
            }
        }
    };
    let (hung, ()) = tokio::join!(hang, kill);
    assert!(hung.iter().all(|answer| answer.code() == Some(503)), "{hung:?}");
    events.next().await;
    wait_for_async(DEADLINE, "the function to come back", || async {
        (call(&nats, "moody", "fine").await == Answer::raw("fine")).then_some(())
    })
    .await;
    assert!(world.end().await.clean);
}
