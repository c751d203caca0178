//! Where replies go, and that each call gets exactly one.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use nex_protocol::{agent::header, nats::HeaderMap};

use super::failure::{Failure, FailureForm};

/// Bytes set aside in a message for headers of ours.
const HEADER_ROOM: usize = 2048;

/// The agent's end of one call.
pub trait ReplyTo: Send + Sync + 'static {
    /// Largest message, headers included, in bytes.
    fn max_bytes(&self) -> usize;

    /// Waits until the agent has room for more. `false` if it is gone.
    fn room(&self) -> BoxFuture<'_, bool>;

    /// Sends a message after which others come. `false` if the agent is gone.
    fn part(&self, payload: Bytes) -> bool;

    /// Sends the last message. An agent that is gone misses it.
    fn finish(self: Box<Self>, headers: Option<&HeaderMap>, payload: Bytes);

    /// Ends without a last message: the parts were all.
    fn end(self: Box<Self>);
}

/// The one answer to a call. Dropped without one, it says that the call was cut off.
pub(super) struct Answer {
    to: Option<Box<dyn ReplyTo>>,
    form: FailureForm,
}

impl Answer {
    pub(super) fn new(to: Box<dyn ReplyTo>, form: FailureForm) -> Self {
        Self { to: Some(to), form }
    }

    /// Bytes that a reply can have.
    pub(super) fn max_bytes(&self) -> usize {
        self.to.as_ref().map_or(0, |to| to.max_bytes().saturating_sub(HEADER_ROOM))
    }

    /// Sends one of several replies, when the agent has room for it. `false` if it is gone.
    pub(super) async fn part(&self, payload: Bytes) -> bool {
        match &self.to {
            Some(to) => to.room().await && to.part(payload),
            None => false,
        }
    }

    /// Says that the parts were all. Agents of the old protocol know no such end: they wait until
    /// nothing more comes.
    pub(super) fn end_parts(mut self, legacy: bool) {
        let Some(to) = self.to.take() else { return };
        if legacy {
            return to.end();
        }
        let mut headers = HeaderMap::new();
        // A fixed name and value always fit.
        let _ = headers.append(header::END, "1");
        to.finish(Some(&headers), Bytes::new());
    }

    /// Ends with this failure where the parts have said all that an agent of the old protocol
    /// understands.
    pub(super) fn fail_parts(mut self, failure: &Failure, legacy: bool) {
        if legacy {
            if let Some(to) = self.to.take() {
                to.end();
            }
        } else {
            self.fail(failure);
        }
    }

    /// Sends the reply, if it fits.
    pub(super) async fn succeed(mut self, payload: Bytes) {
        let limit = self.max_bytes();
        if payload.len() > limit {
            return self.fail(&Failure::new(format!(
                "the reply has {} bytes; node and agent exchange at most {limit}",
                payload.len()
            )));
        }
        if let Some(to) = &self.to {
            // An agent that is gone misses the reply below.
            let _ = to.room().await;
        }
        if let Some(to) = self.to.take() {
            to.finish(None, payload);
        }
    }

    /// Sends an error.
    pub(super) fn fail(mut self, failure: &Failure) {
        self.send_failure(failure);
    }

    fn send_failure(&mut self, failure: &Failure) {
        let Some(to) = self.to.take() else { return };
        let mut headers = HeaderMap::new();
        // One line of text always fits.
        let _ = headers.append(header::ERROR, failure.text());
        to.finish(Some(&headers), failure.body(self.form));
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.to.is_some() {
            self.send_failure(&Failure::new(
                "the call was cut off: the workload is stopping, or the node failed".to_owned(),
            ));
        }
    }
}
