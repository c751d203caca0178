//! Functions that stop, die, come back, and run on several nodes.

use std::time::Duration;

use futures_util::future::join_all;
use nex_node::Node;
use nex_node::config::{Config, SandboxChoice};
use nex_protocol::config::FunctionsFile;
use nex_testkit::wait::wait_for_async;
use nex_testkit::{Collector, DEADLINE, process};

use super::{Answer, call, function, pretend, pretending, script};
use crate::world::World;

/// Calls until there is an answer.
async fn answers(nats: &async_nats::Client, subject: &str) {
    wait_for_async(DEADLINE, format!("an answer on {subject}"), || async {
        (call(nats, subject, "back").await == Answer::raw("back")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_takes_no_new_calls_and_lets_those_under_way_finish() {
    let world = pretend(FunctionsFile::default()).await;
    let nats = world.nats.client().await;
    let id = world.pretended("slow", &["slow"]).await;
    let calls = join_all((0..8).map(|_| call(&nats, "slow", "sleep 500")));
    let stop = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.stop_workload(id, "slow").await;
        call(&nats, "slow", "x").await
    };
    let (calls, after) = tokio::join!(calls, stop);
    assert!(calls.iter().all(|answer| *answer == Answer::raw("slept")), "{calls:?}");
    assert_eq!(after, Answer::Nobody);
    assert!(world.node.workloads().is_empty());
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_an_agent_that_dies_fail_at_once_and_the_function_comes_back() {
    let world =
        pretend(FunctionsFile { call_timeout_ms: Some(60_000), ..FunctionsFile::default() }).await;
    let nats = world.nats.client().await;
    let id = world.pretended("echo", &["echo"]).await;
    let hang = join_all((0..4).map(|_| call(&nats, "echo", "silence")));
    let kill = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        call(&nats, "echo", "die").await
    };
    let (hung, died) = tokio::join!(hang, kill);
    for answer in hung.iter().chain([&died]) {
        assert_eq!(answer.code(), Some(503), "{answer:?}");
    }
    answers(&nats, "echo").await;
    let status = world.node.workloads().get(id).cloned().unwrap();
    assert!(status.running && status.restarts >= 1);
    world.stop_workload(id, "echo").await;
    assert_eq!(call(&nats, "echo", "x").await, Answer::Nobody);
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_from_outside_is_replaced() {
    let world = pretend(FunctionsFile::default()).await;
    let nats = world.nats.client().await;
    let id = world.pretended("echo", &["echo"]).await;
    let folder = world.dir.path().join("state/sandboxes").join(id.to_string());
    let agents = process::tree(std::process::id()).into_iter().filter(|pid| {
        std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder)
    });
    let agents: Vec<_> = agents.collect();
    assert!(!agents.is_empty());
    for pid in agents {
        std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    }
    answers(&nats, "echo").await;
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_calls_and_other_functions_get_their_own() {
    let world = pretend(FunctionsFile::default()).await;
    let nats = world.nats.client().await;
    let dir = tempfile::tempdir().unwrap();
    let config =
        Config::builder().sandbox(SandboxChoice::Process).state_dir(dir.path().join("state"));
    let config = pretending(config, FunctionsFile::default()).build().unwrap();
    let other = Node::start(config, world.nats.client().await).await.unwrap();

    let artifact = world.upload_bytes("echo", b"echo").await;
    let workload = function("echo", artifact.clone(), &["echo"]).build().unwrap();
    let here = world.client.deploy(&world.sealed(&workload)).await.unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let there = workload.sign_and_seal(
        other.id(),
        &other.xkey(),
        &world.issuer,
        &world.publisher,
        i64::try_from(now.as_secs()).unwrap(),
    );
    world.client.deploy(&there.unwrap()).await.unwrap();
    // The same subject, another function: it gets every message, too.
    world.run(function("audit", artifact, &["echo"])).await;
    let mut events = Collector::new(&nats, "$NEX.events.default.function_exec_succeeded").await;
    for _ in 0..15 {
        nats.publish("echo", "x".into()).await.unwrap();
    }
    let (mut mine, mut theirs, mut audited) = (0, 0, 0);
    while mine + theirs + audited < 30 {
        let event = nex_protocol::event::RawEvent::decode(&events.next().await.payload).unwrap();
        let data: nex_protocol::event::FunctionSucceeded = event.data_as().unwrap();
        match (data.workload_name.as_str(), event.source == other.id().to_string()) {
            ("audit", _) => audited += 1,
            (_, true) => theirs += 1,
            (_, false) => mine += 1,
        }
    }
    assert_eq!((mine + theirs, audited), (15, 15));
    assert!(mine > 0 && theirs > 0, "{mine} here, {theirs} there");

    // One goes, the other answers everything.
    world.stop_workload(here.id.parse().unwrap(), "echo").await;
    for _ in 0..10 {
        assert_eq!(call(&nats, "echo", "x").await, Answer::raw("x"));
    }
    assert!(other.stop(DEADLINE).await.clean);
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_outage_ends_no_function() {
    let mut world = pretend(FunctionsFile::default()).await;
    world.pretended("echo", &["echo"]).await;
    world.nats.kill();
    world.nats.restart().await;
    let nats = world.nats.client().await;
    answers(&nats, "echo").await;
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_takes_over_without_a_gap() {
    let world = World::with(|config| pretending(config, FunctionsFile::default())).await;
    let nats = world.nats.client().await;
    let first = world.pretended("echo", &["echo"]).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let caller = tokio::spawn({
        let (nats, stop) = (nats.clone(), stop.clone());
        async move {
            let mut calls = 0;
            while !stop.is_cancelled() {
                assert_eq!(call(&nats, "echo", "x").await, Answer::raw("x"));
                calls += 1;
            }
            calls
        }
    });
    world.pretended("echo", &["echo"]).await;
    world.stop_workload(first, "echo").await;
    stop.cancel();
    assert!(caller.await.unwrap() > 0);
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_the_old_protocol_needs_no_machine_code() {
    let world = World::with(|config| {
        let functions = FunctionsFile { call_timeout_ms: Some(200), ..FunctionsFile::default() };
        pretending(config, functions).legacy_agent(script()).internal_node_port(0)
    })
    .await;
    let nats = world.nats.client().await;
    world.pretended("echo", &["echo"]).await;
    assert_eq!(call(&nats, "echo", "hello").await, Answer::raw("hello"));
    assert_eq!(call(&nats, "echo", "silence").await.code(), Some(504));
    let compiled = std::fs::read_dir(world.dir.path().join("state/compiled")).unwrap();
    assert_eq!(compiled.count(), 0);
    assert!(world.end().await.clean);
}
