//! The one way from the node to NATS for events and logs: two bounded lanes and
//! one task. A flood of logs, or a NATS that is away, costs log lines, which
//! are counted; it never costs memory and never holds up whoever speaks.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Events that wait for NATS. They are few: a handful for every workload.
const EVENT_QUEUE: usize = 1024;

/// Log lines that wait for NATS.
const LOG_QUEUE: usize = 4096;

/// A message on its way out.
#[derive(Debug)]
struct Outgoing {
    subject: String,
    payload: Bytes,
}

/// The queues' entrance. Cheap to clone, never waits.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    events: mpsc::Sender<Outgoing>,
    logs: mpsc::Sender<Outgoing>,
    lost_events: Arc<AtomicU64>,
}

impl Outbox {
    /// Makes the queues and the task that empties them into `nats` until `stop`,
    /// and then publishes what is still queued.
    pub(crate) fn start(
        nats: async_nats::Client,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (events, event_queue) = mpsc::channel(EVENT_QUEUE);
        let (logs, log_queue) = mpsc::channel(LOG_QUEUE);
        let lost_events = Arc::new(AtomicU64::new(0));
        let task = empty(nats, event_queue, log_queue, stop);
        (Self { events, logs, lost_events }, task)
    }

    /// Queues an event; counts it as dropped when the queue is full.
    pub(crate) fn event(&self, subject: String, payload: Bytes) {
        if self.events.try_send(Outgoing { subject, payload }).is_err() {
            let lost = self.lost_events.fetch_add(1, Ordering::Relaxed) + 1;
            if lost.is_power_of_two() {
                tracing::warn!(lost, "events are lost: NATS does not take them fast enough");
            }
        }
    }

    /// Queues a log line; `false` when the queue is full and the line is lost.
    pub(crate) fn log(&self, subject: String, payload: Bytes) -> bool {
        self.logs.try_send(Outgoing { subject, payload }).is_ok()
    }
}

async fn empty(
    nats: async_nats::Client,
    mut events: mpsc::Receiver<Outgoing>,
    mut logs: mpsc::Receiver<Outgoing>,
    stop: CancellationToken,
) {
    loop {
        let next = tokio::select! {
            biased;
            Some(event) = events.recv() => event,
            Some(line) = logs.recv() => line,
            () = stop.cancelled() => break,
            else => break,
        };
        publish(&nats, next).await;
    }
    while let Ok(next) = events.try_recv().or_else(|_| logs.try_recv()) {
        publish(&nats, next).await;
    }
    if let Err(error) = nats.flush().await {
        tracing::warn!(%error, "the last events may not have reached NATS");
    }
}

async fn publish(nats: &async_nats::Client, message: Outgoing) {
    // Waits while NATS is away and the client's own buffer is full.
    if let Err(error) = nats.publish(message.subject, message.payload).await {
        tracing::warn!(%error, "could not publish");
    }
}
