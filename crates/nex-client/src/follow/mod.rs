//! What happens on the nodes, as it happens: log lines and events.
//!
//! A stream starts with what is published after it was opened; nodes keep
//! nothing for latecomers. It lives through reconnections (what is published
//! meanwhile is lost), and what a slow reader makes NATS drop is counted by
//! [`Counters::dropped_messages`](crate::connect::Counters::dropped_messages).

mod events;
mod logs;

pub use events::{EventQuery, EventRecord};
pub use logs::{LogQuery, LogRecord};

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_nats::{Message, SubscribeError};
use futures_util::stream::{Stream, StreamExt, select_all};
use nex_protocol::subject::SubjectPattern;
use thiserror::Error;

use crate::client::Client;

/// Why nothing can be followed.
#[derive(Debug, Error)]
pub enum FollowError {
    /// The subscription failed.
    #[error("cannot subscribe to {subject}: check the connection to NATS")]
    Subscribe {
        /// The pattern.
        subject: String,
        /// What the library said.
        #[source]
        source: SubscribeError,
    },
}

/// An endless stream of records. It ends when the connection is closed for
/// good. What cannot be read is left out.
pub struct Following<T> {
    inner: Pin<Box<dyn Stream<Item = T> + Send>>,
}

impl<T> Stream for Following<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.inner.poll_next_unpin(context)
    }
}

impl<T> fmt::Debug for Following<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Following").finish_non_exhaustive()
    }
}

impl Client {
    /// Subscribes to all patterns, and returns once the server knows them. A
    /// message that fits several is read once.
    async fn follow<T: Send + 'static>(
        &self,
        patterns: Vec<SubjectPattern>,
        mut read: impl FnMut(&Message) -> Option<T> + Send + 'static,
    ) -> Result<Following<T>, FollowError> {
        let mut subscriptions = Vec::with_capacity(patterns.len());
        for (index, pattern) in patterns.iter().enumerate() {
            let subject = pattern.to_string();
            let messages = match self.nats().subscribe(subject.clone()).await {
                Ok(messages) => messages,
                Err(source) => return Err(FollowError::Subscribe { subject, source }),
            };
            let earlier: Vec<_> = patterns.iter().take(index).cloned().collect();
            subscriptions.push(messages.filter(move |message| {
                let again = earlier.iter().any(|pattern| pattern.matches(&message.subject));
                std::future::ready(!again)
            }));
        }
        self.settle().await;
        let messages = select_all(subscriptions);
        let records = messages.filter_map(move |message| std::future::ready(read(&message)));
        Ok(Following { inner: Box::pin(records) })
    }
}
