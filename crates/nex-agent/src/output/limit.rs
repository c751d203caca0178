//! How much output a workload may have: two token buckets and a count of what did not fit.

use std::fmt;
use std::time::Duration;

/// Lines and bytes per second; a burst of one second is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Lines per second, at least 1.
    pub lines: u64,
    /// Bytes per second, at least 1.
    pub bytes: u64,
}

impl Rates {
    /// What a workload gets when its deploy names nothing else.
    pub const DEFAULT: Self = Self { lines: 10_000, bytes: 8 * 1024 * 1024 };

    /// Rates with zero taken for one: a workload that may say nothing could not even be told so.
    #[must_use]
    pub fn new(lines: u64, bytes: u64) -> Self {
        Self { lines: lines.max(1), bytes: bytes.max(1) }
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lines/s and {} bytes/s", self.lines, self.bytes)
    }
}

/// Nanoseconds in a second: tokens are counted in billionths so that no rate loses anything to
/// rounding.
const NANOS: u128 = 1_000_000_000;

/// A bucket that holds what one second brings.
#[derive(Debug)]
struct Bucket {
    rate: u64,
    /// In billionths of a token.
    level: u128,
}

impl Bucket {
    fn full(rate: u64) -> Self {
        Self { rate, level: u128::from(rate) * NANOS }
    }

    fn refill(&mut self, elapsed: Duration) {
        let brought = u128::from(self.rate).saturating_mul(elapsed.as_nanos());
        self.level = self.level.saturating_add(brought).min(u128::from(self.rate) * NANOS);
    }

    fn has_any(&self) -> bool {
        self.level >= NANOS
    }

    /// Takes tokens; a line larger than what is left empties the bucket, so that one long line
    /// passes even where the limit is smaller than it.
    fn take(&mut self, tokens: u64) {
        self.level = self.level.saturating_sub(u128::from(tokens) * NANOS);
    }
}

/// Admits lines while there are tokens. Time is given by the caller, as time since any start.
#[derive(Debug)]
pub struct Limiter {
    rates: Rates,
    lines: Bucket,
    bytes: Bucket,
    filled_at: Duration,
}

impl Limiter {
    /// With full buckets at `now`.
    #[must_use]
    pub fn new(rates: Rates, now: Duration) -> Self {
        Self {
            rates,
            lines: Bucket::full(rates.lines),
            bytes: Bucket::full(rates.bytes),
            filled_at: now,
        }
    }

    /// What it enforces.
    #[must_use]
    pub fn rates(&self) -> Rates {
        self.rates
    }

    /// Adds what the time since the last call brought.
    pub fn refill(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.filled_at);
        self.filled_at = self.filled_at.max(now);
        self.lines.refill(elapsed);
        self.bytes.refill(elapsed);
    }

    /// Whether a line may pass.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.lines.has_any() && self.bytes.has_any()
    }

    /// Takes the tokens of one line of so many bytes.
    pub fn take(&mut self, bytes: usize) {
        self.lines.take(1);
        self.bytes.take(bytes as u64);
    }
}

/// Why output was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropCause {
    /// The workload printed more than its [`Rates`].
    OverLimit,
    /// The node did not take it for a while.
    NodeSlow,
}

/// Counts what was dropped since the last report.
#[derive(Debug, Default)]
pub struct Dropped {
    lines: u64,
    bytes: u64,
    cause: Option<DropCause>,
}

impl Dropped {
    /// Adds to the count. The first cause is the one that is reported.
    pub fn add(&mut self, lines: u64, bytes: u64, cause: DropCause) {
        if lines == 0 && bytes == 0 {
            return;
        }
        self.lines = self.lines.saturating_add(lines);
        self.bytes = self.bytes.saturating_add(bytes);
        self.cause.get_or_insert(cause);
    }

    /// Whether there is anything to report.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cause.is_none()
    }

    /// The line that reports it, and a fresh start; `None` when nothing was dropped.
    pub fn report(&mut self, rates: Rates) -> Option<String> {
        let Self { lines, bytes, cause } = std::mem::take(self);
        let why = match cause? {
            DropCause::OverLimit => format!("over the limit of {rates}"),
            DropCause::NodeSlow => "the node did not take them in time".to_owned(),
        };
        Some(format!("dropped {lines} lines ({bytes} bytes) of output: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_of_one_second_passes_then_the_rate() {
        let mut limiter = Limiter::new(Rates::new(10, 1_000_000), Duration::ZERO);
        let mut passed = 0;
        while limiter.is_open() {
            limiter.take(5);
            passed += 1;
        }
        assert_eq!(passed, 10);
        limiter.refill(Duration::from_millis(99));
        assert!(!limiter.is_open());
        limiter.refill(Duration::from_millis(100));
        assert!(limiter.is_open());
        limiter.take(5);
        assert!(!limiter.is_open());
    }

    #[test]
    fn reports_once_and_starts_afresh() {
        let mut dropped = Dropped::default();
        dropped.add(0, 0, DropCause::NodeSlow);
        assert!(dropped.is_empty());
        dropped.add(3, 40, DropCause::OverLimit);
        assert_eq!(
            dropped.report(Rates::new(10, 20)).unwrap(),
            "dropped 3 lines (40 bytes) of output: over the limit of 10 lines/s and 20 bytes/s"
        );
        assert_eq!(dropped.report(Rates::DEFAULT), None);
    }

    proptest! {
        #[test]
        fn never_more_than_burst_plus_rate(
            lines in 1_u64..500,
            steps in proptest::collection::vec((0_u64..400, 1_usize..200), 1..200),
        ) {
            let rates = Rates::new(lines, 10_000);
            let mut limiter = Limiter::new(rates, Duration::ZERO);
            let (mut now, mut passed) = (Duration::ZERO, 0_u64);
            for (wait, tries) in steps {
                now += Duration::from_millis(wait);
                limiter.refill(now);
                for _ in 0..tries {
                    if limiter.is_open() { limiter.take(10); passed += 1; }
                }
            }
            let allowed = lines as f64 * (1.0 + now.as_secs_f64());
            prop_assert!(passed as f64 <= allowed + 1.0, "{passed} of {allowed}");
        }
    }
}
