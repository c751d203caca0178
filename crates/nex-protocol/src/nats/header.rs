//! Message headers: `NATS/1.0`, an optional status, then `Name: value` lines.

use bytes::{BufMut, Bytes, BytesMut};

use super::Text;

/// Most entries one header block may have.
pub const MAX_HEADER_ENTRIES: usize = 128;

/// Status of the answer to a request that nobody listens to.
pub const NO_RESPONDERS: u16 = 503;

const VERSION: &[u8] = b"NATS/1.0";
const LINE_END: &[u8] = b"\r\n";

/// Why a header block or entry is no good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The block does not start with `NATS/1.0`.
    #[error("header block does not start with NATS/1.0")]
    Version,
    /// The status is not three digits.
    #[error("header status is not three digits")]
    Status,
    /// A line has no colon, or the block does not end with an empty line.
    #[error("header line is not `Name: value`")]
    Line,
    /// The name is empty or holds something else than printable ASCII without blanks and colons.
    #[error("header name is not printable ASCII without blanks and colons")]
    Name,
    /// The value holds CR or LF, or is not UTF-8.
    #[error("header value is not one line of UTF-8")]
    Value,
    /// More than [`MAX_HEADER_ENTRIES`].
    #[error("more than {MAX_HEADER_ENTRIES} header entries")]
    TooMany,
}

/// The status that a server puts into the first line of a header block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Three digits: 100 to 999.
    pub code: u16,
    /// Text after the code; empty if there is none.
    pub description: Text,
}

/// The headers of one message: ordered, names as written, several values per name allowed.
///
/// At most [`MAX_HEADER_ENTRIES`] entries; no value can hold CR or LF, so that no value can forge
/// another entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderMap {
    status: Option<Status>,
    entries: Vec<(Text, Text)>,
}

impl HeaderMap {
    /// No entries, no status.
    #[must_use]
    pub const fn new() -> Self {
        Self { status: None, entries: Vec::new() }
    }

    /// A block that holds nothing but a status, as a server sends it.
    ///
    /// # Errors
    /// [`HeaderError`] if the code is not of three digits or the description not one line.
    pub fn with_status(code: u16, description: &str) -> Result<Self, HeaderError> {
        if !(100..=999).contains(&code) {
            return Err(HeaderError::Status);
        }
        let description = value_of(description)?;
        Ok(Self { status: Some(Status { code, description }), entries: Vec::new() })
    }

    /// The status line, if there is one.
    #[must_use]
    pub fn status(&self) -> Option<&Status> {
        self.status.as_ref()
    }

    /// Adds a value; those already there stay. White space around the value is removed, as every
    /// reader does.
    ///
    /// # Errors
    /// [`HeaderError`] if name or value cannot be sent, or the map is full.
    pub fn append(&mut self, name: &str, value: &str) -> Result<(), HeaderError> {
        if !is_name(name.as_bytes()) {
            return Err(HeaderError::Name);
        }
        let value = value_of(value)?;
        self.push(Text::from(name), value)
    }

    /// Sets a value; those of exactly this name are removed first.
    ///
    /// # Errors
    /// As [`HeaderMap::append`]; then nothing was removed.
    pub fn insert(&mut self, name: &str, value: &str) -> Result<(), HeaderError> {
        if !is_name(name.as_bytes()) {
            return Err(HeaderError::Name);
        }
        let value = value_of(value)?;
        self.remove(name);
        self.push(Text::from(name), value)
    }

    /// Removes every value of exactly this name.
    pub fn remove(&mut self, name: &str) {
        self.entries.retain(|(held, _)| held != name);
    }

    fn push(&mut self, name: Text, value: Text) -> Result<(), HeaderError> {
        if self.entries.len() >= MAX_HEADER_ENTRIES {
            return Err(HeaderError::TooMany);
        }
        self.entries.push((name, value));
        Ok(())
    }

    /// First value of exactly this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(held, _)| *held == name).map(|(_, value)| value)
    }

    /// First value of this name in any case: Go peers write `Traceparent` for `traceparent`.
    #[must_use]
    pub fn get_any_case(&self, name: &str) -> Option<&str> {
        self.iter().find(|(held, _)| held.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All values of exactly this name, in order.
    pub fn get_all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |(held, _)| *held == name).map(|(_, value)| value)
    }

    /// All entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Number of entries; the status is none.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Neither an entry nor a status.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.status.is_none()
    }

    /// Size of the block that [`HeaderMap::encode`] writes, in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let status = self.status.as_ref().map_or(0, |status| {
            4 + if status.description.is_empty() { 0 } else { 1 + status.description.len() }
        });
        let entries: usize =
            self.entries.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        VERSION.len() + status + LINE_END.len() + entries + LINE_END.len()
    }

    /// Appends the header block, its closing empty line included.
    pub fn encode(&self, out: &mut BytesMut) {
        out.reserve(self.encoded_len());
        out.put_slice(VERSION);
        if let Some(status) = &self.status {
            out.put_u8(b' ');
            super::encode::put_decimal(out, usize::from(status.code));
            if !status.description.is_empty() {
                out.put_u8(b' ');
                out.put_slice(status.description.as_bytes());
            }
        }
        out.put_slice(LINE_END);
        for (name, value) in &self.entries {
            out.put_slice(name.as_bytes());
            out.put_slice(b": ");
            out.put_slice(value.as_bytes());
            out.put_slice(LINE_END);
        }
        out.put_slice(LINE_END);
    }

    /// Reads a header block; names and values are slices of it.
    ///
    /// # Errors
    /// [`HeaderError`] says what is wrong with it.
    pub fn decode(block: &Bytes) -> Result<Self, HeaderError> {
        let mut lines = Lines { rest: block };
        let first = lines.next_line()?.strip_prefix(VERSION).ok_or(HeaderError::Version)?;
        let mut map = Self { status: status_of(block, first)?, entries: Vec::new() };
        loop {
            let line = lines.next_line()?;
            if line.is_empty() {
                return if lines.rest.is_empty() { Ok(map) } else { Err(HeaderError::Line) };
            }
            let colon = memchr::memchr(b':', line).ok_or(HeaderError::Line)?;
            let (name, value) = line.split_at_checked(colon).ok_or(HeaderError::Line)?;
            if !is_name(name) {
                return Err(HeaderError::Name);
            }
            let value = trim(value.get(1..).unwrap_or_default());
            map.push(slice_of(block, name)?, slice_of(block, value)?)?;
        }
    }
}

struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    /// The next line, without its CR LF. A CR or LF that is not part of a CR LF is an error: it
    /// would be a line end to a more lenient reader.
    fn next_line(&mut self) -> Result<&'a [u8], HeaderError> {
        let end = memchr::memchr2(b'\r', b'\n', self.rest).ok_or(HeaderError::Line)?;
        let (line, rest) = self.rest.split_at_checked(end).ok_or(HeaderError::Line)?;
        self.rest = rest.strip_prefix(LINE_END).ok_or(HeaderError::Value)?;
        Ok(line)
    }
}

fn status_of(block: &Bytes, text: &[u8]) -> Result<Option<Status>, HeaderError> {
    let Some(first) = text.first() else { return Ok(None) };
    if *first != b' ' {
        return Err(HeaderError::Version);
    }
    let text = trim(text);
    if text.is_empty() {
        return Ok(None);
    }
    let (digits, description) = text.split_at_checked(3).ok_or(HeaderError::Status)?;
    let mut code: u16 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(HeaderError::Status);
        }
        code = code * 10 + u16::from(digit - b'0');
    }
    if code < 100 || !matches!(description.first(), None | Some(b' ' | b'\t')) {
        return Err(HeaderError::Status);
    }
    Ok(Some(Status { code, description: slice_of(block, trim(description))? }))
}

/// `part` has to be a slice of `block`.
fn slice_of(block: &Bytes, part: &[u8]) -> Result<Text, HeaderError> {
    if part.is_empty() {
        return Ok(Text::default());
    }
    Text::from_bytes(block.slice_ref(part)).map_err(|_| HeaderError::Value)
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic() && *byte != b':')
}

fn value_of(value: &str) -> Result<Text, HeaderError> {
    if value.bytes().any(|byte| byte == b'\r' || byte == b'\n') {
        return Err(HeaderError::Value);
    }
    Ok(Text::from(value.trim_matches([' ', '\t'])))
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}
