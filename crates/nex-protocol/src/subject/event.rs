//! The subjects of events: `$NEX.events.{namespace}.{type}`.

use std::fmt;
use std::str::FromStr;

use super::{NEX_TOKEN, SubjectError, SubjectPattern, Token, exact_tokens};
use crate::name::Namespace;
use crate::text_serde::text_serde;

const EVENTS: &str = "events";

/// The subject on which an event is published.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventSubject {
    /// Whom the event concerns; `system` for a node's own.
    pub namespace: Namespace,
    /// The type of the event, such as `workload_started`.
    pub kind: Token,
}

impl FromStr for EventSubject {
    type Err = SubjectError;

    fn from_str(subject: &str) -> Result<Self, SubjectError> {
        match exact_tokens(subject)? {
            [NEX_TOKEN, EVENTS, namespace, kind] => {
                Ok(Self { namespace: namespace.parse()?, kind: kind.parse()? })
            }
            _ => Err(SubjectError::Unknown),
        }
    }
}

impl fmt::Display for EventSubject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{NEX_TOKEN}.{EVENTS}.{}.{}", self.namespace, self.kind)
    }
}

text_serde!(EventSubject, "the subject of an event");

/// Which events to receive. None means all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EventFilter {
    /// Those of this namespace.
    pub namespace: Option<Namespace>,
    /// Those of this type.
    pub kind: Option<Token>,
}

impl EventFilter {
    /// The pattern to subscribe to.
    #[must_use]
    pub fn pattern(&self) -> SubjectPattern {
        let namespace = self.namespace.as_ref().map_or("*", Namespace::as_str);
        let kind = self.kind.as_ref().map_or("*", Token::as_str);
        SubjectPattern::from_parts(&[&NEX_TOKEN, &EVENTS, &namespace, &kind])
    }

    /// Whether an event on this subject passes the filter.
    #[must_use]
    pub fn matches(&self, subject: &EventSubject) -> bool {
        self.namespace.as_ref().is_none_or(|wanted| *wanted == subject.namespace)
            && self.kind.as_ref().is_none_or(|wanted| *wanted == subject.kind)
    }
}
