//! Which triggers a function may have, and why one cannot be listened to.

use async_nats::{Client, SubscribeError};
use nex_protocol::subject::{SubjectPattern, TriggerSubject};

/// Why triggers are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TriggerError {
    /// A message could match both, and would be delivered twice.
    #[error(
        "the trigger subjects {0} and {1} overlap: a message that matches both would be delivered twice; leave one out"
    )]
    Overlap(TriggerSubject, TriggerSubject),
    /// The node listens there itself.
    #[error("the trigger subject {0} covers replies to this node ({1}); choose another")]
    Inbox(TriggerSubject, SubjectPattern),
}

/// Why a function's triggers are not listened to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttachError {
    /// NATS takes no subscription.
    #[error("NATS takes no subscription to {0}; check the node's connection and its permissions")]
    Subscribe(TriggerSubject, #[source] SubscribeError),
    /// The server does not confirm them.
    #[error("NATS did not confirm the subscriptions in time; check the node's connection to it")]
    NotLive,
    /// The function was stopped meanwhile.
    #[error("the function was stopped meanwhile")]
    Stopped,
}

/// Checks triggers against each other and against the subjects of the node's own connection.
pub(super) fn check(
    triggers: &[TriggerSubject],
    inbox: &SubjectPattern,
) -> Result<(), TriggerError> {
    for (index, one) in triggers.iter().enumerate() {
        if one.pattern().collides(inbox) {
            return Err(TriggerError::Inbox(one.clone(), inbox.clone()));
        }
        let others = triggers.iter().skip(index + 1);
        if let Some(other) =
            others.into_iter().find(|other| one.pattern().collides(other.pattern()))
        {
            return Err(TriggerError::Overlap(one.clone(), other.clone()));
        }
    }
    Ok(())
}

/// Where replies to this connection arrive. The client's prefix may be one of its own.
pub(super) fn inbox_of(nats: &Client) -> Option<SubjectPattern> {
    let inbox = nats.new_inbox();
    let (prefix, _) = inbox.rsplit_once('.')?;
    format!("{prefix}.>").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(triggers: &[&str]) -> Option<TriggerError> {
        let triggers: Vec<_> = triggers.iter().map(|text| text.parse().unwrap()).collect();
        check(&triggers, &"MY.INBOX.>".parse().unwrap()).err()
    }

    #[test]
    fn a_message_reaches_one_trigger_at_most() {
        assert_eq!(refused(&["a.b", "a.c", "b.>"]), None);
        for pair in [["a.b", "a.b"], ["a.*", "a.b"], ["x.>", "x.y.z"], ["a.*.c", "a.b.*"]] {
            assert!(matches!(refused(&pair), Some(TriggerError::Overlap(..))), "{pair:?}");
        }
    }

    #[test]
    fn nobody_listens_to_the_nodes_replies() {
        for trigger in ["MY.>", "MY.INBOX.*", "MY.*.x.y"] {
            assert!(matches!(refused(&[trigger]), Some(TriggerError::Inbox(..))), "{trigger}");
        }
        assert_eq!(refused(&["MY.other"]), None);
    }
}
