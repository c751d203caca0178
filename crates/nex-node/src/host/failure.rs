//! Errors as agents read them.

use bytes::Bytes;
use serde_json::{Value, json};

/// Longest text of an error, bytes: it travels in a header.
const MAX_TEXT_BYTES: usize = 1024;

/// Why a call failed, in a line of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    text: String,
    /// Something needed was not given. The Go node has another form for such errors.
    required: bool,
}

/// How a body says an error: the forms of the Go node, which its agents read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureForm {
    /// `{"error":text}`, with what is required in `errors`.
    KeyValue,
    /// The same with `"success":false`, without which a Go agent dies.
    KeyValueWrite,
    /// `{"errors":[text]}`.
    List,
    /// `{"error":text}`.
    One,
}

impl Failure {
    /// A failure with this text; line breaks become blanks, and what is too long is cut.
    pub(super) fn new(text: String) -> Self {
        Self { text: one_line(text), required: false }
    }

    /// Something needed was not given.
    pub(super) fn required(what: &str) -> Self {
        Self { text: format!("{what} is required"), required: true }
    }

    /// What went wrong: one line.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The body of the reply.
    pub(super) fn body(&self, form: FailureForm) -> Bytes {
        let text = &self.text;
        let body: Value = match (form, self.required) {
            (FailureForm::KeyValue, false) | (FailureForm::One, _) => json!({ "error": text }),
            (FailureForm::KeyValue, true) | (FailureForm::List, _) => json!({ "errors": [text] }),
            (FailureForm::KeyValueWrite, false) => json!({ "success": false, "error": text }),
            (FailureForm::KeyValueWrite, true) => json!({ "success": false, "errors": [text] }),
        };
        Bytes::from(body.to_string())
    }
}

fn one_line(mut text: String) -> String {
    if text.contains(char::is_control) {
        text = text.replace(char::is_control, " ");
    }
    if text.len() > MAX_TEXT_BYTES {
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES - '…'.len_utf8()));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use nex_protocol::nats::HeaderMap;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_go_agent_finds_success_in_every_refusal_of_a_write() {
        for failure in [Failure::new("x".to_owned()), Failure::required("key")] {
            let body: Value =
                serde_json::from_slice(&failure.body(FailureForm::KeyValueWrite)).unwrap();
            assert_eq!(body["success"], false);
        }
    }

    proptest! {
        #[test]
        fn every_text_fits_a_header(text in "\\PC{0,600}[\\x00-\\x20]{0,3}\\PC{0,600}") {
            let failure = Failure::new(text);
            prop_assert!(failure.text().len() <= MAX_TEXT_BYTES);
            HeaderMap::new().append("x", failure.text()).unwrap();
        }
    }
}
