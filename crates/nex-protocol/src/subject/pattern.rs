//! Subjects to publish to and patterns to subscribe to, by the rules of the NATS server.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::MAX_SUBJECT_BYTES;
use super::token::{Token, is_blank};
use crate::text_serde::text_serde;

/// Why a text is not a subject or pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// The empty text.
    #[error("the subject is empty: give one, such as `orders.new`")]
    Empty,
    /// Longer than [`MAX_SUBJECT_BYTES`].
    #[error("the subject has {found} bytes: use at most {MAX_SUBJECT_BYTES}")]
    TooLong {
        /// Bytes that were given.
        found: usize,
    },
    /// A dot at an end, or two dots with nothing between.
    #[error("the subject has an empty token: remove the dot at its end or the doubled dot")]
    EmptyToken,
    /// A blank, tab or line break.
    #[error("the subject contains white space ({found:?}): remove it")]
    Blank {
        /// The first such character.
        found: char,
    },
    /// `>` that is not the last token.
    #[error("`>` can only be the last token of a subject: use `*` for one token in the middle")]
    TailWildcard,
    /// A wildcard in a subject that is to be published to.
    #[error("a message needs a subject without `*` and `>`: name every token")]
    Wildcard,
}

/// A pattern that can be subscribed to: tokens of which `*` stands for any one token and a last
/// `>` for any one or more. Cheap to clone.
///
/// Only a whole token is a wildcard: `a*` is a plain one. A pattern without wildcards is allowed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectPattern(Arc<str>);

impl SubjectPattern {
    /// The pattern's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tokens, wildcards among them.
    pub fn tokens(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.split('.')
    }

    /// Whether it has no wildcard, so that it is a subject as well.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        !self.tokens().any(is_wildcard)
    }

    /// Whether a message published to `subject` is delivered to a subscription on this pattern.
    ///
    /// A text that is no subject matches nothing. Tokens of `subject` are taken literally.
    #[must_use]
    pub fn matches(&self, subject: &str) -> bool {
        // A server does not route what has an empty token, even where `>` would cover it.
        if check_tokens(subject).is_err() && !has_only_odd_wildcards(subject) {
            return false;
        }
        let mut tokens = subject.split('.');
        for wanted in self.tokens() {
            match (wanted, tokens.next()) {
                (_, None) => return false,
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (wanted, Some(token)) if wanted == token => {}
                (_, Some(_)) => return false,
            }
        }
        tokens.next().is_none()
    }

    /// Whether there could be a subject that both patterns match.
    #[must_use]
    pub fn collides(&self, other: &Self) -> bool {
        let (mut ours, mut theirs) = (self.tokens(), other.tokens());
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                (None, Some(_)) | (Some(_), None) => return false,
                (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
                (Some("*"), Some(_)) | (Some(_), Some("*")) => {}
                (Some(a), Some(b)) if a == b => {}
                (Some(_), Some(_)) => return false,
            }
        }
    }

    /// A pattern from parts that are tokens or wildcards in the right places.
    pub(super) fn from_parts(parts: &[&dyn fmt::Display]) -> Self {
        Self(join(parts).into())
    }
}

/// Joins tokens with dots.
fn join(parts: &[&dyn fmt::Display]) -> String {
    use fmt::Write as _;
    let mut text = String::new();
    for (at, part) in parts.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}{part}", if at == 0 { "" } else { "." });
    }
    text
}

fn is_wildcard(token: &str) -> bool {
    matches!(token, "*" | ">")
}

/// The rules for patterns.
fn check_tokens(text: &str) -> Result<(), PatternError> {
    if text.is_empty() {
        return Err(PatternError::Empty);
    }
    if text.len() > MAX_SUBJECT_BYTES {
        return Err(PatternError::TooLong { found: text.len() });
    }
    if let Some(found) = text.chars().find(|&c| is_blank(c)) {
        return Err(PatternError::Blank { found });
    }
    let mut tokens = text.split('.').peekable();
    while let Some(token) = tokens.next() {
        if token.is_empty() {
            return Err(PatternError::EmptyToken);
        }
        if token == ">" && tokens.peek().is_some() {
            return Err(PatternError::TailWildcard);
        }
    }
    Ok(())
}

/// Whether the only thing wrong with a text is a `>` before its end: a server that is not pedantic
/// routes a message published so, as it stands.
fn has_only_odd_wildcards(subject: &str) -> bool {
    check_tokens(subject) == Err(PatternError::TailWildcard)
        && !subject.split('.').any(str::is_empty)
}

impl FromStr for SubjectPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        check_tokens(text)?;
        Ok(Self(text.into()))
    }
}

impl TryFrom<&str> for SubjectPattern {
    type Error = PatternError;

    fn try_from(text: &str) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl From<Subject> for SubjectPattern {
    fn from(subject: Subject) -> Self {
        Self(subject.0)
    }
}

impl AsRef<str> for SubjectPattern {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SubjectPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl fmt::Debug for SubjectPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SubjectPattern({:?})", &*self.0)
    }
}

text_serde!(SubjectPattern, "a NATS subject, possibly with wildcards");

/// A subject that can be published to: no token of it is a wildcard. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    /// The subject's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tokens.
    pub fn tokens(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.split('.')
    }
}

impl From<Token> for Subject {
    fn from(token: Token) -> Self {
        Self(token.as_str().into())
    }
}

impl FromStr for Subject {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        check_tokens(text)?;
        if text.split('.').any(is_wildcard) {
            return Err(PatternError::Wildcard);
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<&str> for Subject {
    type Error = PatternError;

    fn try_from(text: &str) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl AsRef<str> for Subject {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Subject({:?})", &*self.0)
    }
}

text_serde!(Subject, "a NATS subject without wildcards");
