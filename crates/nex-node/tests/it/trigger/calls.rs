//! What a caller sees.

use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use futures_util::StreamExt as _;
use nex_protocol::config::FunctionsFile;
use nex_protocol::event::{FunctionFailed, FunctionSucceeded, RawEvent};
use nex_protocol::log::LogLine;
use nex_testkit::Collector;

use super::{Answer, call, call_with, function, pretend};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_raw_and_a_failure_says_which_it_is() {
    let world = pretend(FunctionsFile::default()).await;
    let nats = world.nats.client().await;
    world.pretended("echo", &["echo.one", "echo.two.*"]).await;
    assert_eq!(call(&nats, "echo.one", "hello").await, Answer::raw("hello"));
    assert_eq!(call(&nats, "echo.two.x", "").await, Answer::raw(""));
    assert_eq!(call(&nats, "echo.two", "").await, Answer::Nobody);
    let large = Bytes::from(vec![7; 64 << 10]);
    assert_eq!(call(&nats, "echo.one", large.clone()).await, Answer::Raw(large));
    // As much as NATS carries, with the headers that the node adds to it.
    let largest = Bytes::from(vec![7; nats.max_payload()]);
    assert_eq!(call(&nats, "echo.one", largest.clone()).await, Answer::Raw(largest));
    assert_eq!(
        call(&nats, "echo.one", "fail 507 too much memory").await,
        Answer::Failed(507, "too much memory".to_owned())
    );
    assert_eq!(
        call(&nats, "echo.one", "fail 999 no such code").await,
        Answer::Failed(500, "no such code".to_owned())
    );
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_function_hears_the_subject_and_the_headers_and_a_caller_cannot_forge_them() {
    let world = pretend(FunctionsFile::default()).await;
    let nats = world.nats.client().await;
    world.pretended("echo", &["orders.*.>"]).await;
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    headers.insert("X-Nex-Trigger-Subject", "forged");
    headers.insert("x-nex-time-left-ms", "1");
    headers.append("Accept", "a");
    headers.append("Accept", "b");
    let answer = call_with(&nats, "orders.new.eu", headers, "headers").await;
    let Answer::Raw(text) = answer else { panic!("{answer:?}") };
    let text = String::from_utf8(text.to_vec()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "Accept=a",
            "Accept=b",
            "traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ]
    );
    assert!(lines[3].starts_with("x-nex-reply-subject=_INBOX."), "{text}");
    assert_eq!(lines[4..], ["x-nex-trigger-subject=orders.new.eu"]);
    // More headers than the bus carries are the caller's fault, and hurt nobody else.
    let mut many = HeaderMap::new();
    for n in 0..200 {
        many.insert(format!("n{n}"), "x");
    }
    assert_eq!(call_with(&nats, "orders.new.eu", many, "x").await.code(), Some(400));
    let mut long = HeaderMap::new();
    long.insert("long", "x".repeat(70_000));
    assert_eq!(call_with(&nats, "orders.new.eu", long, "x").await.code(), Some(400));
    assert_eq!(call(&nats, "orders.new.eu", "fine").await, Answer::raw("fine"));
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_wants_no_answer_runs_and_one_to_the_system_is_not_answered() {
    let world = pretend(FunctionsFile::default()).await;
    let nats = world.nats.client().await;
    world.pretended("echo", &["echo"]).await;
    let mut events = Collector::new(&nats, "$NEX.events.default.function_exec_succeeded").await;
    nats.publish("echo", "no answer wanted".into()).await.unwrap();
    events.next().await;
    let mut duck = nats.subscribe("$NEX.LAMEDUCK.>").await.unwrap();
    let to = format!("$NEX.LAMEDUCK.{}", world.node.id());
    nats.publish_with_reply("echo", Subject::from(to), "x".into()).await.unwrap();
    events.next().await;
    let quiet = tokio::time::timeout(std::time::Duration::from_millis(200), duck.next()).await;
    assert!(quiet.is_err(), "the node published {quiet:?}");
    let ping = world.client.ping_node(world.node.id()).await.unwrap();
    assert_eq!(ping.tags.get("nex.lameduck"), None);
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_told_of_and_their_time_is_counted() {
    let world = pretend(FunctionsFile::default()).await;
    let nats = world.nats.client().await;
    let mut events = Collector::new(&nats, "$NEX.events.default.>").await;
    let mut logs = Collector::new(&nats, "$NEX.logs.>").await;
    let id = world.pretended("echo", &["echo.>"]).await;
    call(&nats, "echo.x", "ran 1500").await;
    let event = events.find("success", |event| event.subject.ends_with("exec_succeeded")).await;
    let event = RawEvent::decode(&event.payload).unwrap();
    assert_eq!(event.source, world.node.id().to_string());
    let data: FunctionSucceeded = event.data_as().unwrap();
    assert_eq!((data.workload_name.as_str(), data.namespace.as_str()), ("echo", "default"));
    assert_eq!(
        (data.trigger_subject.as_str(), data.elapsed_nanos, data.count),
        ("echo.>", 1500, None)
    );
    call(&nats, "echo.x", "fail 500 broken").await;
    let event = events.find("failure", |event| event.subject.ends_with("exec_failed")).await;
    let data: FunctionFailed = RawEvent::decode(&event.payload).unwrap().data_as().unwrap();
    assert_eq!((data.trigger_subject.as_str(), data.error.as_str()), ("echo.>", "broken"));
    let line = logs
        .find("a line about it", |line| {
            LogLine::decode(&line.payload).unwrap().text.contains("failed (500): broken")
        })
        .await;
    assert!(line.subject.ends_with(id.as_str()));
    let info = world.client.node_info(world.node.id(), &Default::default()).await.unwrap();
    assert_eq!(info.machines[0].workload.runtime, "0ms");
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_calls_is_not_a_flood_of_events() {
    let world = pretend(FunctionsFile::default()).await;
    let nats = world.nats.client().await;
    let mut events = Collector::new(&nats, "$NEX.events.default.function_exec_succeeded").await;
    world.pretended("echo", &["echo"]).await;
    for _ in 0..500 {
        call(&nats, "echo", "x").await;
    }
    let mut told = 0;
    while told < 500 {
        let event = RawEvent::decode(&events.next().await.payload).unwrap();
        let data: FunctionSucceeded = event.data_as().unwrap();
        told += data.count.unwrap_or(1);
    }
    assert_eq!(told, 500);
    assert!(events.seen().len() < 400, "{} events", events.seen().len());
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_that_cannot_be_are_refused_with_a_reason() {
    let world = pretend(FunctionsFile::default()).await;
    let artifact = world.upload_bytes("echo", b"echo").await;
    let refused = async |triggers: &[&str]| {
        let builder = function("echo", artifact.clone(), triggers);
        world.deploy(builder).await.unwrap_err().to_string()
    };
    let twice = refused(&["a.*", "a.b"]).await;
    assert!(twice.contains("overlap") && twice.contains("a.*"), "{twice}");
    assert!(world.node.workloads().is_empty());
    world.run(function("echo", artifact.clone(), &["a.*", "b.b"])).await;
    assert!(world.end().await.clean);
}
