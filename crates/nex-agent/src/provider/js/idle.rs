//! Instances that wait for their next call. The last used comes first, so that those that a load
//! does not need grow old; old ones are dropped, but for one that is kept warm.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How long an instance may wait for its next call.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(5);

/// Waiting instances, the one that waits longest in front.
pub(super) struct Idle<T> {
    waiting: VecDeque<(T, Instant)>,
    most: usize,
}

impl<T> Idle<T> {
    /// At most this many.
    pub(super) fn new(most: usize) -> Self {
        Self { waiting: VecDeque::new(), most }
    }

    /// The one that was used last.
    pub(super) fn take(&mut self) -> Option<T> {
        self.waiting.pop_back().map(|(instance, _)| instance)
    }

    /// Puts one back. Returns what is not needed, to be dropped where nobody waits for it.
    pub(super) fn put(&mut self, instance: T, now: Instant) -> Option<T> {
        if self.waiting.len() >= self.most {
            return Some(instance);
        }
        self.waiting.push_back((instance, now));
        None
    }

    /// Takes out all but one of those that have waited too long.
    pub(super) fn old(&mut self, now: Instant) -> Vec<T> {
        let is_old = |(_, since): &&(T, Instant)| now.duration_since(*since) >= MAX_WAIT;
        let count = self.waiting.iter().take_while(is_old).count();
        let count = count.min(self.waiting.len().saturating_sub(1));
        self.waiting.drain(..count).map(|(instance, _)| instance).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_used_is_taken_first_and_the_old_go() {
        let start = Instant::now();
        let mut idle = Idle::new(3);
        for (number, second) in [(1, 0), (2, 1), (3, 4)] {
            assert_eq!(idle.put(number, start + Duration::from_secs(second)), None);
        }
        assert_eq!(idle.put(4, start), Some(4));
        assert_eq!(idle.old(start + Duration::from_secs(4)), Vec::<i32>::new());
        assert_eq!(idle.old(start + Duration::from_secs(6)), [1, 2]);
        assert_eq!(idle.old(start + Duration::from_secs(600)), Vec::<i32>::new());
        assert_eq!(idle.take(), Some(3));
        assert_eq!(idle.take(), None);
    }

    proptest! {
        #[test]
        fn never_more_than_the_most_and_never_less_than_one_by_age(
            most in 0..5_usize, steps in proptest::collection::vec((0..3_u8, 0..20_u64), 0..60),
        ) {
            let mut now = Instant::now();
            let mut idle = Idle::new(most);
            for (step, seconds) in steps {
                now += Duration::from_secs(seconds);
                let before = idle.waiting.len();
                match step {
                    0 => drop(idle.put((), now)),
                    1 => drop(idle.take()),
                    _ => {
                        idle.old(now);
                        prop_assert!(idle.waiting.len() >= before.min(1));
                    }
                }
                prop_assert!(idle.waiting.len() <= most);
            }
        }
    }
}
