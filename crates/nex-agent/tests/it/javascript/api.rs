//! What scripts find beside the language. Where Node is installed, each answer is checked against
//! Node's; the cases are in `api.json` beside this file.

use std::io::Write as _;
use std::process::{Command, Stdio};

use nex_protocol::agent::AgentLevel;
use serde_json::{Value, json};

use super::{answer, prepare};

/// One case: the body of an async function, and what it returns.
#[derive(serde::Deserialize)]
struct Case {
    name: String,
    code: String,
    answer: Value,
}

/// Runs every case's code, and gives the answers: an exception as `{thrown: [name, code]}`.
const RUNNER: &str = r#"
const AsyncFunction = (async () => {}).constructor;
async function run(cases) {
  const answers = [];
  for (const code of cases) {
    try {
      answers.push((await new AsyncFunction(code)()) ?? null);
    } catch (error) {
      answers.push({ thrown: [error.name, error.message] });
    }
  }
  return answers;
}
"#;

fn cases() -> Vec<Case> {
    let cases: Vec<Case> = serde_json::from_str(include_str!("api.json")).unwrap();
    assert!(cases.len() > 100, "only {} cases", cases.len());
    cases
}

#[tokio::test]
async fn every_entry_answers_as_written_down() {
    let cases = cases();
    let codes: Vec<&str> = cases.iter().map(|case| case.code.as_str()).collect();
    let script = format!("{RUNNER}\n(s, p) => run(JSON.parse(new TextDecoder().decode(p)))");
    let answers = answer(&script, &serde_json::to_string(&codes).unwrap()).await;
    compare(&cases, &serde_json::from_str(&answers).unwrap(), "ours");
}

#[test]
fn node_gives_the_same_answers() {
    let cases = cases();
    let codes: Vec<&str> = cases.iter().map(|case| case.code.as_str()).collect();
    let script = format!(
        "{RUNNER}\nconst fs = require('fs');\n\
         run(JSON.parse(fs.readFileSync(0, 'utf8'))).then((all) => console.log(JSON.stringify(all)));"
    );
    let Some(output) = node(&script, &serde_json::to_string(&codes).unwrap()) else { return };
    compare(&cases, &serde_json::from_str(&output).unwrap(), "Node's");
}

#[track_caller]
fn compare(cases: &[Case], answers: &Vec<Value>, whose: &str) {
    assert_eq!(cases.len(), answers.len());
    let wrong = cases.iter().zip(answers).filter(|(case, answer)| match &case.answer["thrown"] {
        // Messages differ; the kind of error counts.
        Value::Array(names) => answer["thrown"][0] != names[0],
        _ => case.answer != **answer,
    });
    let wrong: Vec<String> = wrong
        .map(|(case, answer)| {
            format!("{}: {answer}, not {}: {}", case.name, case.answer, case.code)
        })
        .collect();
    assert!(wrong.is_empty(), "{whose} answers differ:\n{}", wrong.join("\n"));
}

/// What Node prints; `None`, and a word about it, where there is none.
fn node(script: &str, input: &str) -> Option<String> {
    let child = Command::new("node")
        .args(["-e", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("SKIPPED: node is not installed, so nothing was compared with it");
        return None;
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Arguments of `console.log`, and the line that comes of them.
const LINES: [(&str, &str); 34] = [
    (
        "'text', 1, true, null, undefined, 2n, Symbol('s')",
        "text 1 true null undefined 2n Symbol(s)",
    ),
    ("-0, [-0]", "-0 [ -0 ]"),
    ("'%s is %d years and %i, %f', 'Bob', 42.5, 42.5, '1.5'", "Bob is 42.5 years and 42, 1.5"),
    ("'%j %O %% %c|', {a: 1}, [1], 'css'", "{\"a\":1} [ 1 ] % |"),
    ("'%s', 'a', 'b', {c: 1}", "a b { c: 1 }"),
    ("'100%', 5", "100% 5"),
    ("{}", "{}"),
    ("[]", "[]"),
    (
        "{a: 1, 'b-c': 'two', [Symbol('k')]: [1, 'x']}",
        "{ a: 1, 'b-c': 'two', [Symbol(k)]: [ 1, 'x' ] }",
    ),
    ("{a: {b: {c: {d: 1}}}}", "{ a: { b: { c: [Object] } } }"),
    ("[[[[1]]]]", "[ [ [ [Array] ] ] ]"),
    ("[1, , 3, , ,]", "[ 1, <1 empty item>, 3, <2 empty items> ]"),
    ("\"it's\", [\"it's\", 'say \"x\"', 'a\\nb']", "it's [ \"it's\", 'say \"x\"', 'a\\nb' ]"),
    ("new Map([['a', {b: 1}]]), new Set([1, 'x'])", "Map(1) { 'a' => { b: 1 } } Set(2) { 1, 'x' }"),
    ("new Map(), new Set()", "Map(0) {} Set(0) {}"),
    (
        "function f() {}, () => {}, class A {}, async () => {}",
        "[Function: f] [Function (anonymous)] [class A] [AsyncFunction (anonymous)]",
    ),
    ("{f() {}, g: () => {}}", "{ f: [Function: f], g: [Function: g] }"),
    ("new Date(0), /a+/gi", "1970-01-01T00:00:00.000Z /a+/gi"),
    ("new Date(NaN)", "Invalid Date"),
    ("new (class Point { constructor() { this.x = 1; } })()", "Point { x: 1 }"),
    ("Object.create(null)", "[Object: null prototype] {}"),
    ("new Uint8Array([1, 2]), new Float64Array(1)", "Uint8Array(2) [ 1, 2 ] Float64Array(1) [ 0 ]"),
    ("new Uint8Array([1, 255]).buffer", "ArrayBuffer { [Uint8Contents]: <01 ff>, byteLength: 2 }"),
    ("Promise.resolve(4), new Promise(() => {})", "Promise { 4 } Promise { <pending> }"),
    (
        "new Number(3), new String('s'), new Boolean(false)",
        "[Number: 3] [String: 's'] [Boolean: false]",
    ),
    (
        "{get a() { return 1; }, set b(v) {}, get c() { return 1; }, set c(v) {}}",
        "{ a: [Getter], b: [Setter], c: [Getter/Setter] }",
    ),
    ("new Proxy({a: 1}, {})", "{ a: 1 }"),
    ("new WeakMap(), new WeakSet()", "WeakMap { <items unknown> } WeakSet { <items unknown> }"),
    ("Object.assign(() => {}, {a: 1})", "[Function (anonymous)] { a: 1 }"),
    ("{undefined: undefined, null: null}", "{ undefined: undefined, null: null }"),
    ("[undefined, null, NaN, Infinity]", "[ undefined, null, NaN, Infinity ]"),
    ("'a\\u0007b', ['\\u0007\\u007f']", "a\u{7}b [ '\\x07\\x7F' ]"),
    ("globalThis.process.env === undefined", "false"),
    ("[1.5, 1e21, 0xff]", "[ 1.5, 1e+21, 255 ]"),
];

#[tokio::test]
async fn values_are_logged_as_text() {
    let calls: Vec<String> =
        LINES.iter().map(|(code, _)| format!("console.log({code});")).collect();
    let script = prepare(&format!("() => {{ {} }}", calls.join("\n"))).await.unwrap();
    script.call(b"").await.unwrap();
    let lines = script.lines();
    for ((code, line), logged) in LINES.iter().zip(&lines) {
        assert_eq!(logged, &(AgentLevel::Info, (*line).to_owned()), "{code}");
    }
    assert_eq!(lines.len(), LINES.len());
}

#[test]
fn node_logs_the_same_lines() {
    let calls: Vec<String> =
        LINES.iter().map(|(code, _)| format!("lines.push(util.format({code}))")).collect();
    let script = format!(
        "const util = require('util'); const lines = []; {}; console.log(JSON.stringify(lines))",
        calls.join(";")
    );
    let Some(output) = node(&script, "") else { return };
    let lines: Vec<String> = serde_json::from_str(&output).unwrap();
    for ((code, line), theirs) in LINES.iter().zip(&lines) {
        assert_eq!(line, theirs, "{code}");
    }
}

#[tokio::test]
async fn what_refers_to_itself_is_logged() {
    let script = prepare("() => { const a = {n: 1}; a.self = [a]; console.log(a) }").await.unwrap();
    script.call(b"").await.unwrap();
    assert_eq!(script.lines()[0].1, "{ n: 1, self: [ [Circular *1] ] }");
}

#[tokio::test]
async fn each_method_of_the_console_has_its_level() {
    let code = "() => {
        console.log('log'); console.info('info'); console.debug('debug'); console.warn('warn');
        console.error('error'); console.trace('%s', 'trace');
        console.assert(true, 'no'); console.assert(false, 'yes %d', 1); console.assert(false);
        console.group('in'); console.warn('deep\\nlines'); console.groupEnd(); console.log('out');
        console.count(); console.count('x'); console.count(); console.countReset(); console.count();
        console.dir({a: 1}); console.table([1]);
        console.time('t'); console.timeLog('t', 5); console.timeEnd('t'); console.timeEnd('t');
    }";
    let script = prepare(code).await.unwrap();
    script.call(b"").await.unwrap();
    let lines = script.lines();
    let lines: Vec<(AgentLevel, &str)> =
        lines.iter().map(|(level, text)| (*level, text.as_str())).collect();
    use AgentLevel::{Debug, Error, Info, Trace, Warn};
    assert_eq!(
        lines[..5],
        [(Info, "log"), (Info, "info"), (Debug, "debug"), (Warn, "warn"), (Error, "error")]
    );
    assert_eq!(lines[5].0, Trace);
    assert!(lines[5].1.starts_with("Trace: trace\n    at "), "{:?}", lines[5].1);
    assert_eq!(
        lines[6..17],
        [
            (Error, "Assertion failed: yes 1"),
            (Error, "Assertion failed"),
            (Info, "in"),
            (Warn, "  deep\n  lines"),
            (Info, "out"),
            (Info, "default: 1"),
            (Info, "x: 1"),
            (Info, "default: 2"),
            (Info, "default: 1"),
            (Info, "{ a: 1 }"),
            (Info, "[ 1 ]"),
        ]
    );
    assert!(lines[17].1.starts_with("t: ") && lines[17].1.ends_with("ms 5"), "{:?}", lines[17].1);
    assert!(lines[18].1.starts_with("t: ") && lines[18].1.ends_with("ms"), "{:?}", lines[18].1);
    assert_eq!(lines.len(), 19);
}

#[tokio::test]
async fn what_is_offered_is_not_listed() {
    let names = json!([]).to_string();
    assert_eq!(answer("() => Object.keys(globalThis)", "").await, names);
    // And nothing of what the API is made of can be reached.
    let hidden = "() => ['native', 'inspect', 'timers', 'std', 'os', 'bjson', 'print', 'require'] \
                  .filter((name) => name in globalThis)";
    assert_eq!(answer(hidden, "").await, names);
}

#[tokio::test]
async fn the_environment_of_the_deploy_is_there_and_no_other() {
    let script = "const early = process.env.A; \
                  (s, p, context) => [early, process.env, context.env === process.env]";
    let script = super::prepare_with(
        script,
        super::limits(),
        &[("A", "one"), ("Ünï", "t\"w\no")],
        super::no_services(),
    )
    .await
    .unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&script.text("").await).unwrap(),
        json!(["one", {"A": "one", "Ünï": "t\"w\no"}, true])
    );
}

#[tokio::test]
async fn a_log_line_in_two_cases_is_cut() {
    let script = prepare("() => { console.log('ü'.repeat(100000)); console.log('\\ud800') }");
    let script = script.await.unwrap();
    script.call(b"").await.unwrap();
    let lines = script.lines();
    assert!(lines[0].1.len() < 40_000 && lines[0].1.ends_with("ü…"));
    assert_eq!(lines[1].1, "\u{fffd}");
}
