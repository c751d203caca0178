//! Every limit, crossed; and the neighbour, who does not notice.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nex_protocol::config::FunctionsFile;

use super::{Answer, call, function, pretend};

fn narrow() -> FunctionsFile {
    FunctionsFile {
        max_concurrent_calls: Some(2),
        queue_length: Some(3),
        queue_wait_ms: Some(10_000),
        ..FunctionsFile::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_finds_neither_place_nor_queue_is_refused_at_once() {
    let world = pretend(narrow()).await;
    let nats = world.nats.client().await;
    world.pretended("slow", &["slow"]).await;
    world.pretended("next", &["next"]).await;
    let calls = join_all((0..9).map(|_| call(&nats, "slow", "sleep 300"))).await;
    let slept = calls.iter().filter(|answer| **answer == Answer::raw("slept")).count();
    let busy = calls.iter().filter(|answer| answer.code() == Some(429)).count();
    assert_eq!((slept, busy), (5, 4), "{calls:?}");
    assert_eq!(call(&nats, "slow", "sleep 1").await, Answer::raw("slept"));
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_too_long_is_refused_and_the_neighbour_is_answered() {
    let functions = FunctionsFile { queue_wait_ms: Some(50), ..narrow() };
    let world = pretend(functions).await;
    let nats = world.nats.client().await;
    world.pretended("slow", &["slow"]).await;
    world.pretended("next", &["next"]).await;
    let slow = join_all((0..5).map(|_| call(&nats, "slow", "sleep 1000")));
    let neighbour = async {
        for _ in 0..20 {
            assert_eq!(call(&nats, "next", "x").await, Answer::raw("x"));
        }
    };
    let (slow, ()) = tokio::join!(slow, neighbour);
    let busy = slow.iter().filter(|answer| answer.code() == Some(429)).count();
    assert_eq!(busy, 3, "{slow:?}");
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_has_places_of_its_own() {
    let functions = FunctionsFile {
        max_concurrent_calls_node: Some(2),
        queue_length: Some(0),
        ..FunctionsFile::default()
    };
    let world = pretend(functions).await;
    let nats = world.nats.client().await;
    world.pretended("one", &["one"]).await;
    world.pretended("two", &["two"]).await;
    let calls = ["one", "one", "two", "two"].map(|subject| call(&nats, subject, "sleep 300"));
    let calls = join_all(calls).await;
    let busy = calls.iter().filter(|answer| answer.code() == Some(429)).count();
    assert_eq!(busy, 2, "{calls:?}");
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_not_answered_in_time_fails_and_the_next_one_works() {
    let functions = FunctionsFile { call_timeout_ms: Some(200), ..FunctionsFile::default() };
    let world = pretend(functions).await;
    let nats = world.nats.client().await;
    world.pretended("echo", &["echo"]).await;
    let started = Instant::now();
    assert_eq!(call(&nats, "echo", "silence").await.code(), Some(504));
    assert!(started.elapsed() >= Duration::from_millis(200));
    assert_eq!(call(&nats, "echo", "x").await, Answer::raw("x"));
    // The time spent in the queue counts.
    let narrow = FunctionsFile { call_timeout_ms: Some(1000), ..narrow() };
    let second = pretend(narrow).await;
    let nats = second.nats.client().await;
    second.pretended("echo", &["echo"]).await;
    let hold = join_all((0..2).map(|_| call(&nats, "echo", "sleep 400")));
    let late = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        call(&nats, "echo", "headers").await
    };
    let (_, late) = tokio::join!(hold, late);
    let Answer::Raw(text) = late else { panic!("{late:?}") };
    let text = String::from_utf8(text.to_vec()).unwrap();
    let left = text.lines().find_map(|line| line.strip_prefix("x-nex-time-left-ms="));
    let left: u64 = left.expect("the agent is told").parse().unwrap();
    assert!((1..=800).contains(&left), "{left}");
    assert!(second.end().await.clean);
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_large_calls_at_once_do_not_cost_the_sandbox() {
    let world = pretend(FunctionsFile::default()).await;
    let nats = world.nats.client().await;
    let id = world.pretended("echo", &["echo"]).await;
    let large = bytes::Bytes::from(vec![7; 1 << 20]);
    let calls = join_all((0..60).map(|_| call(&nats, "echo", large.clone()))).await;
    let answered = calls.iter().filter(|answer| **answer == Answer::Raw(large.clone())).count();
    let busy = calls.iter().filter(|answer| answer.code() == Some(429)).count();
    assert_eq!(answered + busy, 60);
    assert!(answered >= 8, "{answered} answered");
    assert_eq!(world.node.workloads().get(id).unwrap().restarts, 0);
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_may_ask_for_a_time_within_the_nodes() {
    let functions = FunctionsFile {
        call_timeout_ms: Some(10_000),
        max_call_timeout_ms: Some(20_000),
        ..FunctionsFile::default()
    };
    let world = pretend(functions).await;
    let nats = world.nats.client().await;
    let artifact = world.upload_bytes("echo", b"echo").await;
    let deploy = async |timeout| {
        let workload = function("echo", artifact.clone(), &["echo"]).build().unwrap();
        let mut deployment = world.sealed(&workload);
        deployment.request.call_timeout_ms = Some(timeout);
        world.client.deploy(&deployment).await
    };
    for wrong in [0, 20_001] {
        let refused = deploy(wrong).await.unwrap_err().to_string();
        assert!(refused.contains("functions.max_call_timeout_ms"), "{refused}");
    }
    deploy(150).await.unwrap();
    assert_eq!(call(&nats, "echo", "silence").await.code(), Some(504));
    assert!(world.end().await.clean);
}
