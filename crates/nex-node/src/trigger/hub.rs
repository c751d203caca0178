//! What all functions of a node share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::{Client, SubscribeError};
use futures_util::StreamExt as _;
use nex_protocol::name::{NodeId, WorkloadId};
use nex_protocol::subject::{SubjectPattern, TriggerSubject};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Admission;
use super::admission::{LaneLimits, NodeLimits};
use super::call::Pending;
use super::function::{Function, FunctionHandle, FunctionSpec};
use super::micro::Directory;
use super::outcome::BUSY;
use super::subjects::{self, AttachError, TriggerError};
use super::tally::INTERVAL;
use super::tell::Teller;
use crate::config::FunctionsConfig;
use crate::observe::Publisher;

/// Bytes of all calls that wait for a place. What would be more is refused.
const MAX_WAITING_BYTES: usize = 64 << 20;

/// How long a new subscription may take to be live.
const CONFIRM_LIMIT: Duration = Duration::from_secs(5);

/// Shared by all functions.
#[derive(Debug)]
pub(super) struct Hub {
    nats: Client,
    teller: Teller,
    lane_limits: LaneLimits,
    /// Held for a few operations on maps and queues, never across I/O.
    admission: Mutex<Admission<Pending>>,
    functions: Mutex<BTreeMap<WorkloadId, Arc<Function>>>,
    waiting: Notify,
    told_later: AtomicBool,
    telling: Notify,
    stop: CancellationToken,
}

impl Hub {
    pub(super) fn nats(&self) -> &Client {
        &self.nats
    }

    pub(super) fn teller(&self) -> &Teller {
        &self.teller
    }

    pub(super) fn lane_limits(&self) -> LaneLimits {
        self.lane_limits
    }

    /// Who runs, waits and is refused.
    pub(super) fn admission(&self) -> MutexGuard<'_, Admission<Pending>> {
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<WorkloadId, Arc<Function>>> {
        self.functions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The functions that there are.
    pub(super) fn functions(&self) -> Vec<Arc<Function>> {
        self.entries().values().cloned().collect()
    }

    /// A function is there from now on.
    pub(super) fn enter(&self, function: &Arc<Function>) {
        self.entries().insert(function.spec.tag.id, Arc::clone(function));
    }

    /// A function is gone.
    pub(super) fn leave(&self, id: WorkloadId) {
        self.entries().remove(&id);
    }

    /// Somebody waits for a place, and has to be told when it takes too long.
    pub(super) fn somebody_waits(&self) {
        self.waiting.notify_one();
    }

    /// A call was counted to be told later.
    pub(super) fn something_to_tell(&self) {
        if !self.told_later.load(Ordering::Relaxed) && !self.told_later.swap(true, Ordering::AcqRel)
        {
            self.telling.notify_one();
        }
    }

    /// Ends when the node does, or before.
    pub(super) fn stop_token(&self) -> CancellationToken {
        self.stop.child_token()
    }

    /// Waits until the server has read everything that was sent to it so far: a message to
    /// ourselves comes back. (A flush of the client would not wait for the server.)
    pub(super) async fn confirm(&self) -> Result<(), AttachError> {
        let inbox = self.nats.new_inbox();
        let round_trip = async {
            let mut echo = self.nats.subscribe(inbox.clone()).await.ok()?;
            self.nats.publish(inbox, bytes::Bytes::new()).await.ok()?;
            echo.next().await
        };
        match timeout(CONFIRM_LIMIT, round_trip).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) | Err(_) => Err(AttachError::NotLive),
        }
    }

    /// Refuses who waited too long.
    async fn watch_queues(&self) {
        loop {
            let expiry = self.admission().next_expiry();
            match expiry {
                None => self.waiting.notified().await,
                Some(expiry) => sleep_until(expiry).await,
            }
            let expired = self.admission().expire(Instant::now());
            for pending in expired {
                pending.refuse(BUSY).await;
            }
        }
    }

    /// Tells at intervals of the calls that were not told one by one.
    async fn tell(&self) {
        loop {
            self.telling.notified().await;
            sleep(INTERVAL).await;
            // First this: a call that is counted from here on asks for the next interval.
            self.told_later.store(false, Ordering::Release);
            for function in self.functions() {
                function.tell_rest();
            }
        }
    }
}

/// The room's door. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Triggers {
    hub: Arc<Hub>,
    inbox: Option<SubjectPattern>,
}

impl Triggers {
    /// Opens the room: listens to the discovery of NATS services, and makes the task that serves
    /// it and watches over the queues until `stop`.
    ///
    /// # Errors
    /// NATS takes no subscription.
    pub(crate) async fn start(
        nats: Client,
        node: NodeId,
        publisher: Publisher,
        config: &FunctionsConfig,
        stop: CancellationToken,
    ) -> Result<(Self, impl Future<Output = ()> + Send + use<>), SubscribeError> {
        let limits = NodeLimits {
            running: config.max_concurrent_calls_node,
            waiting_bytes: MAX_WAITING_BYTES,
        };
        let inbox = subjects::inbox_of(&nats);
        let questions = Directory::subscribe(&nats).await?;
        let hub = Arc::new(Hub {
            nats,
            teller: Teller(publisher),
            lane_limits: LaneLimits {
                running: config.max_concurrent_calls,
                waiting: config.queue_length,
                patience: config.queue_wait,
            },
            admission: Mutex::new(Admission::new(limits)),
            functions: Mutex::default(),
            waiting: Notify::new(),
            told_later: AtomicBool::new(false),
            telling: Notify::new(),
            stop: stop.clone(),
        });
        let directory = Directory::new(Arc::clone(&hub), node, questions);
        let watched = Arc::clone(&hub);
        let task = async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = watched.watch_queues() => {}
                () = watched.tell() => {}
                () = directory.serve() => {}
            }
        };
        Ok((Self { hub, inbox }, task))
    }

    /// Checks the triggers of one function.
    ///
    /// # Errors
    /// [`TriggerError`] says which cannot be, and why.
    pub(crate) fn check(&self, triggers: &[TriggerSubject]) -> Result<(), TriggerError> {
        match &self.inbox {
            Some(inbox) => subjects::check(triggers, inbox),
            None => Ok(()),
        }
    }

    /// A new function, which runs nowhere yet.
    pub(crate) fn open(&self, spec: FunctionSpec) -> FunctionHandle {
        FunctionHandle::new(&self.hub, spec)
    }
}
