//! What can be wrong with a configuration, and how it is said.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use super::document::Position;

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File,
    /// The command line.
    Flag,
    /// A program that uses the node as a library.
    Program,
}

impl Origin {
    /// The name that the effective configuration shows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Flag => "flag",
            Self::Program => "program",
        }
    }
}

/// Where something is that an error or a warning is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What kind of source it is.
    pub origin: Origin,
    /// The file, if it is one.
    pub file: Option<Arc<PathBuf>>,
    /// Line and column in the file, if it has any.
    pub position: Option<Position>,
}

impl Place {
    /// Something that is not in a file.
    pub(super) const fn of(origin: Origin) -> Self {
        Self { origin, file: None, position: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.position) {
            (Some(file), Some(position)) => write!(f, "{}:{position}", file.display()),
            (Some(file), None) => write!(f, "{}", file.display()),
            (None, _) => f.write_str(match self.origin {
                Origin::Default => "default",
                Origin::File => "configuration",
                Origin::Flag => "command line",
                Origin::Program => "program",
            }),
        }
    }
}

/// A value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where the value is.
    pub place: Place,
    /// The path of its key, such as `cni.subnet` or `valid_issuers[1]`; empty for the whole.
    pub key: String,
    /// Why it cannot be used.
    pub kind: ProblemKind,
}

/// Why a value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProblemKind {
    /// It is not what the key takes: of another type, out of range, or in no known form.
    Unexpected {
        /// The value, in a few words; never a secret.
        found: String,
        /// What the key takes.
        expected: String,
    },
    /// It says something else than another key.
    Contradiction {
        /// The value, in a few words.
        found: String,
        /// The other key and its value.
        other: String,
        /// What to do.
        remedy: &'static str,
    },
    /// It needs another key that is not there.
    Missing {
        /// The key that is needed.
        needs: &'static str,
    },
    /// More problems were found than are kept.
    TooMany,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        let key = if self.key.is_empty() { "the configuration" } else { self.key.as_str() };
        match &self.kind {
            ProblemKind::Unexpected { found, expected } => {
                write!(f, "{key} is {found}, but must be {expected}")
            }
            ProblemKind::Contradiction { found, other, remedy } => {
                write!(f, "{key} is {found}, but {other}; {remedy}")
            }
            ProblemKind::Missing { needs } => write!(f, "{key} also needs {needs}"),
            ProblemKind::TooMany => {
                f.write_str("there are too many mistakes to show; is this a node configuration?")
            }
        }
    }
}

/// All problems of a configuration; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// `Err` with the problems if there are any.
    pub(super) fn none_or(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self(problems)) }
    }

    /// The problems, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    /// The first problem and how many more there are: one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(first) = self.0.first() {
            write!(f, "{first}")?;
        }
        match self.0.len() {
            0 | 1 => Ok(()),
            2 => f.write_str(" (and 1 more mistake)"),
            n => write!(f, " (and {} more mistakes)", n - 1),
        }
    }
}

impl std::error::Error for Problems {}

/// A text that is no JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {what}")]
pub struct SyntaxError {
    /// Where.
    pub position: Position,
    /// What is wrong there.
    pub what: String,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file does not exist.
    #[error("{}: there is no such configuration file; check --config, or leave it out to run with the defaults", path.display())]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("{}: the configuration file cannot be read; check its permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is larger than any configuration.
    #[error("{}: the file is larger than {max} bytes; is this a node configuration?", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// How large a configuration may be, in bytes.
        max: u64,
    },
    /// The file is not UTF-8 text.
    #[error("{}: the file is not UTF-8 text; is this a node configuration?", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// The text is no JSON.
    #[error("{}:{error}; the configuration is JSON, with comments if you like", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        error: SyntaxError,
    },
    /// Values cannot be used.
    #[error("{0}")]
    Invalid(Problems),
    /// No state directory is configured, and there is no home directory to put one in.
    #[error("there is no home directory to keep the node's state in; set state_dir or --state-dir")]
    NoHome,
}

/// Something in a configuration that is not used as its author may think. The node runs all the
/// same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where it is.
    pub place: Place,
    /// The path of the key.
    pub key: String,
    /// What to know about it.
    pub kind: WarningKind,
}

/// What to know about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WarningKind {
    /// No such key exists. It is ignored.
    UnknownKey {
        /// The key that was probably meant.
        suggestion: Option<String>,
    },
    /// The key is spelled with other capitals than it has. It is taken.
    Capitals {
        /// The key as it is spelled.
        spelling: String,
    },
    /// The key is there more than once. The last one counts.
    Repeated,
    /// The node sets this tag itself. It is ignored.
    ReservedTag,
    /// `nats-server` takes no spaces in its name; they are replaced.
    Spaces,
    /// Container images are not run by this version. The type is ignored.
    NoImages,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        write!(f, "{}: ", self.place)?;
        match &self.kind {
            WarningKind::UnknownKey { suggestion: Some(suggestion) } => {
                write!(f, "unknown key {key} is ignored; did you mean {suggestion}?")
            }
            WarningKind::UnknownKey { suggestion: None } => {
                write!(f, "unknown key {key} is ignored")
            }
            WarningKind::Capitals { spelling } => {
                write!(f, "{key} is taken as {spelling}; spell it so")
            }
            WarningKind::Repeated => {
                write!(f, "{key} is given more than once; the last one counts")
            }
            WarningKind::NoImages => {
                write!(f, "{key}: this version does not run oci workloads; the type is ignored")
            }
            WarningKind::Spaces => write!(f, "{key} holds spaces; they are replaced by hyphens"),
            WarningKind::ReservedTag => {
                write!(f, "{key} is ignored: the node sets tags that start with nex. itself")
            }
        }
    }
}
