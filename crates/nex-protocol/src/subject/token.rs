//! One token of a subject.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::MAX_SUBJECT_BYTES;
use crate::name::{Namespace, WorkloadId, WorkloadName};
use crate::text_serde::text_serde;

/// One literal token of a subject: a text without dots or white space that is no wildcard.
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(Arc<str>);

/// Why a text is not a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The empty text.
    #[error("a token of a subject cannot be empty: give it a name")]
    Empty,
    /// A dot, which would make it two tokens, or white space.
    #[error("a token of a subject cannot contain {found:?}: leave it out")]
    Character {
        /// The first such character.
        found: char,
    },
    /// `*` or `>`.
    #[error("`*` and `>` are wildcards where a name is needed: give the name")]
    Wildcard,
    /// Longer than [`MAX_SUBJECT_BYTES`].
    #[error("a token of a subject has at most {MAX_SUBJECT_BYTES} bytes: use a shorter one")]
    TooLong,
}

impl Token {
    /// The token's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The characters that a NATS server takes for the end of a subject.
pub(super) const fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\x0c')
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        if text.len() > MAX_SUBJECT_BYTES {
            return Err(TokenError::TooLong);
        }
        if matches!(text, "*" | ">") {
            return Err(TokenError::Wildcard);
        }
        match text.chars().find(|&c| c == '.' || is_blank(c)) {
            Some(found) => Err(TokenError::Character { found }),
            None => Ok(Self(text.into())),
        }
    }
}

impl TryFrom<&str> for Token {
    type Error = TokenError;

    fn try_from(text: &str) -> Result<Self, TokenError> {
        text.parse()
    }
}

impl From<&Namespace> for Token {
    fn from(name: &Namespace) -> Self {
        Self(name.as_str().into())
    }
}

impl From<&WorkloadName> for Token {
    fn from(name: &WorkloadName) -> Self {
        Self(name.as_str().into())
    }
}

impl From<WorkloadId> for Token {
    fn from(id: WorkloadId) -> Self {
        Self(id.as_str().into())
    }
}

impl AsRef<str> for Token {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Token {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Token {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl fmt::Display for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", &*self.0)
    }
}

text_serde!(Token, "one token of a NATS subject");

impl From<crate::event::EventKind> for Token {
    fn from(kind: crate::event::EventKind) -> Self {
        Self(kind.as_str().into())
    }
}
