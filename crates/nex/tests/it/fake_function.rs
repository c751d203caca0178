//! What a function is on the wire: a service of NATS micro whose replies are raw.

use async_nats::{Client, HeaderMap, Message};
use futures_util::StreamExt;
use nex_testkit::{TestNats, settle};
use serde_json::{Value, json};

/// A function that answers until the test ends.
pub(crate) struct FakeFunction<'a> {
    pub(crate) name: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) subjects: &'a [&'a str],
}

/// What comes instead of a reply.
pub(crate) struct Failure(pub(crate) &'static str, pub(crate) &'static str);

/// The reply to one message.
pub(crate) type Outcome = Result<(HeaderMap, Vec<u8>), Failure>;

impl FakeFunction<'_> {
    /// Answers with what `reply` makes of each message.
    pub(crate) async fn start(
        self,
        nats: &TestNats,
        reply: impl Fn(&Message) -> Outcome + Send + 'static,
    ) {
        let client = nats.client().await;
        let mut calls = Vec::new();
        for subject in self.subjects {
            calls.push(client.subscribe((*subject).to_owned()).await.unwrap());
        }
        let mut questions = futures_util::stream::select(
            client.subscribe("$SRV.INFO").await.unwrap(),
            client.subscribe(format!("$SRV.INFO.{}", self.name)).await.unwrap(),
        );
        settle(&client).await;
        let mut calls = futures_util::stream::select_all(calls);
        let info = self.info().to_string();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    Some(question) = questions.next() => {
                        send(&client, &question, HeaderMap::new(), info.clone().into()).await;
                    }
                    Some(call) = calls.next() => answer(&client, &call, reply(&call)).await,
                    else => return,
                }
            }
        });
    }

    fn info(&self) -> Value {
        let endpoint = |subject: &&str| json!({"name": "trigger", "subject": subject});
        json!({
            "type": "io.nats.micro.v1.info_response",
            "name": self.name,
            "id": format!("{}-{}", self.namespace, self.name),
            "version": "0.0.1",
            "metadata": {"nex.namespace": self.namespace, "nex.node": "NODE"},
            "endpoints": self.subjects.iter().map(endpoint).collect::<Vec<_>>(),
        })
    }
}

async fn answer(client: &Client, call: &Message, outcome: Outcome) {
    let (headers, payload) = outcome.unwrap_or_else(|Failure(code, text)| {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Service-Error-Code", code);
        headers.insert("Nats-Service-Error", text);
        (headers, Vec::new())
    });
    send(client, call, headers, payload).await;
}

async fn send(client: &Client, message: &Message, headers: HeaderMap, payload: Vec<u8>) {
    let reply = message.reply.clone().expect("a request");
    client.publish_with_headers(reply, headers, payload.into()).await.unwrap();
}

/// An echo, headers included.
pub(crate) fn echo(message: &Message) -> Outcome {
    Ok((message.headers.clone().unwrap_or_default(), message.payload.to_vec()))
}
