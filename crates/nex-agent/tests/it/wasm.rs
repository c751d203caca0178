//! Functions in WebAssembly: what they get, what they may, how they end.

use std::time::Instant;

use nex_protocol::nats::HeaderMap;
use serde_json::json;

use crate::node::{DEADLINE, Node, until};

/// A module that does what its payload says.
pub(crate) const PROBE: &str = include_str!("wat/probe.wat");
/// A component that echoes, or does what its payload says.
const COMPONENT: &str = include_str!("wat/component.wat");

/// A node with the module deployed, and other fields of the deploy request.
fn probe(more: serde_json::Value) -> Node {
    let mut node = Node::with_agent();
    node.run_function(PROBE, more);
    node
}

#[test]
fn a_module_answers_with_what_it_writes() {
    let mut node = probe(json!({}));
    assert_eq!(node.call(b"=hello").text(), "hello");
    assert_eq!(node.call(b"").text(), "");
    let large = "0123456789abcdef".repeat(4096);
    assert_eq!(node.call(format!("={large}").as_bytes()).text(), large, "64 KiB both ways");
}

#[test]
fn a_component_answers_with_what_it_writes() {
    let mut node = Node::with_agent();
    node.run_function(COMPONENT, json!({"call_timeout_ms": 300}));
    assert_eq!(node.call(b"hello").text(), "hello");
    assert_eq!(node.call(b"").text(), "");
    let large = "0123456789abcdef".repeat(4096);
    assert_eq!(node.call(large.as_bytes()).text(), large, "64 KiB both ways");
    let (code, text) = (500, "its run function answered with an error");
    assert_eq!(node.call(b"fail").failure(), (code, text));
    assert!(node.call(b"trap").failure().1.contains("unreachable"));
    assert_eq!(node.call(b"loop").failure().0, 504);
    assert_eq!(node.call(b"error line\n").text(), "");
    let line = node.line(|text| text == "error line");
    assert_eq!((line.level, line.source.as_str()), (2, "probe"));
    assert_eq!(node.call(b"hello again").text(), "hello again");
}

#[test]
fn it_sees_its_name_the_subject_and_what_came_with_the_message() {
    let mut node = probe(json!({"environment": {"KEY": "value", "lower": "as it is"}}));
    assert_eq!(node.call(b"a").text(), "probe\0a.b\0");
    let headers = [
        ("x-nex-trigger-subject", "a.c"),
        ("x-nex-reply-subject", "_INBOX.caller"),
        ("x-nex-secret", "of node and agent"),
        ("Content-Type", "text/plain"),
        ("key", "not the deployed one"),
    ];
    let inbox = node.begin_call(&headers, b"v");
    let text = node.answer(&inbox).text();
    let seen: Vec<_> = text.trim_end_matches('\0').split('\0').collect();
    assert_eq!(
        seen,
        [
            "KEY=value",
            "lower=as it is",
            "NEX_SUBJECT=a.c",
            "NEX_REPLY_SUBJECT=_INBOX.caller",
            "NEX_HEADER_CONTENT_TYPE=text/plain",
            "NEX_HEADER_KEY=not the deployed one",
        ]
    );
}

#[test]
fn every_call_is_a_new_world_with_real_time_and_chance() {
    let mut node = probe(json!({}));
    let (first, second) = (node.call(b"r").body, node.call(b"r").body);
    assert!(first.len() == 16 && first != second, "{first:?}");
    let time = u64::from_le_bytes(node.call(b"c").body.try_into().unwrap());
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    assert!(now.abs_diff(time) < 60_000_000_000, "{time}");
    assert_eq!(node.call(b"p").body, 8_u32.to_le_bytes(), "there is no file: EBADF");
}

#[test]
fn standard_error_is_the_log() {
    let mut node = probe(json!({}));
    assert_eq!(node.call(b"efirst\nsecond without end").text(), "");
    let line = node.line(|text| text == "first");
    assert_eq!((line.level, line.source.as_str()), (2, "probe"));
    node.line(|text| text == "second without end");
}

#[test]
fn each_end_is_told_and_the_next_call_works() {
    let mut node = probe(json!({
        "call_timeout_ms": 200,
        "max_memory_bytes": 4 << 20,
        "max_output_bytes": 10_000,
    }));
    for (payload, code, said) in [
        ("!", 500, "exited with code 3"),
        ("t", 500, "unreachable"),
        ("d", 500, "call stack exhausted"),
        ("o", 502, "more than 10000 bytes"),
        ("l", 504, "did not answer"),
        ("S", 504, "did not answer"),
        ("m", 507, "more than 4194304 bytes of memory"),
    ] {
        let answer = node.call(payload.as_bytes());
        let (found, text) = answer.failure();
        assert_eq!(found, code, "{payload}: {text}");
        assert!(text.contains(said) && !text.contains('\n'), "{payload}: {text}");
        assert_eq!(node.call(b"=still here").text(), "still here");
    }
    assert_eq!(node.call(b"M").text(), "full", "whoever bears it may go on");
    let largest = "x".repeat(10_000);
    assert_eq!(node.call(format!("={largest}").as_bytes()).text(), largest);
}

#[test]
fn a_call_without_end_holds_nobody_up() {
    let mut node = probe(json!({"call_timeout_ms": 60_000}));
    let endless: Vec<_> = (0..3).map(|_| node.begin_call(&[], b"l")).collect();
    let asleep = node.begin_call(&[], b"s");
    for number in 0..50 {
        let text = format!("call {number}");
        assert_eq!(node.call(format!("={text}").as_bytes()).text(), text);
    }
    assert_eq!(node.answer(&asleep).text(), "");
    assert!(!node.published.iter().any(|it| endless.iter().any(|inbox| *inbox == *it.subject)));
}

#[test]
fn the_time_that_the_node_leaves_counts() {
    let mut node = probe(json!({"call_timeout_ms": 60_000}));
    for payload in [&b"l"[..], b"S"] {
        let inbox = node.begin_call(&[("x-nex-time-left-ms", "100")], payload);
        assert_eq!(node.answer(&inbox).failure().0, 504);
    }
}

#[test]
fn more_calls_than_places_are_refused_at_once() {
    let mut node = probe(json!({"max_concurrent_calls": 4, "call_timeout_ms": 60_000}));
    let asleep: Vec<_> = (0..4).map(|_| node.begin_call(&[], b"s")).collect();
    assert_eq!(node.call(b"=hello").failure().0, 429);
    for inbox in asleep {
        assert_eq!(node.answer(&inbox).text(), "");
    }
    assert_eq!(node.call(b"=hello").text(), "hello");
}

#[test]
fn a_call_that_is_none_is_refused() {
    let mut node = probe(json!({}));
    let inbox = node.ask("trigger", b"=hello");
    let publish = node.wait(|publish| publish.subject == *inbox);
    let answer = crate::function::Answer::read(&publish);
    assert_eq!(answer.failure().0, 400);
    assert!(answer.failure().1.contains("x-nex-trigger-subject"));
}

#[test]
fn an_undeploy_lets_calls_finish_and_takes_no_more() {
    let mut node = probe(json!({"call_timeout_ms": 60_000}));
    let asleep = node.begin_call(&[], b"s");
    let undeploy = node.ask("undeploy", b"");
    let late = node.begin_call(&[], b"=late");
    assert_eq!(node.answer(&late).failure().0, 503);
    assert_eq!(node.answer(&asleep).text(), "");
    let end = node.end();
    assert_eq!((&end["code"], &end["message"]), (&json!(0), &json!("stopped on request")));
    node.wait(|publish| publish.subject == *undeploy);
    assert_eq!(node.agent_exit().code(), Some(0));
}

#[test]
fn calls_that_outlast_the_grace_are_broken_off_and_answered() {
    let mut node = probe(json!({"call_timeout_ms": 60_000, "stop_grace_ms": 100}));
    let calls = [node.begin_call(&[], b"l"), node.begin_call(&[], b"S")];
    // Both have begun: one after the other came in.
    assert_eq!(node.call(b"=hello").text(), "hello");
    node.ask("undeploy", b"");
    for inbox in calls {
        assert_eq!(node.answer(&inbox).failure().0, 503);
    }
    assert_eq!(node.agent_exit().code(), Some(0));
}

#[test]
fn a_lost_link_ends_the_calls_and_the_agent() {
    let mut node = probe(json!({"call_timeout_ms": 600_000, "stop_grace_ms": 600_000}));
    node.begin_call(&[], b"l");
    node.begin_call(&[], b"S");
    assert_eq!(node.call(b"=hello").text(), "hello");
    node.cut();
    let began = Instant::now();
    node.agent_exit();
    assert!(began.elapsed() < DEADLINE);
}

#[test]
fn many_calls_leave_nothing_behind() {
    let mut node = probe(json!({}));
    let resident = |node: &Node| -> u64 {
        let path = format!("/proc/{}/status", node.agent.id());
        let text = std::fs::read_to_string(path).unwrap();
        let line = text.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let mut run = |count: usize| {
        for number in 0..count {
            let text = format!("{number}");
            assert_eq!(node.call(format!("={text}").as_bytes()).text(), text);
            if number % 50 == 0 {
                node.call(b"t");
            }
        }
        resident(&node)
    };
    let after_a_few = run(2_000);
    let after_many = run(18_000);
    assert!(after_many < after_a_few + after_a_few / 10 + 256, "{after_a_few} {after_many} KiB");
}

#[test]
fn a_component_reaches_the_key_value_store_of_its_workload() {
    let mut node = Node::with_agent();
    node.run_function(include_str!("wat/keyvalue.wat"), json!({}));
    for (error, body, expected) in [
        (None, &b"value \xff"[..], &b"value \xff"[..]),
        (Some("failed to get value: nats: key not found"), b"", b"none"),
        (Some("key-value is switched off"), b"", b"key-value is switched off"),
    ] {
        let inbox = node.begin_call(&[], b"");
        let asked = node.wait(|publish| publish.subject.ends_with(".rpc.default.probe.kv.get"));
        node.published.retain(|publish| !publish.subject.ends_with(".kv.get"));
        assert_eq!(asked.headers.unwrap().get("x-keyvalue-key"), Some("the.key"));
        let mut headers = HeaderMap::new();
        if let Some(error) = error {
            headers.append("x-nex-error", error).unwrap();
        }
        node.deliver_with(&asked.reply.unwrap(), None, Some(&headers), body);
        assert_eq!(node.answer(&inbox).body, expected);
    }
}

#[test]
fn what_is_not_offered_is_named_when_it_is_compiled() {
    let said = crate::function::refusal(
        r#"(module
            (import "env" "launch" (func))
            (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
            (import "wasi_unstable" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
            (import "env" "table" (table 1 funcref))
            (memory (export "memory") 1)
            (func (export "_start")))"#,
    );
    assert!(said.contains("env#launch, wasi_unstable#fd_write, env#table"), "{said}");
    let said = crate::function::refusal(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func (param i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "_start")))"#,
    );
    assert!(said.contains("fd_write") && said.contains("do not fit"), "{said}");
    let component = |imports: &str| {
        format!(
            r#"(component {imports}
                (core module $m (func (export "run") (result i32) i32.const 0))
                (core instance $i (instantiate $m))
                (func $run (result (result)) (canon lift (core func $i "run")))
                (instance $exported (export "run" (func $run)))
                (export "wasi:cli/run@0.2.3" (instance $exported)))"#
        )
    };
    let said = crate::function::refusal(&component(
        r#"(import "acme:rockets/pad@1.0.0" (instance (export "launch" (func))))
           (import "wasi:clocks/monotonic-clock@0.2.1" (instance
             (export "now" (func (result u64))) (export "tomorrow" (func))))
           (import "wasi:sockets/instance-network@0.2.0" (instance
             (export "network" (type $n (sub resource)))
             (export "instance-network" (func (result (own $n))))))"#,
    ));
    assert!(said.contains("acme:rockets/pad@1.0.0#launch"), "{said}");
    assert!(said.contains("wasi:clocks/monotonic-clock@0.2.1#tomorrow"), "{said}");
    assert!(said.contains("wasi:sockets/instance-network@0.2.0#instance-network"), "{said}");
    assert!(!said.contains("#now"), "{said}");
}

#[test]
fn what_cannot_be_called_is_told_how_it_could_be() {
    for (wat, said) in [
        ("(module)", "wasm32-wasip1"),
        (r#"(module (func (export "_initialize")))"#, "reactor"),
        (r#"(module (func (export "_start")))"#, "does not export its memory"),
        (r#"(module (func (export "_start") (param i32)))"#, "no function without parameters"),
        ("(component)", "wasi:cli/run@0.2"),
    ] {
        let refusal = crate::function::refusal(wat);
        assert!(refusal.contains(said), "{wat}: {refusal}");
    }
}

#[test]
fn what_is_no_webassembly_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("compiled");
    for (artifact, said) in [
        (&b""[..], "no WebAssembly"),
        (b"#!/bin/sh\n", "no WebAssembly"),
        (b"\0asm\x01\0\0\0\xff", "cannot be compiled"),
        (b"\0asm\x0d\0\x01\0\xff", "cannot be compiled"),
    ] {
        let compiled = crate::function::compile(artifact, &output, &[]);
        assert_eq!(compiled.status.code(), Some(1));
        let text = String::from_utf8(compiled.stderr).unwrap();
        assert!(text.contains(said) && text.len() <= 4096, "{text}");
        assert!(!output.exists());
    }
    let usage = crate::function::compile(b"", &output, &["--seconds", "1"]);
    assert_eq!(usage.status.code(), Some(2));
}

/// A module with one function that is a long chain of additions.
fn bomb(additions: usize) -> Vec<u8> {
    fn leb(mut number: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let low = (number & 0x7f) as u8;
            number >>= 7;
            if number == 0 {
                bytes.push(low);
                return bytes;
            }
            bytes.push(low | 0x80);
        }
    }
    let mut body = vec![1, 1, 0x7f, 0x20, 0];
    for _ in 0..additions {
        body.extend([0x20, 0, 0x6c, 0x20, 0, 0x6a]);
    }
    body.extend([0x21, 0, 0x0b]);
    let mut code = leb(body.len());
    code.extend(body);
    let mut module =
        b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x05\x03\x01\0\x01".to_vec();
    module.extend(b"\x07\x13\x02\x06_start\0\0\x06memory\x02\0\x0a");
    module.extend(leb(code.len() + 1));
    module.push(1);
    module.extend(code);
    module
}

#[test]
fn a_module_that_takes_too_much_to_compile_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("compiled");
    let small = crate::function::compile(&bomb(10), &output, &[]);
    assert!(small.status.success(), "{small:?}");
    std::fs::remove_file(&output).unwrap();
    let bomb = bomb(1_200_000);
    let long = ["--memory-bytes", "34359738368", "--seconds", "1"];
    let large = ["--memory-bytes", "134217728", "--seconds", "300"];
    for (limits, said) in [(long, "takes longer"), (large, "more memory")] {
        let compiled = crate::function::compile(&bomb, &output, &limits);
        assert_eq!(compiled.status.code(), Some(1), "{compiled:?}");
        let text = String::from_utf8(compiled.stderr).unwrap();
        assert!(text.contains(said), "{text}");
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
    }
}

#[test]
fn the_key_of_compiled_code_is_one_word() {
    let key = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_nex-agent"));
        let output = command.arg("engine-key").env_clear().output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let first = key();
    assert!(first.len() == 65 && first.ends_with('\n'), "{first:?}");
    assert!(first.trim_end().bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(first, key());
}

#[test]
fn a_deploy_that_cannot_be_run_is_refused_and_poisons_nothing() {
    let mut node = Node::with_agent();
    let good = node.function(PROBE, &json!({}));
    let garbage = node.dir.path().join("garbage");
    std::fs::write(&garbage, b"not machine code").unwrap();
    for (field, value, said) in [
        ("compiled_path", json!("/nonexistent"), "cannot load machine code"),
        ("compiled_path", json!(garbage), "cannot load machine code"),
        ("max_memory_bytes", json!(65_536), "starts with 262144 bytes"),
        ("environment", json!({"A=B": "c"}), "A=B"),
    ] {
        let mut request = good.clone();
        request[field] = value;
        let answer = node.request("deploy", &serde_json::to_vec(&request).unwrap());
        let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
        assert_eq!(answer["accepted"], false, "{request}");
        assert!(answer["message"].as_str().unwrap().contains(said), "{answer}");
    }
    let answer = node.request("deploy", &serde_json::to_vec(&good).unwrap());
    assert!(answer.payload.starts_with(b"{\"accepted\":true"), "{answer:?}");
    assert_eq!(node.call(b"=hello").text(), "hello");
}

#[test]
fn without_machine_code_the_agent_has_it_made() {
    let mut node = Node::with_agent();
    let mut request = node.function(PROBE, &json!({}));
    request.as_object_mut().unwrap().remove("compiled_path");
    let mut bad = request.clone();
    let script = node.dir.path().join("script");
    std::fs::write(&script, b"#!/bin/sh\n").unwrap();
    bad["artifact_path"] = json!(script);
    let answer = node.request("deploy", &serde_json::to_vec(&bad).unwrap());
    assert!(String::from_utf8_lossy(&answer.payload).contains("no WebAssembly"), "{answer:?}");
    let answer = node.request("deploy", &serde_json::to_vec(&request).unwrap());
    assert!(answer.payload.starts_with(b"{\"accepted\":true"), "{answer:?}");
    assert_eq!(node.call(b"=hello").text(), "hello");
}

#[test]
fn an_agent_that_never_ran_a_function_has_no_threads_for_it() {
    let node = Node::with_agent();
    let threads =
        |node: &Node| std::fs::read_dir(format!("/proc/{}/task", node.agent.id())).unwrap().count();
    assert_eq!(threads(&node), 1);
    let mut node = probe(json!({}));
    assert_eq!(node.call(b"=short").text(), "short");
    until("only the one that ticks", || threads(&node) == 2);
    let endless = node.begin_call(&[("x-nex-time-left-ms", "50")], b"l");
    assert_eq!(node.answer(&endless).failure().0, 504);
    assert!(threads(&node) > 2);
}
