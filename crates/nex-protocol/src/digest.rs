//! SHA-256 digests: what artifacts are addressed by, and what a workload's claims promise.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64URL, HEXLOWER, HEXLOWER_PERMISSIVE};
use sha2::{Digest as _, Sha256};

use crate::text_serde::text_serde;

/// Bytes in a SHA-256 digest.
pub const DIGEST_BYTES: usize = 32;

/// Characters of a digest in hexadecimal.
const HEX_CHARACTERS: usize = DIGEST_BYTES * 2;

/// What NATS writes before the digest of an object.
const NATS_PREFIX: &str = "SHA-256=";

/// Characters of a padded base64url SHA-256 digest.
const BASE64_CHARACTERS: usize = 44;

/// A SHA-256 digest.
///
/// Prints as 64 lower-case hexadecimal digits. Reads that form (in either case) and the form of
/// NATS object digests, `SHA-256=` and padded base64url.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; DIGEST_BYTES]);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A digest that was computed elsewhere, for instance while an artifact was streamed.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; DIGEST_BYTES]) -> Self {
        Self(bytes)
    }

    /// The raw 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; DIGEST_BYTES] {
        &self.0
    }

    /// The form NATS gives the digest of an object: `SHA-256=` and padded base64url.
    #[must_use]
    pub fn to_nats_text(&self) -> String {
        format!("{NATS_PREFIX}{}", BASE64URL.encode(&self.0))
    }
}

/// Why a text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// Neither 64 characters nor a text that begins with `SHA-256=`.
    #[error("not a SHA-256 digest: give 64 hexadecimal digits or `SHA-256=` and base64url")]
    Form,
    /// 64 characters, but not all of them hexadecimal digits.
    #[error("not a SHA-256 digest: its 64 characters must all be 0-9 or a-f")]
    Hex,
    /// What follows `SHA-256=` is not the padded base64url of 32 bytes.
    #[error("not a SHA-256 digest: `SHA-256=` must be followed by the base64url of 32 bytes")]
    Base64,
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        if let Some(encoded) = text.strip_prefix(NATS_PREFIX) {
            // The length is looked at first, so that nothing large is decoded.
            if encoded.len() != BASE64_CHARACTERS {
                return Err(DigestError::Base64);
            }
            let bytes = BASE64URL.decode(encoded.as_bytes()).map_err(|_| DigestError::Base64)?;
            return bytes.try_into().map(Self).map_err(|_| DigestError::Base64);
        }
        if text.len() != HEX_CHARACTERS {
            return Err(DigestError::Form);
        }
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| DigestError::Hex)?;
        bytes.try_into().map(Self).map_err(|_| DigestError::Hex)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Digest({self})")
    }
}

text_serde!(Digest, "a SHA-256 digest");
