//! What one call writes: its answer, and lines for the log.

use std::sync::Arc;

use bytes::Bytes;
use nex_protocol::agent::AgentLevel;

use crate::output::split::Splitter;
use crate::provider::function::Host;

/// The call wrote more than its answer may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer is larger than it may be")]
pub(super) struct TooLarge;

/// Standard output and standard error of one call.
pub(super) struct Output {
    answer: Vec<u8>,
    max_answer: usize,
    /// More was written than fits.
    pub(super) too_large: bool,
    lines: Splitter,
    host: Arc<dyn Host>,
}

impl Output {
    pub(super) fn new(max_answer: u64, host: Arc<dyn Host>) -> Self {
        let max_answer = usize::try_from(max_answer).unwrap_or(usize::MAX);
        Self { answer: Vec::new(), max_answer, too_large: false, lines: Splitter::new(), host }
    }

    /// Adds to the answer.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        if bytes.len() > self.max_answer.saturating_sub(self.answer.len()) {
            self.too_large = true;
            return Err(TooLarge);
        }
        self.answer.extend_from_slice(bytes);
        Ok(())
    }

    /// Adds to the log.
    pub(super) fn write_error(&mut self, bytes: &[u8]) {
        let host = &self.host;
        self.lines.feed(bytes, |piece| {
            host.log(AgentLevel::Error, &piece.to_text());
            true
        });
    }

    /// The answer; what the log holds back is shown.
    pub(super) fn finish(&mut self) -> Bytes {
        let host = &self.host;
        self.lines.flush(|piece| host.log(AgentLevel::Error, &piece.to_text()));
        std::mem::take(&mut self.answer).into()
    }
}
