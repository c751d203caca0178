//! One call, from its place to its answer.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{HeaderMap, Message, Subject};
use bytes::Bytes;
use nex_protocol::agent::CallFailure;
use tokio::time::Instant;

use super::function::Function;
use super::outcome::{self, Failure, GONE, LATE, Success};
use super::{headers, reply};
use crate::bus::AgentRequest;

/// A call with less time left is not begun.
const SHORTEST: Duration = Duration::from_millis(1);

/// A call, wherever it came from.
#[derive(Debug)]
pub(super) struct Call {
    /// Which of the function's triggers it came through.
    pub(super) trigger: usize,
    /// The concrete subject.
    pub(super) subject: Subject,
    /// Where the caller wants the answer.
    pub(super) answer: Option<Subject>,
    /// The caller's headers.
    pub(super) headers: Option<HeaderMap>,
    /// The body.
    pub(super) payload: Bytes,
    /// When it came.
    pub(super) arrived: Instant,
}

impl Call {
    /// The call that a message is.
    pub(super) fn of_message(trigger: usize, message: Message) -> Self {
        Self {
            trigger,
            subject: message.subject,
            answer: reply::address(message.reply),
            headers: message.headers,
            payload: message.payload,
            arrived: Instant::now(),
        }
    }
}

/// A call and the function it is for.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) function: Arc<Function>,
    pub(super) call: Call,
}

impl Pending {
    /// Runs the call, which has a place, in a task of its own.
    pub(super) fn start(self) {
        let function = Arc::clone(&self.function);
        function.calls().spawn(self.run());
    }

    async fn run(self) {
        let Self { function, mut call } = self;
        let place = Place(&function);
        let outcome = ask(&function, &mut call).await;
        // Before the answer: who waits need not wait for NATS, too.
        drop(place);
        match outcome {
            Ok(success) => succeed(&function, call, success).await,
            Err(failure) => fail(&function, call, failure).await,
        }
    }

    /// Answers a call that does not run.
    pub(super) async fn refuse(self, failure: Failure) {
        fail(&self.function, self.call, failure).await;
    }
}

/// The place of a running call; dropping it starts the next one that waits.
struct Place<'a>(&'a Function);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(next) = self.0.leave() {
            next.start();
        }
    }
}

async fn ask(function: &Function, call: &mut Call) -> Result<Success, Failure> {
    let link = function.link().ok_or(GONE)?;
    let waited = call.arrived.elapsed();
    let left = function.timeout().checked_sub(waited).filter(|left| *left >= SHORTEST);
    let left = left.ok_or(LATE)?;
    // The agent knows the whole time; it is told when there is noticeably less.
    let told = (waited >= SHORTEST).then_some(left);
    let headers = headers::of_call(call, told).map_err(|error| {
        Failure::told(
            CallFailure::Unacceptable,
            &format!("the headers cannot be passed on: {error}"),
        )
    })?;
    let payload = std::mem::take(&mut call.payload);
    let asked = Instant::now();
    let limit = left + function.answer_grace();
    let answer = link.request(AgentRequest::Trigger, Some(&headers), payload, limit).await;
    match answer {
        Ok(answer) => outcome::read(answer, asked.elapsed()),
        Err(error) => Err(Failure::of_link(&error)),
    }
}

async fn succeed(function: &Function, call: Call, success: Success) {
    let Success { payload, elapsed } = success;
    function.count(call.trigger, elapsed);
    if let Some(to) = call.answer.clone()
        && let Err(failure) = reply::succeed(function.nats(), to, payload).await
    {
        return fail(function, call, failure).await;
    }
    function.tell_success(call.trigger, elapsed);
}

async fn fail(function: &Function, call: Call, failure: Failure) {
    function.count_failure(call.trigger, &failure);
    if let Some(to) = call.answer {
        reply::fail(function.nats(), to, &failure).await;
    }
    function.tell_failure(call.trigger, &failure);
}
