//! Functions in JavaScript, deployed and called as a node does it. What the language can is tested
//! in `javascript`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::node::Node;

/// The JavaScript engine, compiled once for all tests: it takes a while.
fn engine() -> &'static Path {
    static ENGINE: OnceLock<PathBuf> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let agent = env!("CARGO_BIN_EXE_nex-agent");
        let key = Command::new(agent).arg("engine-key").output().unwrap();
        let key = String::from_utf8(key.stdout).unwrap();
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("engine-{}", key.trim()));
        if !path.exists() {
            let compiled = Command::new(agent)
                .args(["compile", "javascript-engine", "--output"])
                .arg(&path)
                .args(["--memory-bytes", "4294967296", "--seconds", "300"])
                .output()
                .unwrap();
            assert!(compiled.status.success(), "{compiled:?}");
        }
        path
    })
}

fn request(node: &Node, script: &str, more: &Value) -> Value {
    let path = node.dir.path().join("script.js");
    std::fs::write(&path, script).unwrap();
    let mut fields = json!({
        "workload_type": "v8",
        "trigger_subjects": ["a.>"],
        "compiled_path": engine(),
    });
    for (field, value) in more.as_object().unwrap() {
        fields[field] = value.clone();
    }
    crate::node::request(path.to_str().unwrap(), &[], &fields)
}

fn deploy(node: &mut Node, script: &str, more: Value) -> Value {
    let request = request(node, script, &more);
    let answer = node.request("deploy", &serde_json::to_vec(&request).unwrap());
    serde_json::from_slice(&answer.payload).unwrap()
}

fn running(script: &str, more: Value) -> Node {
    let mut node = Node::with_agent();
    let answer = deploy(&mut node, script, more);
    assert_eq!(answer["accepted"], true, "{answer}");
    node.event("workload_started");
    node
}

#[test]
fn a_script_answers_and_every_call_finds_the_world_as_it_was() {
    let mut node = running(
        "let calls = 0; (subject, payload) => ({ subject, size: payload.length, calls: ++calls })",
        json!({}),
    );
    for _ in 0..3 {
        assert_eq!(node.call(b"hello").text(), r#"{"subject":"a.b","size":5,"calls":1}"#);
    }
}

#[test]
fn large_payloads_go_both_ways() {
    let mut node = running("(subject, payload) => payload", json!({}));
    let large = "0123456789abcdef".repeat(4096);
    assert_eq!(node.call(large.as_bytes()).text(), large);
}

#[test]
fn a_mistake_in_a_script_refuses_the_deploy_and_poisons_nothing() {
    let mut node = Node::with_agent();
    let answer = deploy(&mut node, "(subject, payload) => {\n  return }}\n", json!({}));
    assert_eq!(answer["accepted"], false);
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains('2') && message.contains("return }}"), "{message}");
    let large = format!("/* {} */ () => 1", "x".repeat(2000));
    let answer = deploy(&mut node, &large, json!({"max_script_bytes": 1000}));
    assert!(answer["message"].as_str().unwrap().contains("1000"), "{answer}");
    let answer = deploy(&mut node, "while (true) {}", json!({"call_timeout_ms": 100}));
    assert_eq!(answer["accepted"], false, "{answer}");
    assert_eq!(deploy(&mut node, "() => 1", json!({}))["accepted"], true);
    assert_eq!(node.call(b"").text(), "1");
}

#[test]
fn an_exception_is_told_to_the_caller_in_one_line_and_to_the_log_in_full() {
    let mut node = running("function f() { throw new Error('oh no') } () => f()", json!({}));
    let answer = node.call(b"");
    let (code, text) = answer.failure();
    assert!(code == 500 && text.contains("oh no") && !text.contains('\n'), "{text}");
    let line = node.line(|text| text.contains("oh no"));
    assert!(line.level == 2 && line.text.contains("at f"), "{line:?}");
}

#[test]
fn a_host_call_goes_to_the_node_and_others_run_meanwhile() {
    let mut node = running(
        "(subject, payload) => payload.length ? hostServices.kv.get('key') : 'quick'",
        json!({}),
    );
    let waiting = node.begin_call(&[], b"x");
    let asked = node.wait(|publish| publish.subject.ends_with(".kv.get"));
    assert_eq!(
        asked.subject.as_str(),
        format!("agentint.{}.rpc.default.probe.kv.get", crate::node::ID)
    );
    assert_eq!(asked.headers.as_ref().unwrap().get("x-keyvalue-key"), Some("key"));
    assert_eq!(node.call(b"").text(), r#""quick""#);
    node.deliver(&asked.reply.unwrap(), None, b"value");
    assert_eq!(node.answer(&waiting).text(), "value");
    // An error, and a node that is lost.
    let refused = node.begin_call(&[], b"x");
    node.published.retain(|publish| !publish.subject.ends_with(".kv.get"));
    let asked = node.wait(|publish| publish.subject.ends_with(".kv.get"));
    let mut headers = nex_protocol::nats::HeaderMap::new();
    headers.append("x-nex-error", "nats: key not found").unwrap();
    node.deliver_with(&asked.reply.unwrap(), None, Some(&headers), b"");
    assert!(node.answer(&refused).failure().1.contains("key not found"));
}

#[test]
fn a_node_of_the_old_kind_sends_no_machine_code() {
    let mut node = Node::with_agent();
    let mut request = request(&node, "() => 'made here'", &json!({}));
    request.as_object_mut().unwrap().remove("compiled_path");
    let answer = node.request("deploy", &serde_json::to_vec(&request).unwrap());
    assert!(answer.payload.starts_with(b"{\"accepted\":true"), "{answer:?}");
    assert_eq!(node.call(b"").text(), r#""made here""#);
}
