//! A function as the calls see it, and the handle by which the node rules it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::Client;
use nex_protocol::control::WorkloadType;
use nex_protocol::digest::Digest;
use nex_protocol::micro::endpoint_name;
use nex_protocol::subject::TriggerSubject;
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::{LaneId, Verdict};
use super::call::{Call, Pending};
use super::hub::Hub;
use super::outcome::{BUSY, Failure, GONE, STOPPED};
use super::source;
use super::subjects::AttachError;
use super::tally::{Summary, Tally, Telling};
use crate::bus::AgentLink;
use crate::observe::WorkloadTag;

/// What a function is made of.
#[derive(Debug, Clone)]
pub(crate) struct FunctionSpec {
    /// Whose it is.
    pub(crate) tag: WorkloadTag,
    /// What kind of program it is.
    pub(crate) kind: WorkloadType,
    /// What its owner says about it.
    pub(crate) description: String,
    /// Its artifact.
    pub(crate) digest: Digest,
    /// Where it is called; checked.
    pub(crate) triggers: Vec<TriggerSubject>,
    /// How long one call may take.
    pub(crate) call_timeout: Duration,
    /// How much longer its agent is waited for, which watches the time itself and knows more about
    /// why it is over.
    pub(crate) answer_grace: Duration,
}

/// A function.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) spec: FunctionSpec,
    pub(super) triggers: Vec<Trigger>,
    pub(super) queue_group: String,
    pub(super) started: OffsetDateTime,
    lane: LaneId,
    /// Its sandbox; `None` between two of them.
    link: Mutex<Option<AgentLink>>,
    calls: TaskTracker,
    hub: Arc<Hub>,
}

/// One trigger of a function, and what came of it.
#[derive(Debug)]
pub(super) struct Trigger {
    pub(super) subject: TriggerSubject,
    /// Its name as an endpoint of the service.
    pub(super) endpoint: String,
    requests: AtomicU64,
    errors: AtomicU64,
    nanos: AtomicU64,
    last_failure: Mutex<Option<Failure>>,
    tally: Mutex<Tally>,
}

/// What a trigger has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) elapsed: Duration,
    pub(super) last_failure: Option<Failure>,
}

/// A panic elsewhere does not make these values wrong: every change is complete in itself.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Trigger {
    fn new(subject: TriggerSubject) -> Self {
        Self {
            endpoint: endpoint_name(subject.as_str()),
            subject,
            requests: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            nanos: AtomicU64::new(0),
            last_failure: Mutex::default(),
            tally: Mutex::new(Tally::new(Instant::now())),
        }
    }

    /// What it has counted.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            requests: self.requests.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            elapsed: Duration::from_nanos(self.nanos.load(Ordering::Relaxed)),
            last_failure: lock(&self.last_failure).clone(),
        }
    }

    /// What is to be told together.
    pub(super) fn flush(&self) -> Option<Summary> {
        lock(&self.tally).flush()
    }
}

impl Function {
    /// The tasks of its calls.
    pub(super) fn calls(&self) -> &TaskTracker {
        &self.calls
    }

    /// Where it runs.
    pub(super) fn link(&self) -> Option<AgentLink> {
        lock(&self.link).clone()
    }

    /// How long one call may take.
    pub(super) fn timeout(&self) -> Duration {
        self.spec.call_timeout
    }

    /// How much longer its agent is waited for.
    pub(super) fn answer_grace(&self) -> Duration {
        self.spec.answer_grace
    }

    /// Where its calls come from and its answers go.
    pub(super) fn nats(&self) -> &Client {
        self.hub.nats()
    }

    /// A call arrived: it runs now, waits, or is given back to be refused.
    pub(super) fn receive(self: &Arc<Self>, call: Call) -> Option<(Pending, Failure)> {
        let (now, bytes) = (call.arrived, call.payload.len());
        let pending = Pending { function: Arc::clone(self), call };
        let verdict = self.hub.admission().arrive(self.lane, now, bytes, pending);
        match verdict {
            Verdict::Run(pending) => pending.start(),
            Verdict::Waits { first } => {
                if first {
                    self.hub.somebody_waits();
                }
            }
            Verdict::Refused(pending) => return Some((pending, BUSY)),
        }
        None
    }

    /// A call is over; the next one has its place.
    pub(super) fn leave(&self) -> Option<Pending> {
        self.hub.admission().leave(self.lane)
    }

    fn trigger(&self, index: usize) -> Option<&Trigger> {
        self.triggers.get(index)
    }

    /// Counts a call that was answered.
    pub(super) fn count(&self, trigger: usize, elapsed: Duration) {
        let Some(trigger) = self.trigger(trigger) else { return };
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        trigger.requests.fetch_add(1, Ordering::Relaxed);
        trigger.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Counts a call that was not answered.
    pub(super) fn count_failure(&self, trigger: usize, failure: &Failure) {
        let Some(trigger) = self.trigger(trigger) else { return };
        trigger.requests.fetch_add(1, Ordering::Relaxed);
        trigger.errors.fetch_add(1, Ordering::Relaxed);
        *lock(&trigger.last_failure) = Some(failure.clone());
    }

    /// Tells of a call that was answered, now or later.
    pub(super) fn tell_success(&self, trigger: usize, elapsed: Duration) {
        let Some(trigger) = self.trigger(trigger) else { return };
        let telling = lock(&trigger.tally).success(Instant::now(), elapsed);
        match telling {
            Telling::Now => self.hub.teller().success(&self.spec.tag, &trigger.subject, elapsed, 1),
            Telling::Later => self.hub.something_to_tell(),
        }
    }

    /// Tells of a call that was not answered, now or later.
    pub(super) fn tell_failure(&self, trigger: usize, failure: &Failure) {
        let Some(trigger) = self.trigger(trigger) else { return };
        let telling = lock(&trigger.tally).failure(Instant::now(), failure);
        match telling {
            Telling::Now => self.hub.teller().failure(&self.spec.tag, &trigger.subject, failure, 1),
            Telling::Later => self.hub.something_to_tell(),
        }
    }

    /// Tells of all calls that were counted to be told later.
    pub(super) fn tell_rest(&self) {
        for trigger in &self.triggers {
            if let Some(summary) = trigger.flush() {
                self.hub.teller().summary(&self.spec.tag, &trigger.subject, &summary);
            }
        }
    }

    /// Refuses calls that waited, in a task: whoever says so does not wait for NATS.
    fn refuse_all(waiting: Vec<Pending>, failure: Failure) {
        if !waiting.is_empty() {
            tokio::spawn(async move {
                for pending in waiting {
                    pending.refuse(failure.clone()).await;
                }
            });
        }
    }
}

/// The subscriptions of a function that runs.
#[derive(Debug)]
struct Sources {
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Debug)]
enum Listening {
    Idle,
    To(Sources),
    Closed,
}

/// The node's hold on a function. With the last clone the function is gone: it is called no more,
/// and who waits is refused. [`close`](Self::close) is the orderly way.
#[derive(Debug, Clone)]
pub(crate) struct FunctionHandle(Arc<Open>);

#[derive(Debug)]
struct Open {
    function: Arc<Function>,
    listening: Mutex<Listening>,
}

impl FunctionHandle {
    /// A function that runs nowhere yet.
    pub(super) fn new(hub: &Arc<Hub>, spec: FunctionSpec) -> Self {
        let lane = hub.admission().open(hub.lane_limits());
        let mut triggers: Vec<Trigger> = Vec::with_capacity(spec.triggers.len());
        for subject in &spec.triggers {
            let mut trigger = Trigger::new(subject.clone());
            if triggers.iter().any(|other| other.endpoint == trigger.endpoint) {
                trigger.endpoint = format!("{}-{}", trigger.endpoint, triggers.len() + 1);
            }
            triggers.push(trigger);
        }
        let function = Arc::new(Function {
            queue_group: format!("nex.{}.{}", spec.tag.namespace, spec.tag.name),
            triggers,
            spec,
            started: OffsetDateTime::now_utc(),
            lane,
            link: Mutex::default(),
            calls: TaskTracker::new(),
            hub: Arc::clone(hub),
        });
        hub.enter(&function);
        Self(Arc::new(Open { function, listening: Mutex::new(Listening::Idle) }))
    }

    /// The function runs behind `link` from now on. Returns when its subscriptions are live.
    ///
    /// # Errors
    /// [`AttachError`]; the function is not called then.
    pub(crate) async fn attach(&self, link: AgentLink) -> Result<(), AttachError> {
        let Open { function, listening } = &*self.0;
        if matches!(*lock(listening), Listening::Closed) {
            return Err(AttachError::Stopped);
        }
        *lock(&function.link) = Some(link);
        let stop = function.hub.stop_token();
        let tasks = TaskTracker::new();
        // Ends the subscriptions if it is not reached that somebody else holds this.
        let guard = stop.clone().drop_guard();
        for (index, trigger) in function.triggers.iter().enumerate() {
            let subject = trigger.subject.to_string();
            let group = function.queue_group.clone();
            let subscription = function.nats().queue_subscribe(subject, group).await;
            let subscription = subscription
                .map_err(|source| AttachError::Subscribe(trigger.subject.clone(), source))?;
            let function = Arc::clone(function);
            tasks.spawn(source::listen(function, index, subscription, stop.clone()));
        }
        function.hub.confirm().await?;
        tasks.close();
        let mut listening = lock(listening);
        if matches!(*listening, Listening::Closed) {
            return Err(AttachError::Stopped);
        }
        *listening = Listening::To(Sources { stop: guard.disarm(), tasks });
        Ok(())
    }

    /// The sandbox is gone: the function is called no more until the next
    /// [`attach`](Self::attach).
    pub(crate) fn detach(&self) {
        self.0.end(Listening::Idle);
        *lock(&self.0.function.link) = None;
        let waiting = self.0.function.hub.admission().clear(self.0.function.lane);
        Function::refuse_all(waiting, GONE);
    }

    /// Ends the function: first its subscriptions, so that new calls go elsewhere, then its calls,
    /// for which it waits up to `limit`.
    pub(crate) async fn close(&self, limit: Duration) {
        let function = &self.0.function;
        let all = async {
            if let Some(sources) = self.0.end(Listening::Closed) {
                sources.tasks.wait().await;
            }
            function.calls.close();
            function.calls.wait().await;
        };
        if timeout(limit, all).await.is_err() {
            tracing::info!(id = %function.spec.tag.id, "calls are still under way, ending them");
        }
        let waiting = function.hub.admission().close(function.lane);
        Function::refuse_all(waiting, STOPPED);
        function.hub.leave(function.spec.tag.id);
        function.tell_rest();
    }

    /// How long all its calls ran, together.
    pub(crate) fn execution_time(&self) -> Duration {
        self.0.function.triggers.iter().map(|trigger| trigger.counts().elapsed).sum()
    }
}

impl Open {
    /// Ends the subscriptions, if there are any.
    fn end(&self, next: Listening) -> Option<Sources> {
        let mut listening = lock(&self.listening);
        if matches!(*listening, Listening::Closed) {
            return None;
        }
        match std::mem::replace(&mut *listening, next) {
            Listening::To(sources) => {
                sources.stop.cancel();
                Some(sources)
            }
            Listening::Idle | Listening::Closed => None,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.end(Listening::Closed);
        let waiting = self.function.hub.admission().close(self.function.lane);
        self.function.hub.leave(self.function.spec.tag.id);
        // Outside of a runtime there is nobody left to tell.
        if tokio::runtime::Handle::try_current().is_ok() {
            Function::refuse_all(waiting, STOPPED);
        }
    }
}
