//! A hostile guest at the interface of the JavaScript engine: it calls every import with any
//! numbers, writes anywhere, grows its memory, moves its stack pointer and lies about its heap.
//!
//! The guest interprets the input: 21 bytes each, which import (or what else), and five numbers.
//! The first byte of the input is how many of them run at deploy, the rest in calls.
#![no_main]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use nex_agent::provider::engine::engine;
use nex_agent::provider::function::{
    BoxFuture, Call, FunctionLimits, Host, HostCall, HostError, HostReply,
};
use nex_agent::provider::js;
use nex_protocol::agent::AgentLevel;
use nex_protocol::nats::HeaderMap;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use wasmtime::{Engine, Module};

/// Longer than any text that the interface passes on.
const MAX_TEXT: usize = 64 << 10;

const GUEST: &str = r#"(module
  (import "nex" "read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "nex" "answer" (func $answer (param i32 i32)))
  (import "nex" "fail" (func $fail (param i32 i32 i32)))
  (import "nex" "log" (func $log (param i32 i32 i32)))
  (import "nex" "random" (func $random (param i32 i32)))
  (import "nex" "clock" (func $clock (param i32) (result i64)))
  (import "nex" "sleep" (func $sleep (param f64)))
  (import "nex" "service" (func $service (param i32 i32 i32 i32 i32) (result i32)))
  (import "nex" "digest" (func $digest (param i32 i32 i32 i32) (result i32)))
  (import "nex" "url" (func $url (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 4)
  (global $sp (export "__stack_pointer") (mut i32) (i32.const 65536))
  (global (export "__heap_base") i32 (i32.const 65536))
  (global (export "nex_heap_top") i32 (i32.const 70000))
  (data (i32.const 80000) "https://user@example.org:1/a?b#c")
  (func $run (param $at i32) (param $end i32) (result i32)
    (local $a i32) (local $b i32) (local $c i32) (local $d i32) (local $e i32)
    (loop $next
      (if (i32.gt_u (i32.add (local.get $at) (i32.const 21)) (local.get $end))
        (then (return (i32.const 0))))
      (local.set $a (i32.load offset=1 (local.get $at)))
      (local.set $b (i32.load offset=5 (local.get $at)))
      (local.set $c (i32.load offset=9 (local.get $at)))
      (local.set $d (i32.load offset=13 (local.get $at)))
      (local.set $e (i32.load offset=17 (local.get $at)))
      (block $done
        (block $b15 (block $b14 (block $b13 (block $b12 (block $b11 (block $b10 (block $b9 (block $b8
        (block $b7 (block $b6 (block $b5 (block $b4 (block $b3 (block $b2 (block $b1 (block $b0
          (br_table $b0 $b1 $b2 $b3 $b4 $b5 $b6 $b7 $b8 $b9 $b10 $b11 $b12 $b13 $b14 $b15
            (i32.and (i32.load8_u (local.get $at)) (i32.const 15))))
        (drop (call $read (local.get $a) (local.get $b) (local.get $c) (local.get $d))) (br $done))
        (call $answer (local.get $a) (local.get $b)) (br $done))
        (call $fail (local.get $a) (local.get $b) (local.get $c)) (br $done))
        (call $log (local.get $a) (local.get $b) (local.get $c)) (br $done))
        (call $random (local.get $a) (local.get $b)) (br $done))
        (drop (call $clock (local.get $a))) (br $done))
        (call $sleep (f64.reinterpret_i64 (i64.or (i64.extend_i32_u (local.get $a))
          (i64.shl (i64.extend_i32_u (local.get $b)) (i64.const 32))))) (br $done))
        (drop (call $service (local.get $a) (local.get $b) (local.get $c) (local.get $d) (local.get $e))) (br $done))
        (drop (call $digest (local.get $a) (local.get $b) (local.get $c) (local.get $d))) (br $done))
        (drop (call $url (local.get $a) (local.get $b) (local.get $c) (local.get $d) (local.get $e))) (br $done))
        (i32.store (local.get $a) (local.get $b)) (br $done))
        (drop (memory.grow (i32.and (local.get $a) (i32.const 255)))) (br $done))
        (global.set $sp (local.get $a)) (br $done))
        (return (local.get $a)))
        (memory.fill (local.get $a) (local.get $b) (local.get $c)) (br $done))
        unreachable)
      (local.set $at (i32.add (local.get $at) (i32.const 21)))
      (br $next))
    unreachable)
  (func $digit (param $at i32) (result i32)
    (i32.and (i32.sub (i32.load8_u (local.get $at)) (i32.const 97)) (i32.const 15)))
  (func (export "start") (result i32) (i32.const 0))
  ;; The script is text: each byte is two letters from a to p.
  (func (export "load") (param i32) (result i32)
    (local $size i32) (local $at i32)
    (local.set $size (i32.shr_u (call $read (i32.const 5) (i32.const 0) (i32.const 131072) (i32.const 65536)) (i32.const 1)))
    (block $end (loop $next
      (br_if $end (i32.ge_u (local.get $at) (local.get $size)))
      (i32.store8 (i32.add (i32.const 131072) (local.get $at))
        (i32.or
          (i32.shl (call $digit (i32.add (i32.const 131072) (i32.shl (local.get $at) (i32.const 1)))) (i32.const 4))
          (call $digit (i32.add (i32.const 131073) (i32.shl (local.get $at) (i32.const 1))))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next)))
    (call $run (i32.const 131072) (i32.add (i32.const 131072) (local.get $size))))
  (func (export "call") (param i64) (result i32)
    (call $run (i32.const 131072)
      (i32.add (i32.const 131072) (call $read (i32.const 1) (i32.const 0) (i32.const 131072) (i32.const 65536))))))
"#;

struct Fixture {
    engine: Engine,
    module: Module,
}

fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let engine = engine().unwrap();
        let ticking = engine.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_millis(1));
                ticking.increment_epoch();
            }
        });
        Fixture { module: Module::new(&engine, GUEST).unwrap(), engine }
    })
}

thread_local! {
    static RUNTIME: Runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
}

/// Answers some calls, and checks what comes through.
struct Checking;

impl Host for Checking {
    fn call(&self, call: HostCall, _: Instant) -> BoxFuture<Result<HostReply, HostError>> {
        assert!(call.headers.len() <= 1);
        for (_, value) in call.headers.iter() {
            assert!(value.len() <= MAX_TEXT && !value.contains(['\r', '\n']));
        }
        Box::pin(async move {
            match call.body.len() % 3 {
                0 => Err(HostError("no".to_owned())),
                1 => Ok(HostReply { parts: vec![call.body] }),
                _ => Ok(HostReply { parts: vec![call.body.clone(), call.body] }),
            }
        })
    }

    fn log(&self, _: AgentLevel, text: &str) {
        assert!(text.len() <= MAX_TEXT);
    }
}

async fn play(script: &str, calls: &[u8]) {
    let Fixture { engine, module } = fixture();
    let limits = FunctionLimits {
        call_timeout: Duration::from_millis(5),
        max_memory_bytes: 1 << 20,
        max_output_bytes: 4096,
        ..FunctionLimits::default()
    };
    let host = Arc::new(Checking);
    let environment = BTreeMap::from([("NAME".to_owned(), "value".to_owned())]);
    let prepared =
        js::prepare(engine, module, script.as_bytes(), limits, &environment, host.clone()).await;
    let Ok(function) = prepared else { return };
    let mut headers = HeaderMap::new();
    headers.append("x-one", "1").unwrap();
    // The second finds what the first left behind.
    for program in [calls, calls.get(21..).unwrap_or_default(), &[]] {
        let call = Call {
            subject: "a.b".to_owned(),
            reply: Some("r".to_owned()),
            headers: headers.clone(),
            payload: Bytes::copy_from_slice(program),
            deadline: Instant::now() + limits.call_timeout,
        };
        if let Ok(answer) = function.clone().call(call, host.clone()).await {
            assert!(answer.payload.len() <= 4096);
            if let Some(afterwards) = answer.afterwards {
                afterwards();
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((early, program)) = data.split_first() else { return };
    let (script, calls) = program.split_at((usize::from(*early) * 21).min(program.len()));
    let text = script.iter().fold(String::new(), |mut text, byte| {
        let letter = |nibble: u8| char::from(b'a' + nibble);
        let _ = write!(text, "{}{}", letter(byte >> 4), letter(byte & 15));
        text
    });
    RUNTIME.with(|runtime| runtime.block_on(play(&text, calls)));
});
