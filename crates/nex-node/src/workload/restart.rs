//! When an essential workload is started again.

use std::time::Duration;

/// The first pause.
const SHORTEST: Duration = Duration::from_millis(100);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);

/// A run of this length makes the pauses short again.
const STABLE: Duration = Duration::from_secs(600);

/// The next pause: doubling from 100 ms to 60 s, with the last pause `previous`
/// and the length of the run that just ended. `jitter` in `0.0..1.0` shortens
/// it by up to a quarter, so that what fell together does not rise together.
pub fn restart_pause(previous: Option<Duration>, ran: Duration, jitter: f64) -> Duration {
    let pause = match previous {
        Some(previous) if ran < STABLE => previous.saturating_mul(2).clamp(SHORTEST, LONGEST),
        _ => SHORTEST,
    };
    pause.mul_f64(1.0 - 0.25 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn doubles_until_a_stable_run() {
        let crash = Duration::from_secs(1);
        let mut pause = restart_pause(None, crash, 0.0);
        let mut pauses = vec![pause];
        for _ in 0..11 {
            pause = restart_pause(Some(pause), crash, 0.0);
            pauses.push(pause);
        }
        let expected = [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000];
        assert_eq!(pauses, expected.map(Duration::from_millis));
        assert_eq!(restart_pause(Some(LONGEST), STABLE, 0.0), SHORTEST);
    }

    proptest! {
        #[test]
        fn stays_within_its_bounds(previous in prop::option::of(0u64..10_000_000), ran in 0u64..10_000_000, jitter in any::<f64>()) {
            let pause = restart_pause(
                previous.map(Duration::from_millis),
                Duration::from_millis(ran),
                if jitter.is_finite() { jitter } else { 0.0 },
            );
            prop_assert!(pause >= SHORTEST.mul_f64(0.75) && pause <= LONGEST);
        }
    }
}
