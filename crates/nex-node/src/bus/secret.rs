//! The secret that proves which agent a connection is.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;

/// Bytes of randomness in a secret.
const SECRET_BYTES: usize = 32;

/// A 256-bit random secret, as text in base64url without padding.
///
/// Issued per sandbox, handed over in its metadata, checked at `CONNECT`. Never shown in `Debug`.
#[derive(Clone)]
pub struct AgentSecret(String);

/// A text that is no agent secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an agent secret: it is {SECRET_BYTES} bytes in base64url without padding")]
pub struct AgentSecretError;

impl AgentSecret {
    /// A new secret from the operating system's seeded generator.
    #[must_use]
    pub fn generate() -> Self {
        let bytes: [u8; SECRET_BYTES] = rand::random();
        Self(BASE64URL_NOPAD.encode(&bytes))
    }

    /// The text that an agent sends as its password.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Compares in a time that depends on no byte of the secret.
    #[must_use]
    pub fn matches(&self, offered: &str) -> bool {
        // The length is the same for every secret, so that it gives nothing away.
        if self.0.len() != offered.len() {
            return false;
        }
        let difference = self
            .0
            .bytes()
            .zip(offered.bytes())
            .fold(0_u8, |difference, (ours, theirs)| difference | (ours ^ theirs));
        std::hint::black_box(difference) == 0
    }
}

/// For secrets that the node wrote down: agents that outlive it come back with theirs.
impl FromStr for AgentSecret {
    type Err = AgentSecretError;

    fn from_str(text: &str) -> Result<Self, AgentSecretError> {
        match BASE64URL_NOPAD.decode(text.as_bytes()) {
            Ok(bytes) if bytes.len() == SECRET_BYTES => Ok(Self(text.to_owned())),
            _ => Err(AgentSecretError),
        }
    }
}

impl fmt::Debug for AgentSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgentSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_long_different_and_hidden() {
        let (one, two) = (AgentSecret::generate(), AgentSecret::generate());
        assert_eq!(one.as_str().len(), 43);
        assert!(one.matches(one.as_str()));
        assert!(!one.matches(two.as_str()));
        assert!(!one.matches(""));
        assert!(!one.matches(one.as_str().split_at(42).0));
        assert!(!format!("{one:?}").contains(one.as_str()));
        assert!(one.as_str().parse::<AgentSecret>().unwrap().matches(one.as_str()));
        assert!("short".parse::<AgentSecret>().is_err());
    }
}
