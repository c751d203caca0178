//! What one connection listens to.

use std::sync::Arc;

use nex_protocol::subject::SubjectPattern;

/// The subscriptions of one connection, oldest first.
///
/// The endpoint is no broker: a message goes to the oldest subscription that matches and to no
/// other, and only to the connection it was meant for.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    held: Vec<Subscription>,
}

#[derive(Debug)]
struct Subscription {
    pattern: SubjectPattern,
    sid: Arc<str>,
    delivered: u64,
    max: Option<u64>,
}

/// There are as many subscriptions as allowed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl Subscriptions {
    /// Adds a subscription. One whose id is in use is ignored, as nats-server does.
    pub(super) fn add(
        &mut self,
        pattern: SubjectPattern,
        sid: &str,
        limit: usize,
    ) -> Result<(), TooMany> {
        if self.held.iter().any(|held| &*held.sid == sid) {
            return Ok(());
        }
        if self.held.len() >= limit {
            return Err(TooMany);
        }
        self.held.push(Subscription { pattern, sid: sid.into(), delivered: 0, max: None });
        Ok(())
    }

    /// Ends a subscription at once, or after `max` deliveries in all.
    pub(super) fn remove(&mut self, sid: &str, max: Option<u64>) {
        let Some(at) = self.held.iter().position(|held| &*held.sid == sid) else { return };
        match max {
            Some(max) if self.held.get(at).is_some_and(|held| held.delivered < max) => {
                if let Some(held) = self.held.get_mut(at) {
                    held.max = Some(max);
                }
            }
            _ => {
                self.held.remove(at);
            }
        }
    }

    /// Whether anyone listens to this subject.
    pub(super) fn interest(&self, subject: &str) -> bool {
        self.held.iter().any(|held| held.pattern.matches(subject))
    }

    /// The id under which a message on this subject is delivered; counts as a delivery.
    pub(super) fn deliver(&mut self, subject: &str) -> Option<Arc<str>> {
        let at = self.held.iter().position(|held| held.pattern.matches(subject))?;
        let held = self.held.get_mut(at)?;
        held.delivered += 1;
        let sid = Arc::clone(&held.sid);
        if held.max.is_some_and(|max| held.delivered >= max) {
            self.held.remove(at);
        }
        Some(sid)
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.held.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(subjects: &[(&str, &str)]) -> Subscriptions {
        let mut all = Subscriptions::default();
        for (subject, sid) in subjects {
            all.add(subject.parse().unwrap(), sid, 3).unwrap();
        }
        all
    }

    #[test]
    fn the_oldest_that_matches_gets_it() {
        let mut all = with(&[("a.*", "1"), ("a.b", "2"), ("c.>", "3")]);
        assert_eq!(all.deliver("a.b").as_deref(), Some("1"));
        assert_eq!(all.deliver("c.d.e").as_deref(), Some("3"));
        assert_eq!(all.deliver("d"), None);
        all.remove("1", None);
        assert_eq!(all.deliver("a.b").as_deref(), Some("2"));
        assert!(!all.interest("a.x"));
    }

    #[test]
    fn unsub_counts_all_deliveries() {
        let mut all = with(&[("a", "1")]);
        assert!(all.deliver("a").is_some());
        all.remove("1", Some(2));
        assert!(all.deliver("a").is_some());
        assert!(all.deliver("a").is_none());

        let mut all = with(&[("a", "1")]);
        assert!(all.deliver("a").is_some());
        all.remove("1", Some(1));
        assert!(all.deliver("a").is_none(), "already delivered as often as asked");
        all.remove("unknown", Some(1));
    }

    #[test]
    fn they_are_limited_and_an_id_in_use_changes_nothing() {
        let mut all = with(&[("a", "1"), ("b", "2"), ("c", "3")]);
        assert_eq!(all.add("d".parse().unwrap(), "4", 3), Err(TooMany));
        assert_eq!(all.add("d".parse().unwrap(), "3", 3), Ok(()));
        assert!(!all.interest("d"));
    }
}
