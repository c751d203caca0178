//! Functions, whatever they are written in: what a call is, how it can fail, and what a function
//! finds around itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nex_protocol::agent::{AgentLevel, CallFailure};
use nex_protocol::nats::HeaderMap;
use tokio::time::Instant;

/// A future that can be moved between threads.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Something that answers calls. Several may run at the same time.
pub trait Function: Send + Sync {
    /// Runs one call. Dropping the future ends the call.
    ///
    /// The future gives way after every tick of the engine's epoch, so that a call that computes
    /// for long may be moved to another thread, and ends within a few ticks of the deadline.
    fn call(
        self: Arc<Self>,
        call: Call,
        host: Arc<dyn Host>,
    ) -> BoxFuture<Result<Answer, CallError>>;
}

/// What a function may use. Sizes are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionLimits {
    /// How long one call may take, host calls included.
    pub call_timeout: Duration,
    /// Calls that run at the same time.
    pub max_concurrent_calls: u32,
    /// Memory of one running call.
    pub max_memory_bytes: u64,
    /// The answer of one call.
    pub max_output_bytes: u64,
    /// A script.
    pub max_script_bytes: u64,
}

impl Default for FunctionLimits {
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_secs(5),
            max_concurrent_calls: 64,
            max_memory_bytes: 128 << 20,
            max_output_bytes: 1 << 20,
            max_script_bytes: 1 << 20,
        }
    }
}

/// Why a function cannot be run at all: what the deploy is refused with. May have several lines,
/// such as an excerpt of the source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PrepareError(pub String);

/// A message for a function.
#[derive(Debug, Clone)]
pub struct Call {
    /// The subject it was published to, without wildcards.
    pub subject: String,
    /// Where the caller wants the answer; for the function to read, not to use.
    pub reply: Option<String>,
    /// The caller's headers.
    pub headers: HeaderMap,
    /// The body.
    pub payload: Bytes,
    /// When the answer is too late. Time spent in host calls counts.
    pub deadline: Instant,
}

/// What a function answered.
pub struct Answer {
    /// The body; empty for no value.
    pub payload: Bytes,
    /// What is to be done once the answer is on its way, such as making the world fresh for the
    /// next call.
    pub afterwards: Option<Box<dyn FnOnce() + Send>>,
}

/// Why a call has no answer: the kind, and a text for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct CallError {
    /// Which kind of failure.
    pub failure: CallFailure,
    /// What happened, in words. May have several lines: an exception carries its stack.
    pub text: String,
}

/// What a function finds around itself: host services and the workload's log.
pub trait Host: Send + Sync {
    /// Calls a host service of the node. Never waits longer than until `deadline`.
    fn call(&self, call: HostCall, deadline: Instant) -> BoxFuture<Result<HostReply, HostError>>;

    /// Writes a line to the workload's log; it may be dropped and counted, it never waits.
    fn log(&self, level: AgentLevel, text: &str);
}

/// A call of a host service, `agentint.{id}.rpc.{namespace}.{workload}.{service}.{method}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCall {
    /// Service, such as `kv`.
    pub service: &'static str,
    /// Method of the service, such as `get`.
    pub method: &'static str,
    /// Headers, such as `x-keyvalue-key`.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// What a host service answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostReply {
    /// The bodies of the answer: exactly one, but for `messaging.requestMany`, which may have
    /// none or many.
    pub parts: Vec<Bytes>,
}

/// Why a host call has no answer: a text for the function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HostError(pub String);
