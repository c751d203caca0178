//! How a call ended, and where an agent says so.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use nex_protocol::agent::{CallFailure, header};

use crate::bus::{LinkError, Reply};

/// Longest text of a failure, in bytes: it travels in a header, an event and a log line.
const MAX_TEXT: usize = 2048;

/// What a caller is told whose function has no sandbox.
pub(super) const GONE: Failure = Failure::new(
    CallFailure::Unavailable,
    "the function's sandbox is gone; it is started again, call again in a moment",
);

/// What a caller is told when everything is full.
pub(super) const BUSY: Failure = Failure::new(
    CallFailure::Busy,
    "the function has as many calls under way as it may, and as many waiting; call again later",
);

/// What a caller is told whose time is over.
pub(super) const LATE: Failure =
    Failure::new(CallFailure::Timeout, "the function did not answer within its time");

/// What a caller is told whose function goes away.
pub(super) const STOPPED: Failure =
    Failure::new(CallFailure::Unavailable, "the function is being stopped");

/// A call that was answered.
#[derive(Debug)]
pub(super) struct Success {
    /// What the function answered.
    pub(super) payload: Bytes,
    /// How long it ran.
    pub(super) elapsed: Duration,
}

/// A call that was not: the kind, and a text of one line for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// What kind of failure.
    pub(super) kind: CallFailure,
    /// What happened.
    pub(super) text: Cow<'static, str>,
}

impl Failure {
    /// A failure that is always told in the same words.
    pub(super) const fn new(kind: CallFailure, text: &'static str) -> Self {
        Self { kind, text: Cow::Borrowed(text) }
    }

    /// A failure told in words from elsewhere; they are made one line that is not too long.
    pub(super) fn told(kind: CallFailure, text: &str) -> Self {
        Self { kind, text: Cow::Owned(one_line(text)) }
    }

    /// What the caller is told when its agent could not be asked or did not answer.
    pub(super) fn of_link(error: &LinkError) -> Self {
        match error {
            LinkError::NoResponders | LinkError::Disconnected => GONE,
            LinkError::Timeout(_) => LATE,
            LinkError::TooLarge { .. }
            | LinkError::HeadersTooLarge { .. }
            | LinkError::Unsendable(_) => Self::told(CallFailure::Unacceptable, &error.to_string()),
            LinkError::Busy { .. } | LinkError::Backlog { .. } => Self::new(
                CallFailure::Busy,
                "the function's sandbox has too much to read already; call again later",
            ),
        }
    }
}

/// Reads the answer of an agent. `took` is how long it was waited for: what it says about the run
/// time counts only within that.
pub(super) fn read(reply: Reply, took: Duration) -> Result<Success, Failure> {
    let Some(headers) = &reply.headers else {
        return Ok(Success { payload: reply.payload, elapsed: took });
    };
    if let Some(text) = headers.get(header::ERROR) {
        let code = headers.get(header::ERROR_CODE).and_then(|code| code.parse().ok());
        return Err(Failure::told(code.unwrap_or(CallFailure::Failed), text));
    }
    let ran = headers.get(header::RUNTIME_NANOSECONDS).and_then(|nanos| nanos.parse().ok());
    let elapsed = ran.map_or(took, Duration::from_nanos).min(took);
    Ok(Success { payload: reply.payload, elapsed })
}

fn one_line(text: &str) -> String {
    let end =
        text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= MAX_TEXT);
    let text = text.get(..end.last().unwrap_or(0)).unwrap_or_default();
    let words = text.split(|c: char| c.is_control()).filter(|part| !part.trim().is_empty());
    words.map(str::trim).collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use nex_protocol::nats::HeaderMap;

    use super::*;

    fn reply(headers: &[(&str, &str)]) -> Reply {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value).unwrap();
        }
        Reply { headers: Some(map), payload: Bytes::from_static(b"x") }
    }

    #[test]
    fn an_agent_cannot_have_run_longer_than_it_was_waited_for() {
        let took = Duration::from_millis(1);
        let elapsed = |nanos| read(reply(&[("x-nex-runtime-ns", nanos)]), took).unwrap().elapsed;
        assert_eq!(elapsed("1000"), Duration::from_micros(1));
        assert_eq!(elapsed("99999999999"), took);
        assert_eq!(elapsed("-1"), took);
        let bare = Reply { headers: None, payload: Bytes::new() };
        assert_eq!(read(bare, took).unwrap().elapsed, took);
    }

    #[test]
    fn an_error_is_a_failure_of_the_kind_it_names() {
        let took = Duration::ZERO;
        let failed = read(reply(&[("x-nex-error", "no"), ("x-nex-error-code", "507")]), took);
        assert_eq!(failed.unwrap_err(), Failure::new(CallFailure::OutOfMemory, "no"));
        let failed = read(reply(&[("x-nex-error", "no"), ("x-nex-error-code", "200")]), took);
        assert_eq!(failed.unwrap_err().kind, CallFailure::Failed);
    }

    #[test]
    fn a_text_becomes_one_line_of_bounded_length() {
        assert_eq!(one_line("a\n  at b\r\n\n\tat c"), "a | at b | at c");
        assert_eq!(one_line(""), "");
        let long = one_line(&"é".repeat(5000));
        assert_eq!(long.len(), MAX_TEXT);
    }
}
