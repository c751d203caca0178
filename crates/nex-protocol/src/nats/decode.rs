//! Bytes in, operations out.

use bytes::{Buf, Bytes, BytesMut};

use super::{
    ClientOp, ConnectOptions, DecodeError, Delivery, ErrKind, HeaderMap, Limits, Publish,
    ServerInfo, ServerOp, ServerRefusal, Subscribe, Text, Unsubscribe,
};

/// Longest subscription id; clients count, so 20 digits are the most they need.
const MAX_SID: usize = 64;

/// Takes bytes in pieces of any size and hands out whole operations.
///
/// One decoder reads one direction of one connection: call either
/// [`next_client_op`](Self::next_client_op) (a server reading) or
/// [`next_server_op`](Self::next_server_op) (a client reading), not both. Where the stream is cut
/// into pieces makes no difference to what comes out.
///
/// It buffers at most one control line or one message beyond what was pushed last.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    limits: Limits,
    /// Bytes of the buffer known to hold no LF, so that a line that trickles in is scanned once.
    scanned: usize,
    /// The message whose body is awaited.
    head: Option<Head>,
    dead: bool,
}

/// A message's control line.
#[derive(Debug)]
struct Head {
    subject: Text,
    /// Empty for `PUB` and `HPUB`.
    sid: Text,
    reply: Option<Text>,
    headers: Option<usize>,
    total: usize,
}

struct Body {
    headers: Option<HeaderMap>,
    payload: Bytes,
}

impl Decoder {
    /// A decoder for a new connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { buffer: BytesMut::new(), limits, scanned: 0, head: None, dead: false }
    }

    /// Other limits from the next operation on: a server is stricter before a client has
    /// authenticated.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Adds received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The receive buffer, to be read into at its end. Taking bytes out of it breaks the stream.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Makes room to read into, about `chunk` bytes. While the rest of a message is awaited, just
    /// enough room for that is there already, so that a large payload is not moved again.
    pub fn reserve(&mut self, chunk: usize) {
        let spare = self.buffer.capacity().saturating_sub(self.buffer.len());
        if self.head.is_none() && spare < chunk / 4 {
            self.buffer.reserve(chunk);
        }
    }

    /// Bytes received and not yet handed out.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The next operation of a client, or `None` until more bytes are there.
    ///
    /// # Errors
    /// [`DecodeError`]; the connection cannot be read further.
    pub fn next_client_op(&mut self) -> Result<Option<ClientOp>, DecodeError> {
        self.guarded(Self::client_op)
    }

    /// The next operation of a server, or `None` until more bytes are there.
    ///
    /// # Errors
    /// [`DecodeError`]; the connection cannot be read further.
    pub fn next_server_op(&mut self) -> Result<Option<ServerOp>, DecodeError> {
        self.guarded(Self::server_op)
    }

    fn guarded<T>(
        &mut self,
        next: impl FnOnce(&mut Self) -> Result<Option<T>, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if self.dead {
            return Err(DecodeError::AfterError);
        }
        let result = next(self);
        if result.is_err() {
            self.dead = true;
            self.head = None;
            self.buffer = BytesMut::new();
        }
        result
    }

    fn client_op(&mut self) -> Result<Option<ClientOp>, DecodeError> {
        if self.head.is_none() {
            let Some(line) = self.take_line(self.limits.max_control_line)? else {
                return Ok(None);
            };
            let (op, rest) =
                split_op(&line, &["PUB", "HPUB", "PING", "PONG", "SUB", "UNSUB", "CONNECT"])?;
            match op {
                "PUB" | "HPUB" => self.head = Some(self.publish_head(&line, op, rest)?),
                _ => return self.client_line(&line, op, rest).map(Some),
            }
        }
        Ok(self.take_message()?.map(|(head, body)| {
            ClientOp::Publish(Publish {
                subject: head.subject,
                reply: head.reply,
                headers: body.headers,
                payload: body.payload,
            })
        }))
    }

    fn publish_head(
        &self,
        line: &Bytes,
        op: &'static str,
        rest: &[u8],
    ) -> Result<Head, DecodeError> {
        let (subject, reply, headers, total) = match (op, words(rest)) {
            ("PUB", [Some(subject), Some(total), None, ..]) => (subject, None, None, total),
            ("PUB", [Some(subject), reply @ Some(_), Some(total), None, ..]) => {
                (subject, reply, None, total)
            }
            ("HPUB", [Some(subject), headers @ Some(_), Some(total), None, ..]) => {
                (subject, None, headers, total)
            }
            (
                "HPUB",
                [Some(subject), reply @ Some(_), headers @ Some(_), Some(total), None, ..],
            ) => (subject, reply, headers, total),
            _ => return Err(DecodeError::BadArguments { op }),
        };
        let (headers, total) = self.sizes(op, headers, total)?;
        Ok(Head {
            subject: self.subject(line, op, subject)?,
            sid: Text::default(),
            reply: reply.map(|reply| self.subject(line, op, reply)).transpose()?,
            headers,
            total,
        })
    }

    /// The operations of a client that are one line.
    fn client_line(
        &self,
        line: &Bytes,
        op: &'static str,
        rest: &[u8],
    ) -> Result<ClientOp, DecodeError> {
        match (op, words(rest)) {
            ("CONNECT", _) => {
                let options: ConnectOptions = serde_json::from_slice(rest)
                    .map_err(|source| DecodeError::Json { op, source })?;
                Ok(ClientOp::Connect(Box::new(options)))
            }
            ("PING", [None, ..]) => Ok(ClientOp::Ping),
            ("PONG", [None, ..]) => Ok(ClientOp::Pong),
            ("SUB", [Some(subject), Some(sid), None, ..]) => {
                self.subscribe(line, subject, None, sid)
            }
            ("SUB", [Some(subject), queue @ Some(_), Some(sid), None, ..]) => {
                self.subscribe(line, subject, queue, sid)
            }
            ("UNSUB", [Some(sid), None, ..]) => {
                Ok(ClientOp::Unsubscribe(Unsubscribe { sid: sid_of(line, op, sid)?, max: None }))
            }
            ("UNSUB", [Some(sid), Some(max), None, ..]) => {
                let max = Some(number(op, max)?);
                Ok(ClientOp::Unsubscribe(Unsubscribe { sid: sid_of(line, op, sid)?, max }))
            }
            _ => Err(DecodeError::BadArguments { op }),
        }
    }

    fn subscribe(
        &self,
        line: &Bytes,
        subject: &[u8],
        queue: Option<&[u8]>,
        sid: &[u8],
    ) -> Result<ClientOp, DecodeError> {
        Ok(ClientOp::Subscribe(Subscribe {
            subject: self.subject(line, "SUB", subject)?,
            queue: queue.map(|queue| self.subject(line, "SUB", queue)).transpose()?,
            sid: sid_of(line, "SUB", sid)?,
        }))
    }

    fn server_op(&mut self) -> Result<Option<ServerOp>, DecodeError> {
        if self.head.is_none() {
            let info = self.buffer.get(..4).is_some_and(|op| op.eq_ignore_ascii_case(b"INFO"));
            let limit = if info { self.limits.max_info_line } else { self.limits.max_control_line };
            let Some(line) = self.take_line(limit)? else { return Ok(None) };
            let (op, rest) =
                split_op(&line, &["MSG", "HMSG", "PING", "PONG", "+OK", "-ERR", "INFO"])?;
            match op {
                "MSG" | "HMSG" => self.head = Some(self.delivery_head(&line, op, rest)?),
                _ => return server_line(&line, op, rest).map(Some),
            }
        }
        Ok(self.take_message()?.map(|(head, body)| {
            ServerOp::Message(Delivery {
                subject: head.subject,
                sid: head.sid,
                reply: head.reply,
                headers: body.headers,
                payload: body.payload,
            })
        }))
    }

    fn delivery_head(
        &self,
        line: &Bytes,
        op: &'static str,
        rest: &[u8],
    ) -> Result<Head, DecodeError> {
        let (subject, sid, reply, headers, total) = match (op, words(rest)) {
            ("MSG", [Some(subject), Some(sid), Some(total), None, ..]) => {
                (subject, sid, None, None, total)
            }
            ("MSG", [Some(subject), Some(sid), reply @ Some(_), Some(total), None, ..]) => {
                (subject, sid, reply, None, total)
            }
            ("HMSG", [Some(subject), Some(sid), headers @ Some(_), Some(total), None, ..]) => {
                (subject, sid, None, headers, total)
            }
            (
                "HMSG",
                [Some(subject), Some(sid), reply @ Some(_), headers @ Some(_), Some(total), None],
            ) => (subject, sid, reply, headers, total),
            _ => return Err(DecodeError::BadArguments { op }),
        };
        let (headers, total) = self.sizes(op, headers, total)?;
        Ok(Head {
            subject: self.subject(line, op, subject)?,
            sid: sid_of(line, op, sid)?,
            reply: reply.map(|reply| self.subject(line, op, reply)).transpose()?,
            headers,
            total,
        })
    }

    /// The next line without its CR LF.
    fn take_line(&mut self, limit: usize) -> Result<Option<Bytes>, DecodeError> {
        let unseen = self.buffer.get(self.scanned..).unwrap_or_default();
        let Some(at) = memchr::memchr(b'\n', unseen) else {
            self.scanned = self.buffer.len();
            // One byte more than the limit may be the CR.
            return if self.scanned > limit.saturating_add(1) {
                Err(DecodeError::ControlLineTooLong { limit })
            } else {
                Ok(None)
            };
        };
        let end = self.scanned.saturating_add(at);
        self.scanned = 0;
        if end > limit.saturating_add(1) {
            return Err(DecodeError::ControlLineTooLong { limit });
        }
        let mut line = self.buffer.split_to(end);
        self.buffer.advance(1);
        if line.last() != Some(&b'\r') {
            return Err(DecodeError::BareLineFeed);
        }
        line.truncate(end - 1);
        Ok(Some(line.freeze()))
    }

    /// Sizes of header block and message, checked before anything is made that large.
    fn sizes(
        &self,
        op: &'static str,
        headers: Option<&[u8]>,
        total: &[u8],
    ) -> Result<(Option<usize>, usize), DecodeError> {
        let total = size(op, total)?;
        let headers = headers.map(|headers| size(op, headers)).transpose()?;
        if total > self.limits.max_payload {
            let limit = self.limits.max_payload;
            return Err(DecodeError::PayloadTooLarge { size: total, limit });
        }
        if let Some(headers) = headers {
            if headers > total {
                return Err(DecodeError::HeadersBeyondTotal { headers, total });
            }
            if headers > self.limits.max_headers {
                let limit = self.limits.max_headers;
                return Err(DecodeError::HeadersTooLarge { size: headers, limit });
            }
        }
        Ok((headers, total))
    }

    fn take_message(&mut self) -> Result<Option<(Head, Body)>, DecodeError> {
        let Some(head) = self.head.take() else { return Ok(None) };
        let needed = head.total.saturating_add(2);
        let missing = needed.saturating_sub(self.buffer.len());
        if missing > 0 {
            // Bounded by the limit checked in `head`: one growth instead of many.
            self.buffer.reserve(missing);
            self.head = Some(head);
            return Ok(None);
        }
        let mut payload = self.buffer.split_to(head.total).freeze();
        if !self.buffer.starts_with(b"\r\n") {
            return Err(DecodeError::MissingBodyEnd);
        }
        self.buffer.advance(2);
        let headers = match head.headers {
            None => None,
            Some(len) => {
                let block = payload.split_to(len);
                Some(HeaderMap::decode(&block).map_err(DecodeError::Headers)?)
            }
        };
        Ok(Some((head, Body { headers, payload })))
    }

    fn subject(&self, line: &Bytes, op: &'static str, word: &[u8]) -> Result<Text, DecodeError> {
        text(line, op, word, self.limits.max_subject)
    }
}

/// The operations of a server that are one line.
fn server_line(line: &Bytes, op: &'static str, rest: &[u8]) -> Result<ServerOp, DecodeError> {
    match (op, words(rest)) {
        ("PING", [None, ..]) => Ok(ServerOp::Ping),
        ("PONG", [None, ..]) => Ok(ServerOp::Pong),
        ("+OK", [None, ..]) => Ok(ServerOp::Ok),
        ("INFO", _) => {
            let info: ServerInfo =
                serde_json::from_slice(rest).map_err(|source| DecodeError::Json { op, source })?;
            Ok(ServerOp::Info(Box::new(info)))
        }
        ("-ERR", _) => {
            let text = rest.trim_ascii();
            let text = text.strip_prefix(b"'").unwrap_or(text);
            let text = text.strip_suffix(b"'").unwrap_or(text);
            let text = if text.is_empty() {
                Text::default()
            } else {
                Text::from_bytes(line.slice_ref(text))
                    .map_err(|source| DecodeError::Text { op, source })?
            };
            Ok(ServerOp::Err(ServerRefusal { kind: ErrKind::of(&text), text }))
        }
        _ => Err(DecodeError::BadArguments { op }),
    }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// The operation a line starts with, in any case, and what follows it.
fn split_op<'a>(
    line: &'a [u8],
    known: &[&'static str],
) -> Result<(&'static str, &'a [u8]), DecodeError> {
    let end = line.iter().position(|byte| is_blank(*byte)).unwrap_or(line.len());
    let (word, rest) = line.split_at_checked(end).unwrap_or((line, &[]));
    known
        .iter()
        .find(|op| op.as_bytes().eq_ignore_ascii_case(word))
        .map(|op| (*op, rest))
        .ok_or(DecodeError::UnknownOperation)
}

/// The words of a line; the longest operation has five, so that the sixth is only there when
/// there are too many.
fn words(rest: &[u8]) -> [Option<&[u8]>; 6] {
    let mut found = rest.split(|byte| is_blank(*byte)).filter(|word| !word.is_empty());
    std::array::from_fn(|_| found.next())
}

/// `word` has to be a slice of `line`.
fn text(line: &Bytes, op: &'static str, word: &[u8], limit: usize) -> Result<Text, DecodeError> {
    if word.len() > limit {
        return Err(DecodeError::SubjectTooLong { op, size: word.len(), limit });
    }
    if word.iter().any(u8::is_ascii_control) {
        return Err(DecodeError::ControlCharacter { op });
    }
    Text::from_bytes(line.slice_ref(word)).map_err(|source| DecodeError::Text { op, source })
}

fn sid_of(line: &Bytes, op: &'static str, word: &[u8]) -> Result<Text, DecodeError> {
    text(line, op, word, MAX_SID)
}

/// A plain decimal number: no sign, no blanks, no overflow.
fn number(op: &'static str, word: &[u8]) -> Result<u64, DecodeError> {
    let mut number: u64 = 0;
    if word.is_empty() {
        return Err(DecodeError::BadNumber { op });
    }
    for digit in word {
        if !digit.is_ascii_digit() {
            return Err(DecodeError::BadNumber { op });
        }
        number = number
            .checked_mul(10)
            .and_then(|number| number.checked_add(u64::from(digit - b'0')))
            .ok_or(DecodeError::BadNumber { op })?;
    }
    Ok(number)
}

fn size(op: &'static str, word: &[u8]) -> Result<usize, DecodeError> {
    usize::try_from(number(op, word)?).map_err(|_| DecodeError::BadNumber { op })
}
