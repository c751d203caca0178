//! A node that answers with what a Go node was recorded to say.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_nats::Client;
use futures_util::StreamExt;
use nex_testkit::{TestNats, settle};
use serde_json::Value;

/// The node of the recording.
pub(crate) const NODE: &str = "NCJELP4G66Z6RXDFXWO7JZYJLEYHJS2AR66TKRJUXBH3UANR5I56VDE7";

/// A workload that runs on it.
pub(crate) const WORKLOAD: &str = "dc2b59pksdubn3v8p56g";

/// Steps of the recording to answer from: one service is running.
const STEPS: [&str; 8] = [
    "PING of one node",
    "ListAllNodes, one running",
    "NodeInfo, one running",
    "NodeInfo from another namespace: no machines",
    "ListWorkloads of the namespace",
    "deploy a service",
    "stop of a service",
    "EnterLameDuck",
];

/// What was asked, by subject.
pub(crate) type Asked = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Answers until the test ends.
pub(crate) async fn start(nats: &TestNats) -> Asked {
    let client = nats.client().await;
    let answers = recorded();
    let asked = Asked::default();
    let mut messages = client.subscribe("$NEX.>").await.unwrap();
    settle(&client).await;
    let heard = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Some(message) = messages.next().await {
            let subject = message.subject.to_string();
            heard.lock().unwrap().push((subject.clone(), message.payload.to_vec()));
            let (Some(answer), Some(reply)) = (answers.get(&subject), message.reply) else {
                continue;
            };
            client.publish(reply, answer.clone().into()).await.unwrap();
        }
    });
    asked
}

/// Publishes what a Go node publishes: a line of a log, an event.
pub(crate) async fn publish(client: &Client, subject: &str, payload: &str) {
    client.publish(subject.to_owned(), payload.to_owned().into()).await.unwrap();
    settle(client).await;
}

fn recorded() -> BTreeMap<String, String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../nex-protocol/tests/vectors/control.json");
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut answers = BTreeMap::new();
    for step in vectors["captured"].as_array().unwrap() {
        if !STEPS.contains(&step["step"].as_str().unwrap()) {
            continue;
        }
        for frame in step["frames"].as_array().unwrap() {
            if let Some(subject) = frame["reply_to"].as_str() {
                let payload = frame["payload"].as_str().unwrap();
                answers.insert(subject.to_owned(), payload.to_owned());
            }
        }
    }
    assert_eq!(answers.len(), STEPS.len());
    answers
}
