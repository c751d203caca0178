//! The headers of a call, on its way from the caller to the agent.

use std::time::Duration;

use nex_protocol::agent::header;
use nex_protocol::nats::{HeaderError, HeaderMap};

use super::call::Call;

/// What the agent is told beside the payload: the concrete subject, the reply subject, the time
/// that is left if it is less than the agent expects, and the caller's own headers but for those
/// that belong to node and agent.
pub(super) fn of_call(call: &Call, time_left: Option<Duration>) -> Result<HeaderMap, HeaderError> {
    let mut headers = HeaderMap::new();
    headers.append(header::TRIGGER_SUBJECT, &call.subject)?;
    if let Some(reply) = &call.answer {
        headers.append(header::REPLY_SUBJECT, reply)?;
    }
    if let Some(left) = time_left {
        headers.append(header::TIME_LEFT, &left.as_millis().to_string())?;
    }
    for (name, values) in call.headers.iter().flat_map(async_nats::HeaderMap::iter) {
        let name: &str = name.as_ref();
        if is_reserved(name) {
            continue;
        }
        for value in values {
            headers.append(name, value.as_str())?;
        }
    }
    Ok(headers)
}

fn is_reserved(name: &str) -> bool {
    let prefix = name.get(..header::RESERVED_PREFIX.len());
    prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(header::RESERVED_PREFIX))
}

#[cfg(test)]
mod tests {
    use async_nats::Subject;

    use super::*;

    fn call(headers: &[(&str, &str)]) -> Call {
        let mut map = async_nats::HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, *value);
        }
        Call {
            trigger: 0,
            subject: Subject::from("orders.new"),
            answer: Some(Subject::from("_INBOX.1")),
            headers: Some(map),
            payload: bytes::Bytes::new(),
            arrived: tokio::time::Instant::now(),
        }
    }

    #[test]
    fn a_caller_cannot_speak_for_the_node() {
        let forged = call(&[
            ("X-Nex-Trigger-Subject", "forged"),
            ("x-nex-error", "forged"),
            ("traceparent", "00-1-2-01"),
            ("Accept", "a"),
            ("Accept", "b"),
        ]);
        let headers = of_call(&forged, Some(Duration::from_micros(2500))).unwrap();
        assert_eq!(headers.get_any_case("x-nex-trigger-subject"), Some("orders.new"));
        assert_eq!(headers.get("x-nex-reply-subject"), Some("_INBOX.1"));
        assert_eq!(headers.get("x-nex-time-left-ms"), Some("2"));
        assert_eq!(headers.get("traceparent"), Some("00-1-2-01"));
        assert_eq!(headers.get_all("Accept").collect::<Vec<_>>(), ["a", "b"]);
        assert!(headers.iter().all(|(_, value)| value != "forged"));
        assert_eq!(headers.len(), 6);
    }

    #[test]
    fn only_a_shortened_time_is_told() {
        let headers = of_call(&call(&[]), None).unwrap();
        assert_eq!(headers.get("x-nex-time-left-ms"), None);
    }
}
