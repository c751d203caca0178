//! How the node speaks to one agent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nex_protocol::name::WorkloadId;
use nex_protocol::nats::{EncodeError, HeaderMap, Text};
use tokio::sync::oneshot;

use super::line::{Line, Outgoing};
use super::seat::Seat;

/// What the node asks of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentRequest {
    /// Run this workload.
    Deploy,
    /// Stop the workload.
    Undeploy,
    /// Answer this message.
    Trigger,
}

/// An agent's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Headers, if the agent sent any.
    pub headers: Option<HeaderMap>,
    /// Body, not copied since it was received.
    pub payload: Bytes,
}

/// Why an agent could not be reached or did not answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The agent is connected but does not listen to this.
    #[error("the agent does not listen to this request yet")]
    NoResponders,
    /// The agent did not answer in time.
    #[error("the agent did not answer within {}", nex_protocol::uptime::format_runtime(*.0))]
    Timeout(Duration),
    /// The agent is not connected, or its connection ended before it answered.
    #[error("the agent is not connected")]
    Disconnected,
    /// The message is larger than the bus carries.
    #[error("message of {size} bytes; the bus carries at most {limit}")]
    TooLarge {
        /// Headers and payload, in bytes.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The headers are larger than the bus carries.
    #[error("headers of more than {limit} bytes, which is all that the bus carries")]
    HeadersTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// As many requests as allowed wait for this agent already.
    #[error("{limit} requests wait for this agent already")]
    Busy {
        /// The limit.
        limit: usize,
    },
    /// As many bytes as allowed wait for this agent to read them.
    #[error("{limit} bytes wait for this agent already")]
    Backlog {
        /// The limit in bytes.
        limit: usize,
    },
    /// A subject that the agent gave cannot be written.
    #[error("the agent named a reply subject that cannot be used")]
    Unsendable(#[source] EncodeError),
}

/// The node's way to one agent. Cheap to clone; it outlives connections, not the seat: after
/// [`AgentSeat`](super::AgentSeat) is dropped every request is [`LinkError::Disconnected`].
#[derive(Debug, Clone)]
pub struct AgentLink {
    seat: Arc<Seat>,
}

impl AgentLink {
    pub(super) fn new(seat: Arc<Seat>) -> Self {
        Self { seat }
    }

    /// Whose link it is.
    #[must_use]
    pub fn id(&self) -> WorkloadId {
        self.seat.id()
    }

    /// Whether the agent is connected now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.seat.line().is_some()
    }

    /// Asks the agent and waits for its answer. Dropping the future withdraws the request; an
    /// answer that comes later is thrown away.
    ///
    /// # Errors
    /// [`LinkError`]. All but [`LinkError::Timeout`] come at once: there is no subscription, or
    /// no connection, or it ended while waiting.
    pub async fn request(
        &self,
        request: AgentRequest,
        headers: Option<&HeaderMap>,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<Reply, LinkError> {
        let line = self.seat.line().ok_or(LinkError::Disconnected)?;
        let (sender, receiver) = oneshot::channel();
        let number = line.request(self.seat.subject(request), headers, payload, sender)?;
        let withdraw = Withdraw { line: &line, number };
        let answer = tokio::time::timeout(timeout, receiver).await;
        match answer {
            Ok(Ok(reply)) => {
                // The table has forgotten it already.
                std::mem::forget(withdraw);
                Ok(reply)
            }
            Ok(Err(_)) => Err(LinkError::Disconnected),
            Err(_) => Err(LinkError::Timeout(timeout)),
        }
    }
}

/// Forgets a request whose caller stopped waiting.
struct Withdraw<'a> {
    line: &'a Line,
    number: u64,
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        self.line.cancel(self.number);
    }
}

/// Answers one request of an agent, at most once.
///
/// Dropping it answers nothing: the agent's request then runs into its own timeout. So every path
/// should end in [`Responder::respond`].
#[derive(Debug)]
#[must_use = "an agent waits for this answer"]
pub struct Responder {
    line: Arc<Line>,
    to: Option<Text>,
}

impl Responder {
    pub(super) fn new(line: Arc<Line>, to: Option<Text>) -> Self {
        Self { line, to }
    }

    /// Whether the agent asked for an answer at all.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        self.to.is_some()
    }

    /// Largest message that can be sent, headers included, in bytes.
    #[must_use]
    pub fn max_bytes(&self) -> usize {
        self.line.max_payload()
    }

    /// Waits until the agent has read most of what it was sent, so that a large answer does not
    /// make it a slow reader. `false` if its connection is gone.
    pub async fn room(&self) -> bool {
        self.line.drained_to(self.line.max_pending() / 2).await
    }

    /// Sends one message of an answer that has several; [`Responder::respond`] sends the last.
    /// Queues it and returns; without an expected answer it does nothing. Parts are bounded only
    /// as everything that waits for the agent is: see [`Responder::room`].
    ///
    /// # Errors
    /// As [`Responder::respond`].
    pub fn part(&self, headers: Option<&HeaderMap>, payload: Bytes) -> Result<(), LinkError> {
        let Some(to) = &self.to else { return Ok(()) };
        self.line.deliver(Outgoing { to, subject: to, reply: None, headers }, payload)
    }

    /// Ends an answer whose parts were all of it: nothing more is sent.
    pub fn end(self) {}

    /// Sends the answer. Queues it and returns; without an expected answer it does nothing.
    ///
    /// # Errors
    /// [`LinkError`] if the connection is gone, the agent does not listen where it said it would,
    /// or the answer is too large. Callers that cannot do anything about it may ignore that.
    pub fn respond(self, headers: Option<&HeaderMap>, payload: Bytes) -> Result<(), LinkError> {
        self.part(headers, payload)
    }
}
