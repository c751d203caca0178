//! Which agents are expected, and by which secret they are known.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nex_protocol::name::WorkloadId;

use super::link::LinkState;

/// Bytes of an agent's secret: 256 bits of the system's entropy.
const SECRET_BYTES: usize = 32;

/// What the endpoint knows about one expected agent.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) secret: String,
    pub(super) legacy: bool,
    pub(super) link: Arc<LinkState>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let expected = self.registry.entries().remove(&self.id);
        if let Some(expected) = expected {
            expected.link.close();
        }
    }
}

/// The expected agents. The lock is held for single map operations.
#[derive(Debug, Default)]
pub(super) struct Registry(Mutex<HashMap<WorkloadId, Expected>>);

/// An entry of the registry; dropping it revokes the secret and closes the
/// agent's connection.
#[derive(Debug)]
pub(super) struct Registration {
    id: WorkloadId,
    registry: Arc<Registry>,
}

impl Registry {
    fn entries(&self) -> MutexGuard<'_, HashMap<WorkloadId, Expected>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Expects an agent. `None` when it is expected already.
    pub(super) fn expect(
        self: &Arc<Self>,
        id: WorkloadId,
        legacy: bool,
        link: Arc<LinkState>,
    ) -> Option<(Registration, String)> {
        let secret = data_encoding::BASE64URL_NOPAD.encode(&rand::random::<[u8; SECRET_BYTES]>());
        let mut entries = self.entries();
        if entries.contains_key(&id) {
            return None;
        }
        entries.insert(id, Expected { secret: secret.clone(), legacy, link });
        Some((Registration { id, registry: Arc::clone(self) }, secret))
    }

    /// The agent that knows this secret.
    pub(super) fn authenticate(
        &self,
        user: &str,
        secret: &str,
    ) -> Option<(WorkloadId, Arc<LinkState>)> {
        let id: WorkloadId = user.parse().ok()?;
        let entries = self.entries();
        let expected = entries.get(&id)?;
        let right = same(expected.secret.as_bytes(), secret.as_bytes());
        right.then(|| (id, Arc::clone(&expected.link)))
    }

    /// A legacy agent that is expected and has not come yet.
    pub(super) fn identify(&self, id: WorkloadId) -> Option<Arc<LinkState>> {
        let entries = self.entries();
        let expected = entries.get(&id)?;
        (expected.legacy && !expected.link.is_connected()).then(|| Arc::clone(&expected.link))
    }
}

/// Compares in a time that depends on the lengths alone.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn secrets_are_compared_whole() {
        assert!(same(b"abc", b"abc"));
        assert!(!same(b"abc", b"abd") && !same(b"abc", b"ab") && !same(b"", b"a"));
    }
}
