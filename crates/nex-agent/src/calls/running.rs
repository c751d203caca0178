//! One call on its way, wherever it runs.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use nex_protocol::agent::{AgentLevel, CallFailure};
use tokio::time::{Instant, sleep_until};

use super::answer::Responder;
use super::beat::Hold;
use super::placement::Placement;
use crate::provider::function::{Answer, BoxFuture, CallError, Host};

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The call ended, and is answered.
    Answered,
    /// It waits for something.
    Waits,
    /// It wants to go on computing, and let others have a turn.
    GaveWay,
}

/// A call that has begun.
pub(super) struct Running {
    future: BoxFuture<Result<Answer, CallError>>,
    deadline: Instant,
    /// Time that it has computed.
    computed: Duration,
    /// It has given way.
    is_long: bool,
    host: Arc<dyn Host>,
    /// Taken by the answer.
    responder: Option<Responder>,
    placement: Arc<Mutex<Placement>>,
    _hold: Hold,
}

/// Notes whether a call was woken while it was being polled: whoever wakes himself gives way.
struct Noticing {
    woken: AtomicBool,
    waker: Waker,
}

impl Wake for Noticing {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.waker.wake_by_ref();
    }
}

impl Running {
    pub(super) fn new(
        future: BoxFuture<Result<Answer, CallError>>,
        deadline: Instant,
        responder: Responder,
        placement: Arc<Mutex<Placement>>,
        host: Arc<dyn Host>,
        hold: Hold,
    ) -> Self {
        Self {
            future,
            deadline,
            computed: Duration::ZERO,
            is_long: false,
            host,
            responder: Some(responder),
            placement,
            _hold: hold,
        }
    }

    /// Lets the call compute until it ends, waits or gives way.
    pub(super) fn step(&mut self, context: &mut Context<'_>) -> Step {
        let noticing =
            Arc::new(Noticing { woken: AtomicBool::new(false), waker: context.waker().clone() });
        let waker = Waker::from(Arc::clone(&noticing));
        let began = std::time::Instant::now();
        let polled = self.future.as_mut().poll(&mut Context::from_waker(&waker));
        self.computed += began.elapsed();
        match polled {
            Poll::Ready(result) => {
                self.end(result);
                Step::Answered
            }
            Poll::Pending if noticing.woken.load(Ordering::Acquire) => {
                if !std::mem::replace(&mut self.is_long, true) {
                    // It may go on for seconds: those that follow should not begin here.
                    self.record();
                }
                Step::GaveWay
            }
            Poll::Pending => Step::Waits,
        }
    }

    fn end(&mut self, result: Result<Answer, CallError>) {
        self.record();
        if let Err(CallError { failure: CallFailure::Failed, text }) = &result {
            // The caller gets one line of it.
            self.host.log(AgentLevel::Error, text);
        }
        if let Some(responder) = self.responder.take() {
            responder.answer(result);
        }
    }

    fn record(&self) {
        let mut placement = self.placement.lock().unwrap_or_else(PoisonError::into_inner);
        placement.record(self.computed);
    }

    /// Runs the call while it waits and computes shortly. Answers the call itself when it gave
    /// way: it belongs to the workers.
    pub(super) async fn until_it_gives_way(mut self) -> Option<Self> {
        let deadline = self.deadline;
        let gave_way = tokio::select! {
            biased;
            gave_way = poll_fn(|context| match self.step(context) {
                Step::Answered => Poll::Ready(false),
                Step::GaveWay => Poll::Ready(true),
                Step::Waits => Poll::Pending,
            }) => gave_way,
            () = sleep_until(deadline) => {
                self.too_late();
                false
            }
        };
        gave_way.then_some(self)
    }

    /// Runs the call to its end, on a thread that has the time.
    pub(super) async fn finish(mut self) -> Option<Self> {
        let deadline = self.deadline;
        tokio::select! {
            biased;
            () = poll_fn(|context| match self.step(context) {
                Step::Answered => Poll::Ready(()),
                Step::GaveWay | Step::Waits => Poll::Pending,
            }) => {}
            () = sleep_until(deadline) => self.too_late(),
        }
        None
    }

    fn too_late(&mut self) {
        let text = "the function did not answer in time".to_owned();
        self.end(Err(CallError { failure: CallFailure::Timeout, text }));
    }
}
