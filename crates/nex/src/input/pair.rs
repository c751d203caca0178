//! Environment pairs: `KEY=value`, `KEY=@file`, `KEY=@-`.
//!
//! A value that starts with `@` is read from a file (`@-`: standard input), so
//! that a secret needs to be neither on a command line, where every user of the
//! machine can read it, nor in a shell's history. `@@text` is the value `@text`.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The most that is read from one file or from standard input: more would not
/// fit into a NATS message anyway.
const MAX_VALUE_BYTES: u64 = 512 * 1024;

/// Where the value of a pair comes from.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// It stands on the command line.
    Literal(String),
    /// The contents of a file, without one new line at the end.
    File(PathBuf),
    /// All of standard input, without one new line at the end.
    Stdin,
}

/// Shows where a value comes from, never the value.
impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("Literal(…)"),
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Stdin => f.write_str("Stdin"),
        }
    }
}

/// One `KEY=…` argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    /// The name of the variable, as it was typed.
    pub(crate) key: String,
    /// Where its value comes from.
    pub(crate) source: Source,
}

/// Why the arguments give no environment.
#[derive(Debug)]
pub(crate) enum PairError {
    /// No `=`, or nothing before it.
    NotAPair(String),
    /// A NUL byte, which no environment can hold.
    Nul(String),
    /// `KEY=@file` names a file that cannot be read.
    Unreadable {
        /// The variable.
        key: String,
        /// What was to be read.
        from: String,
        /// Why it could not be.
        source: std::io::Error,
    },
    /// More than [`MAX_VALUE_BYTES`].
    TooLarge {
        /// The variable.
        key: String,
        /// What was read.
        from: String,
    },
    /// `KEY=@file` names a file that is not UTF-8.
    NotText {
        /// The variable.
        key: String,
        /// What was read.
        from: String,
    },
    /// `@-` stands for more than one variable.
    StdinTwice {
        /// The variable that asked first.
        first: String,
        /// The one that asked again.
        second: String,
    },
}

impl PairError {
    /// Whether the command line itself is wrong, rather than a file it names.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::NotAPair(_) | Self::Nul(_) | Self::StdinTwice { .. })
    }
}

impl std::fmt::Display for PairError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotAPair(text) => {
                write!(
                    f,
                    "'{text}' is not KEY=VALUE; environment variables are given as KEY=VALUE or KEY=@FILE"
                )
            }
            Self::Nul(key) => {
                write!(f, "the value of {key} holds a NUL byte, which no environment can carry")
            }
            Self::Unreadable { key, from, .. } => {
                write!(
                    f,
                    "cannot read the value of {key} from {from} (to start a value with @, write @@)"
                )
            }
            Self::TooLarge { key, from } => {
                write!(
                    f,
                    "the value of {key} in {from} is larger than {} KiB; pass a path or an object instead",
                    MAX_VALUE_BYTES / 1024
                )
            }
            Self::NotText { key, from } => {
                write!(
                    f,
                    "the value of {key} in {from} is not UTF-8 text; encode it, for example with base64"
                )
            }
            Self::StdinTwice { first, second } => {
                write!(
                    f,
                    "both {first} and {second} want standard input; put one of them into a file and write KEY=@FILE"
                )
            }
        }
    }
}

impl std::error::Error for PairError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Reads one argument.
pub(crate) fn parse(text: &str) -> Result<Pair, PairError> {
    let Some((key, value)) = text.split_once('=') else {
        return Err(PairError::NotAPair(text.to_owned()));
    };
    if key.trim().is_empty() {
        return Err(PairError::NotAPair(text.to_owned()));
    }
    if text.contains('\0') {
        return Err(PairError::Nul(key.replace('\0', "")));
    }
    let source = match value.strip_prefix('@') {
        Some("-") => Source::Stdin,
        Some(literal) if literal.starts_with('@') => Source::Literal(literal.to_owned()),
        // A lone `@` names no file: it can only be meant as it stands.
        Some("") | None => Source::Literal(value.to_owned()),
        Some(path) => Source::File(PathBuf::from(path)),
    };
    Ok(Pair { key: key.to_owned(), source })
}

/// Reads all arguments; refuses two that want standard input.
pub(crate) fn parse_all<'a>(
    texts: impl IntoIterator<Item = &'a String>,
) -> Result<Vec<Pair>, PairError> {
    let mut pairs: Vec<Pair> = Vec::new();
    let mut stdin: Option<String> = None;
    for text in texts {
        let pair = parse(text)?;
        if pair.source == Source::Stdin {
            if let Some(first) = stdin {
                return Err(PairError::StdinTwice { first, second: pair.key });
            }
            stdin = Some(pair.key.clone());
        }
        pairs.push(pair);
    }
    Ok(pairs)
}

/// The environment that the pairs describe; a later pair wins over an earlier.
pub(crate) fn resolve(pairs: Vec<Pair>) -> Result<BTreeMap<String, String>, PairError> {
    let mut environment = BTreeMap::new();
    for Pair { key, source } in pairs {
        let value = match source {
            Source::Literal(value) => value,
            Source::File(path) => read_file(&key, &path)?,
            Source::Stdin => read_value(&key, "standard input", std::io::stdin().lock())?,
        };
        if value.contains('\0') {
            return Err(PairError::Nul(key));
        }
        environment.insert(key, value);
    }
    Ok(environment)
}

fn read_file(key: &str, path: &Path) -> Result<String, PairError> {
    let from = path.display().to_string();
    match std::fs::File::open(path) {
        Ok(file) => read_value(key, &from, file),
        Err(source) => Err(PairError::Unreadable { key: key.to_owned(), from, source }),
    }
}

fn read_value(key: &str, from: &str, reader: impl Read) -> Result<String, PairError> {
    let mut bytes = Vec::new();
    reader.take(MAX_VALUE_BYTES + 1).read_to_end(&mut bytes).map_err(|source| {
        PairError::Unreadable { key: key.to_owned(), from: from.to_owned(), source }
    })?;
    if bytes.len() as u64 > MAX_VALUE_BYTES {
        return Err(PairError::TooLarge { key: key.to_owned(), from: from.to_owned() });
    }
    let mut text = String::from_utf8(bytes)
        .map_err(|_| PairError::NotText { key: key.to_owned(), from: from.to_owned() })?;
    // Editors end a file with a new line; it is not part of a secret.
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(key: &str, value: &str) -> Pair {
        Pair { key: key.to_owned(), source: Source::Literal(value.to_owned()) }
    }

    #[test]
    fn reads_pairs() {
        assert_eq!(parse("A=b").unwrap(), literal("A", "b"));
        assert_eq!(parse("A=").unwrap(), literal("A", ""));
        assert_eq!(parse("A=b=c d").unwrap(), literal("A", "b=c d"));
        assert_eq!(parse("A=@").unwrap(), literal("A", "@"));
        assert_eq!(parse("A=@@home").unwrap(), literal("A", "@home"));
        assert_eq!(parse("A=@-").unwrap().source, Source::Stdin);
        assert_eq!(parse("A=@x/y").unwrap().source, Source::File("x/y".into()));
    }

    #[test]
    fn refuses_what_is_no_pair() {
        assert!(matches!(parse("A"), Err(PairError::NotAPair(_))));
        assert!(matches!(parse("=b"), Err(PairError::NotAPair(_))));
        assert!(matches!(parse("A=\0"), Err(PairError::Nul(_))));
        let twice = ["A=@-".to_owned(), "B=@-".to_owned()];
        assert!(matches!(parse_all(&twice), Err(PairError::StdinTwice { .. })));
    }

    #[test]
    fn reads_secrets_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "hunter2\r\n").unwrap();
        let pair = parse(&format!("PASSWORD=@{}", path.display())).unwrap();
        assert!(!format!("{pair:?}").contains("hunter2"));
        assert_eq!(resolve(vec![pair]).unwrap()["PASSWORD"], "hunter2");

        std::fs::write(&path, vec![b'x'; MAX_VALUE_BYTES as usize + 1]).unwrap();
        let pair = parse(&format!("P=@{}", path.display())).unwrap();
        assert!(matches!(resolve(vec![pair.clone()]), Err(PairError::TooLarge { .. })));
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(resolve(vec![pair.clone()]), Err(PairError::NotText { .. })));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(resolve(vec![pair]), Err(PairError::Unreadable { .. })));
    }

    #[test]
    fn the_debug_form_hides_values() {
        assert!(!format!("{:?}", literal("A", "secret")).contains("secret"));
    }
}
