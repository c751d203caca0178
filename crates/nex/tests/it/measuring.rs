//! `nex bench`, against a function that is no more than its wire.

use async_nats::HeaderMap;
use nex_testkit::TestNats;

use crate::fake_function::{Failure, FakeFunction, echo};
use crate::program::User;

#[tokio::test]
async fn a_function_is_measured_beside_an_echo() {
    let nats = TestNats::start().await;
    let function = FakeFunction { name: "echo", namespace: "default", subjects: &["echo.in"] };
    function.start(&nats, echo).await;
    let user = User::at(&nats.url());
    let args = ["bench", "echo", "--requests", "100", "--clients", "1,3", "--size", "16B,2KiB"];
    let told = user.json(&args).await;
    assert_eq!(told["function"], "echo");
    assert_eq!(told["subject"], "echo.in");
    let cases = told["cases"].as_array().unwrap();
    let shape: Vec<_> = cases
        .iter()
        .map(|case| (case["payload_bytes"].as_u64().unwrap(), case["clients"].as_u64().unwrap()))
        .collect();
    assert_eq!(shape, [(16, 1), (16, 3), (2048, 1), (2048, 3)]);
    for case in cases {
        for side in ["echo", "function"] {
            let numbers = &case[side];
            // Twenty rounds of five.
            assert_eq!(numbers["calls"], 100, "{case}");
            assert_eq!(numbers["errors"], 0, "{case}");
            let at = |name: &str| numbers[name].as_f64().unwrap();
            assert!(at("p50_us") > 0.0 && at("p50_us") <= at("p90_us"), "{case}");
            assert!(at("p90_us") <= at("p99_us") && at("p99_us") <= at("max_us"), "{case}");
            assert!(at("calls_per_second") > 0.0, "{case}");
        }
        assert!(case["ratio"]["p50"].as_f64().unwrap() > 0.0, "{case}");
        assert!(case["ratio"]["calls_per_second"].as_f64().unwrap() > 0.0, "{case}");
    }

    let table = user.nex(&["bench", "echo.in", "--duration", "100ms", "--payload", "hi"]).await;
    assert_eq!(table.status.code(), Some(0), "{}", table.err);
    let lines: Vec<&str> = table.out.lines().collect();
    assert_eq!(lines.len(), 5, "{}", table.out);
    assert!(lines[0].starts_with("CLIENTS  PAYLOAD  WHAT "), "{}", table.out);
    assert!(lines[1].contains("NATS echo") && lines[2].contains("echo.in"), "{}", table.out);
    assert!(table.err.contains("measuring: 16 clients, 2 bytes"), "{}", table.err);
}

#[tokio::test]
async fn failures_are_counted_and_told_once() {
    let nats = TestNats::start().await;
    let function = FakeFunction { name: "shy", namespace: "default", subjects: &["shy"] };
    let calls = std::sync::atomic::AtomicU64::new(0);
    function
        .start(&nats, move |_| match calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 2 {
            0 => Ok((HeaderMap::new(), Vec::new())),
            _ => Err(Failure("429", "all places are taken")),
        })
        .await;
    let user = User::at(&nats.url());
    let args = ["bench", "shy", "--requests", "40", "--clients", "1,2", "--size", "0B", "--json"];
    let told = user.nex(&args).await;
    assert_eq!(told.status.code(), Some(0), "{}", told.err);
    let document: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    for case in document["cases"].as_array().unwrap() {
        let count = |what: &str| case["function"][what].as_u64().unwrap();
        assert_eq!(count("calls") + count("errors"), 40, "{case}");
        assert!(count("errors") > 0, "{case}");
        assert_eq!(case["echo"]["errors"], 0, "{case}");
    }
    assert_eq!(told.err.matches("shy failed (429): all places are taken").count(), 1);
}

#[tokio::test]
async fn what_never_answers_is_not_measured() {
    let nats = TestNats::start().await;
    let user = User::at(&nats.url());
    let error = user.fails(1, &["bench", "nobody.home"]).await;
    let error = error.lines().last().unwrap();
    assert!(error.starts_with("error: nothing to measure: nobody listens on nobody.home"));
    let error = user.fails(1, &["bench", "nobody.home", "--size", "4MiB"]).await;
    assert!(error.contains("lets 1048576 bytes through"), "{error}");
}

#[tokio::test]
async fn a_measurement_can_be_interrupted() {
    let nats = TestNats::start().await;
    let function = FakeFunction { name: "echo", namespace: "default", subjects: &["echo.in"] };
    function.start(&nats, echo).await;
    let user = User::at(&nats.url());
    let mut bench = user.start(&["bench", "echo", "--duration", "1h"]);
    bench.message_with("measuring").await;
    bench.signal("INT");
    let (code, said) = bench.end().await;
    assert_eq!((code, said.as_str()), (Some(1), "interrupted\n"));
}
