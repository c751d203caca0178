//! The key-value store of a workload.

use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;
use std::sync::Arc;

use async_nats::{HeaderMap, jetstream::Message};
use bytes::Bytes;
use serde_json::json;

use super::bucket::{Bucket, BucketSlot, StoreError, Which};

/// Longest key, bytes: it has to fit into a subject beside the bucket's name.
pub const MAX_KEY_BYTES: usize = 1024;

/// Markers of deleted keys that are cleared away at a time.
const SWEEP: usize = 256;

const OPERATION: &str = "KV-Operation";
const DELETED: &str = "DEL";
const PURGED: &str = "PURGE";
/// Set by the server on markers of its own making.
const MARKER: &str = "Nats-Marker-Reason";

/// A key by the rules of NATS key-value stores: letters, digits and `-/_=.`, no dot at an end and
/// no two in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(Arc<str>);

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The empty text.
    #[error("key is required")]
    Empty,
    /// Longer than [`MAX_KEY_BYTES`].
    #[error("nats: invalid key: it is longer than {MAX_KEY_BYTES} bytes")]
    TooLong,
    /// A character that a key cannot have, or a dot where none can be.
    #[error("nats: invalid key: use letters, digits and -/_=. with single dots inside")]
    Invalid,
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        if text.len() > MAX_KEY_BYTES {
            return Err(KeyError::TooLong);
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-/_=.".contains(&byte);
        if !text.bytes().all(plain) || text.split('.').any(str::is_empty) {
            return Err(KeyError::Invalid);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A call of the service `kv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvCall {
    /// The value of a key.
    Get(Key),
    /// Sets a key.
    Set(Key, Bytes),
    /// Deletes a key; one that is not there, too.
    Delete(Key),
    /// All keys.
    Keys,
}

impl KvCall {
    /// What went wrong if it did, in the words of the Go node.
    pub(super) fn failed(&self) -> String {
        match self {
            Self::Get(key) => format!("failed to get value for key {key}"),
            Self::Set(key, value) => {
                format!("failed to write {}-byte value for key {key}", value.len())
            }
            Self::Delete(key) => format!("failed to delete key {key}"),
            Self::Keys => "failed to resolve keys".to_owned(),
        }
    }

    /// Does it; gives the reply's body, of which `room` bytes can be sent.
    pub(super) async fn run(&self, slot: &BucketSlot, room: usize) -> Result<Bytes, StoreError> {
        let bucket = slot.bucket().await?;
        match self.run_in(&bucket, room).await {
            Err(StoreError::Gone) => {
                // Once more, in a new one.
                slot.forget(&bucket).await;
                self.run_in(&*slot.bucket().await?, room).await
            }
            done => done,
        }
    }

    async fn run_in(&self, bucket: &Bucket, room: usize) -> Result<Bytes, StoreError> {
        match self {
            Self::Get(key) => {
                let found = bucket.read(&subject(bucket, key), Which::Last).await?;
                let value = found.filter(|found| !is_marker(&found.headers));
                Ok(value.ok_or(StoreError::NoSuchKey)?.payload)
            }
            Self::Set(key, value) => {
                let write = || bucket.write(subject(bucket, key), HeaderMap::new(), value.clone());
                let revision = match write().await {
                    Err(StoreError::Full) if sweep(bucket).await? > 0 => write().await?,
                    done => done?,
                };
                Ok(json!({ "revision": revision, "success": true }).to_string().into())
            }
            Self::Delete(key) => {
                let mut headers = HeaderMap::new();
                headers.insert(OPERATION, DELETED);
                match bucket.write(subject(bucket, key), headers, Bytes::new()).await {
                    // There is not even room to say that it is gone.
                    Err(StoreError::Full) => bucket.erase(&subject(bucket, key)).await.map(drop)?,
                    done => drop(done?),
                }
                Ok(Bytes::from_static(br#"{"success":true}"#))
            }
            Self::Keys => keys(bucket, room).await,
        }
    }
}

fn subject(bucket: &Bucket, key: &Key) -> String {
    format!("$KV.{}.{key}", bucket.name())
}

fn everything(bucket: &Bucket) -> String {
    format!("$KV.{}.>", bucket.name())
}

/// Whether a message says that its key is gone.
fn is_marker(headers: &HeaderMap) -> bool {
    let operation = headers.get(OPERATION).map(async_nats::HeaderValue::as_str);
    matches!(operation, Some(DELETED | PURGED)) || headers.get(MARKER).is_some()
}

async fn keys(bucket: &Bucket, room: usize) -> Result<Bytes, StoreError> {
    let prefix = format!("$KV.{}.", bucket.name());
    let mut keys = Vec::new();
    // The brackets, and for each key its quotes and a comma: keys need no escapes.
    let mut size = 2;
    bucket
        .scan(everything(bucket), true, |message| {
            let gone = message.headers.as_ref().is_some_and(is_marker);
            if let Some(key) = message.subject.strip_prefix(prefix.as_str()).filter(|_| !gone) {
                size += key.len() + 3;
                keys.push(key.to_owned());
            }
            if size > room { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .await?;
    if size > room {
        return Err(StoreError::TooMuch { limit: room });
    }
    Ok(json!(keys).to_string().into())
}

/// Clears away markers of deleted keys, the oldest, up to [`SWEEP`]; how many.
async fn sweep(bucket: &Bucket) -> Result<usize, StoreError> {
    let mut markers = Vec::new();
    let visit = |message: &Message| {
        if message.headers.as_ref().is_some_and(is_marker)
            && let Ok(info) = message.info()
        {
            markers.push((message.subject.to_string(), info.stream_sequence));
        }
        if markers.len() < SWEEP { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    bucket.scan(everything(bucket), true, visit).await?;
    let count = markers.len();
    for (subject, sequence) in markers {
        // Only the marker: what was written since then is newer.
        bucket.purge(&subject, Some(sequence.saturating_add(1))).await?;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_follow_the_rules_of_nats() {
        for good in ["a", "A.b-c_d/e=f", "0", "_", &"k".repeat(MAX_KEY_BYTES)] {
            assert!(good.parse::<Key>().is_ok(), "{good}");
        }
        assert_eq!("".parse::<Key>(), Err(KeyError::Empty));
        assert_eq!("k".repeat(MAX_KEY_BYTES + 1).parse::<Key>(), Err(KeyError::TooLong));
        for bad in [
            "bad key", ".a", "a.", "a..b", "*", ">", "a.*", "a.>", "ä", "a\tb", "a\r\nb", "a:b",
            "..", "../x", "$KV", "a\0",
        ] {
            assert_eq!(bad.parse::<Key>(), Err(KeyError::Invalid), "{bad:?}");
        }
    }

    proptest! {
        /// Whatever is taken for a key makes one subject of the bucket it is meant for.
        #[test]
        fn a_key_cannot_leave_its_bucket(text in "[a-c.*>/_=$ \\x00\\n\u{e9}-]{0,12}") {
            if let Ok(key) = text.parse::<Key>() {
                let subject = format!("$KV.hs_a_b_kv.{key}");
                let subject: nex_protocol::subject::Subject = subject.parse().unwrap();
                prop_assert_eq!(subject.tokens().nth(1), Some("hs_a_b_kv"));
            }
        }
    }
}
