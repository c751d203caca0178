//! Reading an artifact out of a NATS object store into the cache.
//!
//! An object is a record on `$O.{bucket}.M.{base64url(key)}` and chunks on
//! `$O.{bucket}.C.{nuid}` of stream `OBJ_{bucket}` (NATS ADR-20). The chunks are
//! pulled in batches of bounded size: a push consumer would let the server run
//! ahead of a slow disk by tens of megabytes.

use std::time::Duration;

use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, DeliverPolicy, pull},
    object_store::ObjectInfo,
    stream::{LastRawMessageErrorKind, Stream},
};
use data_encoding::BASE64URL;
use futures_util::StreamExt as _;
use nex_protocol::{digest::Digest, location::ArtifactLocation};
use tokio::time::timeout;

use super::{
    cache::{ArtifactCache, ArtifactLease},
    error::{ArtifactError, ReadError},
};

/// Bytes asked for at once.
const BATCH_BYTES: u64 = 4 * 1024 * 1024;

/// How a server says that a batch holds as many bytes as were asked for; the
/// NATS library makes an error of it.
const BATCH_IS_FULL: &str = "Message Size Exceeds MaxBytes";

/// Messages asked for at once, however small they are.
const BATCH_MESSAGES: u64 = 256;

/// Room for headers beside the payload of a message, bytes.
const MESSAGE_OVERHEAD: usize = 4096;

/// A download during which nothing arrives for this long has failed.
const STALL: Duration = Duration::from_secs(10);

/// The JetStream API has this long to answer one request.
const API_TIMEOUT: Duration = Duration::from_secs(5);

/// Object stores reached through one NATS connection.
#[derive(Debug, Clone)]
pub struct ObjectSource {
    nats: async_nats::Client,
}

/// One object to read: where it is, for the error texts too.
struct Object<'a> {
    stream: Stream<()>,
    location: &'a ArtifactLocation,
}

impl ObjectSource {
    /// Reads through `nats`.
    pub fn new(nats: async_nats::Client) -> Self {
        Self { nats }
    }

    /// Puts the object at `location` (JetStream domain `domain`) into the cache,
    /// or finds it there. The object's record is read in any case, so that an
    /// artifact can be had only by whoever can name an object that holds it.
    ///
    /// # Errors
    /// Anything an [`ArtifactError`] names; nothing is left behind then.
    pub async fn fetch(
        &self,
        location: &ArtifactLocation,
        domain: Option<&str>,
        claimed: Option<Digest>,
        cache: &ArtifactCache,
    ) -> Result<ArtifactLease, ArtifactError> {
        let mut context = match domain {
            Some(domain) => jetstream::with_domain(self.nats.clone(), domain),
            None => jetstream::new(self.nats.clone()),
        };
        context.set_timeout(API_TIMEOUT);
        let bucket = location.bucket();
        let stream =
            context.get_stream_no_info(format!("OBJ_{bucket}")).await.map_err(|error| {
                ArtifactError::Bucket {
                    bucket: bucket.to_owned(),
                    source: ReadError::JetStream(error.to_string()),
                }
            })?;
        let object = Object { stream, location };
        let info = object.record().await?;
        let size = info.size as u64;
        let recorded = info.digest.as_deref().and_then(|text| text.parse::<Digest>().ok());
        if let (Some(claimed), Some(found)) = (claimed, recorded)
            && claimed != found
        {
            return Err(ArtifactError::WrongDigest { claimed, found });
        }
        let expected = claimed.or(recorded);
        let turn = match expected {
            Some(digest) => Some(cache.download_turn(digest).await),
            None => None,
        };
        if let Some(digest) = expected
            && let Some(lease) = cache.lookup(digest).await
        {
            return Ok(lease);
        }
        let writer = cache.begin(size).await?;
        let complete =
            object.chunks(&info, self.nats.server_info().max_payload, |chunk| writer.write(chunk));
        let complete = complete.await;
        // A writer that gave up knows why better than the reader does.
        let lease = match complete {
            Ok(()) => writer.finish(expected).await,
            Err(error) => Err(error),
        };
        drop(turn);
        lease
    }
}

impl Object<'_> {
    fn damaged(&self, reason: &'static str) -> ArtifactError {
        ArtifactError::Damaged {
            bucket: self.location.bucket().to_owned(),
            key: self.location.key().to_owned(),
            reason,
        }
    }

    fn read_failed(&self, source: ReadError) -> ArtifactError {
        ArtifactError::Read {
            bucket: self.location.bucket().to_owned(),
            key: self.location.key().to_owned(),
            source,
        }
    }

    async fn record(&self) -> Result<ObjectInfo, ArtifactError> {
        let (bucket, key) = (self.location.bucket(), self.location.key());
        let subject = format!("$O.{bucket}.M.{}", BASE64URL.encode(key.as_bytes()));
        let message = self.stream.get_last_raw_message_by_subject(&subject).await;
        let message = message.map_err(|error| match error.kind() {
            LastRawMessageErrorKind::NoMessageFound => {
                ArtifactError::NoSuchObject { bucket: bucket.to_owned(), key: key.to_owned() }
            }
            LastRawMessageErrorKind::InvalidSubject => {
                self.damaged("its name cannot be a NATS subject")
            }
            LastRawMessageErrorKind::JetStream(_) | LastRawMessageErrorKind::Other => {
                ArtifactError::Bucket {
                    bucket: bucket.to_owned(),
                    source: ReadError::JetStream(error.to_string()),
                }
            }
        })?;
        let info: ObjectInfo = serde_json::from_slice(&message.payload)
            .map_err(|_| self.damaged("its record is not valid JSON"))?;
        if info.deleted {
            return Err(ArtifactError::NoSuchObject {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
            });
        }
        if info.options.as_ref().is_some_and(|options| options.link.is_some()) {
            return Err(self.damaged("it is a link; name the linked object itself"));
        }
        let is_token = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if info.size > 0 && !is_token(&info.nuid) {
            return Err(self.damaged("its record names no chunks"));
        }
        Ok(info)
    }

    /// Hands every chunk to `sink`, in order, until the recorded size is there
    /// or `sink` answers `false`.
    async fn chunks<F>(
        &self,
        info: &ObjectInfo,
        max_payload: usize,
        sink: impl Fn(bytes::Bytes) -> F,
    ) -> Result<(), ArtifactError>
    where
        F: Future<Output = bool>,
    {
        let read_failed = |error: &dyn std::fmt::Display| {
            self.read_failed(ReadError::JetStream(error.to_string()))
        };
        let config = pull::Config {
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::None,
            filter_subject: format!("$O.{}.C.{}", self.location.bucket(), info.nuid),
            inactive_threshold: STALL,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer =
            self.stream.create_consumer(config).await.map_err(|error| read_failed(&error))?;
        let average = (info.size as u64 / (info.chunks as u64).max(1)).max(1);
        let batch = (BATCH_BYTES / average).clamp(1, BATCH_MESSAGES);
        let batch_bytes = (BATCH_BYTES as usize).max(max_payload.saturating_add(MESSAGE_OVERHEAD));
        let (mut received, mut chunks) = (0u64, 0u64);
        let wanted = info.size as u64;
        'object: while received < wanted {
            let left = (info.chunks as u64).saturating_sub(chunks).max(1);
            let mut messages = consumer
                .batch()
                .max_messages(usize::try_from(batch.min(left)).unwrap_or(1))
                .max_bytes(batch_bytes)
                .expires(STALL)
                .messages()
                .await
                .map_err(|error| read_failed(&error))?;
            let before = received;
            while let Some(message) = timeout(STALL, messages.next())
                .await
                .map_err(|_| self.read_failed(ReadError::Stalled(STALL.as_secs())))?
            {
                let message = match message {
                    Ok(message) => message,
                    // The next chunk no longer fits into what was asked for at
                    // once: the server ends the batch, and the rest comes with
                    // the next one.
                    Err(error) if error.to_string().contains(BATCH_IS_FULL) => break,
                    Err(error) => return Err(read_failed(&error)),
                };
                received = received.saturating_add(message.payload.len() as u64);
                chunks += 1;
                if !sink(message.message.payload).await || received >= wanted {
                    break 'object;
                }
            }
            if received == before {
                return Err(self.damaged("chunks are missing"));
            }
        }
        // Without this the server would keep it for as long as a stall may last.
        let (stream, name) = (self.stream.clone(), consumer.cached_info().name.clone());
        tokio::spawn(async move { stream.delete_consumer(&name).await });
        Ok(())
    }
}
