//! Reads the two pipes of a workload until both end.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nex_protocol::agent::{AgentLevel, AgentLog};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::limit::{DropCause, Dropped, Limiter, Rates};
use super::split::Splitter;
use crate::link::Outbox;

/// Bytes per read: what a pipe holds.
const READ_SIZE: usize = 64 * 1024;
/// A line without end that nothing follows for so long is shown as it is: a prompt, a dot of
/// progress.
const IDLE_FLUSH: Duration = Duration::from_millis(100);
/// Dropped output is reported at most this often.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// How long the workload is held up when the node does not take its output; after that its output
/// is dropped, without waiting, until there is room.
const STALL_LIMIT: Duration = Duration::from_secs(1);
/// Pause after a full read of which everything was dropped: it slows a flood down to some
/// 30 MiB/s, so that it does not take a processor from everybody else, and stops nobody.
const DROP_PAUSE: Duration = Duration::from_millis(2);

/// Where the lines go.
#[derive(Debug, Clone)]
pub struct LogTarget {
    /// The link's queue.
    pub outbox: Outbox,
    /// The agent's log subject.
    pub subject: String,
    /// Name of the workload.
    pub source: String,
}

impl LogTarget {
    fn encode(&self, level: AgentLevel, text: String) -> Vec<u8> {
        AgentLog { source: self.source.clone(), level, text }.encode()
    }
}

/// One of the two pipes.
struct Stream {
    pipe: Option<Receiver>,
    splitter: Splitter,
    /// When a held back start of a line is shown.
    flush_at: Option<Instant>,
}

impl Stream {
    fn new(pipe: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            pipe: Some(Receiver::from_owned_fd(pipe)?),
            splitter: Splitter::new(),
            flush_at: None,
        })
    }
}

/// Waits until the pipe has something, or for ever once it ended.
async fn readable(pipe: Option<&Receiver>) {
    match pipe {
        // An error shows again at the read.
        Some(pipe) => drop(pipe.readable().await),
        None => std::future::pending().await,
    }
}

/// The reader of a workload's output.
pub struct Capture {
    out: Stream,
    err: Stream,
    target: LogTarget,
    limiter: Limiter,
    dropped: Dropped,
    report_at: Option<Instant>,
    /// The node did not make room in time; nothing waits for it until it does.
    node_is_slow: bool,
    started: Instant,
}

/// What came of a read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReadOutcome {
    /// Nothing was there.
    Empty,
    /// Something was read, and at least a part of it was taken.
    Taken,
    /// A full buffer was read and dropped.
    Flood,
    /// The pipe ended.
    Ended,
}

impl Capture {
    /// For the two pipes of a workload.
    ///
    /// # Errors
    /// When the descriptors cannot be watched.
    pub fn new(
        stdout: OwnedFd,
        stderr: OwnedFd,
        target: LogTarget,
        rates: Rates,
    ) -> io::Result<Self> {
        Ok(Self {
            out: Stream::new(stdout)?,
            err: Stream::new(stderr)?,
            target,
            limiter: Limiter::new(rates, Duration::ZERO),
            dropped: Dropped::default(),
            report_at: None,
            node_is_slow: false,
            started: Instant::now(),
        })
    }

    /// Reads until both pipes have ended or `finish` becomes true; then takes what is there
    /// without waiting for more (a process outside the tree may hold a pipe open for ever).
    pub async fn run(mut self, mut finish: watch::Receiver<bool>) {
        let mut buffer = vec![0; READ_SIZE];
        while self.out.pipe.is_some() || self.err.pipe.is_some() {
            let wake = [self.out.flush_at, self.err.flush_at, self.report_at];
            let wake = wake.into_iter().flatten().min();
            let which = tokio::select! {
                biased;
                _ = finish.wait_for(|finish| *finish) => break,
                () = readable(self.out.pipe.as_ref()) => Some(AgentLevel::Info),
                () = readable(self.err.pipe.as_ref()) => Some(AgentLevel::Error),
                () = until(wake) => None,
            };
            let outcome = match which {
                Some(level) => self.read(level, &mut buffer).await,
                None => ReadOutcome::Empty,
            };
            self.on_time(Instant::now());
            if outcome == ReadOutcome::Flood {
                // Ends early when the workload is gone.
                let _ = timeout(DROP_PAUSE, finish.wait_for(|finish| *finish)).await;
            }
        }
        self.take_the_rest(&mut buffer).await;
    }

    async fn take_the_rest(&mut self, buffer: &mut [u8]) {
        for level in [AgentLevel::Info, AgentLevel::Error] {
            // A pipe holds 64 KiB, by hand at most 1 MiB; a stranger may go on writing.
            for _ in 0..16 {
                match self.read(level, buffer).await {
                    ReadOutcome::Taken | ReadOutcome::Flood => {}
                    ReadOutcome::Empty | ReadOutcome::Ended => break,
                }
            }
            self.flush(level);
        }
        if let Some(text) = self.dropped.report(self.limiter.rates()) {
            let line = self.target.encode(AgentLevel::Warn, text);
            let _ = timeout(STALL_LIMIT, self.target.outbox.room()).await;
            let _ = self.target.outbox.try_log(&self.target.subject, &line);
        }
    }

    fn stream(&mut self, level: AgentLevel) -> &mut Stream {
        if level == AgentLevel::Info { &mut self.out } else { &mut self.err }
    }

    async fn read(&mut self, level: AgentLevel, buffer: &mut [u8]) -> ReadOutcome {
        let Some(pipe) = &self.stream(level).pipe else { return ReadOutcome::Ended };
        let read = match pipe.try_read(buffer) {
            // The runtime answers from what it last heard of the pipe, which for a workload that
            // ended at once is nothing yet: only the kernel knows that nothing is there.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                rustix::io::read(pipe, &mut *buffer).map_err(io::Error::from)
            }
            answer => answer,
        };
        match read {
            Ok(0) => {
                self.flush(level);
                self.stream(level).pipe = None;
                ReadOutcome::Ended
            }
            Ok(read) => {
                let taken = self.take(level, buffer.get(..read).unwrap_or_default()).await;
                let stream = self.stream(level);
                let partial = stream.splitter.has_partial();
                stream.flush_at = partial.then(|| Instant::now() + IDLE_FLUSH);
                if taken || read < READ_SIZE { ReadOutcome::Taken } else { ReadOutcome::Flood }
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                ReadOutcome::Empty
            }
            Err(_) => {
                self.flush(level);
                self.stream(level).pipe = None;
                ReadOutcome::Ended
            }
        }
    }

    /// Sends the lines in `bytes` while the limits allow; counts the rest. Answers whether any
    /// was taken.
    async fn take(&mut self, level: AgentLevel, mut bytes: &[u8]) -> bool {
        self.limiter.refill(self.started.elapsed());
        if self.node_is_slow && self.target.outbox.has_room() {
            self.node_is_slow = false;
        }
        let whole = bytes.len();
        while !bytes.is_empty() {
            if self.node_is_slow {
                self.skip(level, bytes, DropCause::NodeSlow);
                break;
            }
            if !self.limiter.is_open() {
                self.skip(level, bytes, DropCause::OverLimit);
                break;
            }
            let mut unsent = None;
            let Self { out, err, target, limiter, .. } = self;
            let stream = if level == AgentLevel::Info { out } else { err };
            bytes = stream.splitter.feed(bytes, |piece| {
                limiter.take(piece.consumed);
                let line = target.encode(level, piece.to_text());
                if target.outbox.try_log(&target.subject, &line).is_err() {
                    unsent = Some((line, piece.consumed));
                    return false;
                }
                limiter.is_open()
            });
            if let Some((line, consumed)) = unsent {
                self.wait_for_room(&line, consumed).await;
            }
        }
        bytes.len() < whole
    }

    /// Holds the workload up for a while; what then still finds no room is dropped.
    async fn wait_for_room(&mut self, line: &[u8], consumed: usize) {
        let _ = timeout(STALL_LIMIT, self.target.outbox.room()).await;
        if self.target.outbox.try_log(&self.target.subject, line).is_err() {
            self.node_is_slow = true;
            self.count(1, consumed as u64, DropCause::NodeSlow);
        }
    }

    fn skip(&mut self, level: AgentLevel, bytes: &[u8], cause: DropCause) {
        let (lines, bytes) = self.stream(level).splitter.skip(bytes);
        self.count(lines, bytes, cause);
    }

    fn count(&mut self, lines: u64, bytes: u64, cause: DropCause) {
        self.dropped.add(lines, bytes, cause);
        if !self.dropped.is_empty() && self.report_at.is_none() {
            self.report_at = Some(Instant::now() + REPORT_INTERVAL);
        }
    }

    /// Shows the held back start of a line.
    fn flush(&mut self, level: AgentLevel) {
        let mut lost = 0;
        let Self { out, err, target, limiter, .. } = self;
        let stream = if level == AgentLevel::Info { out } else { err };
        stream.flush_at = None;
        stream.splitter.flush(|piece| {
            limiter.take(piece.consumed);
            let line = target.encode(level, piece.to_text());
            if target.outbox.try_log(&target.subject, &line).is_err() {
                lost = piece.consumed;
            }
        });
        if lost > 0 {
            self.count(1, lost as u64, DropCause::NodeSlow);
        }
    }

    fn on_time(&mut self, now: Instant) {
        for level in [AgentLevel::Info, AgentLevel::Error] {
            if self.stream(level).flush_at.is_some_and(|at| at <= now) {
                self.flush(level);
            }
        }
        if self.report_at.is_some_and(|at| at <= now) {
            if !self.target.outbox.has_room() {
                self.report_at = Some(now + REPORT_INTERVAL);
                return;
            }
            self.report_at = None;
            if let Some(text) = self.dropped.report(self.limiter.rates()) {
                let line = self.target.encode(AgentLevel::Warn, text);
                let _ = self.target.outbox.try_log(&self.target.subject, &line);
            }
        }
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
