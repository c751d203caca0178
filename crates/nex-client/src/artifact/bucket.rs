//! One object-store bucket, spoken to directly: chunks and objects are messages
//! of its stream (NATS ADR-20).

use async_nats::HeaderMap;
use async_nats::jetstream::context::{GetStreamErrorKind, PublishAckFuture, PublishError};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use async_nats::jetstream::{Context, ErrorCode, object_store};
use bytes::Bytes;
use data_encoding::BASE64URL;
use nex_protocol::digest::Digest;
use nex_protocol::name::WorkloadId;
use nex_protocol::timestamp;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::error::UploadError;

/// The bucket that the Go CLI uploads into.
pub const DEFAULT_BUCKET: &str = "NEXCLIFILES";

/// Room in a bucket that is created, in bytes, unless told otherwise.
pub const DEFAULT_BUCKET_BYTES: u64 = 100 * 1024 * 1024;

/// Header that makes an object's description replace the one before.
const ROLLUP: (&str, &str) = ("Nats-Rollup", "sub");

/// A bucket that exists.
pub(super) struct Bucket {
    name: String,
    jetstream: Context,
    stream: Stream,
}

/// What is known of an object in the bucket.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) nuid: String,
    pub(super) size: u64,
    /// Absent where it cannot be read.
    pub(super) digest: Option<Digest>,
}

/// An object whose chunks are all stored.
pub(super) struct NewObject<'a> {
    pub(super) key: &'a str,
    pub(super) nuid: &'a str,
    pub(super) size: u64,
    pub(super) chunks: u64,
    pub(super) chunk_bytes: usize,
    pub(super) digest: Digest,
    pub(super) description: Option<&'a str>,
}

/// A description as it is stored, as far as it is read here.
#[derive(Deserialize)]
struct Stored {
    #[serde(default)]
    nuid: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    deleted: bool,
}

#[derive(Serialize)]
struct Written<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    options: Options,
    bucket: &'a str,
    nuid: &'a str,
    size: u64,
    mtime: String,
    chunks: u64,
    digest: String,
}

#[derive(Serialize)]
struct Options {
    max_chunk_size: usize,
}

/// A text that names one version of an object.
pub(super) fn new_nuid() -> String {
    WorkloadId::generate().to_string()
}

impl Bucket {
    /// Opens the bucket, creates it when it is missing, and enlarges it when
    /// `room` asks for more than it has.
    pub(super) async fn open(
        jetstream: &Context,
        name: &str,
        room: Option<u64>,
    ) -> Result<Self, UploadError> {
        let stream_name = format!("OBJ_{name}");
        let failed = |source| UploadError::bucket(name, source);
        let stream = match jetstream.get_stream(&stream_name).await {
            Ok(stream) => stream,
            Err(error) if is_missing(&error.kind()) => {
                let config = object_store::Config {
                    bucket: name.to_owned(),
                    max_bytes: as_limit(room.unwrap_or(DEFAULT_BUCKET_BYTES)),
                    ..object_store::Config::default()
                };
                let created = jetstream.create_object_store(config).await;
                // Where somebody else created it just now, theirs is opened.
                match jetstream.get_stream(&stream_name).await {
                    Ok(stream) => stream,
                    Err(error) => {
                        return Err(match created {
                            Err(reason) => UploadError::bucket(name, reason),
                            Ok(_) => failed(error),
                        });
                    }
                }
            }
            Err(error) => return Err(failed(error)),
        };
        let bucket = Self { name: name.to_owned(), jetstream: jetstream.clone(), stream };
        match (bucket.limit(), room) {
            (Some(limit), Some(room)) if room > limit => bucket.enlarge(room).await,
            _ => Ok(bucket),
        }
    }

    async fn enlarge(mut self, room: u64) -> Result<Self, UploadError> {
        let mut config = self.stream.cached_info().config.clone();
        config.max_bytes = as_limit(room);
        let failed = |source| UploadError::bucket(&self.name, source);
        self.jetstream.update_stream(config).await.map_err(failed)?;
        let name = self.stream.cached_info().config.name.clone();
        self.stream = self
            .jetstream
            .get_stream(name)
            .await
            .map_err(|source| UploadError::bucket(&self.name, source))?;
        Ok(self)
    }

    /// Room in the bucket, in bytes; `None` where there is no limit.
    pub(super) fn limit(&self) -> Option<u64> {
        // JetStream says -1 for "no limit", older servers 0.
        u64::try_from(self.stream.cached_info().config.max_bytes).ok().filter(|limit| *limit > 0)
    }

    /// The object under this key, if there is one.
    pub(super) async fn object(&self, key: &str) -> Result<Option<Object>, UploadError> {
        let message = match self.stream.get_last_raw_message_by_subject(&self.meta(key)).await {
            Ok(message) => message,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                return Ok(None);
            }
            Err(error) => return Err(UploadError::bucket(&self.name, error)),
        };
        // A description that cannot be read is replaced like any other.
        let stored: Option<Stored> = serde_json::from_slice(&message.payload).ok();
        Ok(stored.filter(|stored| !stored.deleted && is_token(&stored.nuid)).map(|stored| Object {
            nuid: stored.nuid,
            size: stored.size,
            digest: stored.digest.and_then(|text| text.parse().ok()),
        }))
    }

    /// Sends a chunk. It is stored once the future is done.
    pub(super) async fn put_chunk(
        &self,
        nuid: &str,
        chunk: Bytes,
    ) -> Result<PublishAckFuture, UploadError> {
        self.jetstream
            .publish(self.chunks(nuid), chunk)
            .await
            .map_err(|error| self.write_error(error))
    }

    /// Makes the chunks an object.
    pub(super) async fn put_object(&self, object: &NewObject<'_>) -> Result<(), UploadError> {
        let written = Written {
            name: object.key,
            description: object.description,
            options: Options { max_chunk_size: object.chunk_bytes },
            bucket: &self.name,
            nuid: object.nuid,
            size: object.size,
            mtime: timestamp::format(OffsetDateTime::now_utc()),
            chunks: object.chunks,
            digest: object.digest.to_nats_text(),
        };
        let text = serde_json::to_vec(&written)
            .map_err(|source| UploadError::store(&self.name, source))?;
        let mut headers = HeaderMap::new();
        headers.insert(ROLLUP.0, ROLLUP.1);
        self.jetstream
            .publish_with_headers(self.meta(object.key), headers, text.into())
            .await
            .map_err(|error| self.write_error(error))?
            .await
            .map_err(|error| self.write_error(error))?;
        Ok(())
    }

    /// Removes the chunks of a version of an object.
    pub(super) async fn remove_chunks(&self, nuid: &str) -> Result<(), UploadError> {
        self.stream
            .purge()
            .filter(self.chunks(nuid))
            .await
            .map_err(|source| UploadError::bucket(&self.name, source))?;
        Ok(())
    }

    pub(super) fn write_error(&self, source: PublishError) -> UploadError {
        UploadError::store(&self.name, source)
    }

    fn chunks(&self, nuid: &str) -> String {
        format!("$O.{}.C.{nuid}", self.name)
    }

    fn meta(&self, key: &str) -> String {
        format!("$O.{}.M.{}", self.name, BASE64URL.encode(key.as_bytes()))
    }
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn as_limit(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Whether the text can stand in a subject: whoever writes into the bucket
/// chooses it, and it becomes the filter of a purge.
fn is_token(nuid: &str) -> bool {
    !nuid.is_empty() && nuid.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
