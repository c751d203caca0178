//! Kinds of scripts, what a function is given, and what becomes of what it returns.

use nex_protocol::agent::{AgentLevel, CallFailure};
use nex_protocol::nats::HeaderMap;
use serde_json::{Value, json};

use super::{answer, prepare};

#[tokio::test]
async fn a_script_whose_value_is_a_function() {
    assert_eq!(answer("(subject, payload) => payload", "hi").await, "hi");
    assert_eq!(answer("(function (subject) { return subject })", "").await, r#""a.b""#);
    assert_eq!(answer("const n = 2; (s, p) => p.length + n", "four").await, "6");
    assert_eq!(answer("async (s, p) => { await null; return p }", "later").await, "later");
    // `this` is the global object, as in the Go agent.
    assert_eq!(answer("() => typeof this.hostServices.kv.get", "").await, r#""function""#);
    let script = "(function () { return typeof this.hostServices })";
    assert_eq!(answer(script, "").await, r#""object""#);
    assert_eq!(answer(&format!("'use strict'; {script}"), "").await, r#""object""#);
}

#[tokio::test]
async fn a_module_with_a_default_export() {
    assert_eq!(answer("export default (s, p) => p", "hi").await, "hi");
    assert_eq!(
        answer("const n = await Promise.resolve(4);\nexport default async () => n", "").await,
        "4"
    );
    let script = "export default function () { return this === globalThis }";
    assert_eq!(answer(script, "").await, "true");
    assert_eq!(answer("export { f as default }; function f() { return 1 }", "").await, "1");
}

#[tokio::test]
async fn a_script_whose_value_comes_later() {
    assert_eq!(answer("(async () => (s, p) => p)()", "x").await, "x");
    let waits = "new Promise((done) => setTimeout(() => done(() => 'waited'), 5))";
    assert_eq!(answer(waits, "").await, r#""waited""#);
}

#[tokio::test]
async fn what_is_returned_becomes_the_answer() {
    for (value, expected) in [
        ("undefined", ""),
        ("new Uint8Array([104, 105])", "hi"),
        ("new Uint8Array([1, 104, 105, 2]).subarray(1, 3)", "hi"),
        ("new Uint8Array(0)", ""),
        ("null", "null"),
        ("'text'", r#""text""#),
        ("1.5", "1.5"),
        ("true", "true"),
        ("NaN", "null"),
        ("[1, undefined, () => 1]", "[1,null,null]"),
        ("{a: {b: new Date(0)}, c: undefined}", r#"{"a":{"b":"1970-01-01T00:00:00.000Z"}}"#),
        ("{toJSON() { return 'own' }}", r#""own""#),
        ("() => 1", ""),
        ("Symbol('s')", ""),
        ("new Uint16Array([1, 2])", r#"{"0":1,"1":2}"#),
        ("'\\ud83d\\ude00 \\ud800'", r#""😀 \ud800""#),
        ("Promise.resolve(Promise.resolve(3))", "3"),
    ] {
        assert_eq!(answer(&format!("() => ({value})"), "").await, expected, "{value}");
    }
}

#[tokio::test]
async fn the_payload_is_bytes_as_they_came() {
    let script = prepare("(s, p) => p.constructor === Uint8Array && p.reverse()").await.unwrap();
    let all: Vec<u8> = (0..=255).collect();
    let mut reversed = script.call(&all).await.unwrap().to_vec();
    reversed.reverse();
    assert_eq!(reversed, all);
    assert_eq!(script.text("").await, "");
    let large: Vec<u8> = (0..900_000_u32).map(|n| n as u8).collect();
    let answer = script.call(&large).await.unwrap();
    assert!(answer.iter().rev().eq(large.iter()));
}

#[tokio::test]
async fn the_third_argument_tells_of_the_message() {
    let script = prepare(
        "(subject, payload, context) => ({
            subject,
            reply: context.reply,
            one: context.headers.get('x-ONE'),
            none: context.headers.get('none'),
            all: context.headers.getAll('X-Two'),
            has: [context.headers.has('x-one'), context.headers.has('y')],
            names: [...context.headers.keys()],
            pairs: [...context.headers],
            json: JSON.stringify(context.headers),
            left: context.deadline - Date.now(),
            same: context.headers === context.headers && context.deadline === context.deadline,
        })",
    )
    .await
    .unwrap();
    let mut call = script.message(b"");
    call.subject = "orders.ü.new".to_owned();
    call.reply = Some("_INBOX.x".to_owned());
    let mut headers = HeaderMap::new();
    for (name, value) in [("X-One", "1"), ("X-Two", "a"), ("X-Two", "b \"quoted\" ü")] {
        headers.append(name, value).unwrap();
    }
    call.headers = headers;
    let answer: Value = serde_json::from_slice(&script.ask(call).await.unwrap()).unwrap();
    let left = answer["left"].as_f64().unwrap();
    // Two clocks, so not exactly.
    assert!((0.0..60_100.0).contains(&left), "{left}");
    let expected = json!({
        "subject": "orders.ü.new",
        "reply": "_INBOX.x",
        "one": "1",
        "none": null,
        "all": ["a", "b \"quoted\" ü"],
        "has": [true, false],
        "names": ["X-One", "X-Two"],
        "pairs": [["X-One", "1"], ["X-Two", "a"], ["X-Two", "b \"quoted\" ü"]],
        "json": r#"{"X-One":["1"],"X-Two":["a","b \"quoted\" ü"]}"#,
        "left": left,
        "same": true,
    });
    assert_eq!(answer, expected);
    // No reply subject, no headers; and nothing of the message before.
    let bare = script.text("").await;
    let bare: Value = serde_json::from_str(&bare).unwrap();
    assert_eq!((&bare["reply"], &bare["pairs"]), (&Value::Null, &json!([])));
}

#[tokio::test]
async fn an_exception_is_the_failure_with_its_stack() {
    let script = prepare(
        "function inner() { throw new TypeError('no luck', {cause: new Error('deep')}) }\n\
         (subject, payload) => { switch (payload[0]) {\n\
         case 49: inner();\n\
         case 50: throw {code: 7};\n\
         case 51: throw 'text';\n\
         case 52: return Promise.reject(new RangeError('later'));\n\
         case 53: setTimeout(() => { throw new Error('timer') }, 1); return new Promise(() => {});\n\
         case 54: queueMicrotask(() => { throw new Error('job') }); return 1;\n\
         case 55: { const a = {}; a.a = a; return a }\n\
         case 56: return 1n;\n\
         case 57: throw undefined;\n\
         } return 'well' }",
    )
    .await
    .unwrap();
    for (payload, starts, holds) in [
        ("1", "TypeError: no luck\n    at inner (function.js:1:", "[cause]: Error: deep"),
        ("2", "Uncaught { code: 7 }", ""),
        ("3", "Uncaught 'text'", ""),
        ("4", "RangeError: later\n    at ", "function.js:6:"),
        ("5", "Error: timer\n    at ", "function.js:7:"),
        ("6", "Error: job\n    at ", "function.js:8:"),
        ("7", "TypeError: circular reference", ""),
        ("8", "TypeError: ", "BigInt"),
        ("9", "Uncaught undefined", ""),
    ] {
        let error = script.call(payload.as_bytes()).await.unwrap_err();
        assert_eq!(error.failure, CallFailure::Failed, "{payload}");
        assert!(error.text.starts_with(starts) && error.text.contains(holds), "{}", error.text);
        assert_eq!(script.text("").await, r#""well""#, "after {payload}");
    }
}

#[tokio::test]
async fn an_exception_that_does_not_want_to_be_shown_is_one_all_the_same() {
    for thrown in [
        "{get stack() { throw 1 }, toString() { throw 2 }}",
        "new Proxy({}, {get() { throw 1 }, ownKeys() { throw 2 }})",
        "Object.create(new Error('x'), {message: {get() { throw 3 }}})",
        "(() => { const e = new Error('x'); Error.prototype.toString = () => { throw 1 }; return e })()",
    ] {
        let script = prepare(&format!("() => {{ throw {thrown} }}")).await.unwrap();
        let error = script.call(b"").await.unwrap_err();
        assert_eq!(error.failure, CallFailure::Failed);
        assert!(!error.text.is_empty());
    }
}

#[tokio::test]
async fn a_promise_that_nothing_settles_is_a_failure_at_once() {
    let script = prepare("() => new Promise(() => {})").await.unwrap();
    let error = script.call(b"").await.unwrap_err();
    assert_eq!(error.failure, CallFailure::Failed);
    assert!(error.text.contains("nothing can settle"), "{}", error.text);
}

#[tokio::test]
async fn a_rejection_that_nobody_handles_is_told_to_the_log() {
    let script = prepare(
        "async () => { Promise.reject(new Error('lost'));
            Promise.reject(1).catch(() => {}); const p = Promise.reject(2); await null;
            p.catch(() => {}); return 'fine' }",
    )
    .await
    .unwrap();
    assert_eq!(script.text("").await, r#""fine""#);
    let lines = script.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0].0, AgentLevel::Warn);
    assert!(lines[0].1.starts_with("Unhandled promise rejection: Error: lost\n    at "));
}

#[tokio::test]
async fn a_script_that_cannot_be_parsed_is_shown_with_its_place() {
    for (script, line, text) in [
        ("(s, p) => {\n  let a = ;\n}", 2, "let a = ;"),
        ("export default (s, p) => {\n  return p +* 1\n}", 2, "return p +* 1"),
        ("(s, p) => p)", 1, "(s, p) => p)"),
        ("const a = 'ünï", 1, "const a = 'ünï"),
        ("let a;\nlet a;\n() => 1", 2, "let a;"),
    ] {
        let error = prepare(script).await.err().unwrap().to_string();
        let lines: Vec<&str> = error.lines().collect();
        assert!(lines[0].starts_with("SyntaxError: "), "{error}");
        assert!(lines[1].starts_with(&format!(" --> line {line}, column ")), "{error}");
        assert!(lines[2].starts_with(&format!("{line} | ")) && lines[2].contains(text), "{error}");
        assert!(lines[3].trim_end().ends_with('^'), "{error}");
    }
}

#[tokio::test]
async fn a_script_that_is_no_function_is_refused_with_advice() {
    for script in ["", "5", "({handler() {}})", "function f() {}", "export const a = 1"] {
        let error = prepare(script).await.err().unwrap().to_string();
        assert!(error.contains("export default"), "{script}: {error}");
    }
}

#[tokio::test]
async fn what_fails_at_deploy_says_so() {
    for (script, holds) in [
        ("throw new Error('early')", "Error: early\n    at "),
        ("nothing.here; () => 1", "ReferenceError: nothing is not defined"),
        ("await null; throw new Error('late'); export default 1", "Error: late"),
        ("await new Promise(() => {}); export default () => 1", "nothing can settle"),
        ("import fs from 'fs'; export default () => 1", "cannot import 'fs'"),
        ("hostServices.kv.get('k'); () => 1", "no kv.get here"),
    ] {
        let error = prepare(script).await.err().unwrap().to_string();
        assert!(error.contains(holds), "{script}: {error}");
    }
    let (engine, module) = super::compiled();
    let script = b"() => '\xff'";
    let surroundings = prepare("() => 1").await.unwrap().surroundings;
    let none = std::collections::BTreeMap::new();
    let error = nex_agent::provider::js::prepare(
        engine,
        module,
        script,
        super::limits(),
        &none,
        surroundings,
    )
    .await
    .err()
    .unwrap();
    assert_eq!(error.to_string(), "the script is not UTF-8: byte 7 is none");
}

#[tokio::test]
async fn what_is_evaluated_may_log_and_ask_for_random_numbers() {
    let script = prepare("console.log('once'); const id = crypto.randomUUID(); () => id").await;
    let script = script.unwrap();
    assert_eq!(script.lines(), [(AgentLevel::Info, "once".to_owned())]);
    // What was drawn at deploy stays: it is a value like any other.
    let id = script.text("").await;
    assert_eq!((id.len(), script.text("").await), (38, id));
    assert_eq!(script.lines(), []);
}
