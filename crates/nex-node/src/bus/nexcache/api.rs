//! The requests of the JetStream API that reading an object takes.
//!
//! Source: <https://docs.nats.io/reference/reference-protocols/nats_api_reference> and what nats.go
//! 1.31 and async-nats 0.51 send.

use nex_protocol::nats::HeaderMap;
use nex_protocol::subject::SubjectPattern;
use serde::Deserialize;
use serde_json::{Value, json};

use super::bucket::STREAM;

const API_PREFIX: &str = "$JS.API.";
/// Largest body of a request: read into memory several times its size.
const MAX_BODY: usize = 16 * 1024;
/// Longest name of a consumer; nats-server's limit is 255.
const MAX_CONSUMER_NAME: usize = 255;

/// A request, understood.
#[derive(Debug, PartialEq)]
pub(super) enum ApiCall {
    /// Is there a JetStream?
    AccountInfo,
    /// Which streams hold this subject?
    StreamNames {
        /// The subject, or all streams.
        subject: Option<SubjectPattern>,
    },
    /// Describe the bucket.
    StreamInfo,
    /// Something of another stream than ours.
    OtherStream {
        /// Type of the answer.
        kind: Option<&'static str>,
    },
    /// One stored message, as JSON.
    MessageGet(Wanted),
    /// One stored message, as it is.
    DirectGet(Wanted),
    /// Begin a delivery.
    ConsumerCreate(Box<ConsumerRequest>),
    /// Describe a delivery.
    ConsumerInfo {
        /// Name of the consumer.
        name: String,
    },
    /// End a delivery.
    ConsumerDelete {
        /// Name of the consumer.
        name: String,
    },
    /// One of these with a body that cannot be read.
    Malformed {
        /// Type of the answer.
        kind: Option<&'static str>,
    },
}

/// Which stored message is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The last one on a subject that matches.
    LastBySubject(SubjectPattern),
    /// The one of this number.
    Sequence(u64),
}

/// A consumer to be made.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ConsumerRequest {
    /// Its name; we find one if it has none.
    pub(super) name: Option<String>,
    /// What we use of its configuration.
    pub(super) config: ConsumerConfig,
    /// The whole configuration, repeated in answers.
    pub(super) raw: Value,
}

/// What we use of a consumer's configuration.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub(super) struct ConsumerConfig {
    pub(super) name: Option<String>,
    pub(super) durable_name: Option<String>,
    pub(super) deliver_subject: Option<String>,
    pub(super) deliver_policy: Option<String>,
    pub(super) opt_start_seq: Option<u64>,
    pub(super) filter_subject: Option<String>,
    pub(super) flow_control: bool,
    /// Nanoseconds.
    pub(super) idle_heartbeat: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct GetBody {
    last_by_subj: Option<String>,
    seq: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NamesBody {
    subject: Option<String>,
}

impl ApiCall {
    /// Understands a request, or `None` if it is not one of ours.
    pub(super) fn parse(subject: &str, body: &[u8]) -> Option<Self> {
        let call = subject.strip_prefix(API_PREFIX)?;
        // Too long a body is one that cannot be read.
        let body = if body.len() > MAX_BODY { b"?" } else { body };
        if call == "INFO" {
            return Some(Self::AccountInfo);
        }
        if call == "STREAM.NAMES" {
            return Some(match read::<NamesBody>(body) {
                Some(NamesBody { subject: None }) => Self::StreamNames { subject: None },
                Some(NamesBody { subject: Some(subject) }) => match subject.parse() {
                    Ok(subject) => Self::StreamNames { subject: Some(subject) },
                    Err(_) => Self::Malformed { kind: Some(kind::STREAM_NAMES) },
                },
                None => Self::Malformed { kind: Some(kind::STREAM_NAMES) },
            });
        }
        let of = |verb: &str| call.strip_prefix(verb).map(split_stream);
        if let Some((stream, rest)) = of("STREAM.INFO.") {
            let kind = Some(kind::STREAM_INFO);
            return (rest.is_none()).then(|| ours(stream, kind, || Some(Self::StreamInfo)));
        }
        if let Some((stream, rest)) = of("STREAM.MSG.GET.") {
            let kind = Some(kind::MESSAGE_GET);
            return (rest.is_none())
                .then(|| ours(stream, kind, || wanted(body).map(Self::MessageGet)));
        }
        if let Some((stream, rest)) = of("DIRECT.GET.") {
            return Some(ours(stream, None, || match rest {
                Some(subject) => {
                    subject.parse().ok().map(|it| Self::DirectGet(Wanted::LastBySubject(it)))
                }
                None => wanted(body).map(Self::DirectGet),
            }));
        }
        if let Some((stream, rest)) = of("CONSUMER.CREATE.") {
            let name = rest.map(|rest| rest.split('.').next().unwrap_or_default());
            return Some(ours(stream, Some(kind::CONSUMER_CREATE), || {
                consumer(name, body).map(|request| Self::ConsumerCreate(Box::new(request)))
            }));
        }
        if let Some((stream, Some(name))) = of("CONSUMER.INFO.") {
            let info = || Some(Self::ConsumerInfo { name: name.to_owned() });
            return Some(ours(stream, Some(kind::CONSUMER_INFO), info));
        }
        if let Some((stream, Some(name))) = of("CONSUMER.DELETE.") {
            let delete = || Some(Self::ConsumerDelete { name: name.to_owned() });
            return Some(ours(stream, Some(kind::CONSUMER_DELETE), delete));
        }
        None
    }

    /// The `type` of the answer; `None` for requests that are answered with a bare message.
    pub(super) fn response_type(&self) -> Option<&'static str> {
        match self {
            Self::AccountInfo => Some(kind::ACCOUNT_INFO),
            Self::StreamNames { .. } => Some(kind::STREAM_NAMES),
            Self::StreamInfo => Some(kind::STREAM_INFO),
            Self::OtherStream { kind } | Self::Malformed { kind } => *kind,
            Self::MessageGet(_) => Some(kind::MESSAGE_GET),
            Self::DirectGet(_) => None,
            Self::ConsumerCreate(_) => Some(kind::CONSUMER_CREATE),
            Self::ConsumerInfo { .. } => Some(kind::CONSUMER_INFO),
            Self::ConsumerDelete { .. } => Some(kind::CONSUMER_DELETE),
        }
    }
}

/// Types of answers.
mod kind {
    pub(super) const ACCOUNT_INFO: &str = "io.nats.jetstream.api.v1.account_info_response";
    pub(super) const STREAM_NAMES: &str = "io.nats.jetstream.api.v1.stream_names_response";
    pub(super) const STREAM_INFO: &str = "io.nats.jetstream.api.v1.stream_info_response";
    pub(super) const MESSAGE_GET: &str = "io.nats.jetstream.api.v1.stream_msg_get_response";
    pub(super) const CONSUMER_CREATE: &str = "io.nats.jetstream.api.v1.consumer_create_response";
    pub(super) const CONSUMER_INFO: &str = "io.nats.jetstream.api.v1.consumer_info_response";
    pub(super) const CONSUMER_DELETE: &str = "io.nats.jetstream.api.v1.consumer_delete_response";
}

fn split_stream(rest: &str) -> (&str, Option<&str>) {
    match rest.split_once('.') {
        Some((stream, rest)) => (stream, Some(rest)),
        None => (rest, None),
    }
}

fn ours(
    stream: &str,
    kind: Option<&'static str>,
    call: impl FnOnce() -> Option<ApiCall>,
) -> ApiCall {
    if stream == STREAM {
        call().unwrap_or(ApiCall::Malformed { kind })
    } else {
        ApiCall::OtherStream { kind }
    }
}

/// An empty body means no options.
fn read<'a, T: Deserialize<'a> + Default>(body: &'a [u8]) -> Option<T> {
    if body.trim_ascii().is_empty() {
        return Some(T::default());
    }
    serde_json::from_slice(body).ok()
}

fn wanted(body: &[u8]) -> Option<Wanted> {
    match read::<GetBody>(body)? {
        GetBody { last_by_subj: Some(subject), .. } => {
            subject.parse().ok().map(Wanted::LastBySubject)
        }
        GetBody { last_by_subj: None, seq: Some(sequence) } => Some(Wanted::Sequence(sequence)),
        GetBody { last_by_subj: None, seq: None } => None,
    }
}

fn consumer(name: Option<&str>, body: &[u8]) -> Option<ConsumerRequest> {
    #[derive(Deserialize)]
    struct Body {
        config: Value,
    }
    let raw = serde_json::from_slice::<Body>(body).ok()?.config;
    let config = ConsumerConfig::deserialize(&raw).ok()?;
    let named = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let name = name
        .and_then(named)
        .or_else(|| config.name.as_deref().and_then(named))
        .or_else(|| config.durable_name.as_deref().and_then(named));
    let is_name = |name: &String| {
        name.len() <= MAX_CONSUMER_NAME
            && name.bytes().all(|byte| byte.is_ascii_graphic() && !b".*>/\\".contains(&byte))
    };
    (raw.is_object() && name.as_ref().is_none_or(is_name)).then_some(ConsumerRequest {
        name,
        config,
        raw,
    })
}

/// Answers to "is there a JetStream": there is, and nothing can be put into it.
pub(super) fn account_info() -> Value {
    json!({
        "memory": 0, "storage": 0, "streams": 1, "consumers": 0,
        "limits": {
            "max_memory": 0, "max_storage": 0, "max_streams": 1, "max_consumers": -1,
            "max_ack_pending": -1, "memory_max_stream_bytes": -1, "storage_max_stream_bytes": -1,
            "max_bytes_required": false,
        },
        "api": { "total": 0, "errors": 0 },
    })
}

/// Why a request is refused. Numbers and texts are nats-server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApiError {
    BadRequest,
    StreamNotFound,
    NoMessage,
    ConsumerNotFound,
    ConsumerExists,
    TooManyConsumers,
    PushOnly,
}

impl ApiError {
    fn parts(self) -> (u16, u16, &'static str) {
        match self {
            Self::BadRequest => (400, 10003, "bad request"),
            Self::StreamNotFound => (404, 10059, "stream not found"),
            Self::NoMessage => (404, 10037, "no message found"),
            Self::ConsumerNotFound => (404, 10014, "consumer not found"),
            Self::ConsumerExists => (400, 10148, "consumer already exists"),
            Self::TooManyConsumers => (400, 10026, "maximum consumers limit reached"),
            Self::PushOnly => (400, 10003, "NEXCACHE serves push consumers with a valid filter"),
        }
    }

    pub(super) fn to_json(self, kind: &str) -> Value {
        let (code, err_code, description) = self.parts();
        json!({
            "type": kind,
            "error": { "code": code, "err_code": err_code, "description": description },
        })
    }

    pub(super) fn to_status(self) -> Option<HeaderMap> {
        let (code, _, description) = match self {
            // What direct requests say instead.
            Self::NoMessage => (404, 0, "Message Not Found"),
            other => other.parts(),
        };
        HeaderMap::with_status(code, description).ok()
    }
}
