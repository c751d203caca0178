//! A node that answers what a test tells it to.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::{Client, Message};
use futures_util::StreamExt;
use nex_client::protocol::control::PingResponse;
use nex_client::protocol::envelope::{Envelope, MessageType};
use nex_client::protocol::key::{CurveKey, KeyKind, SigningKey};
use nex_client::protocol::name::NodeId;
use nex_client::protocol::subject::ControlSubject;
use nex_testkit::{TestNats, settle};

/// A reply, and how long it takes.
pub(crate) type Reply = (Duration, Vec<u8>);

pub(crate) struct FakeNode {
    pub(crate) id: NodeId,
    pub(crate) xkey: CurveKey,
    task: tokio::task::JoinHandle<()>,
}

impl FakeNode {
    /// Starts a node whose replies to each request are those of `script`.
    pub(crate) async fn start(
        nats: &TestNats,
        script: impl Fn(ControlSubject, &Message) -> Vec<Reply> + Send + 'static,
    ) -> Self {
        let id = fresh_id();
        Self::start_as(nats, id, CurveKey::generate(), script).await
    }

    pub(crate) async fn start_as(
        nats: &TestNats,
        id: NodeId,
        xkey: CurveKey,
        script: impl Fn(ControlSubject, &Message) -> Vec<Reply> + Send + 'static,
    ) -> Self {
        let client = nats.client().await;
        let mut requests = Vec::new();
        for pattern in ControlSubject::patterns(id) {
            requests.push(client.subscribe(pattern.to_string()).await.unwrap());
        }
        settle(&client).await;
        let mut requests = futures_util::stream::select_all(requests);
        let task = tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                let subject = request.subject.parse().unwrap();
                for reply in script(subject, &request) {
                    tokio::spawn(send(client.clone(), request.clone(), reply));
                }
            }
        });
        Self { id, xkey, task }
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn send(client: Client, request: Message, (delay, reply): Reply) {
    tokio::time::sleep(delay).await;
    let inbox = request.reply.expect("a request");
    client.publish(inbox, reply.into()).await.unwrap();
}

pub(crate) fn fresh_id() -> NodeId {
    SigningKey::generate(KeyKind::Server).public().try_into().unwrap()
}

pub(crate) fn now(reply: impl Into<Vec<u8>>) -> Vec<Reply> {
    vec![(Duration::ZERO, reply.into())]
}

pub(crate) fn after(milliseconds: u64, reply: impl Into<Vec<u8>>) -> Vec<Reply> {
    vec![(Duration::from_millis(milliseconds), reply.into())]
}

/// What stands for the id of a node in an answer.
pub(crate) trait AsId: ToString + Copy {}

impl AsId for NodeId {}
impl AsId for &str {}

pub(crate) fn ping(id: impl AsId, name: &str) -> Vec<u8> {
    let mut tags = BTreeMap::new();
    if !name.is_empty() {
        tags.insert("node_name".to_owned(), name.to_owned());
    }
    let response = PingResponse { node_id: id.to_string(), tags, ..PingResponse::default() };
    Envelope::encode_success(MessageType::Ping, &response)
}
