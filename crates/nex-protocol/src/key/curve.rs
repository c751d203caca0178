//! X25519 keys (`xkeys`): seal and open boxes.

use std::fmt;
use std::str::FromStr;

use crypto_box::aead::{Aead as _, AeadCore as _, AeadInPlace as _, OsRng};
use crypto_box::{Nonce, SalsaBox, SecretKey};

use super::KeyError;
use super::text::{self, Family, RAW_BYTES};
use crate::text_serde::text_serde;

/// What a box begins with.
const BOX_VERSION: &[u8] = b"xkv1";

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// Bytes by which a box is longer than its content.
pub const BOX_OVERHEAD_BYTES: usize = BOX_VERSION.len() + NONCE_BYTES + TAG_BYTES;

/// A key that opens and seals boxes. Its secret is wiped from memory when it is dropped.
#[derive(Clone)]
pub struct CurveKey {
    secret: SecretKey,
    public: CurvePublicKey,
}

impl CurveKey {
    /// A new key, made from the operating system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_secret(SecretKey::generate(&mut OsRng))
    }

    /// Reads a seed (`SX…`), exactly as it stands.
    ///
    /// # Errors
    /// What is wrong with the text; the seed of a signing key is refused.
    pub fn from_seed(seed: &str) -> Result<Self, KeyError> {
        match text::decode_seed(seed)? {
            (Family::Curve, raw) => Ok(Self::from_secret(SecretKey::from_bytes(raw))),
            (Family::Signing(_), _) => Err(KeyError::NotACurveKey),
        }
    }

    fn from_secret(secret: SecretKey) -> Self {
        let public = CurvePublicKey { raw: secret.public_key().to_bytes() };
        Self { secret, public }
    }

    /// The seed's text. It is the secret itself: write it only to a file of mode 0600.
    #[must_use]
    pub fn seed(&self) -> String {
        text::encode_seed(Family::Curve, &self.secret.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> CurvePublicKey {
        self.public
    }

    /// Seals a message for a receiver. Both ends can open the box.
    ///
    /// The box is `xkv1`, a random nonce of 24 bytes, and a NaCl box
    /// (curve25519-xsalsa20-poly1305): [`BOX_OVERHEAD_BYTES`] longer than the message.
    #[must_use]
    pub fn seal(&self, message: &[u8], receiver: &CurvePublicKey) -> Vec<u8> {
        self.seal_with_nonce(message, receiver, &SalsaBox::generate_nonce(&mut OsRng))
    }

    fn seal_with_nonce(&self, message: &[u8], receiver: &CurvePublicKey, nonce: &Nonce) -> Vec<u8> {
        let mut sealed = message.to_vec();
        let tag =
            match self.shared_with(receiver).encrypt_in_place_detached(nonce, b"", &mut sealed) {
                Ok(tag) => tag,
                // The cipher refuses associated data and nothing else, and there is none.
                Err(_) => unreachable!("xsalsa20-poly1305 seals every message"),
            };
        let mut out = Vec::with_capacity(message.len() + BOX_OVERHEAD_BYTES);
        out.extend_from_slice(BOX_VERSION);
        out.extend_from_slice(nonce);
        out.extend_from_slice(&tag);
        out.extend_from_slice(&sealed);
        out
    }

    /// Opens a box that `sender` sealed for this key.
    ///
    /// The caller bounds the size of the box; the message is shorter by [`BOX_OVERHEAD_BYTES`].
    ///
    /// # Errors
    /// [`KeyError::BoxVersion`], [`KeyError::BoxTooShort`] or [`KeyError::BoxSealed`].
    pub fn open(&self, sealed: &[u8], sender: &CurvePublicKey) -> Result<Vec<u8>, KeyError> {
        if sealed.len() < BOX_OVERHEAD_BYTES {
            return Err(KeyError::BoxTooShort);
        }
        let sealed = sealed.strip_prefix(BOX_VERSION).ok_or(KeyError::BoxVersion)?;
        let (nonce, sealed) =
            sealed.split_first_chunk::<NONCE_BYTES>().ok_or(KeyError::BoxTooShort)?;
        self.shared_with(sender)
            .decrypt(&Nonce::from(*nonce), sealed)
            .map_err(|_| KeyError::BoxSealed)
    }

    fn shared_with(&self, other: &CurvePublicKey) -> SalsaBox {
        SalsaBox::new(&crypto_box::PublicKey::from_bytes(other.raw), &self.secret)
    }
}

impl fmt::Debug for CurveKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("CurveKey").field(&self.public).finish()
    }
}

/// The public half of a [`CurveKey`] (`X…`): a point that is not weak.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CurvePublicKey {
    raw: [u8; RAW_BYTES],
}

impl CurvePublicKey {
    /// The point's 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; RAW_BYTES] {
        &self.raw
    }
}

/// p - 1 for p = 2^255 - 19, little endian: the largest number that is a coordinate.
const LARGEST_COORDINATE: [u8; RAW_BYTES] = {
    let mut bytes = [0xff; RAW_BYTES];
    bytes[0] = 0xec;
    bytes[RAW_BYTES - 1] = 0x7f;
    bytes
};

/// The points of order 8, of the curve. The other weak points are 0, 1 and p - 1.
/// See <https://cr.yp.to/ecdh.html#validate>.
const ORDER_EIGHT: [[u8; RAW_BYTES]; 2] = [
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
        0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f,
        0x11, 0x57,
    ],
];

impl FromStr for CurvePublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (Family::Curve, raw) = text::decode_public(text)? else {
            return Err(KeyError::NotACurveKey);
        };
        // Little endian: the last byte is the highest. A generator writes a number below p.
        if raw.iter().rev().gt(LARGEST_COORDINATE.iter().rev()) {
            return Err(KeyError::NotAPoint);
        }
        let is_zero_or_one = raw
            .split_first()
            .is_some_and(|(first, rest)| *first <= 1 && rest.iter().all(|&byte| byte == 0));
        if is_zero_or_one || raw == LARGEST_COORDINATE || ORDER_EIGHT.contains(&raw) {
            return Err(KeyError::WeakPoint);
        }
        Ok(Self { raw })
    }
}

impl fmt::Display for CurvePublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&text::encode_public(Family::Curve, &self.raw))
    }
}

impl fmt::Debug for CurvePublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CurvePublicKey({self})")
    }
}

text_serde!(CurvePublicKey, "a public xkey (X…)");

#[cfg(test)]
mod tests {
    use data_encoding::{BASE64, HEXLOWER};
    use serde_json::Value;

    use super::*;

    #[test]
    fn with_a_fixed_nonce_boxes_are_those_that_go_makes() {
        let file: Value =
            serde_json::from_str(include_str!("../../tests/vectors/xkey.json")).unwrap();
        let key = |name: &Value| {
            let keys = file["keys"].as_array().unwrap();
            let key = keys.iter().find(|key| key["name"] == *name).unwrap();
            CurveKey::from_seed(key["seed"].as_str().unwrap()).unwrap()
        };
        let mut judged = 0;
        for case in file["boxes"].as_array().unwrap() {
            let Some(nonce) = case["nonce_hex"].as_str() else { continue };
            let nonce: [u8; NONCE_BYTES] =
                HEXLOWER.decode(nonce.as_bytes()).unwrap().try_into().unwrap();
            let (from, to) = (key(&case["from"]), key(&case["to"]));
            let message = case["plaintext"].as_str().unwrap().as_bytes();
            let sealed = from.seal_with_nonce(message, &to.public(), &nonce.into());
            assert_eq!(BASE64.encode(&sealed), case["environment"], "{}", case["name"]);
            assert_eq!(sealed.len(), message.len() + BOX_OVERHEAD_BYTES);
            judged += 1;
        }
        assert!(judged > 0);
    }
}
