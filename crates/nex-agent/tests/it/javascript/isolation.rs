//! No call sees anything of another: each starts from the world as the script left it.

use std::sync::Arc;

use nex_protocol::agent::CallFailure;

use super::{Script, prepare};

/// Calls the script often, in the same instance and in others, and wants the same answer.
async fn always(script: &str, expected: &str) {
    let script = prepare(script).await.unwrap();
    for round in 0..5 {
        assert_eq!(script.text("").await, expected, "round {round}");
    }
    // At the same time, so that instances are made from the image.
    let calls = (0..4).map(|_| script.text(""));
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(|answer| answer == expected), "{answers:?}");
    for round in 0..5 {
        assert_eq!(script.text("").await, expected, "round {round} after those");
    }
}

#[tokio::test]
async fn no_global_is_seen_by_the_next() {
    always("var n = 0; () => ++n", "1").await;
    always("let n = 0; () => ++n", "1").await;
    always("() => { globalThis.x = (globalThis.x ?? 0) + 1; return x }", "1").await;
    always("const seen = []; () => seen.push(1)", "1").await;
    always("() => { delete globalThis.Map; return typeof Map }", r#""undefined""#).await;
}

#[tokio::test]
async fn no_prototype_is_seen_by_the_next() {
    let script = "() => { const had = 'x' in []; Array.prototype.x = 1; \
        Object.prototype.y = 1; JSON.stringify.z = (JSON.stringify.z ?? 0) + 1; \
        return [had, JSON.stringify.z] }";
    always(script, "[false,1]").await;
    always(
        "() => { const before = [1, 2].map(String); Array.prototype.map = () => 'evil'; return before }",
        r#"["1","2"]"#,
    )
    .await;
    always("() => { const f = Object.isFrozen(Object); Object.freeze(Object); return f }", "false")
        .await;
}

#[tokio::test]
async fn no_state_of_a_module_is_seen_by_the_next() {
    always("let n = 0; export default async () => { await null; return ++n }", "1").await;
    always("const cache = new Map(); export default () => cache.set(cache.size, 1).size", "1")
        .await;
    always(
        "class A { static #n = 0; static next() { return ++A.#n } } export default () => A.next()",
        "1",
    )
    .await;
    always("function* g() { let n = 0; for (;;) yield ++n } const it = g(); export default () => it.next().value", "1").await;
}

#[tokio::test]
async fn no_pending_promise_and_no_timer_is_seen_by_the_next() {
    let script = "let late = 0; () => { \
        setTimeout(() => { late++; console.log('late') }, 1); \
        setInterval(() => { late++ }, 1); \
        Promise.resolve().then(() => new Promise(() => {})).then(() => { late++ }); \
        const before = late; return before }";
    always(script, "0").await;
    // A later call that waits gives the timers of earlier ones time to run, were they there.
    let script = prepare(
        "let late = 0; async (s, p) => { \
            if (p.length) { await new Promise((done) => setTimeout(done, 30)); return late } \
            setTimeout(() => { late++; console.log('late') }, 5); return late }",
    )
    .await
    .unwrap();
    assert_eq!(script.text("").await, "0");
    assert_eq!(script.text("wait").await, "0");
    assert_eq!(script.lines(), []);
    // Nor one that was set at deploy.
    let script = prepare(
        "let late = 0; setTimeout(() => { late++ }, 1); setInterval(() => { late++ }, 1); \
         async () => { await new Promise((done) => setTimeout(done, 20)); return late }",
    )
    .await
    .unwrap();
    assert_eq!(script.text("").await, "0");
}

#[tokio::test]
async fn no_console_state_and_no_other_hidden_state_is_seen_by_the_next() {
    let script = prepare("() => { console.count(); console.group('g'); console.log('in') }").await;
    let script = script.unwrap();
    for _ in 0..3 {
        script.call(b"").await.unwrap();
        let lines: Vec<String> = script.lines().into_iter().map(|(_, text)| text).collect();
        assert_eq!(lines, ["default: 1", "g", "  in"]);
    }
    always("const r = /a/g; () => { r.test('aa'); return r.lastIndex }", "1").await;
    always("() => { /(x)/.test('x'); return (RegExp.$1 ?? '') !== 'y' }", "true").await;
    always("const s = Symbol.for('s'); () => { const had = s.description; return had }", r#""s""#)
        .await;
}

#[tokio::test]
async fn a_failed_call_leaves_nothing_behind() {
    let script = prepare(
        "let n = 0; (s, p) => { n++; globalThis.left = n; Array.prototype.z = 1; \
         if (p.length) { setTimeout(() => { n = 99 }, 1); throw new Error('x') } \
         return [n, 'z' in []] }",
    )
    .await
    .unwrap();
    for _ in 0..3 {
        assert_eq!(script.call(b"fail").await.unwrap_err().failure, CallFailure::Failed);
        assert_eq!(script.text("").await, "[1,true]");
    }
}

#[tokio::test]
async fn memory_that_a_call_used_is_empty_for_the_next() {
    // A buffer as large as the last one, made without being written to.
    let script = prepare(
        "(s, p) => { if (p.length) { new Uint8Array(1 << 20).fill(7); return 0 } \
         return new Uint8Array(1 << 20).every((byte) => byte === 0) }",
    )
    .await
    .unwrap();
    for _ in 0..3 {
        assert_eq!(script.text("fill").await, "0");
        assert_eq!(script.text("").await, "true");
    }
}

#[tokio::test]
async fn random_numbers_and_the_time_are_of_each_call() {
    let script = prepare(
        "const early = [Math.random(), crypto.randomUUID()]; \
         () => [Math.random(), crypto.randomUUID(), crypto.getRandomValues(new Uint32Array(2)).join(), \
                ...early.slice(0, 0)].map(String)",
    )
    .await
    .unwrap();
    let mut seen = std::collections::HashSet::new();
    let rounds = 20;
    for _ in 0..rounds {
        let values: Vec<String> = serde_json::from_str(&script.text("").await).unwrap();
        seen.extend(values);
    }
    // In other instances too.
    let others = futures_util::future::join_all((0..5).map(|_| script.text(""))).await;
    for other in others {
        seen.extend(serde_json::from_str::<Vec<String>>(&other).unwrap());
    }
    assert_eq!(seen.len(), 3 * (rounds + 5));

    let clock = prepare("const at = Date.now(); () => [at, Date.now(), performance.now()]").await;
    let clock = clock.unwrap();
    let read = async |script: &Script| -> [f64; 3] {
        serde_json::from_str(&script.text("").await).unwrap()
    };
    let first = read(&clock).await;
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let second = read(&clock).await;
    assert_eq!(first[0], second[0]);
    assert!(second[1] - first[1] >= 15.0, "{first:?} {second:?}");
    // Each call begins at 0.
    assert!(second[2] < second[1] - first[1] + 10_000.0 && second[2] >= 0.0);
}

#[tokio::test]
async fn an_answer_that_is_dropped_before_the_clean_up_harms_nobody() {
    let script = prepare("let n = 0; () => ++n").await.unwrap();
    for _ in 0..3 {
        let call = script.message(b"");
        let answer = script.function.clone().call(call, script.surroundings.clone()).await.unwrap();
        assert_eq!(&answer.payload[..], b"1");
        drop(answer);
    }
    assert_eq!(script.text("").await, "1");
}

#[tokio::test]
async fn a_call_that_is_dropped_half_way_harms_nobody() {
    let script = prepare(
        "let n = 0; async (s, p) => { n++; if (p.length) await new Promise((done) => setTimeout(done, 10000)); return n }",
    )
    .await
    .unwrap();
    let script = Arc::new(script);
    for _ in 0..3 {
        let waits = script.call(b"wait");
        let timeout = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(timeout, waits).await.is_err());
        assert_eq!(script.text("").await, "1");
    }
}
