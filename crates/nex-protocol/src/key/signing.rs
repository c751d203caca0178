//! ed25519 keys: sign and verify.

use std::fmt;
use std::str::FromStr;

use crypto_box::aead::OsRng;
use ed25519_dalek::{Signature, Signer as _, VerifyingKey};

use super::text::{self, Family, RAW_BYTES};
use super::{KeyError, KeyKind};
use crate::text_serde::text_serde;

/// Bytes in a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// A key that signs. Its secret is wiped from memory when it is dropped.
#[derive(Clone)]
pub struct SigningKey {
    kind: KeyKind,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// A new key, made from the operating system's randomness.
    #[must_use]
    pub fn generate(kind: KeyKind) -> Self {
        // A curve secret is 32 random bytes, exactly what an ed25519 seed is.
        let seed = crypto_box::SecretKey::generate(&mut OsRng).to_bytes();
        Self { kind, key: ed25519_dalek::SigningKey::from_bytes(&seed) }
    }

    /// Reads a seed (`SA…`, `SN…`, …), exactly as it stands.
    ///
    /// # Errors
    /// What is wrong with the text; a curve seed (`SX…`) is refused.
    pub fn from_seed(seed: &str) -> Result<Self, KeyError> {
        match text::decode_seed(seed)? {
            (Family::Signing(kind), raw) => {
                Ok(Self { kind, key: ed25519_dalek::SigningKey::from_bytes(&raw) })
            }
            (Family::Curve, _) => Err(KeyError::CurveKey),
        }
    }

    /// The seed's text. It is the secret itself: write it only to a file of mode 0600.
    #[must_use]
    pub fn seed(&self) -> String {
        text::encode_seed(Family::Signing(self.kind), self.key.as_bytes())
    }

    /// What this key stands for.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey { kind: self.kind, raw: self.key.verifying_key().to_bytes() }
    }

    /// Signs a message. The same key and message give the same signature each time.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The public half alone: the seed must never reach a log.
        formatter.debug_tuple("SigningKey").field(&self.public()).finish()
    }
}

/// The public half of a [`SigningKey`]: a kind and a point of the curve that is not weak.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey {
    kind: KeyKind,
    raw: [u8; RAW_BYTES],
}

impl PublicKey {
    /// What this key stands for.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The point's 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; RAW_BYTES] {
        &self.raw
    }

    /// Checks a signature.
    ///
    /// Stricter than Go: also refuses a signature whose commitment is a weak point.
    ///
    /// # Errors
    /// [`KeyError::Signature`] if it does not fit, whatever the reason.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        let signature = Signature::from_slice(signature).map_err(|_| KeyError::Signature)?;
        let key = VerifyingKey::from_bytes(&self.raw).map_err(|_| KeyError::NotAPoint)?;
        key.verify_strict(message, &signature).map_err(|_| KeyError::Signature)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (Family::Signing(kind), raw) = text::decode_public(text)? else {
            return Err(KeyError::CurveKey);
        };
        let key = VerifyingKey::from_bytes(&raw).map_err(|_| KeyError::NotAPoint)?;
        if key.is_weak() {
            return Err(KeyError::WeakPoint);
        }
        // Some points have a second encoding that decoders take. A generator never writes it, and
        // keys are compared by their bytes.
        if key.to_edwards().compress().to_bytes() != raw {
            return Err(KeyError::NotAPoint);
        }
        Ok(Self { kind, raw })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&text::encode_public(Family::Signing(self.kind), &self.raw))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({self})")
    }
}

text_serde!(PublicKey, "a public nkey that can sign, such as A…");
