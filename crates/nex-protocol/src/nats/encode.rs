//! Writing operations of both directions.
//!
//! The `*_head` functions write everything before the payload, for callers that send the payload
//! from where it lies; [`CRLF`] has to follow it.

use bytes::{BufMut, BytesMut};

use super::{ConnectOptions, HeaderMap, ServerInfo};

/// Ends a control line, and a message's payload.
pub const CRLF: &[u8] = b"\r\n";
/// `PING`, whole.
pub const PING: &[u8] = b"PING\r\n";
/// `PONG`, whole.
pub const PONG: &[u8] = b"PONG\r\n";
/// `+OK`, whole.
pub const OK: &[u8] = b"+OK\r\n";

/// Something that cannot be put on the wire. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// A subject, reply subject, queue name or subscription id is empty or holds a blank or
    /// control character: it would be read as something else.
    #[error("subject is empty or holds a blank or control character")]
    Subject,
    /// The JSON of `CONNECT` or `INFO` cannot be made.
    #[error("connection options cannot be written as JSON")]
    Json(#[source] serde_json::Error),
}

/// Appends `CONNECT`.
///
/// # Errors
/// [`EncodeError::Json`], which does not happen with these types.
pub fn encode_connect(out: &mut BytesMut, options: &ConnectOptions) -> Result<(), EncodeError> {
    put_json(out, b"CONNECT ", options)
}

/// Appends `INFO`.
///
/// # Errors
/// [`EncodeError::Json`], which does not happen with these types.
pub fn encode_info(out: &mut BytesMut, info: &ServerInfo) -> Result<(), EncodeError> {
    put_json(out, b"INFO ", info)
}

fn put_json<T: serde::Serialize>(
    out: &mut BytesMut,
    op: &[u8],
    value: &T,
) -> Result<(), EncodeError> {
    let json = serde_json::to_vec(value).map_err(EncodeError::Json)?;
    put_words(out, &[op, &json]);
    out.put_slice(CRLF);
    Ok(())
}

/// Appends `PUB` or, with headers, `HPUB`, payload included.
///
/// # Errors
/// [`EncodeError::Subject`].
pub fn encode_pub(
    out: &mut BytesMut,
    subject: &str,
    reply: Option<&str>,
    headers: Option<&HeaderMap>,
    payload: &[u8],
) -> Result<(), EncodeError> {
    encode_pub_head(out, subject, reply, headers, payload.len())?;
    put_words(out, &[payload, CRLF]);
    Ok(())
}

/// Appends `PUB` or `HPUB` up to the payload of `payload_len` bytes.
///
/// # Errors
/// [`EncodeError::Subject`].
pub fn encode_pub_head(
    out: &mut BytesMut,
    subject: &str,
    reply: Option<&str>,
    headers: Option<&HeaderMap>,
    payload_len: usize,
) -> Result<(), EncodeError> {
    let op: &[u8] = if headers.is_some() { b"HPUB " } else { b"PUB " };
    put_message_head(out, op, &[Some(subject), reply], headers, payload_len)
}

/// Appends `MSG` or, with headers, `HMSG`, payload included.
///
/// # Errors
/// [`EncodeError::Subject`].
pub fn encode_msg(
    out: &mut BytesMut,
    subject: &str,
    sid: &str,
    reply: Option<&str>,
    headers: Option<&HeaderMap>,
    payload: &[u8],
) -> Result<(), EncodeError> {
    encode_msg_head(out, subject, sid, reply, headers, payload.len())?;
    put_words(out, &[payload, CRLF]);
    Ok(())
}

/// Appends `MSG` or `HMSG` up to the payload of `payload_len` bytes.
///
/// # Errors
/// [`EncodeError::Subject`].
pub fn encode_msg_head(
    out: &mut BytesMut,
    subject: &str,
    sid: &str,
    reply: Option<&str>,
    headers: Option<&HeaderMap>,
    payload_len: usize,
) -> Result<(), EncodeError> {
    let op: &[u8] = if headers.is_some() { b"HMSG " } else { b"MSG " };
    put_message_head(out, op, &[Some(subject), Some(sid), reply], headers, payload_len)
}

fn put_message_head(
    out: &mut BytesMut,
    op: &[u8],
    words: &[Option<&str>],
    headers: Option<&HeaderMap>,
    payload_len: usize,
) -> Result<(), EncodeError> {
    for word in words.iter().flatten() {
        check_word(word)?;
    }
    out.put_slice(op);
    for word in words.iter().flatten() {
        put_words(out, &[word.as_bytes(), b" "]);
    }
    let header_len = headers.map(HeaderMap::encoded_len);
    if let Some(header_len) = header_len {
        put_decimal(out, header_len);
        out.put_u8(b' ');
    }
    put_decimal(out, payload_len.saturating_add(header_len.unwrap_or_default()));
    out.put_slice(CRLF);
    if let Some(headers) = headers {
        headers.encode(out);
    }
    Ok(())
}

/// Appends `SUB`.
///
/// # Errors
/// [`EncodeError::Subject`].
pub fn encode_sub(
    out: &mut BytesMut,
    subject: &str,
    queue: Option<&str>,
    sid: &str,
) -> Result<(), EncodeError> {
    for word in [Some(subject), queue, Some(sid)].into_iter().flatten() {
        check_word(word)?;
    }
    put_words(out, &[b"SUB ", subject.as_bytes(), b" "]);
    if let Some(queue) = queue {
        put_words(out, &[queue.as_bytes(), b" "]);
    }
    put_words(out, &[sid.as_bytes(), CRLF]);
    Ok(())
}

/// Appends `UNSUB`; with `max`, the subscription ends after so many deliveries in all.
///
/// # Errors
/// [`EncodeError::Subject`].
pub fn encode_unsub(out: &mut BytesMut, sid: &str, max: Option<u64>) -> Result<(), EncodeError> {
    check_word(sid)?;
    put_words(out, &[b"UNSUB ", sid.as_bytes()]);
    if let Some(max) = max {
        put_words(out, &[b" ", max.to_string().as_bytes()]);
    }
    out.put_slice(CRLF);
    Ok(())
}

/// Appends `-ERR '<text>'`; quotes and line ends in the text become blanks.
pub fn encode_err(out: &mut BytesMut, text: &str) {
    out.put_slice(b"-ERR '");
    for byte in text.bytes() {
        out.put_u8(if byte == b'\'' || byte.is_ascii_control() { b' ' } else { byte });
    }
    put_words(out, &[b"'", CRLF]);
}

fn put_words(out: &mut BytesMut, words: &[&[u8]]) {
    for word in words {
        out.extend_from_slice(word);
    }
}

fn check_word(word: &str) -> Result<(), EncodeError> {
    // The decoder splits at blanks and refuses control characters: the same set.
    if word.is_empty() || word.bytes().any(|byte| byte == b' ' || byte.is_ascii_control()) {
        return Err(EncodeError::Subject);
    }
    Ok(())
}

/// Appends a number in decimal without an allocation.
pub(super) fn put_decimal(out: &mut BytesMut, mut number: usize) {
    let mut digits = [0_u8; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        // Always 0 to 9.
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}
