//! The node's requests that wait for an answer of one agent.

use std::collections::HashMap;

use tokio::sync::oneshot;

use super::link::Reply;

/// Reply subjects of the node are this and a number. They are private to one connection, as every
/// inbox here is, so that numbers suffice.
const INBOX: &str = "_INBOX.nex.";

/// Requests under way on one connection.
#[derive(Debug, Default)]
pub(super) struct Requests {
    issued: u64,
    waiting: HashMap<u64, oneshot::Sender<Reply>>,
}

/// What an agent's answer belongs to.
#[derive(Debug)]
pub(super) enum Answered {
    /// A request that waits.
    Waiting(oneshot::Sender<Reply>),
    /// A request that gave up waiting: nobody's fault.
    Late,
    /// Nothing that was ever asked on this connection.
    NeverAsked,
}

impl Requests {
    /// A number for a new request, or `None` if `limit` requests are under way.
    pub(super) fn issue(&mut self, answer: oneshot::Sender<Reply>, limit: usize) -> Option<u64> {
        if self.waiting.len() >= limit {
            return None;
        }
        self.issued += 1;
        self.waiting.insert(self.issued, answer);
        Some(self.issued)
    }

    /// Nobody waits for this one any more.
    pub(super) fn cancel(&mut self, number: u64) {
        self.waiting.remove(&number);
    }

    /// An answer came.
    pub(super) fn answer(&mut self, number: u64) -> Answered {
        match self.waiting.remove(&number) {
            Some(sender) => Answered::Waiting(sender),
            None if (1..=self.issued).contains(&number) => Answered::Late,
            None => Answered::NeverAsked,
        }
    }

    /// The connection is over: everyone who waits is told at once, by the end of their channel.
    pub(super) fn fail_all(&mut self) {
        self.waiting.clear();
    }
}

/// The reply subject of request `number`.
pub(super) fn reply_subject(number: u64) -> String {
    format!("{INBOX}{number}")
}

/// The number of the request that `subject` answers, if it is one of ours.
pub(super) fn answered_number(subject: &str) -> Option<u64> {
    let number = subject.strip_prefix(INBOX)?;
    // One text per number: what we wrote, not what also parses to it.
    if number.is_empty() || number.starts_with('0') || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_subjects_are_read_back_and_nothing_else() {
        assert_eq!(answered_number(&reply_subject(17)), Some(17));
        for other in ["_INBOX.nex.", "_INBOX.nex.0", "_INBOX.nex.+1", "_INBOX.nex.01", "_INBOX.1"] {
            assert_eq!(answered_number(other), None, "{other}");
        }
        assert_eq!(answered_number("_INBOX.nex.99999999999999999999999"), None);
    }

    #[test]
    fn an_answer_counts_once_and_only_if_asked_for() {
        let mut requests = Requests::default();
        let (sender, _receiver) = oneshot::channel();
        assert_eq!(requests.issue(sender, 1), Some(1));
        assert_eq!(requests.issue(oneshot::channel().0, 1), None);
        assert!(matches!(requests.answer(1), Answered::Waiting(_)));
        assert!(matches!(requests.answer(1), Answered::Late));
        assert!(matches!(requests.answer(2), Answered::NeverAsked));
        assert!(matches!(requests.answer(0), Answered::NeverAsked));
    }
}
