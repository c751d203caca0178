//! Bytes on their way to one agent, and the task that writes them.
//!
//! Whoever has something to say appends it under the connection's lock and wakes the writer; the
//! writer takes all there is and writes it in as few calls as it can. On one thread that is as
//! quick as writing directly, and many messages at once share a call.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use nex_protocol::nats::CRLF;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::line::Line;

/// Payloads from this size on are sent from where they lie; smaller ones are cheaper to copy.
const COPY_BELOW: usize = 4096;
/// Most pieces given to one write call.
const MAX_SLICES: usize = 64;
/// How long a connection that is being closed may take to accept what it is still owed.
const FLUSH_DEADLINE: Duration = Duration::from_secs(1);

/// What is still to be written.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queued: VecDeque<Bytes>,
    queued_bytes: usize,
    /// The end of the queue, still growing.
    tail: BytesMut,
    /// Taken by the writer and not yet accepted by the socket.
    in_flight: usize,
    ended: bool,
}

/// What the writer finds.
#[derive(Debug)]
pub(super) enum Batch {
    /// Something to write.
    Pieces(VecDeque<Bytes>),
    /// Nothing now.
    Empty,
    /// Nothing ever again.
    End,
}

impl Outbox {
    /// Where control lines are appended.
    pub(super) fn lines(&mut self) -> &mut BytesMut {
        &mut self.tail
    }

    /// Appends a payload and the CR LF after it.
    pub(super) fn payload(&mut self, payload: Bytes) {
        if payload.len() < COPY_BELOW {
            self.tail.extend_from_slice(&payload);
        } else {
            self.seal_tail();
            self.queued_bytes += payload.len();
            self.queued.push_back(payload);
        }
        self.tail.extend_from_slice(CRLF);
    }

    /// Bytes that the socket has not accepted yet.
    pub(super) fn pending(&self) -> usize {
        self.queued_bytes + self.tail.len() + self.in_flight
    }

    /// Everything there is.
    pub(super) fn take(&mut self) -> Batch {
        self.seal_tail();
        if self.queued.is_empty() {
            return if self.ended { Batch::End } else { Batch::Empty };
        }
        self.in_flight += self.queued_bytes;
        self.queued_bytes = 0;
        Batch::Pieces(std::mem::take(&mut self.queued))
    }

    /// The socket accepted some of what was taken.
    pub(super) fn written(&mut self, bytes: usize) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
    }

    /// Nothing more will come; what is queued is still written.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Whether [`Outbox::end`] was called.
    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Drops what the writer has not taken yet.
    pub(super) fn discard(&mut self) {
        self.queued.clear();
        self.queued_bytes = 0;
        self.tail.clear();
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            self.queued_bytes += self.tail.len();
            self.queued.push_back(self.tail.split().freeze());
        }
    }
}

/// Writes what the line is owed until it ends. Bounded in time once the line is closed.
pub(super) async fn run_writer<W: AsyncWrite + Unpin>(line: Arc<Line>, mut writer: W) {
    let deadline = async {
        line.closed().await;
        tokio::time::sleep(FLUSH_DEADLINE).await;
    };
    tokio::select! {
        biased;
        written = write_all(&line, &mut writer) => {
            if let Err(error) = written {
                tracing::debug!(connection = line.number(), %error, "cannot write to agent");
            }
        }
        () = deadline => {
            tracing::debug!(connection = line.number(), "agent did not take its last messages");
        }
    }
    line.close(None);
    // A peer that is gone cannot be told so.
    let _ = tokio::time::timeout(FLUSH_DEADLINE, writer.shutdown()).await;
}

async fn write_all<W: AsyncWrite + Unpin>(line: &Line, writer: &mut W) -> io::Result<()> {
    loop {
        match line.take_batch().await {
            Batch::End => return writer.flush().await,
            Batch::Empty => {}
            Batch::Pieces(pieces) => write_pieces(line, writer, pieces).await?,
        }
    }
}

async fn write_pieces<W: AsyncWrite + Unpin>(
    line: &Line,
    writer: &mut W,
    mut pieces: VecDeque<Bytes>,
) -> io::Result<()> {
    while let Some(first) = pieces.front() {
        let mut written = if pieces.len() == 1 || !writer.is_write_vectored() {
            writer.write(first).await?
        } else {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let mut used = 0;
            for (slice, piece) in slices.iter_mut().zip(&pieces) {
                *slice = IoSlice::new(piece);
                used += 1;
            }
            writer.write_vectored(slices.get(..used).unwrap_or_default()).await?
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        line.written(written);
        while let Some(piece) = pieces.front_mut() {
            if written < piece.len() {
                piece.advance(written);
                break;
            }
            written -= piece.len();
            pieces.pop_front();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_and_large_payloads_are_not_copied() {
        let mut outbox = Outbox::default();
        let large = Bytes::from(vec![7; COPY_BELOW]);
        outbox.lines().extend_from_slice(b"one ");
        outbox.payload(Bytes::from_static(b"two"));
        outbox.payload(large.clone());
        outbox.lines().extend_from_slice(b"three");
        let total = outbox.pending();
        let Batch::Pieces(pieces) = outbox.take() else { panic!("nothing taken") };
        assert_eq!(pieces[0], "one two\r\n");
        assert_eq!(pieces[1].as_ptr(), large.as_ptr());
        assert_eq!(pieces[2], "\r\nthree");
        assert_eq!(outbox.pending(), total, "in flight counts as pending");
        outbox.written(total - 1);
        assert_eq!(outbox.pending(), 1);
        assert!(matches!(outbox.take(), Batch::Empty));
        outbox.lines().extend_from_slice(b"last");
        outbox.end();
        assert!(matches!(outbox.take(), Batch::Pieces(_)));
        assert!(matches!(outbox.take(), Batch::End));
    }
}
