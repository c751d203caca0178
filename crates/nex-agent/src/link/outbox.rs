//! What waits to be sent, in two lanes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use nex_protocol::nats::{
    CRLF, HeaderMap, Limits, encode_pub, encode_pub_head, encode_sub, encode_unsub,
};
use tokio::sync::Notify;

use super::batch::Batch;

/// Most bytes of replies, events and requests that wait. The agent sends few and small ones; a
/// node that lets this fill up does not read, and the link is given up.
const MAX_URGENT: usize = 8 * 1024 * 1024;
/// Most bytes of log messages that wait.
const MAX_LOGS: usize = 256 * 1024;
/// Log messages are written in portions of about this size; the most that can stand between an
/// urgent message and the socket.
const PORTION: usize = 32 * 1024;

/// A payload of this size is sent from where it lies; a smaller one is copied, which is cheaper.
const MIN_UNCOPIED: usize = 8 * 1024;

/// Something to be done once what was sent before it has been written.
pub type Afterwards = Box<dyn FnOnce() + Send>;

/// The log lane is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneFull;

#[derive(Default)]
struct Lanes {
    /// Whole messages, but for the last one, which may end in `tail`.
    urgent: VecDeque<Bytes>,
    urgent_bytes: usize,
    /// Follows `urgent`.
    tail: BytesMut,
    afterwards: Vec<Afterwards>,
    max_payload: Option<usize>,
    logs: VecDeque<BytesMut>,
    log_bytes: usize,
    /// The writer holds a batch that is not written yet.
    in_flight: bool,
    closed: bool,
    overflowed: bool,
}

impl Lanes {
    fn is_empty(&self) -> bool {
        self.nothing_urgent() && self.logs.is_empty() && !self.in_flight
    }

    fn nothing_urgent(&self) -> bool {
        self.urgent.is_empty() && self.tail.is_empty()
    }

    /// Everything urgent, in order.
    fn take_urgent(&mut self) -> Batch {
        if !self.tail.is_empty() {
            self.urgent.push_back(self.tail.split().freeze());
        }
        self.urgent_bytes = 0;
        Batch::new(std::mem::take(&mut self.urgent), std::mem::take(&mut self.afterwards))
    }
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes")
            .field("urgent", &(self.urgent_bytes + self.tail.len()))
            .field("logs", &self.log_bytes)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Shared {
    lanes: Mutex<Lanes>,
    /// There is something to write, or the lanes were closed.
    filled: Notify,
    /// Something was written, or the lanes were closed.
    emptied: Notify,
}

/// Queue of the link's writer. Clones share it. It outlives a connection: what was not written
/// when one broke is dropped by [`Outbox::reopen`].
#[derive(Debug, Clone, Default)]
pub struct Outbox(Arc<Shared>);

impl Outbox {
    /// With empty lanes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        // Nothing panics while it holds the lock; and if, the bytes are still whole messages.
        self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn urgent(&self, write: impl FnOnce(&mut BytesMut)) {
        self.urgent_lane(|lanes| write(&mut lanes.tail));
    }

    fn urgent_lane(&self, write: impl FnOnce(&mut Lanes)) {
        let mut lanes = self.lanes();
        if lanes.closed {
            return;
        }
        write(&mut lanes);
        if lanes.urgent_bytes + lanes.tail.len() > MAX_URGENT {
            lanes.overflowed = true;
        }
        drop(lanes);
        self.0.filled.notify_one();
    }

    /// Largest message that the node takes, header block included, in bytes.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.lanes().max_payload.unwrap_or(Limits::DEFAULT_PAYLOAD)
    }

    /// What the node said about it.
    pub(super) fn set_max_payload(&self, bytes: usize) {
        self.lanes().max_payload = Some(bytes);
    }

    /// Whether there is no connection: whatever is sent is dropped.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lanes().closed
    }

    /// Sends a message as [`Outbox::publish`] does, a large payload without copying it. Once it
    /// has been written, `afterwards` runs on the link's thread; if it never is, `afterwards` is
    /// dropped.
    pub fn publish_bytes(
        &self,
        subject: &str,
        reply: Option<&str>,
        headers: Option<&HeaderMap>,
        payload: Bytes,
        afterwards: Option<Afterwards>,
    ) {
        self.urgent_lane(|lanes| {
            let head = encode_pub_head(&mut lanes.tail, subject, reply, headers, payload.len());
            if head.is_err() {
                return;
            }
            if payload.len() < MIN_UNCOPIED {
                lanes.tail.extend_from_slice(&payload);
            } else {
                let head = lanes.tail.split().freeze();
                lanes.urgent_bytes += head.len() + payload.len();
                lanes.urgent.push_back(head);
                lanes.urgent.push_back(payload);
            }
            lanes.tail.extend_from_slice(CRLF);
            lanes.afterwards.extend(afterwards);
        });
    }

    /// Sends a message before any log line. Subjects that cannot be written are not: a peer chose
    /// them.
    pub fn publish(
        &self,
        subject: &str,
        reply: Option<&str>,
        headers: Option<&HeaderMap>,
        payload: &[u8],
    ) {
        self.urgent(|out| {
            let _ = encode_pub(out, subject, reply, headers, payload);
        });
    }

    /// Subscribes.
    pub fn subscribe(&self, subject: &str, sid: &str) {
        self.urgent(|out| {
            let _ = encode_sub(out, subject, None, sid);
        });
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, sid: &str) {
        self.urgent(|out| {
            let _ = encode_unsub(out, sid, None);
        });
    }

    /// Sends bytes of the protocol as they are.
    pub fn raw(&self, bytes: &[u8]) {
        self.urgent(|out| out.extend_from_slice(bytes));
    }

    /// Puts a message into the log lane.
    ///
    /// # Errors
    /// [`LaneFull`]; [`Outbox::room`] waits until there is room.
    pub fn try_log(&self, subject: &str, payload: &[u8]) -> Result<(), LaneFull> {
        let mut lanes = self.lanes();
        if lanes.closed {
            return Ok(());
        }
        if lanes.log_bytes >= MAX_LOGS {
            return Err(LaneFull);
        }
        let mut portion = match lanes.logs.pop_back() {
            Some(last) if last.len() < PORTION => last,
            Some(last) => {
                lanes.logs.push_back(last);
                BytesMut::new()
            }
            None => BytesMut::new(),
        };
        let before = portion.len();
        let _ = encode_pub(&mut portion, subject, None, None, payload);
        lanes.log_bytes += portion.len() - before;
        lanes.logs.push_back(portion);
        drop(lanes);
        self.0.filled.notify_one();
        Ok(())
    }

    /// Whether the log lane takes another message.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let lanes = self.lanes();
        lanes.closed || lanes.log_bytes < MAX_LOGS
    }

    /// Waits until the log lane takes another message.
    pub async fn room(&self) {
        self.until(|lanes| lanes.closed || lanes.log_bytes < MAX_LOGS).await;
    }

    /// Waits until everything was handed to the kernel, or the lanes are closed.
    pub async fn drained(&self) {
        self.until(|lanes| lanes.closed || lanes.is_empty()).await;
    }

    async fn until(&self, done: impl Fn(&Lanes) -> bool) {
        loop {
            let emptied = self.0.emptied.notified();
            if done(&self.lanes()) {
                return;
            }
            emptied.await;
        }
    }

    /// The next bytes to write, urgent ones first; `None` once closed. Everything written before
    /// counts as done.
    pub async fn next_batch(&self) -> Option<Batch> {
        loop {
            let filled = self.0.filled.notified();
            {
                let mut lanes = self.lanes();
                lanes.in_flight = false;
                if lanes.closed || lanes.overflowed {
                    return None;
                }
                let batch = if lanes.nothing_urgent() {
                    lanes.logs.pop_front().map(|logs| Batch::from(logs.freeze()))
                } else {
                    Some(lanes.take_urgent())
                };
                if let Some(batch) = batch {
                    lanes.in_flight = true;
                    lanes.log_bytes = lanes.logs.iter().map(BytesMut::len).sum();
                    drop(lanes);
                    self.0.emptied.notify_waiters();
                    return Some(batch);
                }
                // Idle again: give back what a flood took.
                if lanes.tail.capacity() > PORTION {
                    lanes.tail = BytesMut::new();
                }
            }
            self.0.emptied.notify_waiters();
            filled.await;
        }
    }

    /// Drops everything, now and from now on: the link is lost.
    pub fn close(&self) {
        let mut lanes = self.lanes();
        *lanes = Lanes { closed: true, ..Lanes::default() };
        drop(lanes);
        self.0.filled.notify_one();
        self.0.emptied.notify_waiters();
    }

    /// Takes messages again, for a new connection.
    pub fn reopen(&self) {
        *self.lanes() = Lanes::default();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Buf as _;

    use super::*;

    async fn written(outbox: &Outbox) -> String {
        let mut batch = outbox.next_batch().await.unwrap();
        let bytes = batch.copy_to_bytes(batch.remaining());
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_large_payload_lies_between_its_head_and_what_follows() {
        let outbox = Outbox::new();
        let done = Arc::new(AtomicUsize::new(0));
        let afterwards = |number: usize| -> Option<Afterwards> {
            let done = Arc::clone(&done);
            Some(Box::new(move || done.store(number, Ordering::SeqCst)))
        };
        let large = "x".repeat(MIN_UNCOPIED);
        outbox.publish("a", None, None, b"1");
        outbox.publish_bytes("b", None, None, large.clone().into(), afterwards(1));
        outbox.publish_bytes("c", None, None, Bytes::from_static(b"2"), afterwards(2));
        let mut batch = outbox.next_batch().await.unwrap();
        let bytes = batch.copy_to_bytes(batch.remaining());
        let expected = format!("PUB a 1\r\n1\r\nPUB b 8192\r\n{large}\r\nPUB c 1\r\n2\r\n");
        assert_eq!(bytes, expected);
        assert_eq!(done.load(Ordering::SeqCst), 0, "not before it is written");
        batch.written();
        assert_eq!(done.load(Ordering::SeqCst), 2);
        outbox.close();
        outbox.publish_bytes("d", None, None, Bytes::new(), afterwards(3));
        assert_eq!(Arc::strong_count(&done), 1, "what is never written is dropped");
    }

    #[tokio::test]
    async fn urgent_messages_pass_waiting_logs() {
        let outbox = Outbox::new();
        outbox.try_log("logs", b"one").unwrap();
        outbox.publish("events", None, None, b"two");
        assert_eq!(written(&outbox).await, "PUB events 3\r\ntwo\r\n");
        assert_eq!(written(&outbox).await, "PUB logs 3\r\none\r\n");
        assert!(!outbox.lanes().is_empty(), "the last batch is not written yet");
    }

    #[tokio::test]
    async fn the_log_lane_is_bounded_and_makes_room_again() {
        let outbox = Outbox::new();
        let mut taken = 0;
        while outbox.try_log("logs", &[b'x'; 1000]).is_ok() {
            taken += 1;
        }
        assert!((200..300).contains(&taken), "{taken}");
        assert!(!outbox.has_room());
        let batch = outbox.next_batch().await.unwrap();
        assert!(batch.remaining() < PORTION + 2000);
        outbox.room().await;
        outbox.try_log("logs", b"more").unwrap();
        outbox.publish("reply", None, None, b"");
        assert_eq!(written(&outbox).await, "PUB reply 0\r\n\r\n");
    }

    #[tokio::test]
    async fn closing_ends_every_wait() {
        let outbox = Outbox::new();
        while outbox.try_log("logs", &[b'x'; 1000]).is_ok() {}
        outbox.close();
        outbox.room().await;
        outbox.drained().await;
        assert!(outbox.next_batch().await.is_none());
        outbox.publish("late", None, None, b"");
        outbox.reopen();
        assert!(outbox.lanes().is_empty());
    }

    #[tokio::test]
    async fn a_node_that_does_not_read_ends_the_link() {
        let outbox = Outbox::new();
        for _ in 0..9 {
            outbox.publish("events", None, None, &vec![0; 1024 * 1024]);
        }
        assert!(outbox.next_batch().await.is_none());
    }

    #[tokio::test]
    async fn subjects_cannot_smuggle_operations() {
        let outbox = Outbox::new();
        outbox.publish("a b\r\nPUB x 0", None, None, b"");
        outbox.publish("fine", None, None, b"");
        assert_eq!(written(&outbox).await, "PUB fine 0\r\n\r\n");
    }
}
