//! The environment of a workload: variables that only the node they are meant for can read.
//!
//! A deploy request carries it as standard base64 of a box (see [`CurveKey::seal`]) whose content
//! is a JSON object of strings. The plain text may be the JSON `null`, what Go writes for a map
//! that was never made; it means an empty environment.

use std::collections::BTreeMap;
use std::fmt;

use data_encoding::BASE64;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::key::{BOX_OVERHEAD_BYTES, CurveKey, CurvePublicKey, KeyError};

/// Most bytes that the JSON text of an environment may have: 512 KiB.
///
/// A request must fit a NATS message (1 MiB unless configured otherwise), and an operating system
/// does not take much more for a process.
pub const MAX_ENVIRONMENT_BYTES: usize = 512 * 1024;

/// Most variables in an environment.
pub const MAX_VARIABLES: usize = 4096;

/// Most characters in a sealed environment as it stands in a request.
pub const MAX_SEALED_CHARACTERS: usize =
    (MAX_ENVIRONMENT_BYTES + BOX_OVERHEAD_BYTES).div_ceil(3) * 4;

/// Variables and their values, sorted by name: any texts, as in Go. See
/// [`Environment::for_process`] for what a process can be given.
///
/// Values never appear in `Debug` output, since they are often secrets.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Environment(BTreeMap<String, String>);

/// Why there is no environment.
///
/// No variant holds a value of a variable, nor an error text that might quote one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// The sealed text is longer than [`MAX_SEALED_CHARACTERS`].
    #[error("the environment is too large: seal at most {MAX_ENVIRONMENT_BYTES} bytes of JSON")]
    TooLarge,
    /// The sealed text is not padded standard base64.
    #[error("the environment is not standard base64 with padding: send the sealed box encoded so")]
    Base64,
    /// The box did not open.
    #[error("the environment cannot be opened: seal it with your xkey for this node's public xkey")]
    Sealed(#[source] KeyError),
    /// What was sealed is not a JSON object of strings, or has a name twice or too many.
    #[error(
        "the environment's content is wrong at line {line}, column {column}: seal one JSON object \
         of at most {MAX_VARIABLES} strings, each name once"
    )]
    Content {
        /// Line of the plain text, from 1.
        line: usize,
        /// Column of the plain text, in bytes.
        column: usize,
    },
}

/// Why variables cannot be given to a process, or be added to an environment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VariableError {
    /// An empty name.
    #[error("a variable has an empty name: give it one")]
    NameEmpty,
    /// A name with `=` or a zero byte in it.
    #[error("the variable name {name:?} contains `=` or a zero byte: rename it")]
    NameCharacter {
        /// The name.
        name: String,
    },
    /// A value with a zero byte in it.
    #[error("the value of {name:?} contains a zero byte, which no process can be given: encode it")]
    ValueCharacter {
        /// The variable's name.
        name: String,
    },
    /// More than [`MAX_VARIABLES`].
    #[error("more than {MAX_VARIABLES} variables: pass large settings in a file or bucket")]
    TooMany,
}

impl Environment {
    /// No variables.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Sets a variable. Returns the value it had.
    ///
    /// # Errors
    /// [`VariableError::TooMany`].
    pub fn insert(
        &mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Option<String>, VariableError> {
        let name = name.into();
        if self.0.len() >= MAX_VARIABLES && !self.0.contains_key(&name) {
            return Err(VariableError::TooMany);
        }
        Ok(self.0.insert(name, value.into()))
    }

    /// The value of a variable, its name exactly as written.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// How many variables there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The variables as a process of the operating system is given them: their names in upper
    /// case, as Go's agent does it.
    ///
    /// Of names that differ only in case the one that was in upper case already wins, else the
    /// last one in sorted order.
    ///
    /// # Errors
    /// The first variable that no process can have.
    pub fn for_process(&self) -> Result<Self, VariableError> {
        let mut variables = BTreeMap::new();
        for (name, value) in &self.0 {
            check_variable(name, value)?;
            let upper = name.to_uppercase();
            if upper == *name || !self.0.contains_key(&upper) {
                variables.insert(upper, value.clone());
            }
        }
        Ok(Self(variables))
    }

    /// Seals the environment of a deploy request: standard base64 of a box.
    ///
    /// # Errors
    /// [`EnvironmentError::TooLarge`] if no node would open it.
    pub fn seal(&self, from: &CurveKey, to: &CurvePublicKey) -> Result<String, EnvironmentError> {
        // A map of strings is always JSON, so only its size can be wrong.
        let plain = serde_json::to_vec(&self.0).map_err(|_| EnvironmentError::TooLarge)?;
        if plain.len() > MAX_ENVIRONMENT_BYTES {
            return Err(EnvironmentError::TooLarge);
        }
        Ok(BASE64.encode(&from.seal(&plain, to)))
    }

    /// Opens the environment of a deploy request with the node's key.
    ///
    /// # Errors
    /// What is wrong with the text, the box or its content.
    pub fn open(
        text: &str,
        own: &CurveKey,
        sender: &CurvePublicKey,
    ) -> Result<Self, EnvironmentError> {
        if text.len() > MAX_SEALED_CHARACTERS {
            return Err(EnvironmentError::TooLarge);
        }
        let sealed = BASE64.decode(text.as_bytes()).map_err(|_| EnvironmentError::Base64)?;
        let plain = own.open(&sealed, sender).map_err(EnvironmentError::Sealed)?;
        Self::from_json(&plain)
    }

    /// Reads the plain JSON text of an environment.
    ///
    /// # Errors
    /// [`EnvironmentError::TooLarge`] or [`EnvironmentError::Content`].
    pub fn from_json(plain: &[u8]) -> Result<Self, EnvironmentError> {
        if plain.len() > MAX_ENVIRONMENT_BYTES {
            return Err(EnvironmentError::TooLarge);
        }
        // The text of a JSON error may quote a value: only its place is kept.
        serde_json::from_slice(plain).map_err(|error| EnvironmentError::Content {
            line: error.line(),
            column: error.column(),
        })
    }
}

fn check_variable(name: &str, value: &str) -> Result<(), VariableError> {
    if name.is_empty() {
        return Err(VariableError::NameEmpty);
    }
    if name.contains(['=', '\0']) {
        return Err(VariableError::NameCharacter { name: name.to_owned() });
    }
    if value.contains('\0') {
        return Err(VariableError::ValueCharacter { name: name.to_owned() });
    }
    Ok(())
}

impl TryFrom<BTreeMap<String, String>> for Environment {
    type Error = VariableError;

    fn try_from(variables: BTreeMap<String, String>) -> Result<Self, VariableError> {
        if variables.len() > MAX_VARIABLES {
            return Err(VariableError::TooMany);
        }
        Ok(Self(variables))
    }
}

impl From<Environment> for BTreeMap<String, String> {
    fn from(environment: Environment) -> Self {
        environment.0
    }
}

impl IntoIterator for Environment {
    type Item = (String, String);
    type IntoIter = std::collections::btree_map::IntoIter<String, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'de> Deserialize<'de> for Environment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Variables;

        impl<'de> Visitor<'de> for Variables {
            type Value = Environment;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of strings")
            }

            fn visit_unit<E>(self) -> Result<Environment, E> {
                Ok(Environment::new())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Environment, A::Error> {
                let mut environment = Environment::new();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    if environment.insert(name, value).map_err(A::Error::custom)?.is_some() {
                        return Err(A::Error::custom("a variable is set twice: set it once"));
                    }
                }
                Ok(environment)
            }
        }

        deserializer.deserialize_any(Variables)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Stands for a value.
        struct Hidden;

        impl fmt::Debug for Hidden {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("…")
            }
        }

        formatter.debug_map().entries(self.0.keys().map(|name| (name, Hidden))).finish()
    }
}
