//! Reads an artifact from the node's object store: what nodes without our extensions offer.
//!
//! A state machine without I/O of its own but the file it writes: messages go in, messages to be
//! sent come out. It reads the object's description (`STREAM.MSG.GET`), then has its chunks pushed
//! by an ephemeral consumer. Nothing is kept in memory, and nothing counts before size and digest
//! are right.
//!
//! Source: ADR-20 of the NATS architecture repository (object store), and the JetStream API.

use std::io::{self, Write};

use data_encoding::{BASE64, BASE64URL};
use nex_protocol::agent::CACHE_BUCKET;
use nex_protocol::digest::Digest;
use nex_protocol::nats::Delivery;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// Status of a heartbeat or a flow control request.
const CONTROL: u16 = 100;
/// Header of a heartbeat that wants an answer, because an earlier request for one was lost.
const STALLED: &str = "Nats-Consumer-Stalled";
/// Longest id of an object's chunks.
const MAX_NUID: usize = 64;

/// Why an artifact could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The node has no such bucket, or no object store at all.
    #[error("the node offers no object store {CACHE_BUCKET}")]
    NoStore,
    /// The object is not there.
    #[error("the node's object store does not hold it: {0}")]
    NotThere(String),
    /// An answer cannot be read.
    #[error("the node's object store answers what nobody understands")]
    Answer,
    /// It is not as large as the deploy request says.
    #[error("it has {found} bytes instead of {expected}")]
    Size {
        /// What the store says or has sent.
        found: u64,
        /// What the deploy request says.
        expected: u64,
    },
    /// It is something else than was signed for.
    #[error("its digest is {found} instead of {expected}")]
    Digest {
        /// Of what was received.
        found: Digest,
        /// Of what was announced.
        expected: Digest,
    },
    /// It cannot be written.
    #[error("it cannot be written to disk")]
    Write(#[source] io::Error),
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub subject: String,
    /// Whether the answer is wanted in the inbox for answers.
    pub wants_answer: bool,
    /// The body.
    pub payload: Vec<u8>,
}

/// What came of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Nothing to be done but to wait for the next one.
    Waiting,
    /// This has to be sent.
    Send(Outgoing),
    /// The whole artifact is written and verified.
    Complete,
}

#[derive(Debug)]
enum Stage {
    Description,
    /// The number of bytes that are to come, and their digest as the store describes it.
    Chunks {
        left: u64,
        digest: Digest,
    },
}

/// An artifact on its way from the node's object store into a file.
#[derive(Debug)]
pub struct Fetch<W> {
    stage: Stage,
    file: W,
    hash: Sha256,
    size: u64,
    announced: Option<Digest>,
    chunk_inbox: String,
}

#[derive(Deserialize)]
struct MessageAnswer {
    message: Option<StoredMessage>,
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct StoredMessage {
    data: String,
}

#[derive(Deserialize)]
struct ApiError {
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
struct ConsumerAnswer {
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct Description {
    nuid: String,
    size: u64,
    digest: String,
    #[serde(default)]
    deleted: bool,
}

impl<W: Write> Fetch<W> {
    /// Begins to read the object `name`, of `size` bytes, into `file`; the message is the first to
    /// be sent. Chunks will be pushed to `chunk_inbox`, which has to be subscribed to.
    #[must_use]
    pub fn begin(
        name: &str,
        size: u64,
        announced: Option<Digest>,
        file: W,
        chunk_inbox: String,
    ) -> (Self, Outgoing) {
        let subject = format!("$O.{CACHE_BUCKET}.M.{}", BASE64URL.encode(name.as_bytes()));
        let first = Outgoing {
            subject: format!("$JS.API.STREAM.MSG.GET.OBJ_{CACHE_BUCKET}"),
            wants_answer: true,
            payload: serde_json::json!({ "last_by_subj": subject }).to_string().into_bytes(),
        };
        let hash = Sha256::new();
        (Self { stage: Stage::Description, file, hash, size, announced, chunk_inbox }, first)
    }

    /// Takes an answer to a message that was sent.
    ///
    /// # Errors
    /// [`CacheError`]; the artifact cannot be had.
    pub fn on_answer(&mut self, message: &Delivery) -> Result<Progress, CacheError> {
        if message.headers.as_ref().is_some_and(|headers| headers.status().is_some()) {
            return Err(CacheError::NoStore);
        }
        match self.stage {
            Stage::Description => self.on_description(&message.payload),
            Stage::Chunks { .. } => {
                let answer: ConsumerAnswer =
                    serde_json::from_slice(&message.payload).map_err(|_| CacheError::Answer)?;
                match answer.error {
                    Some(error) => Err(CacheError::NotThere(error.description)),
                    None => Ok(Progress::Waiting),
                }
            }
        }
    }

    fn on_description(&mut self, payload: &[u8]) -> Result<Progress, CacheError> {
        let answer: MessageAnswer =
            serde_json::from_slice(payload).map_err(|_| CacheError::Answer)?;
        if let Some(error) = answer.error {
            return Err(CacheError::NotThere(error.description));
        }
        let message = answer.message.ok_or(CacheError::Answer)?;
        let text = BASE64.decode(message.data.as_bytes()).map_err(|_| CacheError::Answer)?;
        let object: Description = serde_json::from_slice(&text).map_err(|_| CacheError::Answer)?;
        if object.deleted {
            return Err(CacheError::NotThere("it was deleted".to_owned()));
        }
        if object.size != self.size {
            return Err(CacheError::Size { found: object.size, expected: self.size });
        }
        let is_nuid = (1..=MAX_NUID).contains(&object.nuid.len())
            && object.nuid.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_nuid {
            return Err(CacheError::Answer);
        }
        let digest = object.digest.parse().map_err(|_| CacheError::Answer)?;
        self.stage = Stage::Chunks { left: self.size, digest };
        let request = serde_json::json!({
            "stream_name": format!("OBJ_{CACHE_BUCKET}"),
            "config": {
                "deliver_subject": self.chunk_inbox,
                "filter_subject": format!("$O.{CACHE_BUCKET}.C.{}", object.nuid),
                "deliver_policy": "all",
                "replay_policy": "instant",
                "ack_policy": "none",
                "max_deliver": 1,
                "mem_storage": true,
                "num_replicas": 1,
                "flow_control": true,
                "idle_heartbeat": 5_000_000_000_u64,
            },
        });
        Ok(Progress::Send(Outgoing {
            subject: format!("$JS.API.CONSUMER.CREATE.OBJ_{CACHE_BUCKET}"),
            wants_answer: true,
            payload: request.to_string().into_bytes(),
        }))
    }

    /// Takes a message of the consumer.
    ///
    /// # Errors
    /// [`CacheError`]; the artifact cannot be had.
    pub fn on_chunk(&mut self, message: &Delivery) -> Result<Progress, CacheError> {
        let Stage::Chunks { left, digest } = &mut self.stage else {
            return Err(CacheError::Answer);
        };
        let status = message.headers.as_ref().and_then(|headers| headers.status());
        if status.is_some_and(|status| status.code == CONTROL) {
            return Ok(flow_control(message));
        }
        let length = message.payload.len() as u64;
        let Some(rest) = left.checked_sub(length) else {
            let found = (self.size - *left).saturating_add(length);
            return Err(CacheError::Size { found, expected: self.size });
        };
        *left = rest;
        self.hash.update(&message.payload);
        self.file.write_all(&message.payload).map_err(CacheError::Write)?;
        if rest > 0 {
            return Ok(Progress::Waiting);
        }
        let expected = *digest;
        self.file.flush().map_err(CacheError::Write)?;
        let found = Digest::from_bytes(std::mem::take(&mut self.hash).finalize().into());
        for expected in [Some(expected), self.announced].into_iter().flatten() {
            if found != expected {
                return Err(CacheError::Digest { found, expected });
            }
        }
        Ok(Progress::Complete)
    }
}

/// The store asks whether its messages arrive before it sends more.
fn flow_control(message: &Delivery) -> Progress {
    let asked = message.reply.as_ref().map(ToString::to_string);
    let stalled = || message.headers.as_ref()?.get(STALLED).map(str::to_owned);
    match asked.or_else(stalled) {
        Some(subject) => {
            Progress::Send(Outgoing { subject, wants_answer: false, payload: Vec::new() })
        }
        None => Progress::Waiting,
    }
}

#[cfg(test)]
mod tests {
    use nex_protocol::nats::{HeaderMap, Text};
    use serde_json::{Value, json};

    use super::*;

    fn delivery(payload: impl Into<Vec<u8>>) -> Delivery {
        Delivery {
            subject: Text::from("x"),
            sid: Text::from("1"),
            reply: None,
            headers: None,
            payload: payload.into().into(),
        }
    }

    fn description(change: impl FnOnce(&mut Value)) -> Delivery {
        let digest = Digest::of(b"hello world").to_nats_text();
        let mut object = json!({"name": "echo", "nuid": "abc", "size": 11, "digest": digest});
        change(&mut object);
        let data = BASE64.encode(object.to_string().as_bytes());
        delivery(json!({"message": {"subject": "s", "seq": 2, "data": data}}).to_string())
    }

    fn fetch(announced: Option<Digest>) -> Fetch<Vec<u8>> {
        Fetch::begin("echo", 11, announced, Vec::new(), "_INBOX.chunks".to_owned()).0
    }

    #[test]
    fn an_object_comes_in_chunks() {
        let (mut fetch, first) =
            Fetch::begin("echo", 11, Some(Digest::of(b"hello world")), Vec::new(), "i".to_owned());
        assert_eq!(first.subject, "$JS.API.STREAM.MSG.GET.OBJ_NEXCACHE");
        let body: Value = serde_json::from_slice(&first.payload).unwrap();
        assert_eq!(body["last_by_subj"], "$O.NEXCACHE.M.ZWNobw==");
        let Progress::Send(create) = fetch.on_answer(&description(|_| {})).unwrap() else {
            panic!("a consumer is to be made");
        };
        assert_eq!(create.subject, "$JS.API.CONSUMER.CREATE.OBJ_NEXCACHE");
        let body: Value = serde_json::from_slice(&create.payload).unwrap();
        assert_eq!(body["config"]["filter_subject"], "$O.NEXCACHE.C.abc");
        assert_eq!(fetch.on_answer(&delivery("{}")).unwrap(), Progress::Waiting);
        assert_eq!(fetch.on_chunk(&delivery("hello ")).unwrap(), Progress::Waiting);
        assert_eq!(fetch.on_chunk(&delivery("world")).unwrap(), Progress::Complete);
        assert_eq!(fetch.file, b"hello world");
    }

    #[test]
    fn flow_control_is_answered() {
        let mut fetch = fetch(None);
        let _ = fetch.on_answer(&description(|_| {})).unwrap();
        let mut control = delivery("");
        control.headers = Some(HeaderMap::with_status(100, "FlowControl Request").unwrap());
        control.reply = Some(Text::from("$JS.FC.x"));
        let Progress::Send(answer) = fetch.on_chunk(&control).unwrap() else { panic!() };
        assert_eq!((answer.subject.as_str(), answer.wants_answer), ("$JS.FC.x", false));
        control.reply = None;
        assert_eq!(fetch.on_chunk(&control).unwrap(), Progress::Waiting);
        let mut stalled = HeaderMap::with_status(100, "Idle Heartbeat").unwrap();
        stalled.append(STALLED, "$JS.FC.y").unwrap();
        control.headers = Some(stalled);
        assert!(matches!(fetch.on_chunk(&control).unwrap(), Progress::Send(_)));
    }

    #[test]
    fn each_lie_is_found() {
        let said = |message: Delivery| fetch(None).on_answer(&message).unwrap_err().to_string();
        assert!(said(description(|it| it["size"] = json!(12))).contains("12 bytes instead of 11"));
        assert!(said(description(|it| it["deleted"] = json!(true))).contains("deleted"));
        assert!(said(description(|it| it["nuid"] = json!("a.>"))).contains("nobody understands"));
        assert!(said(description(|it| it["digest"] = json!("md5"))).contains("nobody understands"));
        let error = json!({"error": {"code": 404, "description": "no message found"}});
        assert!(said(delivery(error.to_string())).contains("no message found"));
        for garbage in ["", "null", "[]", "{\"message\":{\"data\":\"%\"}}"] {
            let _ = said(delivery(garbage));
        }
        let mut nobody = delivery("");
        nobody.headers = Some(HeaderMap::with_status(503, "").unwrap());
        assert!(said(nobody).contains("no object store"));

        let mut late = fetch(None);
        assert!(late.on_chunk(&delivery("early")).is_err());
        let _ = late.on_answer(&description(|_| {})).unwrap();
        assert!(late.on_chunk(&delivery("much too long")).unwrap_err().to_string().contains("13"));
        let mut other = fetch(None);
        let _ = other.on_answer(&description(|_| {})).unwrap();
        let wrong = other.on_chunk(&delivery("hello wOrld")).unwrap_err();
        assert!(matches!(wrong, CacheError::Digest { .. }));
        let mut signed = fetch(Some(Digest::of(b"something else")));
        let _ = signed.on_answer(&description(|_| {})).unwrap();
        let wrong = signed.on_chunk(&delivery("hello world")).unwrap_err();
        assert!(matches!(wrong, CacheError::Digest { .. }));
    }
}
