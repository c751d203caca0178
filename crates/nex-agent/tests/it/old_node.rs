//! A node of the old kind: a real nats-server, no secret, the artifact in an object store.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::jetstream;
use futures_util::StreamExt;
use nex_testkit::TestNats;
use serde_json::{Value, json};

use crate::node::{DEADLINE, ID, request};

struct OldNode {
    nats: TestNats,
    client: async_nats::Client,
    agent: Child,
    _folder: tempfile::TempDir,
}

impl Drop for OldNode {
    fn drop(&mut self) {
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

impl OldNode {
    async fn start() -> Self {
        let nats = TestNats::start().await;
        let client = nats.client().await;
        let mut handshakes = client.subscribe("agentint.*.handshake").await.unwrap();
        client.flush().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let agent = Command::new(env!("CARGO_BIN_EXE_nex-agent"))
            .env_clear()
            .env("NEX_SANDBOX", "false")
            .env("NEX_WORKLOADID", ID)
            .env("NEX_NODE_NATS_HOST", "localhost")
            .env("NEX_NODE_NATS_PORT", nats.port().to_string())
            .env("TMPDIR", folder.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let handshake = tokio::time::timeout(DEADLINE, handshakes.next()).await.unwrap().unwrap();
        client.publish(handshake.reply.unwrap(), "{}".into()).await.unwrap();
        Self { nats, client, agent, _folder: folder }
    }

    async fn store(&self, name: &str, bytes: &[u8]) {
        let jetstream = jetstream::new(self.client.clone());
        let config =
            jetstream::object_store::Config { bucket: "NEXCACHE".to_owned(), ..Default::default() };
        let store = jetstream.create_object_store(config).await.unwrap();
        store.put(name, &mut &bytes[..]).await.unwrap();
    }

    async fn deploy(&self, request: &Value) -> Value {
        let subject = format!("agentint.{ID}.deploy");
        let body = serde_json::to_vec(request).unwrap();
        let answer = self.client.request(subject, body.into());
        let answer = tokio::time::timeout(DEADLINE, answer).await.unwrap().unwrap();
        serde_json::from_slice(&answer.payload).unwrap()
    }
}

fn stored(size: usize) -> Value {
    let mut request = request("/bin/echo", &["from", "the cache"], &json!({"total_bytes": size}));
    request.as_object_mut().unwrap().remove("artifact_path");
    // No digest, as from a node that does not compute one.
    request["hash"] = json!("unknown");
    request
}

#[tokio::test]
async fn the_artifact_comes_from_the_object_store() {
    let node = OldNode::start().await;
    let mut logs = node.client.subscribe(format!("agentint.{ID}.logs")).await.unwrap();
    let missing = node.deploy(&stored(10)).await;
    assert_eq!(missing["accepted"], false, "{missing}");
    assert!(missing["message"].as_str().unwrap().contains("object store"), "{missing}");

    // Of several chunks; what follows a program's sections does not matter to it.
    let mut program = std::fs::read("/bin/echo").unwrap();
    program.resize(program.len() + 1024 * 1024, 0);
    node.store("probe", &program).await;
    let short = node.deploy(&stored(10)).await;
    assert!(short["message"].as_str().unwrap().contains("instead of 10"), "{short}");
    let mut wrong = stored(program.len());
    wrong["hash"] = json!("0".repeat(64));
    let wrong = node.deploy(&wrong).await;
    assert!(wrong["message"].as_str().unwrap().contains("digest"), "{wrong}");

    let answer = node.deploy(&stored(program.len())).await;
    assert_eq!(answer["accepted"], true, "{answer}");
    let log = tokio::time::timeout(DEADLINE, logs.next()).await.unwrap().unwrap();
    let log: Value = serde_json::from_slice(&log.payload).unwrap();
    assert_eq!(log["text"], "from the cache");
    drop(node);
}

#[tokio::test]
async fn a_store_that_answers_nothing_is_given_up() {
    let node = OldNode::start().await;
    // Something listens, so that there is no "no responders", and never answers.
    let _silent = node.client.subscribe("$JS.API.STREAM.MSG.GET.>").await.unwrap();
    node.client.flush().await.unwrap();
    let start = std::time::Instant::now();
    let subject = format!("agentint.{ID}.deploy");
    let body = serde_json::to_vec(&stored(10)).unwrap();
    let request = async_nats::Request::new().payload(body.into()).timeout(Some(DEADLINE));
    let answer = node.client.send_request(subject, request).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
    assert_eq!(answer["accepted"], false);
    assert!(start.elapsed() < Duration::from_secs(20), "{answer}");
    assert!(node.nats.pid().is_some());
}
