//! What the cache holds and what it may forget: a pure least-recently-used
//! index over digests. It touches no file; the caller does what it says.

use std::collections::HashMap;

use nex_protocol::digest::Digest;

/// One cached artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    size: u64,
    /// Leases held now; an entry in use is never evicted.
    leases: u32,
    /// Position in the order of use, larger is later.
    used: u64,
    /// Whether this process has seen the bytes hash to the digest. Files found
    /// at start are not trusted until they were read once.
    verified: bool,
}

/// The state of the cache, in bytes and digests.
#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: HashMap<Digest, Entry>,
    /// Bytes promised to downloads that have not finished.
    reserved: u64,
    clock: u64,
    limit: u64,
}

/// The cache cannot make room: what is not in use does not suffice.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Index {
    /// An empty index of at most `limit` bytes.
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, ..Self::default() }
    }

    /// The limit in bytes.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes held and promised.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.entries.values().fold(self.reserved, |sum, entry| sum.saturating_add(entry.size))
    }

    /// Records a file that was found at start. Unverified.
    pub(crate) fn adopt(&mut self, digest: Digest, size: u64) {
        self.clock += 1;
        let used = self.clock;
        self.entries.entry(digest).or_insert(Entry { size, leases: 0, used, verified: false });
    }

    /// Takes a lease on a held artifact. `Some(verified)` when it is there.
    pub(crate) fn lease(&mut self, digest: &Digest) -> Option<bool> {
        self.clock += 1;
        let entry = self.entries.get_mut(digest)?;
        entry.leases += 1;
        entry.used = self.clock;
        Some(entry.verified)
    }

    /// Marks a held artifact as checked.
    pub(crate) fn mark_verified(&mut self, digest: &Digest) {
        if let Some(entry) = self.entries.get_mut(digest) {
            entry.verified = true;
        }
    }

    /// Gives a lease back.
    pub(crate) fn release(&mut self, digest: &Digest) {
        if let Some(entry) = self.entries.get_mut(digest) {
            entry.leases = entry.leases.saturating_sub(1);
        }
    }

    /// Forgets an artifact that turned out to be damaged.
    pub(crate) fn forget(&mut self, digest: &Digest) {
        self.entries.remove(digest);
    }

    /// Promises `size` bytes to a download. Returns what has to be deleted
    /// first, oldest use first.
    ///
    /// # Errors
    /// [`Full`] when that much cannot be freed; nothing changes then.
    pub(crate) fn reserve(&mut self, size: u64) -> Result<Vec<Digest>, Full> {
        let mut evictable: Vec<(u64, Digest, u64)> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.leases == 0)
            .map(|(digest, entry)| (entry.used, *digest, entry.size))
            .collect();
        evictable.sort_unstable_by_key(|(used, _, _)| *used);
        let mut total = self.used_bytes().saturating_add(size);
        let mut victims = Vec::new();
        for (_, digest, bytes) in evictable {
            if total <= self.limit {
                break;
            }
            total = total.saturating_sub(bytes);
            victims.push(digest);
        }
        if total > self.limit {
            return Err(Full);
        }
        for digest in &victims {
            self.entries.remove(digest);
        }
        self.reserved = self.reserved.saturating_add(size);
        Ok(victims)
    }

    /// Takes a promise back: the download failed.
    pub(crate) fn cancel(&mut self, size: u64) {
        self.reserved = self.reserved.saturating_sub(size);
    }

    /// Turns a promise of `size` bytes into a held, verified artifact and takes
    /// a lease on it.
    pub(crate) fn commit(&mut self, digest: Digest, size: u64) {
        self.cancel(size);
        self.clock += 1;
        let used = self.clock;
        let entry =
            self.entries.entry(digest).or_insert(Entry { size, leases: 0, used, verified: true });
        entry.verified = true;
        entry.used = used;
        entry.leases += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn digest(n: u8) -> Digest {
        Digest::of(&[n])
    }

    #[test]
    fn evicts_the_least_recently_used_first_and_never_what_is_leased() {
        let mut index = Index::new(30);
        for n in 0..3 {
            assert_eq!(index.reserve(10), Ok(vec![]));
            index.commit(digest(n), 10);
        }
        index.release(&digest(0));
        index.release(&digest(1));
        assert_eq!(index.lease(&digest(0)), Some(true));
        index.release(&digest(0));
        // 1 is now older than 0, and 2 is still leased.
        assert_eq!(index.reserve(10), Ok(vec![digest(1)]));
        assert_eq!(index.reserve(10), Ok(vec![digest(0)]));
        assert_eq!(index.reserve(1), Err(Full));
    }

    #[derive(Debug, Clone)]
    enum Op {
        Fetch(u8, u64),
        Fail(u64),
        Lease(u8),
        Release(u8),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (0u8..6, 1u64..50).prop_map(|(n, size)| Op::Fetch(n, size)),
            (1u64..50).prop_map(Op::Fail),
            (0u8..6).prop_map(Op::Lease),
            (0u8..6).prop_map(Op::Release),
        ]
    }

    proptest! {
        #[test]
        fn never_over_the_limit_and_never_evicts_what_is_in_use(ops in prop::collection::vec(op(), 0..200)) {
            let mut index = Index::new(100);
            let mut held: HashMap<u8, u32> = HashMap::new();
            for op in ops {
                match op {
                    Op::Fetch(n, size) => {
                        if index.entries.contains_key(&digest(n)) {
                            continue;
                        }
                        if let Ok(victims) = index.reserve(size) {
                            for (n, leases) in &held {
                                prop_assert!(*leases == 0 || !victims.contains(&digest(*n)));
                            }
                            index.commit(digest(n), size);
                            *held.entry(n).or_default() = 1;
                        }
                    }
                    Op::Fail(size) => {
                        if index.reserve(size).is_ok() {
                            index.cancel(size);
                        }
                    }
                    Op::Lease(n) => {
                        if index.lease(&digest(n)).is_some() {
                            *held.entry(n).or_default() += 1;
                        }
                    }
                    Op::Release(n) => {
                        if let Some(leases) = held.get_mut(&n).filter(|leases| **leases > 0) {
                            *leases -= 1;
                            index.release(&digest(n));
                        }
                    }
                }
                prop_assert!(index.used_bytes() <= 100);
                prop_assert_eq!(index.reserved, 0);
                for (n, leases) in &held {
                    prop_assert!(*leases == 0 || index.entries.contains_key(&digest(*n)));
                }
            }
        }
    }
}
