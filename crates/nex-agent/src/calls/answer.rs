//! The answer to a call: one, on every path.

use std::time::Instant;

use nex_protocol::agent::{CallFailure, header};
use nex_protocol::nats::{HeaderMap, Text};

use crate::link::Outbox;
use crate::provider::function::{Answer, CallError};

/// Longest text of an error, in bytes.
const MAX_TEXT: usize = 1024;
/// What headers take of the largest message.
const HEADER_ROOM: usize = 512;

/// Answers one call; if it is dropped, that the call was broken off.
pub struct Responder {
    outbox: Outbox,
    /// Taken by the answer; absent, too, when nobody waits for one.
    reply: Option<Text>,
    began: Instant,
}

impl Drop for Responder {
    fn drop(&mut self) {
        let text = "the function was stopped before it answered".to_owned();
        self.send(Err(CallError { failure: CallFailure::Unavailable, text }));
    }
}

impl Responder {
    /// For a call that begins now.
    #[must_use]
    pub fn new(outbox: Outbox, reply: Option<Text>) -> Self {
        Self { outbox, reply, began: Instant::now() }
    }

    /// Answers.
    pub fn answer(mut self, result: Result<Answer, CallError>) {
        self.send(result);
    }

    /// Answers that the call does not take place.
    pub fn refuse(self, failure: CallFailure, text: &str) {
        self.answer(Err(CallError { failure, text: text.to_owned() }));
    }

    fn send(&mut self, result: Result<Answer, CallError>) {
        let Some(reply) = self.reply.take() else {
            // Nobody to be answered, and yet somebody may have to tidy up.
            if let Ok(Answer { afterwards: Some(afterwards), .. }) = result {
                afterwards();
            }
            return;
        };
        let limit = self.outbox.max_payload().saturating_sub(HEADER_ROOM);
        let mut headers = HeaderMap::new();
        let runtime = self.began.elapsed().as_nanos();
        // These names and values can be sent.
        let _ = headers.insert(header::RUNTIME_NANOSECONDS, &runtime.to_string());
        let (payload, afterwards) = match result {
            Ok(answer) if answer.payload.len() <= limit => (answer.payload, answer.afterwards),
            Ok(answer) => {
                let text = format!("the answer is larger than a message may be, {limit} bytes");
                describe(&mut headers, CallFailure::OutputTooLarge, &text);
                (bytes::Bytes::new(), answer.afterwards)
            }
            Err(error) => {
                describe(&mut headers, error.failure, &error.text);
                (bytes::Bytes::new(), None)
            }
        };
        self.outbox.publish_bytes(&reply, None, Some(&headers), payload, afterwards);
    }
}

fn describe(headers: &mut HeaderMap, failure: CallFailure, text: &str) {
    let _ = headers.insert(header::ERROR, &line(text));
    let _ = headers.insert(header::ERROR_CODE, &failure.to_string());
}

/// A text as the value of a header: one line, not too long, and not empty.
#[must_use]
pub fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(MAX_TEXT));
    for letter in text.trim().chars() {
        let letter = if letter.is_control() { ' ' } else { letter };
        // Lines of a stack are indented.
        if letter == ' ' && line.ends_with(' ') {
            continue;
        }
        if line.len() + letter.len_utf8() > MAX_TEXT - '…'.len_utf8() {
            line.push('…');
            break;
        }
        line.push(letter);
    }
    if line.is_empty() { "the function failed".to_owned() } else { line }
}

#[cfg(test)]
mod tests {
    use bytes::{Buf as _, Bytes};
    use proptest::prelude::*;

    use super::*;

    async fn sent(outbox: &Outbox) -> String {
        let mut batch = outbox.next_batch().await.unwrap();
        let bytes = batch.copy_to_bytes(batch.remaining());
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_dropped_call_is_answered_and_an_answered_one_is_not_again() {
        let outbox = Outbox::new();
        let reply = || Some(Text::from("_INBOX.1"));
        drop(Responder::new(outbox.clone(), reply()));
        let text = sent(&outbox).await;
        assert!(text.contains("x-nex-error-code: 503\r\n"), "{text}");
        let payload = Bytes::from_static(b"yes");
        Responder::new(outbox.clone(), reply()).answer(Ok(Answer { payload, afterwards: None }));
        let text = sent(&outbox).await;
        assert!(text.ends_with("\r\n\r\nyes\r\n") && !text.contains("error"), "{text}");
        assert_eq!(text.matches("HPUB").count(), 1, "{text}");
    }

    #[tokio::test]
    async fn an_answer_that_the_link_cannot_carry_is_an_error() {
        let outbox = Outbox::new();
        let payload = Bytes::from(vec![0; outbox.max_payload()]);
        let responder = Responder::new(outbox.clone(), Some(Text::from("_INBOX.1")));
        responder.answer(Ok(Answer { payload, afterwards: None }));
        assert!(sent(&outbox).await.contains("x-nex-error-code: 502\r\n"));
    }

    proptest! {
        #[test]
        fn any_text_fits_a_header(text in "\\PC*|[\\s\\S]{0,3000}") {
            let line = line(&text);
            prop_assert!(!line.is_empty() && line.len() <= MAX_TEXT);
            let mut headers = HeaderMap::new();
            prop_assert!(headers.insert(header::ERROR, &line).is_ok());
        }
    }
}
