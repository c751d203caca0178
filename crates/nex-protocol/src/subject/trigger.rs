//! The subjects on which functions may be triggered.

use std::fmt;
use std::str::FromStr;

use super::AGENT_TOKEN;
use super::pattern::{PatternError, SubjectPattern};
use crate::text_serde::text_serde;

/// First tokens under which NATS itself sends replies.
const REPLY_TOKENS: [&str; 3] = ["_INBOX", "_R_", "_GR_"];

/// A pattern on which a function may be triggered.
///
/// A tenant chooses it, and the node subscribes to it with the node's own rights: so it must not
/// reach what is not meant for tenants. Its first token is a plain name, neither a wildcard (it
/// would cover `$…` subjects, replies and the node's own traffic) nor one of those names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TriggerSubject(SubjectPattern);

/// Why a text is no trigger subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TriggerSubjectError {
    /// Not a NATS pattern at all.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The first token is a wildcard.
    #[error(
        "a trigger subject cannot begin with a wildcard, which would cover system subjects such \
         as `$NEX` and `$JS`: begin it with a name, such as `orders.>`"
    )]
    LeadingWildcard,
    /// The first token begins with `$`.
    #[error("subjects that begin with `$` belong to the system: begin the trigger with a name")]
    System,
    /// The first token is one under which replies travel.
    #[error("this subject is one on which NATS sends replies: begin the trigger with another name")]
    Reply,
    /// The first token is the one of the agents.
    #[error(
        "subjects that begin with `agentint` belong to the node and its agents: begin the trigger with another name"
    )]
    Agent,
}

impl TriggerSubject {
    /// The subject as a pattern to subscribe to.
    #[must_use]
    pub const fn pattern(&self) -> &SubjectPattern {
        &self.0
    }

    /// The subject's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl TryFrom<SubjectPattern> for TriggerSubject {
    type Error = TriggerSubjectError;

    fn try_from(pattern: SubjectPattern) -> Result<Self, TriggerSubjectError> {
        let first = pattern.tokens().next().unwrap_or_default();
        if matches!(first, "*" | ">") {
            return Err(TriggerSubjectError::LeadingWildcard);
        }
        if first.starts_with('$') {
            return Err(TriggerSubjectError::System);
        }
        if REPLY_TOKENS.contains(&first) {
            return Err(TriggerSubjectError::Reply);
        }
        if first == AGENT_TOKEN {
            return Err(TriggerSubjectError::Agent);
        }
        Ok(Self(pattern))
    }
}

impl FromStr for TriggerSubject {
    type Err = TriggerSubjectError;

    fn from_str(text: &str) -> Result<Self, TriggerSubjectError> {
        text.parse::<SubjectPattern>()?.try_into()
    }
}

impl TryFrom<&str> for TriggerSubject {
    type Error = TriggerSubjectError;

    fn try_from(text: &str) -> Result<Self, TriggerSubjectError> {
        text.parse()
    }
}

impl From<TriggerSubject> for SubjectPattern {
    fn from(subject: TriggerSubject) -> Self {
        subject.0
    }
}

impl AsRef<str> for TriggerSubject {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for TriggerSubject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Debug for TriggerSubject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TriggerSubject({:?})", self.as_str())
    }
}

text_serde!(TriggerSubject, "a subject to trigger a function on");
