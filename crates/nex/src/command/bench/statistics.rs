//! Numbers out of many measurements, in bounded memory. Pure: no clock, no I/O.
//!
//! Calls and bare requests take turns, slice by slice. What the machine does
//! meanwhile hits both, so a *ratio* is taken within each round and the median
//! of all rounds is told: it holds where the times themselves do not.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Figures that are kept of each time: 0.1 %.
const FIGURES: u8 = 3;

/// Longest time that is told apart, in nanoseconds: ten minutes.
const LONGEST: u64 = 600_000_000_000;

/// How long calls took, and how many there were.
#[derive(Debug, Clone)]
pub(super) struct Latencies {
    /// Nanoseconds of the calls that were answered.
    histogram: Histogram<u64>,
    errors: u64,
    /// How long it was measured.
    measured: Duration,
}

impl Latencies {
    /// No calls yet.
    pub(super) fn new() -> Self {
        let histogram = empty_histogram();
        Self { histogram, errors: 0, measured: Duration::ZERO }
    }

    /// A call was answered after `time`.
    pub(super) fn answered(&mut self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.histogram.saturating_record(nanoseconds.max(1));
    }

    /// A call failed.
    pub(super) fn failed(&mut self) {
        self.errors += 1;
    }

    /// So much time passed for the calls that were told.
    pub(super) fn measured_for(&mut self, time: Duration) {
        self.measured += time;
    }

    /// Adds what was measured beside or after this.
    pub(super) fn add(&mut self, other: &Self) {
        // Both have the same bounds.
        let _ = self.histogram.add(&other.histogram);
        self.errors += other.errors;
        self.measured += other.measured;
    }

    /// Calls that were answered.
    pub(super) fn calls(&self) -> u64 {
        self.histogram.len()
    }

    /// Calls that failed.
    pub(super) fn errors(&self) -> u64 {
        self.errors
    }

    /// The time within which this part of the calls was answered.
    pub(super) fn quantile(&self, part: f64) -> Duration {
        Duration::from_nanos(self.histogram.value_at_quantile(part))
    }

    /// The slowest call.
    pub(super) fn slowest(&self) -> Duration {
        Duration::from_nanos(self.histogram.max())
    }

    /// Calls that were answered in a second.
    pub(super) fn per_second(&self) -> f64 {
        let seconds = self.measured.as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52 calls")]
        let calls = self.calls() as f64;
        if seconds > 0.0 { calls / seconds } else { 0.0 }
    }
}

#[allow(clippy::unreachable, reason = "of constants; tested")]
fn empty_histogram() -> Histogram<u64> {
    match Histogram::new_with_bounds(1, LONGEST, FIGURES) {
        Ok(histogram) => histogram,
        Err(error) => unreachable!("bounds that make no histogram: {error}"),
    }
}

/// What the calls cost beside bare requests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Ratios {
    /// Median time of a call, as a multiple of that of a bare request.
    pub(super) p50: f64,
    /// Calls a second, as a part of the bare requests a second.
    pub(super) calls_per_second: f64,
}

/// The rounds of one measurement.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    p50: Vec<f64>,
    per_second: Vec<f64>,
}

impl Rounds {
    /// Adds a round. One in which nothing was answered has no ratio.
    pub(super) fn add(&mut self, echo: &Latencies, function: &Latencies) {
        if echo.calls() == 0 || function.calls() == 0 {
            return;
        }
        self.p50.push(function.quantile(0.5).as_secs_f64() / echo.quantile(0.5).as_secs_f64());
        self.per_second.push(function.per_second() / echo.per_second());
    }

    /// The medians over all rounds; none without a round.
    pub(super) fn ratios(self) -> Option<Ratios> {
        Some(Ratios { p50: median(self.p50)?, calls_per_second: median(self.per_second)? })
    }
}

/// The value in the middle; between the two in the middle of an even number.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get(values.len().checked_sub(1)? / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(microseconds: impl IntoIterator<Item = u64>, measured: Duration) -> Latencies {
        let mut latencies = Latencies::new();
        for time in microseconds {
            latencies.answered(Duration::from_micros(time));
        }
        latencies.measured_for(measured);
        latencies
    }

    fn near(duration: Duration, microseconds: f64) -> bool {
        (duration.as_secs_f64() * 1e6 / microseconds - 1.0).abs() < 0.002
    }

    #[test]
    fn quantiles_are_those_of_the_calls() {
        let latencies = of(1..=1000, Duration::from_secs(2));
        assert!(near(latencies.quantile(0.5), 500.0), "{:?}", latencies.quantile(0.5));
        assert!(near(latencies.quantile(0.9), 900.0));
        assert!(near(latencies.quantile(0.99), 990.0));
        assert!(near(latencies.slowest(), 1000.0));
        assert_eq!(latencies.calls(), 1000);
        assert_eq!(latencies.per_second(), 500.0);
    }

    #[test]
    fn nothing_measured_is_no_division_by_zero() {
        let none = Latencies::new();
        assert_eq!((none.calls(), none.errors()), (0, 0));
        assert_eq!(none.per_second(), 0.0);
        assert_eq!(none.quantile(0.99), Duration::ZERO);
        let mut rounds = Rounds::default();
        rounds.add(&none, &of([1], Duration::from_secs(1)));
        rounds.add(&of([1], Duration::from_secs(1)), &none);
        assert_eq!(rounds.ratios(), None);
    }

    #[test]
    fn what_is_out_of_bounds_is_kept_at_the_bound() {
        let mut latencies = Latencies::new();
        latencies.answered(Duration::ZERO);
        latencies.answered(Duration::MAX);
        assert_eq!(latencies.calls(), 2);
        assert!(latencies.slowest() >= Duration::from_secs(599));
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds() {
        let mut rounds = Rounds::default();
        // The machine is slow in the second round, for both; in the third something hits one.
        for (echo, function) in [(100, 200), (1000, 2000), (100, 900)] {
            let second = Duration::from_secs(1);
            rounds.add(&of([echo; 10], second), &of([function; 4], second));
        }
        let ratios = rounds.ratios().unwrap();
        assert!((ratios.p50 - 2.0).abs() < 0.01, "{ratios:?}");
        assert!((ratios.calls_per_second - 0.4).abs() < 1e-9, "{ratios:?}");
    }

    #[test]
    fn a_median_lies_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    proptest! {
        /// However calls are shared out, adding the parts gives the whole.
        #[test]
        fn parts_add_up(times in prop::collection::vec(1_u64..10_000_000, 1..300), cut in 0_usize..300) {
            let cut = cut.min(times.len());
            let second = Duration::from_secs(1);
            let whole = of(times.iter().copied(), 2 * second);
            let mut parts = of(times[..cut].iter().copied(), second);
            parts.add(&of(times[cut..].iter().copied(), second));
            prop_assert_eq!(parts.calls(), whole.calls());
            prop_assert_eq!(parts.slowest(), whole.slowest());
            for part in [0.5, 0.9, 0.99] {
                prop_assert_eq!(parts.quantile(part), whole.quantile(part));
            }
            prop_assert_eq!(parts.per_second(), whole.per_second());
        }

        /// A quantile is a time that was measured, to three figures.
        #[test]
        fn a_quantile_was_measured(times in prop::collection::vec(1_u64..10_000_000, 1..200)) {
            let latencies = of(times.iter().copied(), Duration::from_secs(1));
            let p50 = latencies.quantile(0.5).as_secs_f64() * 1e6;
            prop_assert!(times.iter().any(|time| (*time as f64 / p50 - 1.0).abs() < 0.002));
        }
    }
}
