//! Answers to callers.

use async_nats::{Client, HeaderMap, HeaderValue, PublishErrorKind, Subject};
use bytes::Bytes;
use nex_protocol::agent::CallFailure;
use nex_protocol::micro::{ERROR_CODE_HEADER, ERROR_HEADER};

use super::outcome::Failure;

/// Where acknowledgements of JetStream messages go: the one kind of system subject that a call may
/// be answered to.
const ACKNOWLEDGEMENTS: &str = "$JS.ACK.";

/// Where a call is to be answered. A caller names it and the node answers with its own rights: so
/// it must not be a subject of the system, such as the control API of nodes or of JetStream.
pub(super) fn address(reply: Option<Subject>) -> Option<Subject> {
    reply.filter(|reply| !reply.starts_with('$') || reply.starts_with(ACKNOWLEDGEMENTS))
}

/// Sends what a function answered, as it is.
///
/// # Errors
/// The answer is too large for NATS: the caller has to be told otherwise.
pub(super) async fn succeed(nats: &Client, to: Subject, payload: Bytes) -> Result<(), Failure> {
    match nats.publish(to, payload).await {
        Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => Err(Failure::new(
            CallFailure::OutputTooLarge,
            "the function answered with more than NATS carries",
        )),
        // The client is closed, or the caller's reply subject is none: nobody can be told.
        Err(error) => {
            tracing::debug!(%error, "an answer could not be sent");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Tells a caller that there is no answer, in the form of NATS micro.
pub(super) async fn fail(nats: &Client, to: Subject, failure: &Failure) {
    let mut headers = HeaderMap::new();
    headers.insert(ERROR_CODE_HEADER, HeaderValue::from(failure.kind.code()));
    headers.insert(ERROR_HEADER, failure.text.as_ref());
    if let Err(error) = nats.publish_with_headers(to, headers, Bytes::new()).await {
        tracing::debug!(%error, "a refusal could not be sent");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_not_answered_to_the_system() {
        let may = |subject: &str| address(Some(Subject::from(subject))).is_some();
        assert!(
            may("_INBOX.a.b")
                && may("_R_.x")
                && may("custom.inbox")
                && may("$JS.ACK.s.c.1.1.1.1.0")
        );
        assert!(!may("$NEX.LAMEDUCK.N") && !may("$JS.API.STREAM.DELETE.S") && !may("$SYS.REQ.x"));
    }
}
