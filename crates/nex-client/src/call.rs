//! Calling a function: one message to a subject it is triggered on, one reply.
//!
//! A reply is raw, without an envelope. A call that failed is answered too, with
//! the headers of NATS micro (ADR-32): so any service of that kind can be called
//! here, whoever runs it.

use std::time::{Duration, Instant};

use async_nats::{Request, RequestErrorKind};
use bytes::Bytes;
use nex_protocol::agent::CallFailure;
use nex_protocol::subject::Subject;
use thiserror::Error;

pub use async_nats::HeaderMap;
pub use nex_protocol::micro::{ERROR_CODE_HEADER, ERROR_HEADER};

use crate::client::Client;

/// How long to wait for a reply unless there is a reason for another time: longer
/// than a node lets a function run unless told otherwise (5 s), so that what the
/// node says about one that took too long still arrives.
pub const DEFAULT_CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// What a function answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reply {
    /// The body; empty when the function returned nothing.
    pub payload: Bytes,
    /// The headers, if any.
    pub headers: HeaderMap,
    /// How long it took, from before the message was sent.
    pub elapsed: Duration,
}

/// What a function, or the node in its place, said instead of a reply.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServiceError {
    /// The number in [`ERROR_CODE_HEADER`], if it is one.
    pub code: Option<u16>,
    /// The text of [`ERROR_HEADER`]. May be empty.
    pub text: String,
    /// All headers of the answer.
    pub headers: HeaderMap,
    /// How long it took, from before the message was sent.
    pub elapsed: Duration,
}

impl ServiceError {
    /// What kind of failure it is, where the number is one that Nex uses.
    #[must_use]
    pub fn kind(&self) -> Option<CallFailure> {
        self.code?.to_string().parse().ok()
    }

    /// Reads the headers of an answer; `None` where they tell of no failure.
    fn of(headers: &HeaderMap, elapsed: Duration) -> Option<Self> {
        let code = headers.get(ERROR_CODE_HEADER);
        let text = headers.get(ERROR_HEADER);
        if code.is_none() && text.is_none() {
            return None;
        }
        Some(Self {
            code: code.and_then(|code| code.as_str().trim().parse().ok()),
            text: text.map(|text| text.as_str().trim().to_owned()).unwrap_or_default(),
            headers: headers.clone(),
            elapsed,
        })
    }
}

/// Why a call brought no reply.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CallError {
    /// Nothing is triggered by that subject.
    #[error(
        "nobody listens on {subject}: check the subject, or deploy the function; `nex ps` lists what runs"
    )]
    NoResponders {
        /// The subject.
        subject: Subject,
    },
    /// The function failed, or was refused its run.
    #[error("{}", failed(.subject, .error))]
    Failed {
        /// The subject.
        subject: Subject,
        /// What was said about it.
        error: Box<ServiceError>,
    },
    /// Somebody listens and did not answer. The function may have run.
    #[error("no answer on {subject} within {} s: give it more time with --timeout", timeout.as_secs_f32())]
    Timeout {
        /// The subject.
        subject: Subject,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// The message is larger than the NATS server lets through.
    #[error(
        "the message to {subject} is too large for the NATS server, which lets {limit} bytes through: send less, or raise its max_payload"
    )]
    TooLarge {
        /// The subject.
        subject: Subject,
        /// The server's limit in bytes, headers included.
        limit: usize,
    },
    /// The connection to NATS failed.
    #[error("the message to {subject} could not be sent: check the connection to NATS")]
    Connection {
        /// The subject.
        subject: Subject,
        /// What the library said.
        #[source]
        source: async_nats::RequestError,
    },
}

fn failed(subject: &Subject, error: &ServiceError) -> String {
    let code = error.code.map(|code| format!(" ({code})")).unwrap_or_default();
    let text = if error.text.is_empty() { "nothing was said about why" } else { &error.text };
    format!("{subject} failed{code}: {text}")
}

impl Client {
    /// Calls whatever is triggered by a subject, and waits for its reply.
    ///
    /// The reply comes from one function: replicas share their subjects. Where
    /// several functions listen on a subject, all of them run and the first
    /// reply counts.
    ///
    /// ```no_run
    /// # async fn run(client: nex_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use nex_client::call::{CallError, DEFAULT_CALL_TIMEOUT, HeaderMap};
    /// use nex_client::protocol::agent::CallFailure;
    ///
    /// let mut headers = HeaderMap::new();
    /// headers.insert("Accept-Language", "en");
    /// let subject = "greetings.new".parse()?;
    /// match client.call(&subject, "Ada", headers, DEFAULT_CALL_TIMEOUT).await {
    ///     Ok(reply) => println!("{} in {:?}", reply.payload.escape_ascii(), reply.elapsed),
    ///     Err(CallError::Failed { error, .. }) if error.kind() == Some(CallFailure::Busy) => {
    ///         println!("busy: nothing ran, so it is safe to call again")
    ///     }
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`CallError`]; [`CallError::Failed`] is what the function or its node said.
    pub async fn call(
        &self,
        subject: &Subject,
        payload: impl Into<Bytes>,
        headers: HeaderMap,
        timeout: Duration,
    ) -> Result<Reply, CallError> {
        let mut request = Request::new().payload(payload.into()).timeout(Some(timeout));
        if !headers.is_empty() {
            request = request.headers(headers);
        }
        let sent = Instant::now();
        let answer = self.nats().send_request(subject.to_string(), request).await;
        let elapsed = sent.elapsed();
        let subject = || subject.clone();
        match answer {
            Ok(message) => {
                let headers = message.headers.unwrap_or_default();
                match ServiceError::of(&headers, elapsed) {
                    None => Ok(Reply { payload: message.payload, headers, elapsed }),
                    Some(error) => {
                        Err(CallError::Failed { subject: subject(), error: Box::new(error) })
                    }
                }
            }
            Err(source) => Err(match source.kind() {
                RequestErrorKind::NoResponders => CallError::NoResponders { subject: subject() },
                RequestErrorKind::TimedOut => CallError::Timeout { subject: subject(), timeout },
                RequestErrorKind::MaxPayloadExceeded => CallError::TooLarge {
                    subject: subject(),
                    limit: self.nats().server_info().max_payload,
                },
                RequestErrorKind::InvalidSubject | RequestErrorKind::Other => {
                    CallError::Connection { subject: subject(), source }
                }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: Option<&str>, text: Option<&str>) -> Option<ServiceError> {
        let mut headers = HeaderMap::new();
        for (name, value) in [(ERROR_CODE_HEADER, code), (ERROR_HEADER, text)] {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
        ServiceError::of(&headers, Duration::ZERO)
    }

    #[test]
    fn failures_are_told_from_replies() {
        assert!(error(None, None).is_none());
        let busy = error(Some("429"), Some("all places are taken")).unwrap();
        assert_eq!(busy.kind(), Some(CallFailure::Busy));
        assert_eq!(error(Some("418"), None).unwrap().kind(), None);
        for (code, text, shown) in [
            (Some("500"), Some("it broke"), "a.b failed (500): it broke"),
            (Some("500"), None, "a.b failed (500): nothing was said about why"),
            (Some("E-17"), Some("odd"), "a.b failed: odd"),
            (None, Some("no number"), "a.b failed: no number"),
            (Some("99999"), Some(""), "a.b failed: nothing was said about why"),
        ] {
            let error = Box::new(error(code, text).unwrap());
            let error = CallError::Failed { subject: "a.b".parse().unwrap(), error };
            assert_eq!(error.to_string(), shown);
        }
    }
}
