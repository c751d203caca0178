//! Every limit, crossed; and the next call works.

use std::sync::Arc;
use std::time::Duration;

use nex_agent::provider::function::FunctionLimits;
use nex_protocol::agent::CallFailure;

use super::{Script, limits, no_services, prepare, prepare_with};

async fn prepare_within(script: &str, limits: FunctionLimits) -> Script {
    prepare_with(script, limits, &[], no_services()).await.unwrap_or_else(|error| panic!("{error}"))
}

/// A function that runs what it is sent.
const RUNS: &str = "(s, p) => p.length ? (0, eval)(new TextDecoder().decode(p)) : 'well'";

/// Short, for calls that are to cross it.
const SHORT: Duration = Duration::from_millis(150);

async fn runner(limits: FunctionLimits) -> Script {
    let script = prepare_within(RUNS, limits).await;
    assert_eq!(script.text("").await, r#""well""#);
    script
}

#[tokio::test]
async fn what_never_returns_is_stopped_and_the_next_call_works() {
    let mut script = runner(limits()).await;
    for code in [
        "for (;;) {}",
        "new Array(4294967295).join('')",
        "Array.prototype.reverse.call({length: 2 ** 53 - 1})",
        "Array.prototype.indexOf.call({length: 2 ** 53 - 1}, 1)",
        "/(a*)*b/.test('a'.repeat(40))",
        "(function f() { f.x = (f.x ?? 0) + 1; queueMicrotask(f) })(); 1",
        "let e = []; for (let i = 0; i < 40; i++) e = [e, e]; JSON.stringify(e)",
        "new Promise(() => setInterval(() => {}, 1))",
        "new Promise((done) => setTimeout(done, 1e9))",
        "(async () => { for (;;) await null })()",
        "let x = 3n; for (;;) x = x * x % (2n ** 4096n)",
    ] {
        script.timeout = SHORT;
        let error = script.call(code.as_bytes()).await.unwrap_err();
        assert_eq!(error.failure, CallFailure::Timeout, "{code}: {error}");
        assert!(error.text.starts_with("no answer within 1"), "{code}: {error}");
        script.timeout = limits().call_timeout;
        assert_eq!(script.text("").await, r#""well""#, "after {code}");
    }
}

#[tokio::test]
async fn a_call_that_comes_too_late_does_not_run() {
    let script = prepare("() => { console.log('ran') }").await.unwrap();
    let mut call = script.message(b"");
    call.deadline = tokio::time::Instant::now();
    assert_eq!(script.ask(call).await.unwrap_err().failure, CallFailure::Timeout);
    assert_eq!(script.lines(), []);
    script.call(b"").await.unwrap();
    assert_eq!(script.lines().len(), 1);
}

#[tokio::test]
async fn a_script_that_is_never_evaluated_is_refused() {
    let short = FunctionLimits { call_timeout: SHORT, ..limits() };
    for script in ["for (;;) {}", "await new Promise((d) => setTimeout(d, 1e6)); export default 1"]
    {
        let error = prepare_with(script, short, &[], no_services()).await.err().unwrap();
        assert!(error.to_string().contains("not evaluated within 150 ms"), "{error}");
    }
}

#[tokio::test]
async fn memory_beyond_the_limit_is_a_failure_and_the_next_call_works() {
    let script = runner(FunctionLimits { max_memory_bytes: 16 << 20, ..limits() }).await;
    for code in [
        "const all = []; for (;;) all.push(new Uint8Array(100000))",
        "const all = []; for (;;) all.push(new Array(1000).fill(1.5))",
        "let s = 'x'; for (;;) s += s + 'y'.repeat(1000) + s.toUpperCase()",
        "new Uint8Array(100 << 20)",
        "new ArrayBuffer(2 ** 30)",
        "const m = new Map(); for (let i = 0;; i++) m.set(i, {i})",
        "let o = {}; for (let i = 0;; i++) o['k' + i] = i",
        "function grow(n) { return [n, ...Array(100000).fill(n)] } let a = []; for (;;) a = [a, grow(1)]",
    ] {
        let error = script.call(code.as_bytes()).await.unwrap_err();
        assert_eq!(error.failure, CallFailure::OutOfMemory, "{code}: {error}");
        assert!(error.text.contains("16777216 bytes are allowed"), "{code}: {error}");
        assert_eq!(script.text("").await, r#""well""#, "after {code}");
    }
}

#[tokio::test]
async fn a_script_can_catch_that_it_is_out_of_memory() {
    let script = runner(FunctionLimits { max_memory_bytes: 16 << 20, ..limits() }).await;
    let code = "try { new Uint8Array(100 << 20) } catch (error) { error.message }";
    assert_eq!(script.text(code).await, r#""out of memory""#);
    // And then fail for another reason.
    let code = "try { new Uint8Array(100 << 20) } catch { throw new Error('other') }";
    let error = script.call(code.as_bytes()).await.unwrap_err();
    assert_eq!(error.failure, CallFailure::Failed, "{error}");
    assert!(error.text.starts_with("Error: other"));
}

#[tokio::test]
async fn a_call_within_its_memory_may_use_much_of_it() {
    let script = runner(FunctionLimits { max_memory_bytes: 32 << 20, ..limits() }).await;
    let code = "new Uint8Array(20 << 20).fill(1).reduce((a, b) => a + b)";
    for _ in 0..3 {
        assert_eq!(script.text(code).await, (20 << 20).to_string());
        assert_eq!(script.text("").await, r#""well""#);
    }
}

#[tokio::test]
async fn a_script_that_needs_much_memory_at_deploy_works() {
    let script = "const table = new Uint8Array(12 << 20).fill(3); \
                  (s, p) => { const was = table[p.length]; table[p.length] = 9; return was }";
    let script = prepare(script).await.unwrap();
    for _ in 0..3 {
        assert_eq!(script.text("0123456789").await, "3");
    }
    // In instances made from the image, too.
    let all = futures_util::future::join_all((0..3).map(|_| script.text("x"))).await;
    assert_eq!(all, ["3", "3", "3"]);
}

#[tokio::test]
async fn too_little_memory_for_the_engine_is_said_at_deploy() {
    for (script, most, holds) in [
        ("() => 1", 1 << 20, "need 4194304 bytes of memory"),
        ("const a = new Uint8Array(64 << 20); () => 1", 16 << 20, "out of memory"),
    ] {
        let limits = FunctionLimits { max_memory_bytes: most, ..limits() };
        let error = prepare_with(script, limits, &[], no_services()).await.err().unwrap();
        assert!(error.to_string().contains(holds), "{error}");
    }
}

#[tokio::test]
async fn recursion_without_end_is_an_exception() {
    let script = runner(limits()).await;
    for code in [
        "(function f() { f() })()",
        "(function f(...a) { return f(...a) })(1, 2, 3)",
        "const o = {get x() { return this.x }}; o.x",
        "const o = {toString() { return `${this}` }}; `${o}`",
        "const p = new Proxy({}, {get: (t, k, r) => r[k]}); p.x",
        "class A { constructor() { new A() } } new A()",
        "[1].map(function f(x) { return [x].map(f) })",
        "const f = (x) => [2, 1].sort(f); f()",
        "'x'.replace(/x/, function f() { return 'x'.replace(/x/, f) })",
        "const a = {}; a.toJSON = () => JSON.stringify(a); JSON.stringify(a)",
        "const g = function* () { yield* g() }; [...g()]",
        "Reflect.construct(function F() { Reflect.construct(F, []) }, [])",
        "async function f() { await f() } f()",
    ] {
        let caught =
            format!("try {{ {code} }} catch (error) {{ error.constructor === RangeError }}");
        // What is thrown later cannot be caught so.
        if !code.starts_with("async") {
            assert_eq!(script.text(&caught).await, "true", "{code}");
        }
        let error = script.call(code.as_bytes()).await.unwrap_err();
        assert_eq!(error.failure, CallFailure::Failed, "{code}: {error}");
        assert!(error.text.starts_with("RangeError: Maximum call stack size exceeded"), "{error}");
        assert_eq!(script.text("").await, r#""well""#);
    }
}

#[tokio::test]
async fn nesting_without_end_is_a_failure() {
    let script = runner(limits()).await;
    for code in [
        "eval('['.repeat(1e6))",
        "eval('('.repeat(1e6))",
        "eval('-'.repeat(1e6) + '1')",
        "eval('{'.repeat(1e6))",
        "eval('a=>'.repeat(1e5) + '1')",
        "eval('`${'.repeat(1e5))",
        "JSON.parse('['.repeat(1e6))",
        "JSON.parse('{\"a\":'.repeat(1e6))",
        "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; JSON.stringify(a)",
        "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; a.flat(Infinity); `${a}`",
        "new RegExp('('.repeat(1e5))",
        "new RegExp('(?:a'.repeat(1e5) + ')'.repeat(1e5))",
        "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; structuredClone(a)",
        "let s = ''; for (let i = 0; i < 1e5; i++) s = s + 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' + i; s.length; throw new RangeError('Maximum call stack size exceeded')",
    ] {
        let error = script.call(code.as_bytes()).await.unwrap_err();
        assert_eq!(error.failure, CallFailure::Failed, "{code}: {error}");
        assert!(error.text.contains("Error: "), "{code}: {error}");
        assert!(!error.text.contains("the engine stopped"), "{code}: {error}");
        assert_eq!(script.text("").await, r#""well""#, "after {code}");
    }
    // Also at deploy.
    for deep in ["(".repeat(200_000), "[".repeat(200_000), "-".repeat(200_000)] {
        assert!(!prepare(&deep).await.err().unwrap().to_string().is_empty());
    }
}

#[tokio::test]
async fn too_large_an_answer_is_refused() {
    let limits = FunctionLimits { max_output_bytes: 1000, ..limits() };
    let script =
        prepare_within("(s, p) => p.length ? new Uint8Array(+p.length) : 'x'.repeat(999)", limits)
            .await;
    assert_eq!(script.call(&[0; 1000]).await.unwrap().len(), 1000);
    for size in [1001, 100_000] {
        let error = script.call(&vec![0; size]).await.unwrap_err();
        assert_eq!(error.failure, CallFailure::OutputTooLarge);
        assert_eq!(error.text, format!("the answer has {size} bytes; 1000 are allowed"));
    }
    // Quotes count.
    let error = script.call(b"").await.unwrap_err();
    assert_eq!(error.text, "the answer has 1001 bytes; 1000 are allowed");
    assert_eq!(script.call(&[0; 3]).await.unwrap().len(), 3);
}

#[tokio::test]
async fn too_large_a_script_is_refused() {
    let limits = FunctionLimits { max_script_bytes: 20, ..limits() };
    let fits = "() => 1234567890.123";
    assert_eq!(prepare_within(fits, limits).await.text("").await, "1234567890.123");
    let error = prepare_with(&format!("{fits}4"), limits, &[], no_services()).await.err().unwrap();
    assert_eq!(error.to_string(), "the script has 21 bytes; 20 are allowed (max_script_bytes)");
}

#[tokio::test]
async fn more_calls_than_allowed_are_refused_and_then_taken_again() {
    let limits = FunctionLimits { max_concurrent_calls: 2, ..limits() };
    let script =
        "async (s, p) => { if (p.length) await new Promise((done) => setTimeout(done, 300)) }";
    let script = Arc::new(prepare_within(script, limits).await);
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let script = script.clone();
            tokio::spawn(async move { script.call(b"wait").await })
        })
        .collect();
    while script.call(b"").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let error = script.call(b"").await.unwrap_err();
    assert_eq!(error.failure, CallFailure::Busy);
    assert!(error.text.contains('2'));
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    script.call(b"").await.unwrap();
}

#[tokio::test]
async fn a_call_that_computes_does_not_hold_up_another() {
    let script = Arc::new(runner(limits()).await);
    let busy = script.clone();
    let spinning = tokio::spawn(async move {
        let mut call = busy.message(b"for (;;) {}");
        call.deadline = tokio::time::Instant::now() + Duration::from_secs(2);
        busy.ask(call).await
    });
    tokio::task::yield_now().await;
    // On the one thread of this test.
    let mut answered = 0;
    while !spinning.is_finished() {
        assert_eq!(script.text("").await, r#""well""#);
        answered += 1;
        tokio::task::yield_now().await;
    }
    assert_eq!(spinning.await.unwrap().unwrap_err().failure, CallFailure::Timeout);
    assert!(answered > 5, "{answered}");
}
