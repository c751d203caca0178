//! Which calls are told of one by one, and which together: a pure policy.
//!
//! An event for every call would cost more than the call. So each trigger may tell so many calls a
//! second, successes and failures each for themselves; those above are counted, and one event per
//! interval stands for all of them. No call is left out of the counts.

use std::time::Duration;

use tokio::time::Instant;

use super::outcome::Failure;

/// Calls of one trigger that are told one by one: so many at once,
const BURST: u32 = 20;

/// and one more after each such pause.
const REFILL: Duration = Duration::from_millis(50);

/// How often the others are told together.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// What one trigger has to tell.
#[derive(Debug)]
pub(super) struct Tally {
    successes: Bucket,
    failures: Bucket,
    held: Summary,
}

/// What is to be done about one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    /// Tell it now.
    Now,
    /// It was counted, and is told with the others.
    Later,
}

/// Calls that are told together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// How many succeeded.
    pub(super) successes: u64,
    /// How long these ran, all together.
    pub(super) elapsed: Duration,
    /// How many failed.
    pub(super) failures: u64,
    /// The last failure among them.
    pub(super) last: Option<Failure>,
}

impl Tally {
    /// Nothing to tell.
    pub(super) fn new(now: Instant) -> Self {
        Self { successes: Bucket::new(now), failures: Bucket::new(now), held: Summary::default() }
    }

    /// A call succeeded.
    pub(super) fn success(&mut self, now: Instant, elapsed: Duration) -> Telling {
        if self.successes.take(now) {
            return Telling::Now;
        }
        self.held.successes += 1;
        self.held.elapsed = self.held.elapsed.saturating_add(elapsed);
        Telling::Later
    }

    /// A call failed.
    pub(super) fn failure(&mut self, now: Instant, failure: &Failure) -> Telling {
        if self.failures.take(now) {
            return Telling::Now;
        }
        self.held.failures += 1;
        self.held.last = Some(failure.clone());
        Telling::Later
    }

    /// What was counted since the last time.
    pub(super) fn flush(&mut self) -> Option<Summary> {
        let held = std::mem::take(&mut self.held);
        (held.successes > 0 || held.failures > 0).then_some(held)
    }
}

/// A token bucket.
#[derive(Debug)]
struct Bucket {
    tokens: u32,
    /// Up to when it was refilled.
    filled: Instant,
}

impl Bucket {
    fn new(now: Instant) -> Self {
        Self { tokens: BURST, filled: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled);
        let new = u32::try_from(passed.as_nanos() / REFILL.as_nanos()).unwrap_or(u32::MAX);
        if new >= BURST - self.tokens {
            (self.tokens, self.filled) = (BURST, now);
        } else {
            self.tokens += new;
            self.filled += REFILL * new;
        }
        let has_one = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        has_one
    }
}

#[cfg(test)]
mod tests {
    use nex_protocol::agent::CallFailure;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn few_calls_are_told_one_by_one() {
        let mut now = Instant::now();
        let mut tally = Tally::new(now);
        for _ in 0..1000 {
            now += REFILL;
            assert_eq!(tally.success(now, Duration::ZERO), Telling::Now);
        }
        assert_eq!(tally.flush(), None);
    }

    #[test]
    fn a_flood_of_successes_hides_no_failure() {
        let now = Instant::now();
        let mut tally = Tally::new(now);
        for _ in 0..1000 {
            tally.success(now, Duration::from_millis(2));
        }
        let failure = Failure::new(CallFailure::Failed, "broken");
        assert_eq!(tally.failure(now, &failure), Telling::Now);
        let held = tally.flush().unwrap();
        assert_eq!(held.successes, 1000 - u64::from(BURST));
        assert_eq!(held.elapsed, Duration::from_millis(2) * (1000 - BURST));
        assert_eq!((held.failures, held.last), (0, None));
    }

    proptest! {
        #[test]
        fn every_call_is_told_once_and_never_too_many(
            calls in prop::collection::vec((0..200u64, any::<bool>()), 1..300),
        ) {
            let start = Instant::now();
            let (mut now, mut tally) = (start, Tally::new(start));
            let failure = Failure::new(CallFailure::Failed, "broken");
            let (mut told, mut counted) = (0u64, 0u64);
            for (pause, succeeds) in &calls {
                now += Duration::from_millis(*pause);
                let telling = if *succeeds {
                    tally.success(now, Duration::ZERO)
                } else {
                    tally.failure(now, &failure)
                };
                told += u64::from(telling == Telling::Now);
                if pause % 7 == 0 {
                    let held = tally.flush().unwrap_or_default();
                    counted += held.successes + held.failures;
                }
            }
            let held = tally.flush().unwrap_or_default();
            counted += held.successes + held.failures;
            prop_assert_eq!(told + counted, calls.len() as u64);
            let passed = now.duration_since(start).as_millis() / REFILL.as_millis();
            prop_assert!(u128::from(told) <= 2 * (u128::from(BURST) + passed));
        }
    }
}
