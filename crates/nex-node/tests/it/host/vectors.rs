//! The calls that a Go agent was seen to make, and what ours answers to them.

use std::path::Path;

use futures_util::StreamExt as _;
use nex_protocol::config::{HostHttpFile, HostServicesFile};
use nex_protocol::nats;
use serde_json::{Value, json};

use super::{HostAgent, HostWorld, TestServer, answer, server};

use super::TestResolver;
use nex_testkit::TestNats;

fn vectors() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../nex-protocol/tests/vectors/host_services.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn payload(frame: &Value) -> Vec<u8> {
    match frame["payload_hex"].as_str() {
        Some(hex) => data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap(),
        None => frame["payload"].as_str().unwrap_or_default().as_bytes().to_vec(),
    }
}

/// Sends what the Go agent sent, to its own subject.
async fn replay(agent: &HostAgent, frame: &Value, url: &str) -> async_nats::Message {
    let subject = frame["subject"].as_str().unwrap();
    let call = subject.splitn(6, '.').nth(5).unwrap();
    let block = frame["header_block"].as_str().map(|block| {
        let block = bytes::Bytes::copy_from_slice(block.as_bytes());
        nats::HeaderMap::decode(&block).unwrap()
    });
    let headers: Vec<(String, String)> = block
        .iter()
        .flat_map(nats::HeaderMap::iter)
        .map(|(name, value)| (name.to_owned(), value.replace("http://127.0.0.1:35607", url)))
        .collect();
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    agent.raw(call, &headers, payload(frame)).await
}

/// Without what differs from run to run.
fn comparable(mut value: Value) -> Value {
    match &mut value {
        Value::Object(keys) => {
            for key in ["mtime", "nuid"] {
                if let Some(value) = keys.get_mut(key) {
                    assert!(value.as_str().is_some_and(|text| text.len() > 19), "{key}: {value}");
                    *value = json!("…");
                }
            }
        }
        Value::Array(all) => {
            *all = all.drain(..).map(comparable).collect();
        }
        _ => {}
    }
    value
}

/// The Go capture's HTTP server: shows what it was asked.
fn shows_requests(seen: &server::Seen) -> Vec<u8> {
    let (body, kind) = (String::from_utf8_lossy(&seen.body), seen.header("content-type"));
    let text = format!("{} {} {body:?} {}", seen.method, seen.path, kind.unwrap_or_default());
    let headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Date", "Fri, 26 Apr 2024 12:00:00 GMT"),
        ("X-Seen-Method", seen.method.as_str()),
        ("X-Two", "a"),
        ("X-Two", "b"),
    ];
    let mut said = server::response("200 OK", &headers, text.as_bytes());
    if seen.method == "HEAD" {
        said.truncate(said.len() - text.len());
    }
    said
}

/// What ours answers where that is not what the Go node did, and why.
fn ours(javascript: &str, frame: &Value, go: &Value) -> Option<Value> {
    let block = frame["header_block"].as_str().unwrap_or_default();
    let error = |text: &str| Some(json!({ "success": false, "error": text }));
    match javascript {
        // An empty list is an empty list.
        "kv.keys" | "objectStore.list" if go.get("error").or(go.get("errors")).is_some() => {
            Some(json!([]))
        }
        // `success` is never missing, and the text says what a key is.
        "kv.set" if block.contains("bad key") => error(
            "failed to write 1-byte value for key bad key: nats: invalid key: use letters, \
             digits and -/_=. with single dots inside",
        ),
        "kv.set" if go.get("errors").is_some() => {
            Some(json!({ "success": false, "errors": ["key is required"] }))
        }
        // The Go node published to `svc`, with `bad` as the reply subject.
        "messaging.publish" if block.contains("svc bad") => Some(json!({ "errors": [
            "cannot send to subject svc bad: the subject contains white space (' '): remove it"
        ] })),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_go_agent_asks_is_answered() {
    let web = TestServer::start(shows_requests).await;
    let http = HostHttpFile {
        allow_hosts: Some(vec![web.address.to_string(), "127.0.0.1:1".to_owned()]),
        ..HostHttpFile::default()
    };
    let config = HostServicesFile { http: Some(http), ..HostServicesFile::default() };
    let world = HostWorld::on(TestNats::start().await, config, TestResolver::new(&[])).await;
    let public = world.nats.client().await;
    let mut one = public.subscribe("svc.one").await.unwrap();
    let mut heard = nex_testkit::Collector::new(&public, "svc.pub").await;
    let service = public.clone();
    tokio::spawn(async move {
        while let Some(asked) = one.next().await {
            let reply = [b"got:", asked.payload.as_ref()].concat();
            service.publish(asked.reply.unwrap(), reply.into()).await.unwrap();
        }
    });
    let agent = world.agent("default", "hostjs").await;
    let vectors = vectors();
    let calls = vectors["calls"].as_array().unwrap();
    let mut replayed = 0;
    for case in calls {
        let (name, frames) =
            (case["javascript"].as_str().unwrap(), case["frames"].as_array().unwrap());
        // Calls that never left the script, and those with several replies, which have a test of
        // their own.
        let [frame, go] = frames.as_slice() else { continue };
        if name == "messaging.requestMany" {
            continue;
        }
        let url = web.url("");
        let message = replay(&agent, frame, &url).await;
        let go_reply = payload(go);
        let go_json = serde_json::from_slice::<Value>(&go_reply).unwrap_or_default();
        let what = format!("{name} {frame}\n  Go: {}", String::from_utf8_lossy(&go_reply));
        let found = serde_json::from_slice::<Value>(&message.payload).unwrap_or_default();
        replayed += 1;
        if name.starts_with("http.") {
            if go_json.get("error").is_some() {
                assert!(found["error"].is_string(), "{what}: {found}");
                assert_eq!(answer(&message).unwrap_err(), found["error"].as_str().unwrap());
                continue;
            }
            // Go lost the query and doubled the slash: what the server saw is what was given.
            let asked = frame["header_block"].as_str().unwrap();
            let path = asked.split("35607").nth(1).unwrap().split(['#', '\r']).next().unwrap();
            let gone = go_json["body"].as_str().unwrap();
            let expected = match gone.split_once(" //") {
                Some((method, rest)) => {
                    let (_, rest) = rest.split_once(' ').unwrap();
                    format!("{method} {path} {rest}")
                }
                None => String::new(),
            };
            assert_eq!(found["body"], expected, "{what}");
            for key in ["Content-Type", "Date", "X-Seen-Method", "X-Two"] {
                assert_eq!(found["headers"][key], go_json["headers"][key], "{what}: {key}");
            }
            assert_eq!(found["status"], 200);
            continue;
        }
        match ours(name, frame, &go_json) {
            Some(expected) => assert_eq!(found, expected, "{what}"),
            None if go_json.is_object() || go_json.is_array() => {
                assert_eq!(comparable(found.clone()), comparable(go_json.clone()), "{what}");
            }
            None => assert_eq!(message.payload, go_reply, "{what}"),
        }
        let failed = found.get("error").or(found.get("errors")).is_some();
        assert_eq!(answer(&message).is_err(), failed, "{what}");
    }
    assert!(replayed >= 35, "{replayed} calls were replayed");
    // `svc bad` reached nobody, least of all with a reply subject.
    let heard = heard.until_quiet(std::time::Duration::from_millis(200)).await;
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].reply, None);
    assert_eq!(heard[0].payload, "hi");
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_requests_are_answered() {
    let world = HostWorld::start().await;
    let agent = world.agent("default", "hostjs").await;
    agent.set("bin", "value").await.unwrap();
    let no_service = agent.call("nothing.get", &[], "").await.unwrap_err();
    assert!(no_service.contains("kv, objectstore, messaging and http"), "{no_service}");
    for (call, offered) in [
        ("kv.nothing", "get, set, delete and keys"),
        ("objectstore.nothing", "get, put, delete and list"),
        ("messaging.nothing", "publish, request and requestMany"),
        ("http.nothing", "get, head, delete, post, put and patch"),
    ] {
        let refusal = agent.call(call, &[], "").await.unwrap_err();
        assert!(refusal.contains("`nothing`") && refusal.contains(offered), "{refusal}");
    }
    // Header names count as they are written, as Go agents write them.
    let other_case = agent.call("kv.get", &[("X-KeyValue-Key", "bin")], "").await;
    assert_eq!(other_case.unwrap_err(), "key is required");
}
