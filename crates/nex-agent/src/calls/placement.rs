//! Where a call begins: on the thread of the link, or on one of its own.
//!
//! The link's thread is the fastest way there is for a short call, since nothing is handed over
//! to another thread. A long call on it holds up all others: it gives way at the next tick and is
//! moved, but each of them costs a tick. So a function whose calls are long begins elsewhere.

use std::time::Duration;

/// A function with calls of this length on average begins on other threads.
const LONG: Duration = Duration::from_micros(150);
/// One with calls of this length comes back: less, so that it does not go to and fro.
const SHORT: Duration = Duration::from_micros(100);
/// A new call counts as much as one in this many.
const WEIGHT: u64 = 8;
/// No single call counts more than this: one slow call among thousands is no sign.
const MAX_COUNTED: Duration = Duration::from_millis(2);

/// Where a call begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At once, on the thread of the link.
    Link,
    /// On a thread for work.
    Worker,
}

/// What is known about the length of a function's calls: the time they compute, not the time they
/// wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    average: Duration,
    place: Place,
}

impl Default for Placement {
    /// Short until it is known.
    fn default() -> Self {
        Self { average: Duration::ZERO, place: Place::Link }
    }
}

impl Placement {
    /// Where the next call begins.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// Takes account of a call.
    pub fn record(&mut self, computed: Duration) {
        let counted = computed.min(MAX_COUNTED).as_nanos();
        let sum = self.average.as_nanos() * u128::from(WEIGHT - 1) + counted;
        // Neither is more than the most that is counted.
        let average = u64::try_from(sum / u128::from(WEIGHT)).unwrap_or(u64::MAX);
        self.average = Duration::from_nanos(average);
        self.place = match self.place {
            Place::Link if self.average > LONG => Place::Worker,
            Place::Worker if self.average < SHORT => Place::Link,
            same => same,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn long_calls_move_away_and_short_ones_come_back() {
        let mut placement = Placement::default();
        assert_eq!(placement.place(), Place::Link);
        for _ in 0..20 {
            placement.record(Duration::from_millis(50));
        }
        assert_eq!(placement.place(), Place::Worker);
        let mut calls = 0;
        while placement.place() == Place::Worker {
            placement.record(Duration::from_micros(20));
            calls += 1;
        }
        assert!((10..60).contains(&calls), "{calls}");
    }

    #[test]
    fn one_slow_call_is_no_sign_unless_it_is_one_of_few() {
        let mut placement = Placement::default();
        for _ in 0..100 {
            placement.record(Duration::from_micros(10));
        }
        placement.record(Duration::from_micros(1_000));
        assert_eq!(placement.place(), Place::Link);
    }

    proptest! {
        #[test]
        fn calls_of_one_kind_end_up_where_they_belong(
            history in proptest::collection::vec(0_u64..10_000_000_000, 0..50),
            length in 0_u64..5_000_000,
        ) {
            let mut placement = Placement::default();
            for nanos in history {
                placement.record(Duration::from_nanos(nanos));
                prop_assert!(placement.average <= MAX_COUNTED);
            }
            let length = Duration::from_nanos(length);
            for _ in 0..100 { placement.record(length); }
            let settled = placement.place();
            for _ in 0..20 {
                placement.record(length);
                prop_assert_eq!(placement.place(), settled, "no going to and fro");
            }
            if length < SHORT - Duration::from_micros(1) { prop_assert_eq!(settled, Place::Link); }
            if length > LONG + Duration::from_micros(1) { prop_assert_eq!(settled, Place::Worker); }
        }
    }
}
