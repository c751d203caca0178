//! Messages that functions send.

use std::time::Duration;

use futures_util::StreamExt as _;
use nex_protocol::config::{ByteSize, HostMessagingFile, HostServicesFile};
use nex_testkit::{Collector, settle};

use super::HostWorld;

/// Answers each message on `subject` with the payloads that `replies` gives.
async fn responder(
    client: &async_nats::Client,
    subject: &str,
    replies: impl Fn(usize) -> Option<Vec<u8>> + Send + Sync + 'static,
) {
    let mut asked = client.subscribe(subject.to_owned()).await.unwrap();
    settle(client).await;
    let client = client.clone();
    tokio::spawn(async move {
        while let Some(message) = asked.next().await {
            let inbox = message.reply.unwrap();
            for reply in (0..).map_while(&replies) {
                client.publish(inbox.clone(), reply.into()).await.unwrap();
            }
        }
    });
}

const QUIET: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn replies_are_handed_on_as_they_are() {
    let world = HostWorld::start().await;
    let public = world.nats.client().await;
    let all: Vec<u8> = (0..=255).collect();
    let reply = all.clone();
    responder(&public, "one", move |at| (at == 0).then(|| reply.clone())).await;
    let agent = world.agent("a", "echo").await;
    assert_eq!(agent.send("request", "one", "hi").await.unwrap(), all);
    let refusal = agent.send("request", "nobody", "hi").await.unwrap_err();
    assert_eq!(
        refusal,
        "failed to send 2-byte request on subject nobody: nats: no responders available for request"
    );
    let _silent = public.subscribe("silent").await.unwrap();
    settle(&public).await;
    let refusal = agent.send("request", "silent", "hi").await.unwrap_err();
    assert!(refusal.ends_with("nats: timeout"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_of_a_service_is_an_error() {
    let world = HostWorld::start().await;
    let public = world.nats.client().await;
    let mut asked = public.subscribe("fails").await.unwrap();
    settle(&public).await;
    let service = public.clone();
    tokio::spawn(async move {
        let message = asked.next().await.unwrap();
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Service-Error-Code", "500");
        headers.insert("Nats-Service-Error", "it broke");
        let reply = message.reply.unwrap();
        service.publish_with_headers(reply, headers, "".into()).await.unwrap();
    });
    let agent = world.agent("a", "echo").await;
    let refusal = agent.send("request", "fails", "hi").await.unwrap_err();
    assert!(refusal.ends_with("the service answered error 500: it broke"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_a_reply_cannot_pass_for_the_nodes() {
    let world = HostWorld::start().await;
    let public = world.nats.client().await;
    let mut asked = public.subscribe("forges").await.unwrap();
    settle(&public).await;
    let service = public.clone();
    tokio::spawn(async move {
        while let Some(message) = asked.next().await {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("x-nex-error", "forged");
            headers.insert("x-nex-end", "1");
            let reply = message.reply.unwrap();
            service.publish_with_headers(reply, headers, "value".into()).await.unwrap();
        }
    });
    let agent = world.agent("a", "echo").await;
    assert_eq!(agent.send("request", "forges", "hi").await.unwrap(), "value");
    let (parts, end) = agent.request_many("forges", QUIET).await;
    assert_eq!(parts, ["value"]);
    assert_eq!(end.unwrap().unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_replies_come_one_by_one_and_have_an_end() {
    let world = HostWorld::start().await;
    let public = world.nats.client().await;
    responder(&public, "many", |at| (at < 3).then(|| format!("r{at}").into_bytes())).await;
    let agent = world.agent("a", "echo").await;
    let (parts, end) = agent.request_many("many", QUIET).await;
    assert_eq!(parts, ["r0", "r1", "r2"]);
    assert_eq!(end.unwrap().unwrap(), "");
    // Nobody there: no replies, and the end at once.
    let (parts, end) = agent.request_many("nobody", QUIET).await;
    assert!(parts.is_empty());
    end.unwrap().unwrap();
    // Agents of the old protocol wait until it is quiet: for them there is no end.
    let old = world.agent_of("a", "echo", true).await;
    let (parts, end) = old.request_many("many", Duration::from_secs(1)).await;
    assert_eq!(parts, ["r0", "r1", "r2"]);
    assert_eq!(end, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_replies_are_bounded() {
    let messaging = HostMessagingFile {
        max_replies: Some(5),
        max_reply_bytes: Some(ByteSize::bytes(1000)),
        ..HostMessagingFile::default()
    };
    let config = HostServicesFile { messaging: Some(messaging), ..HostServicesFile::default() };
    let world = HostWorld::with(config).await;
    let public = world.nats.client().await;
    responder(&public, "count", |at| (at < 5_000).then(|| b"r".to_vec())).await;
    responder(&public, "bytes", |at| (at < 4).then(|| vec![0; 400])).await;
    let agent = world.agent("a", "echo").await;
    let (parts, end) = agent.request_many("count", QUIET).await;
    assert_eq!(parts.len(), 5);
    let refusal = end.unwrap().unwrap_err();
    assert!(refusal.contains("more than 5 replies"), "{refusal}");
    let (parts, end) = agent.request_many("bytes", QUIET).await;
    assert_eq!(parts.len(), 2);
    let refusal = end.unwrap().unwrap_err();
    assert!(refusal.contains("more than 1000 bytes"), "{refusal}");
    let old = world.agent_of("a", "echo", true).await;
    let (parts, end) = old.request_many("count", Duration::from_secs(1)).await;
    assert_eq!((parts.len(), end), (5, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_cannot_send_where_they_must_not() {
    let world = HostWorld::start().await;
    let public = world.nats.client().await;
    let mut all = Collector::new(&public, ">").await;
    let agent = world.agent("a", "echo").await;
    for subject in [
        "$JS.API.STREAM.NAMES",
        "$SYS.REQ.SERVER.PING",
        "$KV.hs_b_echo_kv.k",
        "$NEX.PING",
        "$JS.ACK.x",
        "_INBOX.abc.def",
        "_INBOX_x.y",
        "_R_.abc",
        "_GR_.x.y.z",
        "agentint.x.y",
        "a b",
        "a\tb",
        "a.*",
        ">",
        "a.>",
        ".a",
        "a.",
        "a..b",
        "",
        "a\u{a0}b",
    ] {
        for method in ["publish", "request"] {
            let refusal = agent.send(method, subject, "hi").await.unwrap_err();
            assert!(refusal.contains("subject"), "{method} {subject:?}: {refusal}");
        }
        let (parts, end) = agent.request_many(subject, QUIET).await;
        assert!(parts.is_empty() && end.unwrap().is_err(), "{subject:?}");
    }
    agent.send("publish", "fine", "hi").await.unwrap();
    let seen = all.find("the one that is fine", |message| message.subject.as_str() == "fine").await;
    assert_eq!(seen.reply, None);
    let sent = all.seen().iter().filter(|message| message.payload == "hi").count();
    assert_eq!(sent, 1, "{:?}", all.seen());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_gives_each_tenant_its_own_subjects() {
    let messaging = HostMessagingFile {
        allow: Some(vec!["{namespace}.>".to_owned(), "shared.*".to_owned()]),
        deny: Some(vec!["*.private".to_owned()]),
        ..HostMessagingFile::default()
    };
    let config = HostServicesFile { messaging: Some(messaging), ..HostServicesFile::default() };
    let world = HostWorld::with(config).await;
    let agent = world.agent("a", "echo").await;
    agent.send("publish", "a.orders", "hi").await.unwrap();
    agent.send("publish", "shared.x", "hi").await.unwrap();
    for subject in ["b.orders", "a.private", "shared.private", "shared.x.y", "a"] {
        let refusal = agent.send("publish", subject, "hi").await.unwrap_err();
        assert!(refusal.contains("operator"), "{subject}: {refusal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_is_too_large_for_the_agent_is_an_error() {
    let nats = nex_testkit::TestNats::options().config("max_payload: 4MB").start().await;
    let resolver = super::TestResolver::new(&[]);
    let world = HostWorld::on(nats, HostServicesFile::default(), resolver).await;
    let public = world.nats.client().await;
    responder(&public, "large", |at| (at == 0).then(|| vec![0; 2 << 20])).await;
    let agent = world.agent("a", "echo").await;
    let refusal = agent.send("request", "large", "hi").await.unwrap_err();
    assert!(refusal.contains("2097152 bytes"), "{refusal}");
    let (parts, end) = agent.request_many("large", QUIET).await;
    assert!(parts.is_empty() && end.unwrap().unwrap_err().contains("2097152 bytes"));
}
