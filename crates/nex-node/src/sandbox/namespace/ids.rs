//! Users of the host that are nobody: each sandbox of a node that is root gets two of its own,
//! so that no sandbox can do anything to another's processes even outside of every namespace.

use std::{
    fs,
    sync::atomic::{AtomicU32, Ordering},
};

use nex_protocol::agent::namespaces::SandboxIds;

/// The first of them. systemd's table of users (UIDS-GIDS) calls 1879048192 to 2147483647 unused.
const FIRST: u32 = 0x7000_0000;

/// So many pairs, then from the start again.
const PAIRS: u32 = 1 << 24;

#[derive(Debug)]
pub(super) struct Ids {
    next: AtomicU32,
}

impl Ids {
    /// `None` for an ordinary user, and for a root who has not these users: one in a container.
    pub(super) fn available() -> Option<Self> {
        let root = rustix::process::geteuid().is_root();
        let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        // Another node of this machine begins elsewhere.
        let start = rand::random_range(0..PAIRS);
        (root && covers(&map, FIRST, 2 * PAIRS)).then(|| Self { next: AtomicU32::new(start) })
    }

    /// Two users that no living sandbox of this node has.
    pub(super) fn next(&self) -> SandboxIds {
        let pair = self.next.fetch_add(1, Ordering::Relaxed) % PAIRS;
        let agent = FIRST + 2 * pair;
        SandboxIds { agent, workload: agent + 1 }
    }
}

/// Whether a map of users (`user_namespaces(7)`) holds `count` users from `first` on.
fn covers(map: &str, first: u32, count: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse::<u64>);
        let (Some(Ok(inside)), Some(Ok(_)), Some(Ok(length))) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            return false;
        };
        let (first, end) = (u64::from(first), u64::from(first) + u64::from(count));
        inside <= first && end <= inside.saturating_add(length)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_do_not_meet_and_stay_in_their_range() {
        let ids = Ids { next: AtomicU32::new(PAIRS - 2) };
        let given: Vec<_> = (0..4).map(|_| ids.next()).collect();
        for pair in given.windows(2) {
            assert_ne!(pair[0], pair[1]);
        }
        for pair in &given {
            assert_eq!(pair.workload, pair.agent + 1);
            assert!((FIRST..FIRST + 2 * PAIRS).contains(&pair.agent));
        }
        assert_eq!(given[2].agent, FIRST);
    }

    #[test]
    fn maps_are_read() {
        assert!(covers("         0          0 4294967295\n", FIRST, 2 * PAIRS));
        assert!(!covers("         0     100000      65536\n", FIRST, 2 * PAIRS));
        assert!(!covers("", FIRST, 1));
    }
}
