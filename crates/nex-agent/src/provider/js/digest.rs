//! The digests of `crypto.subtle`.

use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The longest digest, and the place that a guest has for one.
pub(super) const MAX_DIGEST_BYTES: i32 = 64;

/// A digest being made.
pub(super) enum Algorithm {
    Sha1(Sha1),
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Algorithm {
    pub(super) fn from_wire(number: i32) -> Option<Self> {
        match number {
            0 => Some(Self::Sha1(Sha1::new())),
            1 => Some(Self::Sha256(Sha256::new())),
            2 => Some(Self::Sha384(Sha384::new())),
            3 => Some(Self::Sha512(Sha512::new())),
            _ => None,
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hash) => hash.update(bytes),
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha384(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha1(hash) => hash.finalize().to_vec(),
            Self::Sha256(hash) => hash.finalize().to_vec(),
            Self::Sha384(hash) => hash.finalize().to_vec(),
            Self::Sha512(hash) => hash.finalize().to_vec(),
        }
    }
}
