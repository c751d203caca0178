//! Lines that a function has for its log: limited like the output of a program, never waiting.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nex_protocol::agent::{AgentLevel, AgentLog};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::capture::LogTarget;
use super::limit::{DropCause, Dropped, Limiter, Rates};
use super::split::{MAX_LINE, Splitter};

/// Dropped lines are reported at most this often.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// A function's way to its log. Clones share the limits.
#[derive(Debug, Clone)]
pub struct Lines(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    target: LogTarget,
    started: Instant,
    books: Mutex<Books>,
}

#[derive(Debug)]
struct Books {
    limiter: Limiter,
    dropped: Dropped,
    /// Somebody is going to report what was dropped.
    report_is_due: bool,
}

impl Lines {
    /// With a burst of one second.
    #[must_use]
    pub fn new(target: LogTarget, rates: Rates) -> Self {
        let limiter = Limiter::new(rates, Duration::ZERO);
        let books = Books { limiter, dropped: Dropped::default(), report_is_due: false };
        Self(Arc::new(Shared { target, started: Instant::now(), books: Mutex::new(books) }))
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // Nothing panics while it holds the lock.
        self.0.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a text, which may have several lines; what is longer than a line of the log may be
    /// is cut. Dropped and counted when it is over the limit or the node is slow.
    pub fn write(&self, level: AgentLevel, text: &str) {
        if text.len() <= MAX_LINE {
            return self.piece(level, text.to_owned(), text.len());
        }
        let mut splitter = Splitter::new();
        splitter.feed(text.as_bytes(), |piece| {
            self.piece(level, piece.to_text(), piece.consumed);
            true
        });
        splitter.flush(|piece| self.piece(level, piece.to_text(), piece.consumed));
    }

    fn piece(&self, level: AgentLevel, text: String, bytes: usize) {
        let mut books = self.books();
        books.limiter.refill(self.0.started.elapsed());
        let cause = if books.limiter.is_open() {
            books.limiter.take(bytes);
            match self.send(level, text) {
                Ok(()) => return,
                Err(crate::link::LaneFull) => DropCause::NodeSlow,
            }
        } else {
            DropCause::OverLimit
        };
        books.dropped.add(1, bytes as u64, cause);
        if books.report_is_due {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            books.report_is_due = true;
            let lines = self.clone();
            runtime.spawn(async move {
                sleep(REPORT_INTERVAL).await;
                lines.report();
            });
        }
    }

    fn send(&self, level: AgentLevel, text: String) -> Result<(), crate::link::LaneFull> {
        let target = &self.0.target;
        let line = AgentLog { source: target.source.clone(), level, text };
        target.outbox.try_log(&target.subject, &line.encode())
    }

    /// Says how much was dropped since the last report, if anything was.
    pub fn report(&self) {
        let mut books = self.books();
        books.report_is_due = false;
        let rates = books.limiter.rates();
        if let Some(text) = books.dropped.report(rates) {
            // Nothing to be done if there is no room for even this.
            let _ = self.send(AgentLevel::Warn, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Buf as _;

    use super::*;
    use crate::link::Outbox;

    #[tokio::test(start_paused = true)]
    async fn what_is_over_the_limit_is_counted_and_reported_once() {
        let outbox = Outbox::new();
        let target = LogTarget {
            outbox: outbox.clone(),
            subject: "logs".to_owned(),
            source: "echo".to_owned(),
        };
        let lines = Lines::new(target, Rates::new(2, 1_000_000));
        for number in 0..5 {
            lines.write(AgentLevel::Info, &format!("line {number}"));
        }
        sleep(REPORT_INTERVAL * 2).await;
        lines.write(AgentLevel::Info, &"x".repeat(MAX_LINE + 10));
        lines.report();
        let mut sent = String::new();
        while let Ok(batch) =
            tokio::time::timeout(Duration::from_millis(1), outbox.next_batch()).await
        {
            let mut batch = batch.unwrap();
            let bytes = batch.copy_to_bytes(batch.remaining());
            sent.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        assert!(sent.contains("line 0") && sent.contains("line 1"), "{sent}");
        assert!(!sent.contains("line 2"), "{sent}");
        assert_eq!(sent.matches("dropped 3 lines (18 bytes)").count(), 1, "{sent}");
        assert_eq!(sent.matches("xxx…").count(), 1, "a long line is cut");
    }
}
