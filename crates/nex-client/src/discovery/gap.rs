//! When to stop waiting for more answers. Pure: it is told times and knows no
//! clock.

use std::time::Duration;

/// Shortest silence that ends a discovery. Nodes that answer at all answer a
/// ping in well under a millisecond; this leaves room for busy machines.
const FLOOR: Duration = Duration::from_millis(60);

/// How many times the slowest answer so far the silence has to last.
const PATIENCE: u32 = 4;

/// The end of a discovery that asks everybody and does not know how many there
/// are.
///
/// Before the first answer it waits as long as it may. After that it waits for
/// a silence: four times as long as the slowest answer took, at least 60 ms.
/// A far node that answers late makes it wait longer for others as far away.
///
/// All times count from the moment the question was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    limit: Duration,
    slowest: Option<Duration>,
}

impl Gap {
    /// Waits at most `limit` in all.
    #[must_use]
    pub const fn new(limit: Duration) -> Self {
        Self { limit, slowest: None }
    }

    /// An answer came at `after`. Answers come in the order of time, so the
    /// latest is the slowest.
    pub fn answered(&mut self, after: Duration) {
        self.slowest = Some(self.slowest.unwrap_or_default().max(after));
    }

    /// When to stop unless another answer comes before.
    #[must_use]
    pub fn end(&self) -> Duration {
        match self.slowest {
            None => self.limit,
            Some(slowest) => {
                let silence = slowest.saturating_mul(PATIENCE).max(FLOOR);
                slowest.saturating_add(silence).min(self.limit)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn nothing_came() {
        assert_eq!(Gap::new(2000 * MS).end(), 2000 * MS);
    }

    #[test]
    fn a_near_node_ends_it_after_the_floor() {
        let mut gap = Gap::new(2000 * MS);
        gap.answered(MS);
        assert_eq!(gap.end(), 61 * MS);
        gap.answered(10 * MS);
        assert_eq!(gap.end(), 70 * MS);
    }

    #[test]
    fn a_far_node_makes_it_patient() {
        let mut gap = Gap::new(2000 * MS);
        gap.answered(MS);
        gap.answered(50 * MS);
        assert_eq!(gap.end(), 250 * MS);
        gap.answered(200 * MS);
        assert_eq!(gap.end(), 1000 * MS);
    }

    #[test]
    fn the_limit_holds() {
        let mut gap = Gap::new(2000 * MS);
        gap.answered(1900 * MS);
        assert_eq!(gap.end(), 2000 * MS);
        gap.answered(Duration::MAX);
        assert_eq!(gap.end(), 2000 * MS);
    }
}
