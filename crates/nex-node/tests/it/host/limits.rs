//! Bounds of calls: how many, how long, and what happens when the workload ends.

use std::time::Duration;

use futures_util::future::join_all;
use nex_node::host::{ReplyTo, Rpc, Scope};
use nex_protocol::agent::header;
use nex_protocol::config::{
    HostHttpFile, HostKvFile, HostMessagingFile, HostObjectStoreFile, HostServicesFile,
};
use nex_protocol::nats::HeaderMap;
use nex_testkit::{DEADLINE, settle, wait_until};
use serde_json::Value;
use tokio::sync::mpsc;

use super::{HostWorld, within};

fn few(max_concurrent_calls: u32, request_timeout_ms: u32) -> HostServicesFile {
    HostServicesFile {
        max_concurrent_calls: Some(max_concurrent_calls),
        messaging: Some(HostMessagingFile {
            request_timeout_ms: Some(request_timeout_ms),
            ..HostMessagingFile::default()
        }),
        ..HostServicesFile::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_calls_than_places_are_refused_at_once_and_leave_others_alone() {
    let world = HostWorld::with(few(4, 20_000)).await;
    let public = world.nats.client().await;
    let mut silent = nex_testkit::Collector::new(&public, "silent").await;
    let greedy = world.agent("a", "greedy").await;
    let other = world.agent("b", "other").await;
    let waiting = async {
        let calls = (0..4).map(|_| greedy.send("request", "silent", "hi"));
        join_all(calls).await
    };
    let flood = async {
        for _ in 0..4 {
            silent.next().await;
        }
        // All places are taken.
        let refusals = join_all((0..500).map(|_| greedy.get("k"))).await;
        for refusal in refusals {
            let refusal = refusal.unwrap_err();
            assert!(refusal.contains("4 calls of host services are under way"), "{refusal}");
        }
        // The neighbour has places of its own, and its answers come.
        for round in 0..20 {
            other.set("k", round.to_string()).await.unwrap();
            assert_eq!(other.get("k").await.unwrap(), round.to_string());
        }
        for message in silent.seen().to_vec() {
            public.publish(message.reply.unwrap(), "at last".into()).await.unwrap();
        }
    };
    let (answers, ()) = tokio::join!(waiting, flood);
    for answer in answers {
        assert_eq!(answer.unwrap(), "at last");
    }
    // The places are free again.
    greedy.set("k", "v").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_service_can_be_switched_off() {
    let config = HostServicesFile {
        kv: Some(HostKvFile { enabled: Some(false), ..HostKvFile::default() }),
        object_store: Some(HostObjectStoreFile {
            enabled: Some(false),
            ..HostObjectStoreFile::default()
        }),
        messaging: Some(HostMessagingFile { enabled: Some(false), ..HostMessagingFile::default() }),
        http: Some(HostHttpFile { enabled: Some(false), ..HostHttpFile::default() }),
        ..HostServicesFile::default()
    };
    let world = HostWorld::with(config).await;
    let agent = world.agent("a", "echo").await;
    for (call, key) in [
        ("kv.get", "host_services.kv.enabled"),
        ("objectstore.list", "host_services.object_store.enabled"),
        ("messaging.publish", "host_services.messaging.enabled"),
        ("http.get", "host_services.http.enabled"),
    ] {
        let refusal = agent.call(call, &[], "").await.unwrap_err();
        assert!(refusal.contains("switched off") && refusal.contains(key), "{refusal}");
    }
}

/// Hears what is answered, without a bus.
struct Ear(mpsc::UnboundedSender<(Option<String>, bytes::Bytes)>);

impl ReplyTo for Ear {
    fn max_bytes(&self) -> usize {
        1 << 20
    }

    fn room(&self) -> futures_util::future::BoxFuture<'_, bool> {
        Box::pin(async { true })
    }

    fn part(&self, payload: bytes::Bytes) -> bool {
        self.0.send((None, payload)).is_ok()
    }

    fn finish(self: Box<Self>, headers: Option<&HeaderMap>, payload: bytes::Bytes) {
        let error = headers.and_then(|headers| headers.get(header::ERROR)).map(str::to_owned);
        let _ = self.0.send((error, payload));
    }

    fn end(self: Box<Self>) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_end_with_their_workload_and_are_answered() {
    let world = HostWorld::with(few(4, 600_000)).await;
    let public = world.nats.client().await;
    let mut silent = nex_testkit::Collector::new(&public, "silent").await;
    settle(&public).await;
    let (namespace, workload) = ("a".parse().unwrap(), "echo".parse().unwrap());
    let session = world
        .services
        .open(Scope { namespace: "a".parse().unwrap(), workload: "echo".parse().unwrap() }, false);
    let (sender, mut answers) = mpsc::unbounded_channel();
    let mut headers = HeaderMap::new();
    headers.append(header::MESSAGING_SUBJECT, "silent").unwrap();
    for method in ["request", "requestMany"] {
        let rpc = Rpc { service: "messaging", method, headers: Some(&headers), body: "".into() };
        session.handle(&namespace, &workload, rpc, Box::new(Ear(sender.clone())));
        silent.next().await;
    }
    drop(sender);
    drop(session);
    for _ in 0..2 {
        let (error, body) = within("the answer", answers.recv()).await.unwrap();
        assert!(error.unwrap().contains("cut off"));
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert!(body["errors"][0].as_str().unwrap().contains("cut off"));
    }
    assert_eq!(within("the end", answers.recv()).await, None, "one answer to each");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_gone_holds_nothing_up() {
    let world = HostWorld::with(few(1, 300)).await;
    let public = world.nats.client().await;
    let mut silent = nex_testkit::Collector::new(&public, "silent").await;
    let agent = world.agent("a", "echo").await;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert(header::MESSAGING_SUBJECT, "silent");
    // No reply is asked for: the call is made, and its place is free afterwards.
    let subject = agent.subject("messaging.request");
    agent.nats.publish_with_headers(subject, headers, "hi".into()).await.unwrap();
    silent.next().await;
    let free = async || agent.set("k", "v").await.is_ok();
    let end = tokio::time::Instant::now() + DEADLINE;
    while !free().await {
        assert!(tokio::time::Instant::now() < end, "the place of a call is lost");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    wait_until(DEADLINE, "nothing", || true).await;
}
