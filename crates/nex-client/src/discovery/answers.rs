//! The answers to a question that was put to everybody.

use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::{Message, StatusCode};
use futures_util::stream::{Stream, StreamExt, unfold};
use tokio::time::{Instant, timeout_at};

use super::gap::Gap;

/// Most messages that are looked at for one question. Real systems have some
/// thousand nodes at the most; a peer that never stops talking ends here.
const MAX_MESSAGES: usize = 65_536;

/// A stream of answers. It ends when answers stop coming: at once when the
/// server says that nobody listens, else after a silence (see [`Gap`]), and in
/// any case after the client's timeout.
///
/// Answers that cannot be read and second answers of one node are left out.
pub struct Answers<T> {
    inner: Pin<Box<dyn Stream<Item = T> + Send>>,
}

impl<T> Answers<T> {
    pub(super) fn new(stream: impl Stream<Item = T> + Send + 'static) -> Self {
        Self { inner: Box::pin(stream) }
    }
}

impl<T> Stream for Answers<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.inner.poll_next_unpin(context)
    }
}

impl<T> fmt::Debug for Answers<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}

/// What one message means to a question.
pub(super) enum Verdict<T> {
    /// An answer, and who gave it.
    Answer { from: String, value: T },
    /// A sign of life that says when to stop, without being an answer.
    Sign,
    /// Not readable.
    Garbage,
}

/// Reads the messages that come for a question asked at `asked`.
pub(super) fn gather<T: Send + 'static>(
    messages: impl Stream<Item = Message> + Send + Unpin + 'static,
    asked: Instant,
    limit: Duration,
    judge: impl Fn(&Message) -> Verdict<T> + Send + 'static,
) -> Answers<T> {
    let state = Gathering {
        messages,
        asked,
        gap: Gap::new(limit),
        seen: HashSet::new(),
        looked_at: 0,
        judge,
    };
    Answers::new(unfold(state, |mut state| async {
        let answer = state.next().await?;
        Some((answer, state))
    }))
}

struct Gathering<S, J> {
    messages: S,
    asked: Instant,
    gap: Gap,
    seen: HashSet<String>,
    looked_at: usize,
    judge: J,
}

impl<S: Stream<Item = Message> + Unpin, J> Gathering<S, J> {
    async fn next<T>(&mut self) -> Option<T>
    where
        J: Fn(&Message) -> Verdict<T>,
    {
        loop {
            let end = self.asked.checked_add(self.gap.end())?;
            let message = timeout_at(end, self.messages.next()).await.ok()??;
            if message.status == Some(StatusCode::NO_RESPONDERS) {
                return None;
            }
            self.looked_at += 1;
            if self.looked_at > MAX_MESSAGES {
                tracing::warn!("more than {MAX_MESSAGES} answers to one question, reading no more");
                return None;
            }
            match (self.judge)(&message) {
                Verdict::Answer { from, value } => {
                    self.gap.answered(self.asked.elapsed());
                    if self.seen.insert(from) {
                        return Some(value);
                    }
                }
                Verdict::Sign => self.gap.answered(self.asked.elapsed()),
                Verdict::Garbage => {
                    tracing::debug!(
                        bytes = message.payload.len(),
                        "passed over an answer that cannot be read"
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream::unfold;
    use tokio::sync::mpsc;

    fn message(text: &str, status: Option<StatusCode>) -> Message {
        Message {
            subject: "_INBOX.x".into(),
            reply: None,
            payload: text.to_owned().into(),
            headers: None,
            status,
            description: None,
            length: 0,
        }
    }

    /// Texts as answers of themselves; `?` cannot be read, `!` is a sign.
    fn judge(message: &Message) -> Verdict<String> {
        match std::str::from_utf8(&message.payload).unwrap() {
            "?" => Verdict::Garbage,
            "!" => Verdict::Sign,
            text => Verdict::Answer { from: text.to_owned(), value: text.to_owned() },
        }
    }

    /// Sends each text at its time (ms) and returns the answers and how long it took (ms).
    async fn run(script: &'static [(u64, &'static str)]) -> (Vec<String>, u64) {
        let (sender, receiver) = mpsc::channel(16);
        let asked = Instant::now();
        tokio::spawn(async move {
            for (at, text) in script {
                tokio::time::sleep_until(asked + Duration::from_millis(*at)).await;
                let status = (*text == "503").then_some(StatusCode::NO_RESPONDERS);
                if sender.send(message(text, status)).await.is_err() {
                    return;
                }
            }
            std::future::pending::<()>().await;
        });
        let messages = Box::pin(unfold(receiver, |mut receiver| async {
            Some((receiver.recv().await?, receiver))
        }));
        let answers = gather(messages, asked, Duration::from_secs(2), judge).collect().await;
        (answers, u64::try_from(asked.elapsed().as_millis()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn ends_when_answers_stop_coming() {
        assert_eq!(run(&[]).await, (vec![], 2000));
        assert_eq!(run(&[(3, "503")]).await, (vec![], 3));
        assert_eq!(run(&[(1, "a"), (2, "b")]).await, (vec!["a".into(), "b".into()], 62));
        assert_eq!(run(&[(1, "a"), (50, "b")]).await.1, 250);
        assert_eq!(run(&[(1, "a"), (1500, "late")]).await, (vec!["a".into()], 61));
        assert_eq!(run(&[(700, "a")]).await, (vec!["a".into()], 2000));
    }

    #[tokio::test(start_paused = true)]
    async fn leaves_out_what_is_no_new_answer() {
        let (answers, took) = run(&[(1, "a"), (2, "?"), (3, "a"), (4, "!"), (5, "b")]).await;
        assert_eq!(answers, ["a", "b"]);
        assert_eq!(took, 65);
        // Garbage alone is no reason to stop early.
        assert_eq!(run(&[(1, "?")]).await, (vec![], 2000));
    }
}
