//! The bucket that agents of the old protocol fetch their artifact from, read by a real client.

use std::fs;
use std::path::PathBuf;

use async_nats::jetstream::{self, object_store::GetErrorKind};
use futures_util::StreamExt;
use nex_node::bus::AgentSeat;
use nex_protocol::digest::Digest;
use nex_protocol::name::WorkloadId;
use nex_protocol::nats::ErrKind;
use tokio::io::AsyncReadExt;

use super::wire::Wire;
use super::{TestBus, within};

fn artifact(bus: &TestBus, size: usize) -> (PathBuf, Vec<u8>) {
    let bytes: Vec<u8> = (0..size).map(|at| (at * 31 % 251) as u8).collect();
    let path = bus.folder.path().join(format!("artifact-{size}"));
    fs::write(&path, &bytes).unwrap();
    (path, bytes)
}

fn offer(seat: &AgentSeat, name: &str, path: PathBuf, bytes: &[u8]) {
    seat.offer_artifact(&name.parse().unwrap(), path, Digest::of(bytes), bytes.len() as u64);
}

#[tokio::test]
async fn an_object_is_read_as_from_jetstream() {
    let bus = TestBus::start(|_| {}).await;
    let seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let client = bus.nats(&seat).await;
    let bucket = jetstream::new(client).get_object_store("NEXCACHE").await.unwrap();
    let missing = bucket.get("echo").await.err().unwrap();
    assert_eq!(missing.kind(), GetErrorKind::NotFound, "nothing is offered yet");

    // Ends of chunks, one chunk, many; more than the flow control window.
    for size in [1, 128 * 1024, 128 * 1024 + 1, 5_000_000] {
        let (path, bytes) = artifact(&bus, size);
        offer(&seat, "echo", path, &bytes);
        let info = bucket.info("echo").await.unwrap();
        assert_eq!((info.size, info.chunks), (size, size.div_ceil(128 * 1024)));
        let mut object = bucket.get("echo").await.unwrap();
        let mut read = Vec::new();
        within("whole object", object.read_to_end(&mut read)).await.unwrap();
        assert!(read == bytes, "{size}");
    }
    assert_eq!(bucket.get("other").await.err().unwrap().kind(), GetErrorKind::NotFound);
    let mut list = bucket.list().await.unwrap();
    let listed = within("list", list.next()).await.unwrap().unwrap();
    assert_eq!((listed.name.as_str(), listed.size), ("echo", 5_000_000));

    seat.withdraw_artifact();
    assert_eq!(bucket.get("echo").await.err().unwrap().kind(), GetErrorKind::NotFound);
}

#[tokio::test]
async fn each_agent_sees_its_own_artifact_alone() {
    let bus = TestBus::start(|_| {}).await;
    let mine = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let theirs = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let (path, bytes) = artifact(&bus, 1000);
    offer(&mine, "mine", path.clone(), &bytes);
    offer(&theirs, "theirs", path, &bytes);
    let client = bus.nats(&mine).await;
    let bucket = jetstream::new(client).get_object_store("NEXCACHE").await.unwrap();
    assert!(bucket.get("mine").await.is_ok());
    assert_eq!(bucket.get("theirs").await.err().unwrap().kind(), GetErrorKind::NotFound);
}

#[tokio::test]
async fn nothing_can_be_written_and_no_other_stream_seen() {
    let bus = TestBus::start(|_| {}).await;
    let seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let (path, bytes) = artifact(&bus, 1000);
    offer(&seat, "echo", path, &bytes);
    let mut agent = Wire::agent(bus.endpoint.socket(), &seat).await;
    agent.send("SUB _INBOX.> 1\n").await;
    for subject in [
        "$JS.API.STREAM.CREATE.OBJ_NEXCACHE",
        "$JS.API.STREAM.DELETE.OBJ_NEXCACHE",
        "$JS.API.STREAM.PURGE.OBJ_NEXCACHE",
        "$JS.API.STREAM.UPDATE.OBJ_NEXCACHE",
        "$JS.API.STREAM.MSG.DELETE.OBJ_NEXCACHE",
        "$JS.API.CONSUMER.DURABLE.CREATE.OBJ_NEXCACHE.x",
        "$JS.API.CONSUMER.MSG.NEXT.OBJ_NEXCACHE.x",
        "$JS.domain.API.STREAM.INFO.OBJ_NEXCACHE",
        "$JS.SNAPSHOT.RESTORE.OBJ_NEXCACHE.x",
        "$O.NEXCACHE.C.x",
        "$O.NEXCACHE.M.ZWNobw==",
        "$KV.bucket.key",
        "$SYS.REQ.USER.INFO",
    ] {
        agent.send(&format!("PUB {subject} _INBOX.x 2\n{{}}\n")).await;
        assert_eq!(agent.refused().await.0, ErrKind::PermissionsViolation, "{subject}");
    }
    for subject in [
        "STREAM.INFO.KV_secrets",
        "STREAM.MSG.GET.KV_secrets",
        "CONSUMER.CREATE.KV_secrets",
        "CONSUMER.CREATE.KV_secrets.name.$KV.secrets.>",
        "CONSUMER.INFO.KV_secrets.x",
        "CONSUMER.DELETE.KV_secrets.x",
    ] {
        agent.send(&format!("PUB $JS.API.{subject} _INBOX.x 2\n{{}}\n")).await;
        let answer = agent.message().await;
        let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
        assert_eq!(answer["error"]["err_code"], 10059, "{subject}");
    }
}

#[tokio::test]
async fn bodies_that_are_no_requests_are_answered_with_an_error() {
    let bus = TestBus::start(|_| {}).await;
    let seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let (path, bytes) = artifact(&bus, 1000);
    offer(&seat, "echo", path, &bytes);
    let mut agent = Wire::agent(bus.endpoint.socket(), &seat).await;
    agent.send("SUB _INBOX.> 1\n").await;
    let deep = "[".repeat(100_000);
    let long = format!("{{\"config\":{{\"name\":\"{}\"}}}}", "x".repeat(300));
    let create = "CONSUMER.CREATE.OBJ_NEXCACHE";
    for (call, body) in [
        (create, ""),
        (create, "{}"),
        (create, "null"),
        (create, "{\"config\":7}"),
        (create, "{\"config\":{}}"),
        (create, "{\"config\":{\"deliver_subject\":\"\"}}"),
        (create, "{\"config\":{\"deliver_subject\":\"_INBOX.d\",\"filter_subject\":\"a..b\"}}"),
        (create, "{\"config\":{\"deliver_subject\":7}}"),
        (create, &deep),
        (create, &long),
        ("STREAM.MSG.GET.OBJ_NEXCACHE", "{}"),
        ("STREAM.MSG.GET.OBJ_NEXCACHE", "{\"seq\":-1}"),
        ("STREAM.MSG.GET.OBJ_NEXCACHE", "{\"last_by_subj\":\"\"}"),
        ("STREAM.NAMES", "{\"subject\":\"a..b\"}"),
        ("CONSUMER.INFO.OBJ_NEXCACHE.nobody", ""),
        ("CONSUMER.DELETE.OBJ_NEXCACHE.nobody", ""),
    ] {
        let request = format!("PUB $JS.API.{call} _INBOX.x {}\n{body}\n", body.len());
        agent.send(&request).await;
        let answer = agent.message().await;
        let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
        assert!(answer["error"]["code"].is_number(), "{call} {answer}");
    }
    agent.send("PUB $JS.API.DIRECT.GET.OBJ_NEXCACHE _INBOX.x 9\n{\"seq\":1}\n").await;
    let answer = agent.message().await;
    assert_eq!(answer.headers.unwrap().status().unwrap().code, 404);
    agent.pong().await;
}

#[tokio::test]
async fn a_reader_that_stalls_stalls_the_delivery_and_not_the_node() {
    let bus = TestBus::start(|_| {}).await;
    let seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let (path, bytes) = artifact(&bus, 4_000_000);
    offer(&seat, "echo", path, &bytes);
    let mut agent = Wire::agent(bus.endpoint.socket(), &seat).await;
    let config = "{\"config\":{\"deliver_subject\":\"_INBOX.d\",\"flow_control\":true,\
                  \"idle_heartbeat\":200000000,\"filter_subject\":\"$O.NEXCACHE.C.>\"}}";
    agent
        .send(&format!(
            "SUB _INBOX.d 1\nSUB _INBOX.x 2\n\
             PUB $JS.API.CONSUMER.CREATE.OBJ_NEXCACHE.mine _INBOX.x {}\n{config}\n",
            config.len()
        ))
        .await;
    // Chunks come until two flow control requests are open, then heartbeats that say so.
    let (mut read, mut open, mut last) = (Vec::new(), Vec::new(), String::new());
    let stalled = loop {
        let message = agent.message().await;
        if &*message.sid == "2" {
            continue;
        }
        match message.headers {
            None => {
                read.extend_from_slice(&message.payload);
                last = message.reply.unwrap().to_string();
            }
            Some(headers) => {
                let status = headers.status().unwrap();
                assert_eq!(status.code, 100);
                if status.description.starts_with("FlowControl") {
                    open.push(message.reply.unwrap());
                } else if let Some(stalled) = headers.get("Nats-Consumer-Stalled") {
                    break stalled.to_owned();
                }
            }
        }
    };
    assert_eq!((open.len(), read.len()), (2, 8 * 128 * 1024));
    assert_eq!(*stalled, *open[1]);
    agent.pong_among_others().await;
    // The stalled reader goes on.
    agent.send(&format!("PUB {stalled} 0\n\n")).await;
    while !last.ends_with(".0") {
        let message = agent.message().await;
        match (message.headers, message.reply) {
            (None, Some(reply)) => {
                read.extend_from_slice(&message.payload);
                last = reply.to_string();
            }
            (Some(_), Some(reply)) => agent.send(&format!("PUB {reply} 0\n\n")).await,
            _ => {}
        }
    }
    assert!(read == bytes);
    // Deleted, it falls silent.
    agent.send("PUB $JS.API.CONSUMER.DELETE.OBJ_NEXCACHE.mine _INBOX.x 0\n\n").await;
    let deleted = loop {
        let message = agent.message().await;
        if &*message.sid == "2" {
            break message;
        }
    };
    let deleted: serde_json::Value = serde_json::from_slice(&deleted.payload).unwrap();
    assert_eq!(deleted["success"], true);
}

#[tokio::test]
async fn consumers_are_limited() {
    let bus = TestBus::start(|_| {}).await;
    let seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let mut agent = Wire::agent(bus.endpoint.socket(), &seat).await;
    agent.send("SUB _INBOX.x 1\n").await;
    let config = "{\"config\":{\"deliver_subject\":\"_INBOX.nobody\"}}";
    let mut errors = 0;
    for _ in 0..50 {
        agent
            .send(&format!(
                "PUB $JS.API.CONSUMER.CREATE.OBJ_NEXCACHE _INBOX.x {}\n{config}\n",
                config.len()
            ))
            .await;
        let answer = agent.message().await;
        let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
        if answer["error"]["err_code"] == 10026 {
            errors += 1;
        }
    }
    assert_eq!(errors, 42);
}
