//! The signed claims of a workload: who asks for it to be run or stopped, and what it is.
//!
//! They travel as a NATS *generic claims* JWT, signed by the issuer's nkey. A deploy token names
//! the artifact's hash; a stop token has no hash.
//!
//! Reading is stricter than Go's: parts in canonical base64url, claim names in their exact case
//! and once each, a signing key that is not weak, bounded sizes. Tokens are compared by what they
//! claim, never by their texts.

mod issue;
mod stop;
mod token;

use std::fmt;

pub use issue::ClaimsRequest;
pub use stop::StopClaimsError;
pub use token::{ClaimsError, MAX_TOKEN_CHARACTERS};

use crate::digest::Digest;
use crate::key::PublicKey;
use crate::name::WorkloadName;

/// Claims whose signature was found good.
///
/// Times are in seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkloadClaims {
    /// Who signed (`iss`).
    pub issuer: PublicKey,
    /// The workload's name (`sub`).
    pub workload: WorkloadName,
    /// What the artifact's content is claimed to be (`nats.hash`).
    pub hash: HashClaim,
    /// When the token was made (`iat`).
    pub issued_at: i64,
    /// The last second in which the token is good (`exp`). None: it does not expire.
    pub expires_at: Option<i64>,
    /// The first second in which the token is good (`nbf`). None: it is good at once.
    pub not_before: Option<i64>,
    /// The token's id (`jti`): not unique, since Go derives it from the other standard claims.
    pub id: Option<String>,
    /// A name for people to read (`name`).
    pub name: Option<String>,
    /// Whom the token is meant for (`aud`). Nobody looks at it.
    pub audience: Option<String>,
}

/// What a token says about the artifact's hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HashClaim {
    /// A SHA-256 digest, in hexadecimal or in the form of NATS object digests. The artifact must
    /// have it.
    Sha256(Digest),
    /// A text that is no digest, such as `abc12345TODOmakethisreal`, which the Go CLI sends, or
    /// the empty text.
    Opaque(String),
    /// Nothing: the form of stop tokens.
    Absent,
}

impl HashClaim {
    /// The digest, if the claim is one.
    #[must_use]
    pub const fn digest(&self) -> Option<Digest> {
        match self {
            Self::Sha256(digest) => Some(*digest),
            Self::Opaque(_) | Self::Absent => None,
        }
    }

    fn from_wire(text: Option<String>) -> Self {
        match text {
            None => Self::Absent,
            Some(text) => text.parse().map_or(Self::Opaque(text), Self::Sha256),
        }
    }

    fn to_wire(&self) -> Option<String> {
        match self {
            Self::Sha256(digest) => Some(digest.to_string()),
            Self::Opaque(text) => Some(text.clone()),
            Self::Absent => None,
        }
    }
}

impl fmt::Display for HashClaim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digest) => digest.fmt(formatter),
            Self::Opaque(text) => formatter.pad(text),
            Self::Absent => Ok(()),
        }
    }
}
