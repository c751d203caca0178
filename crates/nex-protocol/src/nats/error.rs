//! What can be wrong with a peer's bytes, and the words of `-ERR`.

use std::fmt;

use super::{HeaderError, TextError};

/// Bytes that are not the NATS client protocol, or beyond a limit.
///
/// There is no way to find the next operation after such an error: the connection has to be
/// closed.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A control line is longer than allowed.
    #[error("control line is longer than {limit} bytes")]
    ControlLineTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// A control line ends in LF without CR.
    #[error("control line does not end in CR LF")]
    BareLineFeed,
    /// The first word of a control line is no operation of this direction.
    #[error("unknown protocol operation")]
    UnknownOperation,
    /// Too few or too many words after an operation.
    #[error("wrong number of arguments to {op}")]
    BadArguments {
        /// The operation.
        op: &'static str,
    },
    /// A size or count is not a plain decimal number that fits.
    #[error("{op} has a size or count that is no number")]
    BadNumber {
        /// The operation.
        op: &'static str,
    },
    /// A subject, reply subject, queue name or subscription id is too long.
    #[error("{op} names a subject of {size} bytes; at most {limit} are allowed")]
    SubjectTooLong {
        /// The operation.
        op: &'static str,
        /// Its length.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A subject holds a control character.
    #[error("{op} names a subject with a control character in it")]
    ControlCharacter {
        /// The operation.
        op: &'static str,
    },
    /// A word of the control line is not UTF-8.
    #[error("{op} holds text that cannot be read")]
    Text {
        /// The operation.
        op: &'static str,
        /// Why.
        #[source]
        source: TextError,
    },
    /// The message is larger than allowed.
    #[error("message of {size} bytes; at most {limit} are allowed")]
    PayloadTooLarge {
        /// Header block and payload together, in bytes.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The header block is larger than allowed.
    #[error("header block of {size} bytes; at most {limit} are allowed")]
    HeadersTooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The header block would be larger than the message it is part of.
    #[error("header block of {headers} bytes in a message of {total}")]
    HeadersBeyondTotal {
        /// Size of the header block.
        headers: usize,
        /// Size of the message.
        total: usize,
    },
    /// A message is not followed by CR LF: its size was wrong.
    #[error("message is not followed by CR LF")]
    MissingBodyEnd,
    /// The header block cannot be read.
    #[error("unreadable message headers")]
    Headers(#[source] HeaderError),
    /// The JSON of `CONNECT` or `INFO` cannot be read.
    #[error("unreadable JSON in {op}")]
    Json {
        /// The operation.
        op: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The decoder was asked again after an error.
    #[error("connection was already broken by a protocol error; open a new one")]
    AfterError,
}

impl DecodeError {
    /// What a server answers before it closes the connection.
    #[must_use]
    pub fn err_kind(&self) -> ErrKind {
        match self {
            Self::ControlLineTooLong { .. } | Self::SubjectTooLong { .. } => {
                ErrKind::MaximumControlLineExceeded
            }
            Self::UnknownOperation => ErrKind::UnknownProtocolOperation,
            Self::PayloadTooLarge { .. } | Self::HeadersTooLarge { .. } => {
                ErrKind::MaximumPayloadViolation
            }
            Self::BareLineFeed
            | Self::BadArguments { .. }
            | Self::BadNumber { .. }
            | Self::ControlCharacter { .. }
            | Self::Text { .. }
            | Self::HeadersBeyondTotal { .. }
            | Self::MissingBodyEnd
            | Self::Headers(_)
            | Self::Json { .. }
            | Self::AfterError => ErrKind::ParserError,
        }
    }
}

/// The kinds of `-ERR`, with nats-server's texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrKind {
    /// Wrong or missing credentials; the connection is closed.
    AuthorizationViolation,
    /// No `CONNECT` in time; the connection is closed.
    AuthenticationTimeout,
    /// The credentials were taken back; the connection is closed.
    AuthenticationRevoked,
    /// A subject this client may not use. The connection stays.
    PermissionsViolation,
    /// A subject that is none. The connection stays.
    InvalidSubject,
    /// More subscriptions than allowed. The connection stays.
    MaximumSubscriptionsExceeded,
    /// No such operation; the connection is closed.
    UnknownProtocolOperation,
    /// Unreadable operation; the connection is closed.
    ParserError,
    /// A control line is too long; the connection is closed.
    MaximumControlLineExceeded,
    /// A message is too large; the connection is closed.
    MaximumPayloadViolation,
    /// Too many connections; this one is closed.
    MaximumConnectionsExceeded,
    /// The client reads too slowly; the connection is closed.
    SlowConsumer,
    /// The client did not answer `PING`; the connection is closed.
    StaleConnection,
    /// A newer connection took this one's place; it is closed.
    DuplicateConnection,
    /// The server is going away; the connection is closed.
    ServerShutdown,
    /// A text that is not in this list.
    Other,
}

impl ErrKind {
    /// Every kind but [`ErrKind::Other`].
    pub const ALL: [Self; 15] = [
        Self::AuthorizationViolation,
        Self::AuthenticationTimeout,
        Self::AuthenticationRevoked,
        Self::PermissionsViolation,
        Self::InvalidSubject,
        Self::MaximumSubscriptionsExceeded,
        Self::UnknownProtocolOperation,
        Self::ParserError,
        Self::MaximumControlLineExceeded,
        Self::MaximumPayloadViolation,
        Self::MaximumConnectionsExceeded,
        Self::SlowConsumer,
        Self::StaleConnection,
        Self::DuplicateConnection,
        Self::ServerShutdown,
    ];

    /// The start of the text on the wire; some kinds are followed by details.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationViolation => "Authorization Violation",
            Self::AuthenticationTimeout => "Authentication Timeout",
            Self::AuthenticationRevoked => "User Authentication Revoked",
            Self::PermissionsViolation => "Permissions Violation",
            Self::InvalidSubject => "Invalid Subject",
            Self::MaximumSubscriptionsExceeded => "Maximum Subscriptions Exceeded",
            Self::UnknownProtocolOperation => "Unknown Protocol Operation",
            Self::ParserError => "Parser Error",
            Self::MaximumControlLineExceeded => "Maximum Control Line Exceeded",
            Self::MaximumPayloadViolation => "Maximum Payload Violation",
            Self::MaximumConnectionsExceeded => "Maximum Connections Exceeded",
            Self::SlowConsumer => "Slow Consumer",
            Self::StaleConnection => "Stale Connection",
            Self::DuplicateConnection => "Duplicate Connection",
            Self::ServerShutdown => "Server Shutdown",
            Self::Other => "Error",
        }
    }

    /// Reads the text of an `-ERR`, in whatever case a server writes it.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|kind| {
                text.get(..kind.as_str().len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(kind.as_str()))
            })
            .unwrap_or(Self::Other)
    }

    /// Whether the server closes the connection after it. An unknown text is taken for one that
    /// does not: if the server closes, the client sees that.
    #[must_use]
    pub const fn closes(self) -> bool {
        !matches!(
            self,
            Self::PermissionsViolation
                | Self::InvalidSubject
                | Self::MaximumSubscriptionsExceeded
                | Self::Other
        )
    }
}

impl fmt::Display for ErrKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
