//! What the host knows of one instance of the engine: what the running call is, and what came of
//! it.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use nex_protocol::nats::HeaderMap;
use tokio::time::Instant;
use wasmtime::{Memory, ResourceLimiter};

use crate::provider::function::{Call, FunctionLimits, Host};

/// The deadline of a call has passed.
#[derive(Debug, thiserror::Error)]
#[error("the time is up")]
pub(super) struct TimedOut;

/// What a script or a call came to, as the guest said.
#[derive(Debug)]
pub(super) enum Outcome {
    /// An answer.
    Answered(Bytes),
    /// An answer of this many bytes, which is too many.
    TooLarge(usize),
    /// A failure: a number of `nex_quickjs::failure`, and a text.
    Failed(i32, String),
}

/// The state of an instance.
pub(super) struct State {
    pub(super) memory: Option<Memory>,
    pub(super) limiter: Limiter,
    pub(super) limits: FunctionLimits,
    pub(super) host: Arc<dyn Host>,
    pub(super) environment: Arc<str>,
    pub(super) script: Bytes,
    pub(super) subject: String,
    pub(super) payload: Bytes,
    pub(super) reply: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) began: Instant,
    pub(super) deadline: Instant,
    pub(super) outcome: Option<Outcome>,
    pub(super) parts: Vec<Bytes>,
    pub(super) url: String,
}

impl State {
    pub(super) fn new(
        limits: FunctionLimits,
        environment: Arc<str>,
        host: Arc<dyn Host>,
        deadline: Instant,
    ) -> Self {
        Self {
            memory: None,
            limiter: Limiter { most: limits.max_memory_bytes, refused: false },
            limits,
            host,
            environment,
            script: Bytes::new(),
            subject: String::new(),
            payload: Bytes::new(),
            reply: None,
            headers: HeaderMap::new(),
            began: Instant::now(),
            deadline,
            outcome: None,
            parts: Vec::new(),
            url: String::new(),
        }
    }

    /// A call begins.
    pub(super) fn begin(&mut self, call: Call, host: Arc<dyn Host>) {
        self.host = host;
        self.subject = call.subject;
        self.payload = call.payload;
        self.reply = call.reply;
        self.headers = call.headers;
        self.began = Instant::now();
        self.deadline = call.deadline;
        self.limiter.refused = false;
        self.outcome = None;
    }

    /// A call has ended: nothing of it is kept.
    pub(super) fn end(&mut self) {
        self.script = Bytes::new();
        self.subject = String::new();
        self.payload = Bytes::new();
        self.reply = None;
        self.headers = HeaderMap::new();
        self.parts = Vec::new();
        self.url = String::new();
    }

    /// When the call must have ended, by the clock on the wall.
    pub(super) fn deadline_on_the_wall(&self) -> SystemTime {
        SystemTime::now() + self.deadline.saturating_duration_since(Instant::now())
    }
}

/// The memory limit of an instance.
pub(super) struct Limiter {
    /// Bytes.
    most: u64,
    /// Whether the running call wanted more.
    pub(super) refused: bool,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let fits = desired as u64 <= self.most && maximum.is_none_or(|maximum| desired <= maximum);
        self.refused |= !fits;
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        current: usize,
        _desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // The engine's table has the size it was linked with.
        Ok(current == 0)
    }

    fn instances(&self) -> usize {
        1
    }

    fn memories(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        1
    }
}
