//! When to start the child again, and when to give up: decided here, done elsewhere.
//!
//! ```text
//!            Ready            Ended                  Ended, too often
//! Starting ─────────▶ Running ─────▶ Waiting ◀──────────┐
//!    │  ▲                              │ Waited         │
//!    │  └──────────────────────────────┘ (Spawn)  ──────┴──▶ GivenUp
//!    │ Ended before it was ever ready, or Killed so too often ────▶ GivenUp
//!    any ── Stop ──▶ Stopping ── Ended ──▶ Stopped
//! ```

use std::time::Duration;

/// Pause before the first restart; doubled with each failure in a row.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A child that ran this long had started well: the count begins anew.
pub(super) const STEADY: Duration = Duration::from_secs(30);
/// Failures in a row after which nothing more is tried (about two minutes).
pub(super) const MOST_FAILURES: u32 = 20;
/// As many times is a child started that something else kills before it was ever ready.
pub(super) const MOST_FIRST_STARTS: u32 = 3;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// The child accepts clients.
    Ready,
    /// The child ended, was killed because it was not ready in time, or could
    /// not be spawned.
    Ended,
    /// The child was ended by a signal that nobody here sent: it may not happen again.
    Killed,
    /// The pause is over.
    Waited,
    /// The owner wants it stopped.
    Stop,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// Start the child.
    Spawn,
    /// Come back with [`Input::Waited`] after this time.
    Wait(Duration),
    /// End the child: SIGTERM, later SIGKILL.
    Terminate,
    /// All is over, in order.
    Finish,
    /// All is over: report a failure.
    GiveUp,
}

/// Where the supervision of one child stands. Times are since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Running { since: Duration },
    Waiting,
    Stopping,
    Stopped,
    GivenUp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Supervision {
    phase: Phase,
    /// Whether the child was ever ready.
    was_ready: bool,
    /// Failures since it last ran steadily.
    failures: u32,
}

impl Supervision {
    /// A supervision whose child was just spawned.
    pub(super) fn new() -> Self {
        Self { phase: Phase::Starting, was_ready: false, failures: 0 }
    }

    /// Takes in what happened at `now` and says what to do.
    pub(super) fn step(&mut self, now: Duration, input: Input) -> Effect {
        let (phase, effect) = match (self.phase, input) {
            (Phase::Starting, Input::Ready) => {
                self.was_ready = true;
                (Phase::Running { since: now }, Effect::None)
            }
            (Phase::Starting, Input::Ended) => self.after_failure(self.was_ready),
            (Phase::Starting, Input::Killed) => {
                let first = self.failures.saturating_add(1) < MOST_FIRST_STARTS;
                self.after_failure(self.was_ready || first)
            }
            (Phase::Running { since }, Input::Ended | Input::Killed) => {
                if now.saturating_sub(since) >= STEADY {
                    self.failures = 0;
                }
                self.after_failure(true)
            }
            (Phase::Waiting, Input::Waited) => (Phase::Starting, Effect::Spawn),
            (Phase::Waiting, Input::Stop) => (Phase::Stopped, Effect::Finish),
            (Phase::Starting | Phase::Running { .. }, Input::Stop) => {
                (Phase::Stopping, Effect::Terminate)
            }
            (Phase::Stopping, Input::Ended | Input::Killed) => (Phase::Stopped, Effect::Finish),
            // A late word of something that no longer matters.
            (
                Phase::Starting
                | Phase::Running { .. }
                | Phase::Waiting
                | Phase::Stopping
                | Phase::Stopped
                | Phase::GivenUp,
                Input::Ready | Input::Ended | Input::Killed | Input::Waited | Input::Stop,
            ) => (self.phase, Effect::None),
        };
        self.phase = phase;
        effect
    }

    /// Failures since it last ran steadily.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether the child was ever ready.
    pub(super) fn was_ready(&self) -> bool {
        self.was_ready
    }

    /// Whoever starts it waits for an answer: a first start that failed by itself would only
    /// fail again, and is not `worth_another`.
    fn after_failure(&mut self, worth_another: bool) -> (Phase, Effect) {
        self.failures = self.failures.saturating_add(1);
        if !worth_another || self.failures >= MOST_FAILURES {
            return (Phase::GivenUp, Effect::GiveUp);
        }
        let doublings = (self.failures - 1).min(16);
        let pause = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
        (Phase::Waiting, Effect::Wait(pause))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANY: [Input; 5] = [Input::Ready, Input::Ended, Input::Killed, Input::Waited, Input::Stop];

    fn inputs() -> impl Strategy<Value = Vec<(u64, Input)>> {
        prop::collection::vec((0..60_000_u64, prop::sample::select(ANY.to_vec())), 0..200)
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_then_it_gives_up() {
        let mut supervision = Supervision::new();
        supervision.step(Duration::ZERO, Input::Ready);
        let mut pauses = Vec::new();
        let last = loop {
            match supervision.step(Duration::from_secs(1), Input::Ended) {
                Effect::Wait(pause) => pauses.push(pause.as_millis()),
                other => break other,
            }
            assert_eq!(supervision.step(Duration::ZERO, Input::Waited), Effect::Spawn);
        };
        assert_eq!(last, Effect::GiveUp);
        assert_eq!(pauses[..8], [100, 200, 400, 800, 1600, 3200, 6400, 10_000]);
        assert_eq!(pauses.len() as u32, MOST_FAILURES - 1);
    }

    #[test]
    fn a_steady_run_is_forgiven() {
        let mut supervision = Supervision::new();
        let mut now = Duration::ZERO;
        for _ in 0..100 {
            supervision.step(now, Input::Ready);
            now += STEADY;
            assert_eq!(supervision.step(now, Input::Ended), Effect::Wait(FIRST_PAUSE));
            supervision.step(now, Input::Waited);
        }
    }

    #[test]
    fn the_first_start_is_not_repeated() {
        let mut supervision = Supervision::new();
        assert_eq!(supervision.step(Duration::ZERO, Input::Ended), Effect::GiveUp);
    }

    #[test]
    fn a_first_start_that_something_kills_is_repeated_a_little() {
        let mut supervision = Supervision::new();
        for start in 1..MOST_FIRST_STARTS {
            let effect = supervision.step(Duration::ZERO, Input::Killed);
            assert!(matches!(effect, Effect::Wait(_)), "start {start}: {effect:?}");
            assert_eq!(supervision.step(Duration::ZERO, Input::Waited), Effect::Spawn);
        }
        assert_eq!(supervision.step(Duration::ZERO, Input::Killed), Effect::GiveUp);
    }

    proptest! {
        /// There is never a second child, and one child ends per spawn.
        #[test]
        fn at_most_one_child(inputs in inputs()) {
            let mut supervision = Supervision::new();
            let mut now = Duration::ZERO;
            let mut alive = true;
            for (wait, input) in inputs {
                now += Duration::from_millis(wait);
                // The task reports only what can happen.
                let possible = match input {
                    Input::Ready | Input::Ended | Input::Killed => alive,
                    Input::Waited => supervision.phase == Phase::Waiting,
                    Input::Stop => true,
                };
                if !possible {
                    continue;
                }
                alive &= !matches!(input, Input::Ended | Input::Killed);
                match supervision.step(now, input) {
                    Effect::Spawn => {
                        prop_assert!(!alive);
                        alive = true;
                    }
                    Effect::Wait(pause) => {
                        prop_assert!(!alive);
                        prop_assert!((FIRST_PAUSE..=LONGEST_PAUSE).contains(&pause));
                    }
                    Effect::Terminate => prop_assert!(alive),
                    Effect::Finish | Effect::GiveUp => prop_assert!(!alive),
                    Effect::None => {}
                }
            }
        }

        /// After a stop nothing is started, and the end of the child ends it all.
        #[test]
        fn stop_is_final(before in inputs(), after in inputs()) {
            let mut supervision = Supervision::new();
            for (wait, input) in before {
                supervision.step(Duration::from_millis(wait), input);
            }
            supervision.step(Duration::ZERO, Input::Stop);
            for (wait, input) in after {
                let effect = supervision.step(Duration::from_millis(wait), input);
                prop_assert!(!matches!(effect, Effect::Spawn | Effect::Wait(_)));
            }
            supervision.step(Duration::ZERO, Input::Ended);
            prop_assert!(matches!(supervision.phase, Phase::Stopped | Phase::GivenUp));
        }
    }
}
