//! NATS keys (`nkeys`): who signs workloads, who a node is, and who may open an environment.
//!
//! Two families share one text form. *Signing keys* are ed25519 pairs of some [`KeyKind`]
//! (account `A…`, server `N…`, …); *curve keys* are X25519 pairs (`X…`) that seal and open boxes.
//! They are different types here, so that a curve key can never be asked to verify a signature.
//!
//! A text is judged exactly as it stands, and more strictly than Go's `nkeys` does: the exact
//! length, no spare bits, no line breaks, no small-order or unusual encoding of a point. So a key
//! has one text, and keys are compared by their decoded bytes. Use [`read_seed_text`] on the
//! content of a file.
//!
//! Text form: base32 without padding of prefix, 32 bytes, and a CRC-16 (little endian). See
//! <https://github.com/nats-io/nkeys>.

mod curve;
mod signing;
mod text;

use std::fmt;

pub use curve::{BOX_OVERHEAD_BYTES, CurveKey, CurvePublicKey};
pub use signing::{PublicKey, SIGNATURE_BYTES, SigningKey};

/// Characters in the text of a public key.
pub const PUBLIC_KEY_CHARACTERS: usize = 56;

/// Characters in the text of a seed.
pub const SEED_CHARACTERS: usize = 58;

/// What a signing key stands for, as its first letter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// `A…`: issues workloads, by custom.
    Account,
    /// `C…`
    Cluster,
    /// `M…`: known to wasmCloud's tools, not to Go's `nkeys`.
    Module,
    /// `O…`
    Operator,
    /// `N…`: names a node.
    Server,
    /// `V…`: known to wasmCloud's tools, not to Go's `nkeys`.
    Service,
    /// `U…`: connects to NATS.
    User,
}

impl KeyKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Account,
        Self::Cluster,
        Self::Module,
        Self::Operator,
        Self::Server,
        Self::Service,
        Self::User,
    ];

    /// The first letter of a public key of this kind.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Account => 'A',
            Self::Cluster => 'C',
            Self::Module => 'M',
            Self::Operator => 'O',
            Self::Server => 'N',
            Self::Service => 'V',
            Self::User => 'U',
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Account => "account",
            Self::Cluster => "cluster",
            Self::Module => "module",
            Self::Operator => "operator",
            Self::Server => "server",
            Self::Service => "service",
            Self::User => "user",
        })
    }
}

/// Why a text is no key, or why a key could not do what was asked.
///
/// No variant holds any part of the text, since it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text has not the length of a key.
    #[error("a key text has {expected} characters, this one has {found}: copy the whole key")]
    Length {
        /// Characters that the text of such a key has.
        expected: usize,
        /// Bytes that were given.
        found: usize,
    },
    /// The text holds a character outside `A-Z2-7`, or bits that no key has.
    #[error("a key text holds only the characters A-Z and 2-7: copy the key again")]
    Alphabet,
    /// The checksum in the text does not fit the rest.
    #[error("the key's checksum is wrong: a character was changed or lost, copy the key again")]
    Checksum,
    /// The prefix belongs to no kind of key.
    #[error("the text begins like no known kind of key")]
    UnknownKind,
    /// A seed or private key where a public key belongs.
    #[error("this is a secret seed or private key where a public key belongs: keep it to yourself")]
    SecretForPublic,
    /// A public or private key where a seed belongs.
    #[error("this is not a seed: give the text that begins with S")]
    NotASeed,
    /// A curve key where a signing key belongs.
    #[error(
        "this is a curve key (X…), which cannot sign: give a signing key, such as an account key (A…)"
    )]
    CurveKey,
    /// A signing key where a curve key belongs.
    #[error(
        "this is no curve key: give an xkey, whose public text begins with X and whose seed with SX"
    )]
    NotACurveKey,
    /// The bytes are not a point of the curve, or an unusual encoding of one.
    #[error("the key is not a point of its curve: it was not made by a key generator")]
    NotAPoint,
    /// A point of small order, under which anybody can sign or open.
    #[error("the key is a weak point, which protects nothing: generate a new key")]
    WeakPoint,
    /// The signature does not fit message and key.
    #[error("the signature does not fit the signed text and the key")]
    Signature,
    /// The box does not begin with the version that we read.
    #[error("the sealed data does not begin with `xkv1`: seal it with a NATS xkey")]
    BoxVersion,
    /// The box ends before its content could begin.
    #[error("the sealed data is cut short: send it whole")]
    BoxTooShort,
    /// The box was made for another receiver, by another sender, or was changed.
    #[error(
        "the sealed data cannot be opened: it was sealed by or for another key, or was changed"
    )]
    BoxSealed,
}

/// The seed in the text of a seed file: the text without surrounding white space.
///
/// Go's tools write a line break at the end and some editors add more; inside the text nothing is
/// skipped.
#[must_use]
pub fn read_seed_text(content: &str) -> &str {
    content.trim()
}
