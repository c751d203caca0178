//! Names: of namespaces, workloads, single workload instances and nodes.
//!
//! All of them become tokens of NATS subjects and parts of storage names, so each has an alphabet
//! that is safe in both.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::key::{KeyError, KeyKind, PublicKey};
use crate::text_serde::text_serde;

/// Most characters in a namespace.
pub const MAX_NAMESPACE_CHARACTERS: usize = 64;

/// Most characters in a workload name.
pub const MAX_WORKLOAD_NAME_CHARACTERS: usize = 63;

/// Characters in a workload id.
pub const WORKLOAD_ID_CHARACTERS: usize = 20;

/// Why a text is not the name it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// An empty namespace.
    #[error("the namespace is empty: give one, such as `default`")]
    NamespaceEmpty,
    /// A namespace of too many bytes.
    #[error("the namespace has {found} bytes: use at most {MAX_NAMESPACE_CHARACTERS} characters")]
    NamespaceTooLong {
        /// Bytes that were given.
        found: usize,
    },
    /// A character that a namespace cannot have.
    #[error("a namespace cannot contain {found:?}: use letters, digits, `-` and `_`")]
    NamespaceCharacter {
        /// The first such character.
        found: char,
    },
    /// An empty workload name.
    #[error("the workload name is empty: give one, such as `echo`")]
    WorkloadEmpty,
    /// A workload name of too many bytes.
    #[error(
        "the workload name has {found} bytes: use at most {MAX_WORKLOAD_NAME_CHARACTERS} characters"
    )]
    WorkloadTooLong {
        /// Bytes that were given.
        found: usize,
    },
    /// A character that a workload name cannot begin with.
    #[error("a workload name cannot begin with {found:?}: begin it with a letter from a to z")]
    WorkloadStart {
        /// The first character.
        found: char,
    },
    /// A character that a workload name cannot have.
    #[error("a workload name cannot contain {found:?}: use a to z, digits and `-`")]
    WorkloadCharacter {
        /// The first such character.
        found: char,
    },
    /// A text that is no workload id.
    #[error("not a workload id: give {WORKLOAD_ID_CHARACTERS} characters of 0-9 and a-v")]
    WorkloadId,
    /// A text that is no node id.
    #[error("not a node id: give the node's public key, which begins with N")]
    Node(#[source] KeyError),
    /// The key of something that is no node.
    #[error("this is the key of a kind `{found}`, not a node id: a node's begins with N")]
    NodeKind {
        /// What the key stands for.
        found: KeyKind,
    },
}

macro_rules! shared_text {
    ($type:ident, $check:ident, $expecting:literal) => {
        impl $type {
            /// The name's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                $check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<&str> for $type {
            type Error = NameError;

            fn try_from(text: &str) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                $check(&text)?;
                Ok(Self(text.into()))
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $type {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $type {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{:?}", &*self.0)
            }
        }

        text_serde!($type, $expecting);
    };
}

/// Which tenant a workload belongs to: `[A-Za-z0-9_-]{1,64}`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Arc<str>);

shared_text!(Namespace, check_namespace, "a namespace");

impl Namespace {
    /// The namespace of workloads for which nobody named one.
    pub const DEFAULT: &'static str = "default";

    /// The namespace in which a node publishes events about itself.
    pub const SYSTEM: &'static str = "system";

    /// The namespace [`Namespace::SYSTEM`].
    #[must_use]
    pub fn system() -> Self {
        Self(Self::SYSTEM.into())
    }

    /// Whether a workload ping that asks for `asked` means this namespace: equal but for case.
    #[must_use]
    pub fn is_asked_for_by(&self, asked: &str) -> bool {
        self.0.eq_ignore_ascii_case(asked)
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

fn check_namespace(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::NamespaceEmpty);
    }
    if text.len() > MAX_NAMESPACE_CHARACTERS {
        return Err(NameError::NamespaceTooLong { found: text.len() });
    }
    match text.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_')) {
        Some(found) => Err(NameError::NamespaceCharacter { found }),
        None => Ok(()),
    }
}

/// The name of a workload, the subject of its claims: `[a-z][a-z0-9-]{0,62}`. Cheap to clone.
///
/// Go takes `[a-z]+` only. There is no underscore in it, because storage names are joined with
/// one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadName(Arc<str>);

shared_text!(WorkloadName, check_workload_name, "a workload name");

impl WorkloadName {
    /// Whether a workload ping that asks for `asked` means this name: equal but for case.
    #[must_use]
    pub fn is_asked_for_by(&self, asked: &str) -> bool {
        self.0.eq_ignore_ascii_case(asked)
    }
}

fn check_workload_name(text: &str) -> Result<(), NameError> {
    let first = text.chars().next().ok_or(NameError::WorkloadEmpty)?;
    if text.len() > MAX_WORKLOAD_NAME_CHARACTERS {
        return Err(NameError::WorkloadTooLong { found: text.len() });
    }
    if !first.is_ascii_lowercase() {
        return Err(NameError::WorkloadStart { found: first });
    }
    match text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        Some(found) => Err(NameError::WorkloadCharacter { found }),
        None => Ok(()),
    }
}

/// The id of one running workload, of its agent and of its sandbox: an xid, 20 characters of
/// `[0-9a-v]` that sort by the time they were made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadId([u8; WORKLOAD_ID_CHARACTERS]);

impl WorkloadId {
    /// A new id. Ids are unique, not secret.
    #[must_use]
    pub fn generate() -> Self {
        let mut characters = [b'0'; WORKLOAD_ID_CHARACTERS];
        for (slot, character) in characters.iter_mut().zip(xid::new().to_string().bytes()) {
            *slot = character;
        }
        Self(characters)
    }

    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII is ever put in, so the text is never lost.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for WorkloadId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let characters: [u8; WORKLOAD_ID_CHARACTERS] =
            text.as_bytes().try_into().map_err(|_| NameError::WorkloadId)?;
        if characters.iter().all(|character| matches!(character, b'0'..=b'9' | b'a'..=b'v')) {
            Ok(Self(characters))
        } else {
            Err(NameError::WorkloadId)
        }
    }
}

impl TryFrom<&str> for WorkloadId {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        text.parse()
    }
}

impl AsRef<str> for WorkloadId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for WorkloadId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl fmt::Debug for WorkloadId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WorkloadId({self})")
    }
}

text_serde!(WorkloadId, "a workload id");

/// The id of a node: its public server key (`N…`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(PublicKey);

impl NodeId {
    /// The key that this id is.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.0
    }
}

impl TryFrom<PublicKey> for NodeId {
    type Error = NameError;

    fn try_from(key: PublicKey) -> Result<Self, NameError> {
        match key.kind() {
            KeyKind::Server => Ok(Self(key)),
            found => Err(NameError::NodeKind { found }),
        }
    }
}

impl From<NodeId> for PublicKey {
    fn from(id: NodeId) -> Self {
        id.0
    }
}

impl FromStr for NodeId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        text.parse::<PublicKey>().map_err(NameError::Node)?.try_into()
    }
}

impl TryFrom<&str> for NodeId {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        text.parse()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "NodeId({self})")
    }
}

text_serde!(NodeId, "a node id (N…)");
