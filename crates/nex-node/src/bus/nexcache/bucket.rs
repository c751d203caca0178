//! The bucket as a stream: what its messages are and how it describes itself. Pure.

use std::sync::Arc;

use bytes::Bytes;
use data_encoding::{BASE64, BASE64URL};
use nex_protocol::agent::CACHE_BUCKET;
use nex_protocol::nats::HeaderMap;
use nex_protocol::subject::SubjectPattern;
use serde_json::{Value, json};

use super::super::seat::OfferedArtifact;
use super::api::Wanted;

/// The bucket's stream.
pub(super) const STREAM: &str = "OBJ_NEXCACHE";
/// Bytes per chunk, as clients make them.
const CHUNK: usize = 128 * 1024;
/// Nobody looks at when a message was stored; it has to be a time.
const STORED_AT: &str = "2024-01-01T00:00:00Z";
/// The same in nanoseconds since 1970, as it stands in acknowledgement subjects.
pub(super) const STORED_AT_NANOSECONDS: u64 = 1_704_067_200_000_000_000;
/// Characters of the token that names an object's chunks.
const NUID_LENGTH: usize = 22;

/// What one connection sees.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    object: Option<Object>,
}

/// The one object in it.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) artifact: Arc<OfferedArtifact>,
    pub(super) chunk: usize,
    nuid: String,
}

/// The message that describes the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) subject: String,
    pub(super) sequence: u64,
    pub(super) payload: Bytes,
}

impl Bucket {
    /// `max_payload` is the largest message of the connection.
    pub(super) fn new(artifact: Option<Arc<OfferedArtifact>>, max_payload: usize) -> Self {
        let object = artifact.map(|artifact| Object {
            nuid: artifact.digest.to_string().chars().take(NUID_LENGTH).collect(),
            chunk: CHUNK.min(max_payload).max(1),
            artifact,
        });
        Self { object }
    }

    /// The object, if one is offered.
    pub(super) fn object(&self) -> Option<&Object> {
        self.object.as_ref()
    }

    /// The message asked for. Only the description can be had this way.
    pub(super) fn meta(&self, wanted: &Wanted) -> Option<Meta> {
        let object = self.object.as_ref()?;
        let is_it = match wanted {
            Wanted::LastBySubject(pattern) => pattern.matches(&object.meta_subject()),
            Wanted::Sequence(sequence) => *sequence == object.last_sequence(),
        };
        is_it.then(|| object.meta())
    }

    /// Which of our streams hold a subject.
    pub(super) fn stream_names(&self, subject: Option<&SubjectPattern>) -> Value {
        let held = subject.is_none_or(|subject| {
            subjects()
                .iter()
                .any(|own| own.parse::<SubjectPattern>().is_ok_and(|own| own.collides(subject)))
        });
        let streams: &[&str] = if held { &[STREAM] } else { &[] };
        json!({ "total": streams.len(), "offset": 0, "limit": 1024, "streams": streams })
    }

    /// The stream's description.
    pub(super) fn stream_info(&self) -> Value {
        let (messages, bytes) = self
            .object
            .as_ref()
            .map_or((0, 0), |object| (object.last_sequence(), object.artifact.size));
        json!({
            "config": {
                "name": STREAM,
                "subjects": subjects(),
                "retention": "limits", "max_consumers": -1, "max_msgs": -1, "max_bytes": -1,
                "discard": "new", "max_age": 0, "max_msgs_per_subject": -1, "max_msg_size": -1,
                "storage": "file", "num_replicas": 1, "duplicate_window": 120_000_000_000_u64,
                "compression": "none", "allow_direct": true, "mirror_direct": false,
                "sealed": true, "deny_delete": true, "deny_purge": true,
                "allow_rollup_hdrs": false, "consumer_limits": {},
            },
            "created": STORED_AT,
            "state": {
                "messages": messages, "bytes": bytes,
                "first_seq": messages.min(1), "first_ts": STORED_AT,
                "last_seq": messages, "last_ts": STORED_AT, "consumer_count": 0,
            },
            "ts": STORED_AT,
        })
    }
}

fn subjects() -> [String; 2] {
    [format!("$O.{CACHE_BUCKET}.C.>"), format!("$O.{CACHE_BUCKET}.M.>")]
}

impl Object {
    /// Number of chunks; none for an empty file.
    pub(super) fn chunks(&self) -> u64 {
        self.artifact.size.div_ceil(self.chunk as u64)
    }

    /// Number of the last message: the description.
    pub(super) fn last_sequence(&self) -> u64 {
        self.chunks() + 1
    }

    /// Offset and length of a chunk in the file, counted from 1.
    pub(super) fn chunk_at(&self, sequence: u64) -> Option<(u64, usize)> {
        if sequence == 0 || sequence > self.chunks() {
            return None;
        }
        let offset = (sequence - 1).checked_mul(self.chunk as u64)?;
        let length = self.artifact.size.saturating_sub(offset).min(self.chunk as u64);
        Some((offset, usize::try_from(length).ok()?))
    }

    /// Subject of the chunks.
    pub(super) fn chunk_subject(&self) -> String {
        format!("$O.{CACHE_BUCKET}.C.{}", self.nuid)
    }

    /// Subject of the description.
    pub(super) fn meta_subject(&self) -> String {
        let name = BASE64URL.encode(self.artifact.name.as_bytes());
        format!("$O.{CACHE_BUCKET}.M.{name}")
    }

    /// The description.
    pub(super) fn meta(&self) -> Meta {
        let info = json!({
            "name": self.artifact.name,
            "options": { "max_chunk_size": self.chunk },
            "bucket": CACHE_BUCKET,
            "nuid": self.nuid,
            "size": self.artifact.size,
            "mtime": STORED_AT,
            "chunks": self.chunks(),
            "digest": self.artifact.digest.to_nats_text(),
        });
        Meta {
            subject: self.meta_subject(),
            sequence: self.last_sequence(),
            payload: Bytes::from(info.to_string()),
        }
    }
}

impl Meta {
    /// As the answer to a message request.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "message": {
                "subject": self.subject,
                "seq": self.sequence,
                "data": BASE64.encode(&self.payload),
                "time": STORED_AT,
            },
        })
    }

    /// The headers of the answer to a direct request.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("Nats-Stream", STREAM),
            ("Nats-Subject", &self.subject),
            ("Nats-Sequence", &self.sequence.to_string()),
            ("Nats-Time-Stamp", STORED_AT),
        ] {
            // Names and values are plain ASCII lines, and few.
            let _ = headers.append(name, value);
        }
        headers
    }
}
