//! Delivering messages of the bucket to one consumer.
//!
//! ```text
//! waiting for a subscriber ──► chunk, chunk, … flow control request … ──► idle heartbeats ──► over
//!        │ none in time              │ subscriber gone, deleted, file changed      │
//!        └──────────────────────────►└──────────────────► over ◄───────────────────┘
//! ```

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use nex_protocol::nats::HeaderMap;
use nex_protocol::subject::SubjectPattern;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::super::line::{Line, Outgoing};
use super::super::link::LinkError;
use super::api::ConsumerRequest;
use super::bucket::{Bucket, Object, STORED_AT_NANOSECONDS, STREAM};

/// Open flow control requests after which nothing more is sent.
pub(super) const WINDOW: u64 = 2;
/// Chunks between two flow control requests.
const CHUNKS_PER_REQUEST: u64 = 4;
/// Bytes that may wait in the connection's outbox before the next chunk is read from disk.
const OUTBOX_ROOM: usize = 256 * 1024;
/// How long a consumer waits for its subscriber: some clients subscribe only after the answer.
const SUBSCRIBER_PATIENCE: Duration = Duration::from_secs(30);
/// Shortest heartbeat a client may ask for; nats-server's limit.
const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(100);

const FLOW_CONTROL_PREFIX: &str = "$JS.FC.OBJ_NEXCACHE.";
const IDLE_STATUS: u16 = 100;

/// What a consumer gets.
#[derive(Debug)]
pub(super) struct Plan {
    object: Option<Object>,
    /// Numbers of the first and last message; an empty range for none.
    first: u64,
    last: u64,
    deliver: String,
    flow_control: bool,
    heartbeat: Option<Duration>,
}

impl Plan {
    /// `None` if the consumer is not a push consumer with readable subjects.
    pub(super) fn new(request: &ConsumerRequest, bucket: &Bucket) -> Option<Self> {
        let config = &request.config;
        let deliver = config.deliver_subject.clone().filter(|subject| !subject.is_empty())?;
        let filter = config.filter_subject.as_deref().filter(|filter| !filter.is_empty());
        let filter = filter.unwrap_or(">").parse::<SubjectPattern>().ok()?;
        let (first, last) = bucket.object().map_or((1, 0), |object| {
            let chunks = object.chunks() > 0 && filter.matches(&object.chunk_subject());
            let meta = filter.matches(&object.meta_subject());
            let (first, last) = match (chunks, meta) {
                (true, true) => (1, object.last_sequence()),
                (true, false) => (1, object.chunks()),
                (false, true) => (object.last_sequence(), object.last_sequence()),
                (false, false) => (1, 0),
            };
            let start = match config.deliver_policy.as_deref() {
                Some("by_start_sequence") => config.opt_start_seq.unwrap_or_default(),
                Some("last") => last,
                // Two subjects, and their last messages stand next to each other.
                Some("last_per_subject") => object.chunks(),
                Some("new") => u64::MAX,
                _ => 0,
            };
            (first.max(start), last)
        });
        let heartbeat = (config.idle_heartbeat > 0)
            .then(|| Duration::from_nanos(config.idle_heartbeat).max(SHORTEST_HEARTBEAT));
        let object = bucket.object().cloned();
        Some(Self { object, first, last, deliver, flow_control: config.flow_control, heartbeat })
    }

    fn count(&self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }
}

/// What the rest of the facade sees of a delivery.
#[derive(Debug)]
pub(super) struct Consumer {
    name: String,
    config: Value,
    /// Number of messages in all.
    count: u64,
    before: u64,
    delivered: AtomicU64,
    answered: watch::Sender<u64>,
    stop: CancellationToken,
    over: AtomicBool,
}

impl Consumer {
    pub(super) fn new(name: String, request: &ConsumerRequest, plan: &Plan) -> Self {
        let mut config = request.raw.clone();
        if let Some(config) = config.as_object_mut() {
            config.insert("name".to_owned(), name.clone().into());
        }
        Self {
            name,
            config,
            count: plan.count(),
            before: plan.first.saturating_sub(1),
            delivered: AtomicU64::new(0),
            answered: watch::Sender::new(0),
            stop: CancellationToken::new(),
            over: AtomicBool::new(false),
        }
    }

    /// Ends the delivery.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Nothing more will be sent, not even heartbeats.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// The client answered flow control request `number`.
    pub(super) fn flow_control_answered(&self, number: u64) {
        self.answered.send_if_modified(|answered| {
            let newer = number > *answered;
            *answered = (*answered).max(number);
            newer
        });
    }

    /// The consumer's description.
    pub(super) fn info(&self) -> Value {
        let delivered = self.delivered.load(Ordering::Relaxed);
        let stream = if delivered == 0 { 0 } else { self.before + delivered };
        json!({
            "stream_name": STREAM,
            "name": self.name,
            "created": "2024-01-01T00:00:00Z",
            "config": self.config,
            "delivered": { "consumer_seq": delivered, "stream_seq": stream },
            "ack_floor": { "consumer_seq": delivered, "stream_seq": stream },
            "num_ack_pending": 0, "num_redelivered": 0, "num_waiting": 0,
            "num_pending": self.count.saturating_sub(delivered),
            "push_bound": true,
        })
    }

    fn flow_control_subject(&self, number: u64) -> String {
        format!("{FLOW_CONTROL_PREFIX}{}.{number}", self.name)
    }
}

/// Consumer and number of an answered flow control request.
pub(super) fn flow_control_of(subject: &str) -> Option<(&str, u64)> {
    let (consumer, number) = subject.strip_prefix(FLOW_CONTROL_PREFIX)?.rsplit_once('.')?;
    Some((consumer, number.parse().ok()?))
}

/// Delivers until everything is delivered and the subscriber is gone, or the consumer is deleted.
pub(super) async fn run(line: Arc<Line>, consumer: Arc<Consumer>, plan: Plan) {
    let stop = consumer.stop.clone();
    let delivery = Delivery {
        line: &line,
        consumer: &consumer,
        plan: &plan,
        requested: 0,
        answered: consumer.answered.subscribe(),
        last_word: Instant::now(),
    };
    tokio::select! {
        () = stop.cancelled() => {}
        result = delivery.run() => if let Err(error) = result {
            tracing::warn!(connection = line.number(), %error, "cannot read an offered artifact");
        },
    }
    consumer.over.store(true, Ordering::Relaxed);
}

struct Delivery<'a> {
    line: &'a Line,
    consumer: &'a Consumer,
    plan: &'a Plan,
    /// Number of the last flow control request.
    requested: u64,
    answered: watch::Receiver<u64>,
    /// When something was sent last.
    last_word: Instant,
}

impl Delivery<'_> {
    async fn run(mut self) -> io::Result<()> {
        let listening = self.line.listening(&self.plan.deliver);
        if !tokio::time::timeout(SUBSCRIBER_PATIENCE, listening).await.unwrap_or(false) {
            return Ok(());
        }
        if let Some(object) = &self.plan.object {
            let path = object.artifact.path.clone();
            let file = Arc::new(blocking(move || File::open(path)).await?);
            for sequence in self.plan.first..=self.plan.last {
                if self.room().await.is_break() {
                    return Ok(());
                }
                if self.message(object, &file, sequence).await?.is_break() {
                    return Ok(());
                }
            }
        }
        self.idle().await;
        Ok(())
    }

    /// Waits until the client has kept up, saying meanwhile that we are still here.
    async fn room(&mut self) -> ControlFlow<()> {
        loop {
            let behind = self.plan.flow_control
                && self.requested.saturating_sub(*self.answered.borrow_and_update()) >= WINDOW;
            let beat = heartbeat_after(self.last_word, self.plan.heartbeat);
            tokio::select! {
                biased;
                drained = self.line.drained_to(OUTBOX_ROOM), if !behind => {
                    return if drained { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
                }
                // Ends with the consumer, which outlives us.
                _ = self.answered.changed(), if behind => {}
                () = beat => self.heartbeat(behind)?,
            }
        }
    }

    async fn message(
        &mut self,
        object: &Object,
        file: &Arc<File>,
        sequence: u64,
    ) -> io::Result<ControlFlow<()>> {
        let (subject, payload) = match object.chunk_at(sequence) {
            Some((offset, length)) => {
                let file = Arc::clone(file);
                let chunk = blocking(move || {
                    let mut chunk = vec![0; length];
                    file.read_exact_at(&mut chunk, offset).map(|()| chunk)
                });
                (object.chunk_subject(), Bytes::from(chunk.await?))
            }
            None => {
                let meta = object.meta();
                (meta.subject, meta.payload)
            }
        };
        let number = sequence - self.consumer.before;
        let pending = self.plan.last - sequence;
        let reply = format!(
            "$JS.ACK.{STREAM}.{}.1.{sequence}.{number}.{STORED_AT_NANOSECONDS}.{pending}",
            self.consumer.name
        );
        if self.send(&subject, Some(&reply), None, payload).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        self.consumer.delivered.store(number, Ordering::Relaxed);
        if self.plan.flow_control && number.is_multiple_of(CHUNKS_PER_REQUEST) {
            return Ok(self.request_flow_control());
        }
        Ok(ControlFlow::Continue(()))
    }

    fn request_flow_control(&mut self) -> ControlFlow<()> {
        let Ok(headers) = HeaderMap::with_status(IDLE_STATUS, "FlowControl Request") else {
            return ControlFlow::Break(());
        };
        self.requested += 1;
        let reply = self.consumer.flow_control_subject(self.requested);
        let deliver = &self.plan.deliver;
        self.send(deliver, Some(&reply), Some(&headers), Bytes::new())
    }

    fn heartbeat(&mut self, behind: bool) -> ControlFlow<()> {
        let Ok(mut headers) = HeaderMap::with_status(IDLE_STATUS, "Idle Heartbeat") else {
            return ControlFlow::Break(());
        };
        let delivered = self.consumer.delivered.load(Ordering::Relaxed);
        let stream = if delivered == 0 { 0 } else { self.consumer.before + delivered };
        // Plain ASCII, and few.
        let _ = headers.append("Nats-Last-Consumer", &delivered.to_string());
        let _ = headers.append("Nats-Last-Stream", &stream.to_string());
        if behind {
            let waiting = self.consumer.flow_control_subject(self.requested);
            let _ = headers.append("Nats-Consumer-Stalled", &waiting);
        }
        let deliver = &self.plan.deliver;
        self.send(deliver, None, Some(&headers), Bytes::new())
    }

    /// Everything is delivered: says that we are still here while somebody listens.
    async fn idle(&mut self) {
        let Some(period) = self.plan.heartbeat else { return };
        let mut clock = tokio::time::interval_at(Instant::now() + period, period);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            clock.tick().await;
            if self.heartbeat(false).is_break() {
                return;
            }
        }
    }

    fn send(
        &mut self,
        subject: &str,
        reply: Option<&str>,
        headers: Option<&HeaderMap>,
        payload: Bytes,
    ) -> ControlFlow<()> {
        self.last_word = Instant::now();
        let message = Outgoing { to: &self.plan.deliver, subject, reply, headers };
        match self.line.deliver(message, payload) {
            Ok(()) => ControlFlow::Continue(()),
            Err(LinkError::NoResponders | LinkError::Disconnected) => ControlFlow::Break(()),
            Err(error) => {
                tracing::debug!(connection = self.line.number(), %error, "delivery ends");
                ControlFlow::Break(())
            }
        }
    }
}

async fn heartbeat_after(last_word: Instant, period: Option<Duration>) {
    match period {
        Some(period) => tokio::time::sleep_until(last_word + period).await,
        None => std::future::pending().await,
    }
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
