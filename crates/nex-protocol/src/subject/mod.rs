//! NATS subjects: everything that Nex publishes to or subscribes to is parsed and printed here.
//!
//! A subject is a list of tokens with dots between. [`Subject`] can be published to,
//! [`SubjectPattern`] can be subscribed to, [`Token`] is one token of a subject. The other types
//! each stand for one family of subjects and both parse and print it.

mod agent;
mod control;
mod event;
mod log;
mod pattern;
mod token;
mod trigger;

use crate::name::NameError;

pub use agent::{AgentSubject, AgentSubjectKind};
pub use control::{ControlSubject, WorkloadPingScope};
pub use event::{EventFilter, EventSubject};
pub use log::{LogFilter, LogSubject};
pub use pattern::{PatternError, Subject, SubjectPattern};
pub use token::{Token, TokenError};
pub use trigger::{TriggerSubject, TriggerSubjectError};

/// Most bytes in a subject or pattern. A NATS server takes about 4 KiB for a whole protocol line.
pub const MAX_SUBJECT_BYTES: usize = 2048;

/// The first token of everything between nodes and clients.
const NEX_TOKEN: &str = "$NEX";

/// The first token of everything between a node and its agents.
const AGENT_TOKEN: &str = "agentint";

/// Why a subject is none of the family that was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubjectError {
    /// Longer than [`MAX_SUBJECT_BYTES`].
    #[error("the subject has more than {MAX_SUBJECT_BYTES} bytes: use a shorter one")]
    TooLong,
    /// The fixed tokens are other ones, or there are too few or too many tokens.
    #[error("not a subject of this protocol: check its first tokens and their number")]
    Unknown,
    /// A namespace, workload, id or node that is no such thing.
    #[error("a token of the subject is not the name it should be")]
    Name(#[from] NameError),
    /// A token that is empty or cannot be part of a subject.
    #[error("a token of the subject cannot be one")]
    Token(#[from] TokenError),
}

/// The tokens of a subject that is short enough to look at.
fn tokens(subject: &str) -> Result<std::str::Split<'_, char>, SubjectError> {
    if subject.len() > MAX_SUBJECT_BYTES {
        return Err(SubjectError::TooLong);
    }
    Ok(subject.split('.'))
}

/// The tokens of a subject with exactly so many tokens.
fn exact_tokens<const N: usize>(subject: &str) -> Result<[&str; N], SubjectError> {
    let mut found = [""; N];
    let mut tokens = tokens(subject)?;
    for slot in &mut found {
        *slot = tokens.next().ok_or(SubjectError::Unknown)?;
    }
    if tokens.next().is_some() { Err(SubjectError::Unknown) } else { Ok(found) }
}
