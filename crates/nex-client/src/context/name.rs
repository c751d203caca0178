//! Names of contexts, which become names of files.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The name of a context: any text that names a file inside the context folder
/// and cannot lead out of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContextName(String);

/// Why a text is no context name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ContextNameError {
    /// There is no text.
    #[error("the context name is empty: give the name of a context (`nats context ls` lists them)")]
    Empty,
    /// `..` could lead out of the folder.
    #[error("the context name {0:?} contains \"..\": give a name, not a path")]
    ParentFolder(String),
    /// `/` and `\` separate folders.
    #[error("the context name {0:?} contains a path separator: give a name, not a path")]
    Separator(String),
}

impl ContextName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContextName {
    type Err = ContextNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            Err(ContextNameError::Empty)
        } else if text.contains("..") {
            Err(ContextNameError::ParentFolder(text.to_owned()))
        } else if text.contains(['/', '\\']) {
            Err(ContextNameError::Separator(text.to_owned()))
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl fmt::Display for ContextName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ContextName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}
