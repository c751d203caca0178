//! How many sandboxes to launch now: pure arithmetic over what there is.

use std::time::Duration;

/// What the pool has and what it owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Warm sandboxes to keep when nobody waits.
    pub target: usize,
    /// Warm sandboxes now.
    pub warm: usize,
    /// Sandboxes that are being launched now.
    pub booting: usize,
    /// Deploys that wait for a sandbox.
    pub waiting: usize,
    /// Launches that may run at the same time.
    pub max_booting: usize,
}

/// How many launches to start now. Claimed sandboxes are replaced at once, and
/// deploys that wait are served on demand, beyond the target.
pub fn launches(demand: Demand) -> usize {
    let wanted = demand.target.saturating_add(demand.waiting);
    let missing = wanted.saturating_sub(demand.warm.saturating_add(demand.booting));
    missing.min(demand.max_booting.saturating_sub(demand.booting))
}

/// Pause before the next launch after `failures` failed ones in a row: doubling
/// from 100 ms to 10 s.
pub fn pause_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(7);
    Duration::from_millis(100).saturating_mul(1 << doublings).min(Duration::from_secs(10))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pool_of_one_launches_for_every_deploy_that_waits() {
        let demand = Demand { target: 1, warm: 0, booting: 1, waiting: 24, max_booting: 8 };
        assert_eq!(launches(demand), 7);
        assert_eq!(launches(Demand { waiting: 0, ..demand }), 0);
        assert_eq!(launches(Demand { booting: 0, waiting: 0, ..demand }), 1);
    }

    #[test]
    fn pauses_grow_and_stay_bounded() {
        assert_eq!(pause_after(1), Duration::from_millis(100));
        assert_eq!(pause_after(3), Duration::from_millis(400));
        assert_eq!(pause_after(u32::MAX), Duration::from_secs(10));
    }

    proptest! {
        /// Launching what the policy says, with every launch succeeding, serves
        /// all that wait and ends with exactly the target warm.
        #[test]
        fn everybody_is_served(target in 0usize..10, waiting in 0usize..100, max_booting in 1usize..10) {
            let mut demand = Demand { target, warm: 0, booting: 0, waiting, max_booting };
            for _ in 0..500 {
                demand.booting += launches(demand);
                prop_assert!(demand.booting <= max_booting);
                if demand.booting > 0 {
                    demand.booting -= 1;
                    if demand.waiting > 0 { demand.waiting -= 1 } else { demand.warm += 1 }
                }
            }
            prop_assert_eq!(demand, Demand { target, warm: target, booting: 0, waiting: 0, max_booting });
        }
    }
}
