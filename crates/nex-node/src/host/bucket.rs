//! One bucket: a JetStream stream on the public NATS system, made on first use.
//!
//! What key-value and object stores have in common is here. It is done with the stream's own
//! operations, so that every failure is told apart, no consumer is left behind and a bucket that
//! somebody deleted is noticed.

use std::error::Error as StdError;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{
    HeaderMap, StatusCode,
    connection::State,
    jetstream::{
        self, Context, ErrorCode,
        consumer::{AckPolicy, DeliverPolicy, pull},
        context::{self, GetStreamErrorKind, PublishErrorKind},
        kv, object_store,
        stream::{self, DirectGetErrorKind, Info, LastRawMessageErrorKind, Stream},
    },
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::Mutex;

/// Messages asked for at a time when a bucket is looked through.
const SCAN_BATCH: usize = 256;

/// After this time without a sign of the node NATS forgets what it had begun to look through.
const SCAN_FORGOTTEN: Duration = Duration::from_secs(10);

/// Why a bucket could not be used. Texts with `nats:` are those of the Go client.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    /// There is no such key.
    #[error("nats: key not found")]
    NoSuchKey,
    /// There is no such object.
    #[error("nats: object not found")]
    NoSuchObject,
    /// The object points to another one.
    #[error("it is a link to another object; links are not followed")]
    Link,
    /// The object's parts do not make the whole that its record tells of.
    #[error("its content is damaged; put it again")]
    Damaged,
    /// The bucket holds as much as it may.
    #[error("the workload's bucket is full; delete something, or ask the operator for more")]
    Full,
    /// One message of it would be larger than the NATS system takes.
    #[error("it is larger than the node's NATS system takes")]
    TooLarge,
    /// What is there does not fit into an answer.
    #[error("there is more than fits into an answer of {limit} bytes")]
    TooMuch {
        /// Bytes that an answer can have.
        limit: usize,
    },
    /// Somebody else wrote the same at the same time, again and again.
    #[error("others keep writing it; try again")]
    Contended,
    /// The bucket is gone.
    #[error("the bucket was deleted")]
    Gone,
    /// The node has no connection.
    #[error("the node is not connected to NATS; try again")]
    Disconnected,
    /// NATS has no JetStream.
    #[error("JetStream is not available on the node's NATS system")]
    NoJetStream,
    /// NATS has no room for one more bucket.
    #[error("the node's NATS system has no storage left for another bucket")]
    NoStorage,
    /// NATS did not answer.
    #[error("NATS did not answer in time")]
    Timeout,
    /// Anything else that NATS said.
    #[error("NATS refused: {}", crate::error_chain(&**.0))]
    Nats(#[source] Box<dyn StdError + Send + Sync>),
}

/// A cause of type `E` in an error's chain.
fn cause<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// What an error means whose kind says little. `silence` is what it means that nobody listens.
fn explain<E: StdError + Send + Sync + 'static>(error: E, silence: StoreError) -> StoreError {
    use async_nats::RequestErrorKind as Client;
    use jetstream::context::{CreateStreamErrorKind as Create, RequestErrorKind as Api};
    use jetstream::stream::{ConsumerErrorKind as Consumer, PurgeErrorKind as Purge};
    match cause::<async_nats::RequestError>(&error).map(async_nats::RequestError::kind) {
        Some(Client::NoResponders) => return silence,
        Some(Client::TimedOut) => return StoreError::Timeout,
        Some(_) | None => {}
    }
    match cause::<context::RequestError>(&error).map(context::RequestError::kind) {
        Some(Api::NoResponders) => return silence,
        Some(Api::TimedOut) => return StoreError::Timeout,
        Some(_) | None => {}
    }
    // Some errors have JetStream's in their kind, others as their source.
    match cause::<context::CreateStreamError>(&error).map(context::CreateStreamError::kind) {
        Some(Create::JetStream(refusal)) => return refused(&refusal),
        Some(Create::JetStreamUnavailable) => return StoreError::NoJetStream,
        Some(Create::TimedOut) => return StoreError::Timeout,
        Some(_) | None => {}
    }
    match cause::<stream::ConsumerError>(&error).map(stream::ConsumerError::kind) {
        Some(Consumer::JetStream(refusal)) => return refused(&refusal),
        Some(Consumer::TimedOut) => return StoreError::Timeout,
        Some(_) | None => {}
    }
    match cause::<stream::PurgeError>(&error).map(stream::PurgeError::kind) {
        Some(Purge::JetStream(refusal)) => return refused(&refusal),
        Some(Purge::TimedOut) => return StoreError::Timeout,
        Some(_) | None => {}
    }
    match cause::<jetstream::Error>(&error) {
        Some(refusal) => refused(refusal),
        None => StoreError::Nats(Box::new(error)),
    }
}

/// What JetStream's own error code means.
fn refused(error: &jetstream::Error) -> StoreError {
    match error.error_code() {
        ErrorCode::STREAM_NOT_FOUND => StoreError::Gone,
        // The description tells of the bytes; there is no code of its own.
        ErrorCode::STREAM_STORE_FAILED | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED => StoreError::Full,
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => StoreError::TooLarge,
        ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
            StoreError::NoJetStream
        }
        ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::MAXIMUM_STREAMS_LIMIT => StoreError::NoStorage,
        _ => StoreError::Nats(Box::new(error.clone())),
    }
}

/// What a bucket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BucketKind {
    /// Keys and values.
    KeyValue,
    /// Objects.
    Objects,
}

/// How a bucket is made.
#[derive(Debug, Clone)]
pub(super) struct BucketSpec {
    pub(super) kind: BucketKind,
    pub(super) name: String,
    /// Size, bytes.
    pub(super) max_bytes: u64,
    pub(super) replicas: usize,
}

impl BucketSpec {
    fn stream_name(&self) -> String {
        match self.kind {
            BucketKind::KeyValue => format!("KV_{}", self.name),
            BucketKind::Objects => format!("OBJ_{}", self.name),
        }
    }

    async fn create(&self, context: &Context) -> Result<(), StoreError> {
        let max_bytes = i64::try_from(self.max_bytes).unwrap_or(i64::MAX);
        let description = "host services of a Nex workload".to_owned();
        match self.kind {
            BucketKind::KeyValue => {
                let config = kv::Config {
                    bucket: self.name.clone(),
                    description,
                    history: 1,
                    max_bytes,
                    num_replicas: self.replicas,
                    ..kv::Config::default()
                };
                let created = context.create_key_value(config).await;
                created.map(drop).map_err(|error| explain(error, StoreError::NoJetStream))
            }
            BucketKind::Objects => {
                let config = object_store::Config {
                    bucket: self.name.clone(),
                    description: Some(description),
                    max_bytes,
                    num_replicas: self.replicas,
                    ..object_store::Config::default()
                };
                let created = context.create_object_store(config).await;
                created.map(drop).map_err(|error| explain(error, StoreError::NoJetStream))
            }
        }
    }
}

/// The way to one bucket, which is looked for, or made, when it is first needed.
#[derive(Debug)]
pub(super) struct BucketSlot {
    context: Context,
    spec: BucketSpec,
    open: Mutex<Option<Arc<Bucket>>>,
}

impl BucketSlot {
    pub(super) fn new(context: Context, spec: BucketSpec) -> Self {
        Self { context, spec, open: Mutex::new(None) }
    }

    /// The bucket. Whoever comes while another looks for it waits for that.
    pub(super) async fn bucket(&self) -> Result<Arc<Bucket>, StoreError> {
        if self.context.client().connection_state() != State::Connected {
            return Err(StoreError::Disconnected);
        }
        let mut open = self.open.lock().await;
        if let Some(bucket) = &*open {
            return Ok(Arc::clone(bucket));
        }
        let bucket = Arc::new(self.find_or_create().await?);
        *open = Some(Arc::clone(&bucket));
        Ok(bucket)
    }

    /// This bucket is gone: the next one who needs it makes it anew.
    pub(super) async fn forget(&self, gone: &Arc<Bucket>) {
        let mut open = self.open.lock().await;
        if open.as_ref().is_some_and(|held| Arc::ptr_eq(held, gone)) {
            *open = None;
        }
    }

    async fn find_or_create(&self) -> Result<Bucket, StoreError> {
        if let Some(bucket) = self.find().await? {
            return Ok(bucket);
        }
        let created = self.spec.create(&self.context).await;
        // Somebody else may have made it in between, with limits of their own: then that is it.
        match (self.find().await?, created) {
            (Some(bucket), _) => Ok(bucket),
            (None, Err(error)) => Err(error),
            (None, Ok(())) => Err(StoreError::Gone),
        }
    }

    async fn find(&self) -> Result<Option<Bucket>, StoreError> {
        match self.context.get_stream(self.spec.stream_name()).await {
            Ok(stream) => Ok(Some(Bucket {
                context: self.context.clone(),
                stream,
                name: self.spec.name.clone(),
            })),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(refusal)
                    if refusal.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    Ok(None)
                }
                GetStreamErrorKind::JetStream(refusal) => Err(refused(&refusal)),
                _ => Err(explain(error, StoreError::NoJetStream)),
            },
        }
    }
}

/// A bucket that was there a moment ago.
#[derive(Debug)]
pub(super) struct Bucket {
    context: Context,
    stream: Stream<Info>,
    name: String,
}

/// A message of a bucket.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) sequence: u64,
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
}

/// Which message of a subject.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    /// The newest.
    Last,
    /// The first with this sequence number or a higher one.
    From(u64),
}

impl Bucket {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Reads one message.
    pub(super) async fn read(
        &self,
        subject: &str,
        which: Which,
    ) -> Result<Option<Stored>, StoreError> {
        let message = if self.stream.cached_info().config.allow_direct {
            let request = self.stream.direct_get_builder();
            let request = match which {
                Which::Last => request.last_by_subject(subject),
                Which::From(sequence) => request.next_by_subject(subject).sequence(sequence),
            };
            request.send().await.map_err(|error| match error.kind() {
                DirectGetErrorKind::NotFound => None,
                DirectGetErrorKind::ErrorResponse(StatusCode::NO_RESPONDERS, _) => {
                    Some(StoreError::Gone)
                }
                _ => Some(explain(error, StoreError::Gone)),
            })
        } else {
            let request = self.stream.raw_message_builder();
            let request = match which {
                Which::Last => request.last_by_subject(subject),
                Which::From(sequence) => request.next_by_subject(subject).sequence(sequence),
            };
            request.send().await.map_err(|error| match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => None,
                LastRawMessageErrorKind::JetStream(refusal) => Some(refused(&refusal)),
                _ => Some(explain(error, StoreError::Gone)),
            })
        };
        match message {
            Ok(message) => Ok(Some(Stored {
                sequence: message.sequence,
                headers: message.headers,
                payload: message.payload,
            })),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }

    /// Writes a message and waits until it is stored; its sequence number.
    pub(super) async fn write(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<u64, StoreError> {
        let explained = |error: jetstream::context::PublishError| match error.kind() {
            PublishErrorKind::StreamNotFound => StoreError::Gone,
            PublishErrorKind::TimedOut => StoreError::Timeout,
            PublishErrorKind::MaxPayloadExceeded => StoreError::TooLarge,
            PublishErrorKind::WrongLastSequence => StoreError::Contended,
            PublishErrorKind::BrokenPipe => StoreError::Disconnected,
            PublishErrorKind::WrongLastMessageId
            | PublishErrorKind::MaxAckPending
            | PublishErrorKind::Other => explain(error, StoreError::Gone),
        };
        let ack = self.context.publish_with_headers(subject, headers, payload).await;
        Ok(ack.map_err(explained)?.await.map_err(explained)?.sequence)
    }

    /// Removes what was stored on a subject before `end` (all of it without).
    pub(super) async fn purge(&self, subject: &str, end: Option<u64>) -> Result<(), StoreError> {
        let purge = self.stream.purge().filter(subject);
        let done = match end {
            Some(end) => purge.sequence(end).await,
            None => purge.await,
        };
        done.map(drop).map_err(|error| explain(error, StoreError::Gone))
    }

    /// Removes the newest message of a subject, and gives it. What is written meanwhile stays.
    pub(super) async fn erase(&self, subject: &str) -> Result<Option<Stored>, StoreError> {
        let stored = self.read(subject, Which::Last).await?;
        if let Some(stored) = &stored {
            self.purge(subject, Some(stored.sequence.saturating_add(1))).await?;
        }
        Ok(stored)
    }

    /// Shows the newest message of each subject that `pattern` matches to `visit`, oldest first,
    /// until it breaks. With `heads` the payloads are left out.
    pub(super) async fn scan(
        &self,
        pattern: String,
        heads: bool,
        mut visit: impl FnMut(&jetstream::Message) -> ControlFlow<()> + Send,
    ) -> Result<(), StoreError> {
        let config = pull::Config {
            filter_subject: pattern,
            headers_only: heads,
            deliver_policy: DeliverPolicy::LastPerSubject,
            ack_policy: AckPolicy::None,
            inactive_threshold: SCAN_FORGOTTEN,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = self.stream.create_consumer(config).await;
        let consumer = consumer.map_err(|error| explain(error, StoreError::Gone))?;
        let info = consumer.cached_info();
        let mut left = usize::try_from(info.num_pending).unwrap_or(usize::MAX);
        let scan = Scan { stream: Some(&self.stream), name: info.name.clone() };
        while left > 0 {
            let batch = consumer.fetch().max_messages(left.min(SCAN_BATCH)).messages().await;
            let mut batch = batch.map_err(|error| explain(error, StoreError::Gone))?;
            let mut came = 0;
            while let Some(message) = batch.next().await {
                let message = message.map_err(StoreError::Nats)?;
                came += 1;
                if visit(&message).is_break() {
                    scan.end().await;
                    return Ok(());
                }
            }
            if came == 0 {
                // The rest was deleted meanwhile.
                break;
            }
            left = left.saturating_sub(came);
        }
        scan.end().await;
        Ok(())
    }
}

/// What NATS remembers of a scan. It is told to forget it, also when the scan is cut off.
struct Scan<'a> {
    stream: Option<&'a Stream<Info>>,
    name: String,
}

impl Scan<'_> {
    async fn end(mut self) {
        if let Some(stream) = self.stream.take() {
            // If that fails NATS forgets it by itself, a little later.
            let _ = stream.delete_consumer(&self.name).await;
        }
    }
}

impl Drop for Scan<'_> {
    fn drop(&mut self) {
        let Some(stream) = self.stream.cloned() else { return };
        let name = std::mem::take(&mut self.name);
        tokio::spawn(async move {
            let _ = stream.delete_consumer(&name).await;
        });
    }
}
