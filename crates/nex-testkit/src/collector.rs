//! Collects the messages of a subject so that a test can wait for one of them.

use std::fmt::Display;
use std::time::Duration;

use async_nats::{Client, Message, Subscriber};
use futures_util::StreamExt as _;

use crate::DEADLINE;

/// A live subscription that remembers every message it has handed out.
#[derive(Debug)]
pub struct Collector {
    subject: String,
    subscriber: Subscriber,
    seen: Vec<Message>,
}

impl Collector {
    /// Subscribes to `subject` and returns once the server knows it.
    ///
    /// # Panics
    /// When the server does not accept it.
    pub async fn new(client: &Client, subject: &str) -> Self {
        let subscriber = match client.subscribe(subject.to_owned()).await {
            Ok(subscriber) => subscriber,
            Err(error) => panic!("cannot subscribe to {subject}: {error}"),
        };
        settle(client).await;
        Self { subject: subject.to_owned(), subscriber, seen: Vec::new() }
    }

    /// The next message.
    ///
    /// # Panics
    /// When none comes within [`DEADLINE`].
    pub async fn next(&mut self) -> Message {
        self.find("a message", |_| true).await
    }

    /// The next message that `wanted` accepts; those before it stay in [`Collector::seen`].
    ///
    /// # Panics
    /// When none comes within [`DEADLINE`]; the panic lists what did come.
    pub async fn find(
        &mut self,
        what: impl Display,
        mut wanted: impl FnMut(&Message) -> bool,
    ) -> Message {
        let search = tokio::time::timeout(DEADLINE, async {
            while let Some(message) = self.subscriber.next().await {
                self.seen.push(message.clone());
                if wanted(&message) {
                    return Some(message);
                }
            }
            None
        });
        let ended = match search.await {
            Ok(Some(message)) => return message,
            Ok(None) => "the subscription ended",
            Err(_) => "the time is over",
        };
        panic!("no {what} on {}: {ended}; came so far: {}", self.subject, self.list_seen());
    }

    /// Reads on until nothing came for `quiet`, and returns everything seen.
    /// For tests that something does *not* arrive.
    pub async fn until_quiet(&mut self, quiet: Duration) -> &[Message] {
        while let Ok(Some(message)) = tokio::time::timeout(quiet, self.subscriber.next()).await {
            self.seen.push(message);
        }
        &self.seen
    }

    /// Every message read so far, oldest first.
    #[must_use]
    pub fn seen(&self) -> &[Message] {
        &self.seen
    }

    fn list_seen(&self) -> String {
        let lines = self.seen.iter().map(|message| {
            format!("\n  {}: {}", message.subject, String::from_utf8_lossy(&message.payload))
        });
        if self.seen.is_empty() { "nothing".to_owned() } else { lines.collect() }
    }
}

/// Returns once the server has handled everything this client sent before:
/// `flush()` of async-nats does not wait for the server, a message to oneself does.
///
/// # Panics
/// When the server does not answer within [`DEADLINE`].
pub async fn settle(client: &Client) {
    let round_trip = async {
        let inbox = client.new_inbox();
        let mut echo = client.subscribe(inbox.clone()).await.map_err(|e| e.to_string())?;
        client.publish(inbox, Vec::new().into()).await.map_err(|e| e.to_string())?;
        echo.next().await.map(drop).ok_or_else(|| "the connection was closed".to_owned())
    };
    match tokio::time::timeout(DEADLINE, round_trip).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => panic!("no round trip to the NATS server: {error}"),
        Err(_) => panic!("no round trip to the NATS server within {DEADLINE:?}"),
    }
}
