//! The object store of a workload.
//!
//! An object is a record under its encoded name and chunks under an id of their own. A record is
//! only ever replaced by whoever has read it (its sequence number is expected), so that exactly
//! one of several writers clears the old chunks away and none are left behind.

use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;
use std::sync::Arc;

use async_nats::{HeaderMap, jetstream::Message};
use bytes::{Bytes, BytesMut};
use data_encoding::BASE64URL;
use nex_protocol::timestamp;
use rand::{Rng as _, distr::Alphanumeric};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::bucket::{Bucket, BucketSlot, StoreError, Stored, Which};

/// Longest name of an object, bytes: encoded it has to fit into a subject.
pub const MAX_OBJECT_NAME_BYTES: usize = 1024;

/// Bytes of an object in one message, as Go clients write them.
const CHUNK_BYTES: usize = 128 * 1024;

/// Characters of the id of an object's chunks.
const CHUNKS_ID_CHARACTERS: usize = 22;

/// How often a record is written that others write too.
const WRITES: usize = 8;

/// Records of deleted objects that are cleared away at a time.
const SWEEP: usize = 256;

/// The name of an object: any text of one line. It is encoded wherever NATS sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName(Arc<str>);

/// Why a text is no name of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ObjectNameError {
    /// The empty text.
    #[error("name is required")]
    Empty,
    /// Longer than [`MAX_OBJECT_NAME_BYTES`].
    #[error("nats: invalid object name: it is longer than {MAX_OBJECT_NAME_BYTES} bytes")]
    TooLong,
    /// A control character.
    #[error("nats: invalid object name: it holds a control character")]
    Control,
}

impl FromStr for ObjectName {
    type Err = ObjectNameError;

    fn from_str(text: &str) -> Result<Self, ObjectNameError> {
        if text.is_empty() {
            return Err(ObjectNameError::Empty);
        }
        if text.len() > MAX_OBJECT_NAME_BYTES {
            return Err(ObjectNameError::TooLong);
        }
        if text.contains(char::is_control) {
            return Err(ObjectNameError::Control);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A call of the service `objectstore`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectCall {
    /// The content of an object.
    Get(ObjectName),
    /// Puts an object, in the place of one of that name.
    Put(ObjectName, Bytes),
    /// Deletes an object.
    Delete(ObjectName),
    /// The records of all objects.
    List,
}

/// What is told of an object, and stored as its record: the form of all NATS clients.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ObjectRecord {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    headers: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    options: Option<ObjectOptions>,
    bucket: String,
    #[serde(default)]
    nuid: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    mtime: String,
    #[serde(default)]
    chunks: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    digest: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct ObjectOptions {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_chunk_size: Option<u64>,
}

impl ObjectRecord {
    /// A record that cannot be read is none: writing the object anew mends it.
    fn decode(stored: &Stored) -> Option<Self> {
        serde_json::from_slice(&stored.payload).ok()
    }

    fn encode(&self) -> Bytes {
        // Texts and numbers always serialize.
        Bytes::from(serde_json::to_vec(self).unwrap_or_default())
    }

    fn is_link(&self) -> bool {
        self.options.as_ref().is_some_and(|options| options.link.is_some())
    }

    /// Where its chunks are, if its id can be part of a subject.
    fn chunks_subject(&self, bucket: &Bucket) -> Option<String> {
        let id = !self.nuid.is_empty() && self.nuid.bytes().all(|b| b.is_ascii_alphanumeric());
        id.then(|| chunks_subject(bucket, &self.nuid))
    }
}

fn record_subject(bucket: &Bucket, name: &ObjectName) -> String {
    format!("$O.{}.M.{}", bucket.name(), BASE64URL.encode(name.0.as_bytes()))
}

fn chunks_subject(bucket: &Bucket, id: &str) -> String {
    format!("$O.{}.C.{id}", bucket.name())
}

fn digest_text(content: &[u8]) -> String {
    format!("SHA-256={}", BASE64URL.encode(&Sha256::digest(content)))
}

impl ObjectCall {
    /// What went wrong if it did, in the words of the Go node.
    pub(super) fn failed(&self) -> String {
        match self {
            Self::Get(name) => format!("failed to get object {name}"),
            Self::Put(name, content) => {
                format!("failed to write {}-byte object {name}", content.len())
            }
            Self::Delete(name) => format!("failed to delete object {name}"),
            Self::List => "failed to list objects".to_owned(),
        }
    }

    /// Does it; gives the reply's body, of which `room` bytes can be sent.
    pub(super) async fn run(&self, slot: &BucketSlot, room: usize) -> Result<Bytes, StoreError> {
        let bucket = slot.bucket().await?;
        match self.run_in(&bucket, room).await {
            Err(StoreError::Gone) => {
                // Once more, in a new one.
                slot.forget(&bucket).await;
                self.run_in(&slot.bucket().await?, room).await
            }
            done => done,
        }
    }

    async fn run_in(&self, bucket: &Arc<Bucket>, room: usize) -> Result<Bytes, StoreError> {
        match self {
            Self::Get(name) => get(bucket, name, room).await,
            Self::Put(name, content) => match put(bucket, name, content).await {
                Err(StoreError::Full) if sweep(bucket).await? > 0 => {
                    put(bucket, name, content).await
                }
                done => done,
            },
            Self::Delete(name) => delete(bucket, name).await,
            Self::List => list(bucket, room).await,
        }
    }
}

async fn get(bucket: &Bucket, name: &ObjectName, room: usize) -> Result<Bytes, StoreError> {
    let subject = record_subject(bucket, name);
    let mut seen = None;
    loop {
        let stored = bucket.read(&subject, Which::Last).await?.ok_or(StoreError::NoSuchObject)?;
        let record = ObjectRecord::decode(&stored).ok_or(StoreError::Damaged)?;
        if record.deleted {
            return Err(StoreError::NoSuchObject);
        }
        if record.is_link() {
            return Err(StoreError::Link);
        }
        if record.size > room as u64 {
            return Err(StoreError::TooMuch { limit: room });
        }
        match content(bucket, &record).await {
            // It may have been replaced while it was read: then there is a newer record.
            Err(StoreError::Damaged) if seen != Some(stored.sequence) => {
                seen = Some(stored.sequence);
            }
            done => return done,
        }
    }
}

async fn content(bucket: &Bucket, record: &ObjectRecord) -> Result<Bytes, StoreError> {
    let size = usize::try_from(record.size).map_err(|_| StoreError::Damaged)?;
    let mut content = BytesMut::new();
    let mut from = 1;
    while content.len() < size {
        let subject = record.chunks_subject(bucket).ok_or(StoreError::Damaged)?;
        let chunk = bucket.read(&subject, Which::From(from)).await?.ok_or(StoreError::Damaged)?;
        // An empty chunk would let this go on for as long as there are some.
        if chunk.payload.is_empty() || content.len() + chunk.payload.len() > size {
            return Err(StoreError::Damaged);
        }
        from = chunk.sequence.saturating_add(1);
        content.extend_from_slice(&chunk.payload);
    }
    // Some clients write a digest without its padding.
    let told = record.digest.trim_end_matches('=');
    if told.is_empty() || digest_text(&content).trim_end_matches('=') == told {
        Ok(content.freeze())
    } else {
        Err(StoreError::Damaged)
    }
}

async fn put(
    bucket: &Arc<Bucket>,
    name: &ObjectName,
    content: &Bytes,
) -> Result<Bytes, StoreError> {
    let id: String =
        rand::rng().sample_iter(Alphanumeric).take(CHUNKS_ID_CHARACTERS).map(char::from).collect();
    let subject = chunks_subject(bucket, &id);
    let written = Chunks { bucket: Some(Arc::clone(bucket)), subject: subject.clone() };
    let mut rest = content.clone();
    let mut chunks = 0;
    while !rest.is_empty() {
        let chunk = rest.split_to(rest.len().min(CHUNK_BYTES));
        if let Err(error) = bucket.write(subject.clone(), HeaderMap::new(), chunk).await {
            written.remove().await;
            return Err(error);
        }
        chunks += 1;
    }
    let record = ObjectRecord {
        name: name.to_string(),
        description: None,
        metadata: None,
        headers: None,
        options: Some(ObjectOptions { link: None, max_chunk_size: Some(CHUNK_BYTES as u64) }),
        bucket: bucket.name().to_owned(),
        nuid: id,
        size: content.len() as u64,
        mtime: timestamp::format(OffsetDateTime::now_utc()),
        chunks,
        digest: digest_text(content),
        deleted: false,
    };
    match replace(bucket, name, |_| Ok(record.clone())).await {
        Ok(record) => {
            written.keep();
            Ok(record)
        }
        Err(error) => {
            written.remove().await;
            Err(error)
        }
    }
}

async fn delete(bucket: &Bucket, name: &ObjectName) -> Result<Bytes, StoreError> {
    let deleted = replace(bucket, name, |older| match older {
        Some(older) if !older.deleted => Ok(ObjectRecord {
            size: 0,
            chunks: 0,
            digest: String::new(),
            deleted: true,
            mtime: timestamp::format(OffsetDateTime::now_utc()),
            ..older.clone()
        }),
        _ => Err(StoreError::NoSuchObject),
    });
    match deleted.await {
        Ok(_) => {}
        // There is not even room to say that it is gone.
        Err(StoreError::Full) => {
            let stored = bucket.erase(&record_subject(bucket, name)).await?;
            if let Some(chunks) = stored
                .as_ref()
                .and_then(ObjectRecord::decode)
                .and_then(|record| record.chunks_subject(bucket))
            {
                bucket.purge(&chunks, None).await?;
            }
        }
        Err(error) => return Err(error),
    }
    Ok(Bytes::from_static(br#"{"success":true}"#))
}

/// Puts a record in the place of the one there, and clears that one's chunks away. `make` makes
/// it of the older one.
async fn replace(
    bucket: &Bucket,
    name: &ObjectName,
    make: impl Fn(Option<&ObjectRecord>) -> Result<ObjectRecord, StoreError>,
) -> Result<Bytes, StoreError> {
    let subject = record_subject(bucket, name);
    for _ in 0..WRITES {
        let stored = bucket.read(&subject, Which::Last).await?;
        let older = stored.as_ref().and_then(ObjectRecord::decode);
        let record = make(older.as_ref())?.encode();
        let mut headers = HeaderMap::new();
        headers.insert(async_nats::header::NATS_ROLLUP, "sub");
        headers.insert(
            async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
            stored.as_ref().map_or(0, |stored| stored.sequence).to_string(),
        );
        match bucket.write(subject.clone(), headers, record.clone()).await {
            Err(StoreError::Contended) => {}
            Err(error) => return Err(error),
            Ok(_) => {
                if let Some(chunks) = older.and_then(|older| older.chunks_subject(bucket))
                    && let Err(error) = bucket.purge(&chunks, None).await
                {
                    // The object is as it should be; the old chunks only take room.
                    tracing::warn!(
                        bucket = bucket.name(), %error,
                        "chunks of an object that was replaced are left behind"
                    );
                }
                return Ok(record);
            }
        }
    }
    Err(StoreError::Contended)
}

async fn list(bucket: &Bucket, room: usize) -> Result<Bytes, StoreError> {
    let mut list = BytesMut::from(&b"["[..]);
    let visit = |message: &Message| {
        if let Ok(record) = serde_json::from_slice::<ObjectRecord>(&message.payload)
            && !record.deleted
        {
            if list.len() > 1 {
                list.extend_from_slice(b",");
            }
            list.extend_from_slice(&record.encode());
        }
        if list.len() >= room { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    bucket.scan(format!("$O.{}.M.>", bucket.name()), false, visit).await?;
    list.extend_from_slice(b"]");
    if list.len() > room {
        return Err(StoreError::TooMuch { limit: room });
    }
    Ok(list.freeze())
}

/// Clears away records of deleted objects, the oldest, up to [`SWEEP`]; how many.
async fn sweep(bucket: &Bucket) -> Result<usize, StoreError> {
    let mut gone = Vec::new();
    let visit = |message: &Message| {
        let record = serde_json::from_slice::<ObjectRecord>(&message.payload);
        if record.is_ok_and(|record| record.deleted)
            && let Ok(info) = message.info()
        {
            gone.push((message.subject.to_string(), info.stream_sequence));
        }
        if gone.len() < SWEEP { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    bucket.scan(format!("$O.{}.M.>", bucket.name()), false, visit).await?;
    let count = gone.len();
    for (subject, sequence) in gone {
        // Only the record of the deletion: what was put since then is newer.
        bucket.purge(&subject, Some(sequence.saturating_add(1))).await?;
    }
    Ok(count)
}

/// Chunks that no record points to yet. They are removed unless one does, also when the call is
/// cut off.
struct Chunks {
    bucket: Option<Arc<Bucket>>,
    subject: String,
}

impl Chunks {
    fn keep(mut self) {
        self.bucket = None;
    }

    async fn remove(mut self) {
        if let Some(bucket) = self.bucket.take() {
            purge_chunks(&bucket, &self.subject).await;
        }
    }
}

async fn purge_chunks(bucket: &Bucket, subject: &str) {
    if let Err(error) = bucket.purge(subject, None).await {
        tracing::debug!(bucket = bucket.name(), %error, "chunks of no object are left behind");
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        if let Some(bucket) = self.bucket.take() {
            let subject = std::mem::take(&mut self.subject);
            tokio::spawn(async move { purge_chunks(&bucket, &subject).await });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_any_line_of_text() {
        for good in ["a", "..", "a b", "*", ">", "$O.x", "ä/ö", &"n".repeat(MAX_OBJECT_NAME_BYTES)]
        {
            assert!(good.parse::<ObjectName>().is_ok(), "{good}");
        }
        assert_eq!("".parse::<ObjectName>(), Err(ObjectNameError::Empty));
        assert_eq!("a\nb".parse::<ObjectName>(), Err(ObjectNameError::Control));
        let long = "n".repeat(MAX_OBJECT_NAME_BYTES + 1);
        assert_eq!(long.parse::<ObjectName>(), Err(ObjectNameError::TooLong));
    }

    #[test]
    fn records_of_go_clients_are_read_and_written_alike() {
        let go = r#"{"name":"o1","options":{"max_chunk_size":131072},"bucket":"b","nuid":"U9JZgg1Fwb2jTmWTWnPIJK","size":2,"mtime":"2026-11-23T21:40:30.422533738Z","chunks":1,"digest":"SHA-256=j0NDRmSPa5bfid2pAcUXaxCm2Dlh3TwayItZstwyeqQ="}"#;
        let record: ObjectRecord = serde_json::from_str(go).unwrap();
        assert_eq!(record.encode(), go);
        assert_eq!(record.digest, digest_text(b"hi"));
    }

    proptest! {
        #[test]
        fn a_name_is_one_token_of_its_buckets_records(name in "\\PC{1,40}") {
            let token = BASE64URL.encode(name.as_bytes());
            let subject = format!("$O.hs_a_b_os.M.{token}");
            let subject: nex_protocol::subject::Subject = subject.parse().unwrap();
            prop_assert_eq!(subject.tokens().count(), 4);
        }
    }
}
