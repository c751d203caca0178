//! A message of the node that calls the function, decoded.

use std::time::Duration;

use nex_protocol::agent::header;
use nex_protocol::nats::{Delivery, HeaderMap, Text};
use tokio::time::Instant;

use crate::provider::function::Call;

/// A call, and where its answer goes.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// For the function.
    pub call: Call,
    /// Absent when the node wants no answer.
    pub reply: Option<Text>,
}

/// Why a message is no call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TriggerError {
    /// It does not say what triggered it.
    #[error("the call does not say what its subject is ({})", header::TRIGGER_SUBJECT)]
    NoSubject,
}

impl Trigger {
    /// Reads a message. A call has the time that the node says is left of it, but never more
    /// than `timeout`.
    ///
    /// # Errors
    /// [`TriggerError`].
    pub fn decode(
        message: &Delivery,
        timeout: Duration,
        now: Instant,
    ) -> Result<Self, TriggerError> {
        let empty = HeaderMap::new();
        let all = message.headers.as_ref().unwrap_or(&empty);
        let subject = all.get_any_case(header::TRIGGER_SUBJECT).ok_or(TriggerError::NoSubject)?;
        let left = all
            .get_any_case(header::TIME_LEFT)
            .and_then(|text| text.parse().ok())
            .map_or(timeout, Duration::from_millis);
        let mut headers = HeaderMap::new();
        for (name, value) in all.iter().filter(|(name, _)| !is_ours(name)) {
            // There are no more of them than there were, and each was read once.
            let _ = headers.append(name, value);
        }
        let call = Call {
            subject: subject.to_owned(),
            reply: all.get_any_case(header::REPLY_SUBJECT).map(str::to_owned),
            headers,
            payload: message.payload.clone(),
            deadline: now + left.min(timeout),
        };
        Ok(Self { call, reply: message.reply.clone() })
    }
}

/// Whether a header belongs to node and agent, and not to the caller.
fn is_ours(name: &str) -> bool {
    let prefix = header::RESERVED_PREFIX;
    name.as_bytes()
        .get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(headers: &[(&str, &str)]) -> Delivery {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value).unwrap();
        }
        Delivery {
            subject: Text::from("agentint.x.trigger"),
            sid: Text::from("6"),
            reply: Some(Text::from("_INBOX.nex.1")),
            headers: Some(map),
            payload: Bytes::from_static(b"body"),
        }
    }

    const LIMIT: Duration = Duration::from_secs(5);

    #[test]
    fn the_function_sees_the_callers_headers_only() {
        let message = message(&[
            ("x-nex-trigger-subject", "orders.new"),
            ("X-Nex-Reply-Subject", "_INBOX.caller"),
            ("Traceparent", "00-a-b-01"),
            ("x-nexus", "not ours"),
            ("X-NEX-anything", "ours"),
            ("tag", "a"),
            ("tag", "b"),
        ]);
        let trigger = Trigger::decode(&message, LIMIT, Instant::now()).unwrap();
        let headers: Vec<_> = trigger.call.headers.iter().collect();
        assert_eq!(
            headers,
            [("Traceparent", "00-a-b-01"), ("x-nexus", "not ours"), ("tag", "a"), ("tag", "b")]
        );
        assert_eq!(trigger.call.subject, "orders.new");
        assert_eq!(trigger.call.reply.as_deref(), Some("_INBOX.caller"));
        assert_eq!(trigger.reply.unwrap(), "_INBOX.nex.1");
        assert_eq!(trigger.call.payload, "body");
    }

    #[test]
    fn the_deadline_is_the_nodes_and_never_later_than_the_limit() {
        let now = Instant::now();
        for (text, expected) in [
            ("250", Duration::from_millis(250)),
            ("0", Duration::ZERO),
            ("6000", LIMIT),
            ("18446744073709551615", LIMIT),
            ("-1", LIMIT),
            ("soon", LIMIT),
        ] {
            let message = message(&[("x-nex-trigger-subject", "a"), ("x-nex-time-left-ms", text)]);
            let trigger = Trigger::decode(&message, LIMIT, now).unwrap();
            assert_eq!(trigger.call.deadline, now + expected, "{text}");
        }
    }

    #[test]
    fn a_message_without_subject_is_no_call() {
        let refused = Trigger::decode(&message(&[]), LIMIT, Instant::now()).unwrap_err();
        assert!(refused.to_string().contains("x-nex-trigger-subject"));
    }
}
