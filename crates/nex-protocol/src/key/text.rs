//! The text form of nkeys: prefix, 32 bytes and checksum in base32.

use data_encoding::BASE32_NOPAD;

use super::{KeyError, KeyKind, PUBLIC_KEY_CHARACTERS, SEED_CHARACTERS};

const PREFIX_SEED: u8 = 18 << 3;
const PREFIX_PRIVATE: u8 = 15 << 3;
const PREFIX_ACCOUNT: u8 = 0;
const PREFIX_CLUSTER: u8 = 2 << 3;
const PREFIX_MODULE: u8 = 12 << 3;
const PREFIX_OPERATOR: u8 = 14 << 3;
const PREFIX_SERVER: u8 = 13 << 3;
const PREFIX_SERVICE: u8 = 21 << 3;
const PREFIX_USER: u8 = 20 << 3;
const PREFIX_CURVE: u8 = 23 << 3;

/// Raw bytes of a key or seed.
pub(super) const RAW_BYTES: usize = 32;

/// Either family of keys, as its prefix tells.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Signing(KeyKind),
    Curve,
}

impl Family {
    const fn prefix(self) -> u8 {
        match self {
            Self::Signing(KeyKind::Account) => PREFIX_ACCOUNT,
            Self::Signing(KeyKind::Cluster) => PREFIX_CLUSTER,
            Self::Signing(KeyKind::Module) => PREFIX_MODULE,
            Self::Signing(KeyKind::Operator) => PREFIX_OPERATOR,
            Self::Signing(KeyKind::Server) => PREFIX_SERVER,
            Self::Signing(KeyKind::Service) => PREFIX_SERVICE,
            Self::Signing(KeyKind::User) => PREFIX_USER,
            Self::Curve => PREFIX_CURVE,
        }
    }

    const fn from_prefix(prefix: u8) -> Option<Self> {
        Some(match prefix {
            PREFIX_ACCOUNT => Self::Signing(KeyKind::Account),
            PREFIX_CLUSTER => Self::Signing(KeyKind::Cluster),
            PREFIX_MODULE => Self::Signing(KeyKind::Module),
            PREFIX_OPERATOR => Self::Signing(KeyKind::Operator),
            PREFIX_SERVER => Self::Signing(KeyKind::Server),
            PREFIX_SERVICE => Self::Signing(KeyKind::Service),
            PREFIX_USER => Self::Signing(KeyKind::User),
            PREFIX_CURVE => Self::Curve,
            _ => return None,
        })
    }
}

pub(super) fn encode_public(family: Family, raw: &[u8; RAW_BYTES]) -> String {
    encode(&[family.prefix()], raw)
}

pub(super) fn encode_seed(family: Family, raw: &[u8; RAW_BYTES]) -> String {
    // The family's five bits are split over the low bits of the first byte and the high bits of
    // the second, so that the text begins with S and the family's letter.
    let prefix = family.prefix();
    encode(&[PREFIX_SEED | (prefix >> 5), (prefix & 0b1_1111) << 3], raw)
}

pub(super) fn decode_public(text: &str) -> Result<(Family, [u8; RAW_BYTES]), KeyError> {
    if text.len() != PUBLIC_KEY_CHARACTERS {
        // A seed is two characters longer: worth another message, since it is a secret.
        return Err(if is_secret_text(text) {
            KeyError::SecretForPublic
        } else {
            KeyError::Length { expected: PUBLIC_KEY_CHARACTERS, found: text.len() }
        });
    }
    let decoded = decode(text)?;
    let (&prefix, raw) = decoded.split_first().ok_or(KeyError::Checksum)?;
    let raw = raw.try_into().map_err(|_| KeyError::Checksum)?;
    match Family::from_prefix(prefix) {
        Some(family) => Ok((family, raw)),
        None if prefix & 0b1111_1000 == PREFIX_SEED || prefix == PREFIX_PRIVATE => {
            Err(KeyError::SecretForPublic)
        }
        None => Err(KeyError::UnknownKind),
    }
}

pub(super) fn decode_seed(text: &str) -> Result<(Family, [u8; RAW_BYTES]), KeyError> {
    if text.len() != SEED_CHARACTERS {
        return Err(if decode_public(text).is_ok() || text.starts_with('P') {
            KeyError::NotASeed
        } else {
            KeyError::Length { expected: SEED_CHARACTERS, found: text.len() }
        });
    }
    let decoded = decode(text)?;
    let ([first, second], raw) = decoded.split_first_chunk().ok_or(KeyError::Checksum)?;
    let raw = raw.try_into().map_err(|_| KeyError::Checksum)?;
    if first & 0b1111_1000 != PREFIX_SEED {
        return Err(KeyError::NotASeed);
    }
    // The three low bits of the second byte mean nothing: with them, a seed would have two texts.
    if second & 0b111 != 0 {
        return Err(KeyError::UnknownKind);
    }
    let prefix = ((first & 0b111) << 5) | (second >> 3);
    Family::from_prefix(prefix).map(|family| (family, raw)).ok_or(KeyError::UnknownKind)
}

fn is_secret_text(text: &str) -> bool {
    decode_seed_shape(text) || (text.len() > PUBLIC_KEY_CHARACTERS && text.starts_with('P'))
}

fn decode_seed_shape(text: &str) -> bool {
    text.len() == SEED_CHARACTERS && text.starts_with('S')
}

fn encode(prefix: &[u8], raw: &[u8; RAW_BYTES]) -> String {
    let mut bytes = Vec::with_capacity(prefix.len() + RAW_BYTES + 2);
    bytes.extend_from_slice(prefix);
    bytes.extend_from_slice(raw);
    let checksum = crc16(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    BASE32_NOPAD.encode(&bytes)
}

/// The bytes before the checksum. The caller has checked the length of `text`.
fn decode(text: &str) -> Result<Vec<u8>, KeyError> {
    let mut bytes = BASE32_NOPAD.decode(text.as_bytes()).map_err(|_| KeyError::Alphabet)?;
    let (body, checksum) = bytes.split_last_chunk::<2>().ok_or(KeyError::Checksum)?;
    if crc16(body) != u16::from_le_bytes(*checksum) {
        return Err(KeyError::Checksum);
    }
    let length = body.len();
    bytes.truncate(length);
    Ok(bytes)
}

/// CRC-16/XMODEM: polynomial 0x1021, no reflection, start at zero.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}
