//! A read-only object bucket, `NEXCACHE`, for agents of the old protocol.
//!
//! Such agents fetch their artifact from the JetStream of the node's internal NATS server. There
//! is no JetStream here: this answers the few API requests that reading an object takes, per
//! connection, and shows that agent's artifact alone. The bucket is the stream `OBJ_NEXCACHE`
//! whose messages 1 to n are the chunks of the file and whose last is the object's description.
//! It holds nothing while no artifact is offered.
//!
//! Chunks are read from the file as the agent takes them: at most [`delivery::WINDOW`] flow
//! control requests are open, and little waits in the connection's outbox, so that no artifact is
//! ever in memory as a whole.

mod api;
mod bucket;
mod delivery;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use nex_protocol::nats::{HeaderMap, Publish};
use serde_json::Value;
use tokio::task::JoinSet;

use super::line::{Line, Outgoing};
use super::seat::Seat;
use super::session::refuse_publish;
use api::{ApiCall, ApiError, ConsumerRequest};
use bucket::Bucket;
use delivery::{Consumer, Plan};

/// Consumers of one connection. A client that reads makes one at a time.
const MAX_CONSUMERS: usize = 8;

const ACK_PREFIX: &str = "$JS.ACK.";

/// The facade of one connection. Dropping it ends what it was delivering.
#[derive(Debug)]
pub(super) struct Facade {
    line: Arc<Line>,
    seat: Arc<Seat>,
    consumers: HashMap<String, Arc<Consumer>>,
    deliveries: JoinSet<()>,
    named: u64,
}

/// Answers a connection that has not said which agent it is. Old agents look for the bucket first
/// of all, and find an empty one; everything else has to wait.
pub(super) fn answer_stranger(line: &Line, publish: &Publish) {
    let bucket = Bucket::new(None, line.max_payload());
    let call = ApiCall::parse(&publish.subject, &publish.payload);
    let answer = match &call {
        Some(ApiCall::AccountInfo) => api::account_info(),
        Some(ApiCall::StreamInfo) => bucket.stream_info(),
        _ => {
            line.refuse(refuse_publish(publish));
            return;
        }
    };
    reply(line, publish, call.and_then(|call| call.response_type()), Ok(Answer::Json(answer)));
}

/// Sends an answer to where it was asked for.
fn reply(
    line: &Line,
    publish: &Publish,
    kind: Option<&'static str>,
    answer: Result<Answer, ApiError>,
) {
    let Some(to) = &publish.reply else { return };
    let (headers, payload) = match answer {
        Ok(Answer::Json(mut value)) => {
            if let (Some(object), Some(kind)) = (value.as_object_mut(), kind) {
                object.insert("type".to_owned(), kind.into());
            }
            (None, Bytes::from(value.to_string()))
        }
        Ok(Answer::Stored(headers, payload)) => (Some(headers), payload),
        Err(error) => match kind {
            Some(kind) => (None, Bytes::from(error.to_json(kind).to_string())),
            // Direct requests are answered with a status.
            None => (error.to_status(), Bytes::new()),
        },
    };
    let message = Outgoing { to, subject: to, reply: None, headers: headers.as_ref() };
    if let Err(error) = line.deliver(message, payload) {
        tracing::debug!(connection = line.number(), %error, "no answer from NEXCACHE");
    }
}

/// What an answer consists of.
enum Answer {
    Json(Value),
    /// A message as it is stored, with headers that say where it was.
    Stored(HeaderMap, Bytes),
}

impl Facade {
    pub(super) fn new(line: Arc<Line>, seat: Arc<Seat>) -> Self {
        Self { line, seat, consumers: HashMap::new(), deliveries: JoinSet::new(), named: 0 }
    }

    /// Handles a message below `$JS.`.
    pub(super) fn handle(&mut self, publish: &Publish) {
        if let Some((consumer, number)) = delivery::flow_control_of(&publish.subject) {
            if let Some(consumer) = self.consumers.get(consumer) {
                consumer.flow_control_answered(number);
            }
            return;
        }
        if publish.subject.starts_with(ACK_PREFIX) {
            // Nothing is delivered twice, acknowledged or not.
            return;
        }
        match ApiCall::parse(&publish.subject, &publish.payload) {
            Some(call) => {
                let kind = call.response_type();
                let answer = self.answer(call);
                reply(&self.line, publish, kind, answer);
            }
            None => self.line.refuse(refuse_publish(publish)),
        }
    }

    fn bucket(&self) -> Bucket {
        Bucket::new(self.seat.artifact(), self.line.max_payload())
    }

    fn answer(&mut self, call: ApiCall) -> Result<Answer, ApiError> {
        let bucket = self.bucket();
        Ok(Answer::Json(match call {
            ApiCall::AccountInfo => api::account_info(),
            ApiCall::StreamNames { subject } => bucket.stream_names(subject.as_ref()),
            ApiCall::StreamInfo => bucket.stream_info(),
            ApiCall::OtherStream { .. } => return Err(ApiError::StreamNotFound),
            ApiCall::MessageGet(wanted) => {
                let meta = bucket.meta(&wanted).ok_or(ApiError::NoMessage)?;
                meta.to_json()
            }
            ApiCall::DirectGet(wanted) => {
                let meta = bucket.meta(&wanted).ok_or(ApiError::NoMessage)?;
                return Ok(Answer::Stored(meta.headers(), meta.payload));
            }
            ApiCall::ConsumerCreate(request) => self.create(&request, &bucket)?,
            ApiCall::ConsumerInfo { name } => {
                self.consumers.get(&name).ok_or(ApiError::ConsumerNotFound)?.info()
            }
            ApiCall::ConsumerDelete { name } => {
                self.consumers.remove(&name).ok_or(ApiError::ConsumerNotFound)?.stop();
                serde_json::json!({ "success": true })
            }
            ApiCall::Malformed { .. } => return Err(ApiError::BadRequest),
        }))
    }

    fn create(&mut self, request: &ConsumerRequest, bucket: &Bucket) -> Result<Value, ApiError> {
        while self.deliveries.try_join_next().is_some() {}
        // Those whose reader went without a word make room.
        self.consumers.retain(|_, consumer| !consumer.is_over());
        if self.consumers.len() >= MAX_CONSUMERS {
            return Err(ApiError::TooManyConsumers);
        }
        self.named += 1;
        let name = request.name.clone().unwrap_or_else(|| format!("nex{}", self.named));
        if self.consumers.contains_key(&name) {
            return Err(ApiError::ConsumerExists);
        }
        let plan = Plan::new(request, bucket).ok_or(ApiError::PushOnly)?;
        let consumer = Arc::new(Consumer::new(name.clone(), request, &plan));
        self.consumers.insert(name, Arc::clone(&consumer));
        let info = consumer.info();
        self.deliveries.spawn(delivery::run(Arc::clone(&self.line), consumer, plan));
        Ok(info)
    }
}
