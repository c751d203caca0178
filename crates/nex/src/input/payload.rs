//! What is sent to a function: a text, `@FILE`, or `-` for standard input; `@@text` is the text
//! `@text`. And its headers, `KEY=VALUE`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use async_nats::header::{HeaderName, HeaderValue};
use nex_client::call::HeaderMap;
use nex_protocol::config::ByteSize;

/// The most that is read: no NATS server lets through more.
const MAX_PAYLOAD_BYTES: u64 = 64 << 20;

/// What payloads of a size are made of.
const FILLER: &[u8] = b"The quick brown fox jumps over the lazy dog. ";

/// Where a payload comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PayloadSource {
    /// The command line.
    Text(String),
    /// A file, all of it.
    File(PathBuf),
    /// Standard input, up to its end.
    Stdin,
}

/// Why there is no payload or no header.
#[derive(Debug)]
pub(crate) enum PayloadError {
    /// A file or standard input cannot be read.
    Unreadable {
        /// What was to be read.
        from: String,
        /// Why it could not be.
        source: std::io::Error,
    },
    /// More than [`MAX_PAYLOAD_BYTES`].
    TooLarge(String),
    /// A header without `=`, or with nothing before it.
    NotAPair(String),
    /// A header that NATS cannot carry.
    BadHeader(String),
}

impl std::fmt::Display for PayloadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable { from, .. } => write!(
                f,
                "cannot read the payload from {from} (to send a text that begins with @, write @@)"
            ),
            Self::TooLarge(from) => write!(
                f,
                "{from} has more than {} MiB, which no NATS server lets through; send a reference to it instead",
                MAX_PAYLOAD_BYTES >> 20
            ),
            Self::NotAPair(text) => {
                write!(f, "'{text}' is no header; a header is given as KEY=VALUE")
            }
            Self::BadHeader(key) => write!(
                f,
                "NATS cannot carry the header {key:?}; its name may have no blanks and no colon, its value no line break"
            ),
        }
    }
}

impl std::error::Error for PayloadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::TooLarge(_) | Self::NotAPair(_) | Self::BadHeader(_) => None,
        }
    }
}

impl PayloadSource {
    /// Reads the argument; none means an empty payload.
    pub(crate) fn of(argument: Option<&str>) -> Self {
        match argument {
            None => Self::Text(String::new()),
            Some("-") => Self::Stdin,
            Some(text) => match text.strip_prefix('@') {
                Some(literal) if literal.starts_with('@') => Self::Text(literal.to_owned()),
                // A lone `@` names no file: it can only be meant as it stands.
                Some("") | None => Self::Text(text.to_owned()),
                Some(path) => Self::File(PathBuf::from(path)),
            },
        }
    }

    /// The bytes.
    pub(crate) fn read(self) -> Result<Vec<u8>, PayloadError> {
        match self {
            Self::Text(text) => Ok(text.into_bytes()),
            Self::File(path) => read_file(&path),
            Self::Stdin => read("standard input", std::io::stdin().lock()),
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, PayloadError> {
    let from = path.display().to_string();
    match std::fs::File::open(path) {
        Ok(file) => read(&from, file),
        Err(source) => Err(PayloadError::Unreadable { from, source }),
    }
}

fn read(from: &str, reader: impl Read) -> Result<Vec<u8>, PayloadError> {
    let mut bytes = Vec::new();
    reader
        .take(MAX_PAYLOAD_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| PayloadError::Unreadable { from: from.to_owned(), source })?;
    if bytes.len() as u64 > MAX_PAYLOAD_BYTES {
        return Err(PayloadError::TooLarge(from.to_owned()));
    }
    Ok(bytes)
}

/// A payload of this size, of printable text.
pub(crate) fn filler(size: ByteSize) -> Result<Vec<u8>, PayloadError> {
    match usize::try_from(size.as_u64()) {
        Ok(bytes) if size.as_u64() <= MAX_PAYLOAD_BYTES => {
            Ok(FILLER.iter().copied().cycle().take(bytes).collect())
        }
        _ => Err(PayloadError::TooLarge(format!("a payload of {size}"))),
    }
}

/// Headers; one that is given twice has both values.
pub(crate) fn headers(texts: &[String]) -> Result<HeaderMap, PayloadError> {
    let mut headers = HeaderMap::new();
    for text in texts {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => (key, value),
            _ => return Err(PayloadError::NotAPair(text.clone())),
        };
        let bad = || PayloadError::BadHeader(key.to_owned());
        // What others than NATS clients cannot read is not sent either.
        if !key.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
            return Err(bad());
        }
        let name = HeaderName::from_str(key).map_err(|_| bad())?;
        headers.append(name, HeaderValue::from_str(value).map_err(|_| bad())?);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_texts_files_and_standard_input() {
        let text = |text: &str| PayloadSource::Text(text.to_owned());
        assert_eq!(PayloadSource::of(None), text(""));
        assert_eq!(PayloadSource::of(Some("")), text(""));
        assert_eq!(PayloadSource::of(Some("a@b")), text("a@b"));
        assert_eq!(PayloadSource::of(Some("@")), text("@"));
        assert_eq!(PayloadSource::of(Some("@@all")), text("@all"));
        assert_eq!(PayloadSource::of(Some("-")), PayloadSource::Stdin);
        assert_eq!(PayloadSource::of(Some("-1")), text("-1"));
        assert_eq!(PayloadSource::of(Some("@x/y")), PayloadSource::File("x/y".into()));
    }

    #[test]
    fn files_are_read_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bytes");
        std::fs::write(&path, b"\x00\xff\n").unwrap();
        assert_eq!(PayloadSource::File(path.clone()).read().unwrap(), b"\x00\xff\n");
        std::fs::remove_file(&path).unwrap();
        let error = PayloadSource::File(path).read().unwrap_err();
        assert!(error.to_string().contains("to send a text that begins with @"), "{error}");
        let endless = read("zeros", std::io::repeat(0));
        assert!(matches!(endless, Err(PayloadError::TooLarge(_))));
    }

    #[test]
    fn fillers_have_the_size() {
        for size in [0, 1, 44, 45, 46, 64 << 10] {
            assert_eq!(filler(ByteSize::bytes(size)).unwrap().len() as u64, size);
        }
        assert!(filler(ByteSize::bytes(u64::MAX)).is_err());
    }

    #[test]
    fn headers_are_pairs() {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let read = headers(&texts(&["A=1", "a=x=y", "A=2", "Empty="])).unwrap();
        let all: Vec<_> = read.get_all("A").map(ToString::to_string).collect();
        assert_eq!(all, ["1", "2"]);
        assert_eq!(read.get("a").unwrap().as_str(), "x=y");
        assert_eq!(read.get("Empty").unwrap().as_str(), "");
        assert!(headers(&[]).unwrap().is_empty());
        for wrong in ["A", "=x", "a b=c", "a:b=c", "A=1\r\nB: 2", "é=x"] {
            assert!(headers(&texts(&[wrong])).is_err(), "{wrong}");
        }
    }
}
