//! What waits to be sent, in two lanes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use nex_protocol::nats::{HeaderMap, encode_pub, encode_sub, encode_unsub};
use tokio::sync::Notify;

/// Most bytes of replies, events and requests that wait. The agent sends few and small ones; a
/// node that lets this fill up does not read, and the link is given up.
const MAX_URGENT: usize = 8 * 1024 * 1024;
/// Most bytes of log messages that wait.
const MAX_LOGS: usize = 256 * 1024;
/// Log messages are written in portions of about this size; the most that can stand between an
/// urgent message and the socket.
const PORTION: usize = 32 * 1024;

/// The log lane is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneFull;

#[derive(Debug, Default)]
struct Lanes {
    urgent: BytesMut,
    logs: VecDeque<BytesMut>,
    log_bytes: usize,
    /// The writer holds a batch that is not written yet.
    in_flight: bool,
    closed: bool,
    overflowed: bool,
}

impl Lanes {
    fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.logs.is_empty() && !self.in_flight
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
        let mut lanes = self.lanes();
        if lanes.closed {
            return;
        }
        write(&mut lanes.urgent);
        if lanes.urgent.len() > MAX_URGENT {
            lanes.overflowed = true;
        }
        drop(lanes);
        self.0.filled.notify_one();
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
    pub async fn next_batch(&self) -> Option<Bytes> {
        loop {
            let filled = self.0.filled.notified();
            {
                let mut lanes = self.lanes();
                lanes.in_flight = false;
                if lanes.closed || lanes.overflowed {
                    return None;
                }
                let batch = if lanes.urgent.is_empty() {
                    lanes.logs.pop_front()
                } else {
                    Some(lanes.urgent.split())
                };
                if let Some(batch) = batch {
                    lanes.in_flight = true;
                    lanes.log_bytes = lanes.logs.iter().map(BytesMut::len).sum();
                    drop(lanes);
                    self.0.emptied.notify_waiters();
                    return Some(batch.freeze());
                }
                // Idle again: give back what a flood took.
                if lanes.urgent.capacity() > PORTION {
                    lanes.urgent = BytesMut::new();
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
    use super::*;

    #[tokio::test]
    async fn urgent_messages_pass_waiting_logs() {
        let outbox = Outbox::new();
        outbox.try_log("logs", b"one").unwrap();
        outbox.publish("events", None, None, b"two");
        assert_eq!(outbox.next_batch().await.unwrap(), "PUB events 3\r\ntwo\r\n");
        assert_eq!(outbox.next_batch().await.unwrap(), "PUB logs 3\r\none\r\n");
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
        assert!(batch.len() < PORTION + 2000);
        outbox.room().await;
        outbox.try_log("logs", b"more").unwrap();
        outbox.publish("reply", None, None, b"");
        assert_eq!(outbox.next_batch().await.unwrap(), "PUB reply 0\r\n\r\n");
    }

    #[tokio::test]
    async fn closing_ends_every_wait() {
        let outbox = Outbox::new();
        while outbox.try_log("logs", &[b'x'; 1000]).is_ok() {}
        outbox.close();
        outbox.room().await;
        outbox.drained().await;
        assert_eq!(outbox.next_batch().await, None);
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
        assert_eq!(outbox.next_batch().await, None);
    }

    #[tokio::test]
    async fn subjects_cannot_smuggle_operations() {
        let outbox = Outbox::new();
        outbox.publish("a b\r\nPUB x 0", None, None, b"");
        outbox.publish("fine", None, None, b"");
        assert_eq!(outbox.next_batch().await.unwrap(), "PUB fine 0\r\n\r\n");
    }
}
