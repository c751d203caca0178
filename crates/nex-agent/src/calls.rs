//! Calls of the function that this agent runs: from the node's message to the one answer.
//!
//! ```text
//! message ─▶ Trigger ─▶ Calls::begin ── short ──▶ answered in its first poll
//!                           │              waits for the node ─▶ a task on the link's thread
//!                           │                                        │ computes on and on
//!                           └── usually long, or gave way ──────────▶ a task on the workers
//! ```
//!
//! A call is polled on the thread of the link first, since for a short one nothing is faster than
//! not to hand it over. Whatever gives way because a tick passed ([`beat`]) goes to the workers,
//! threads that are started when first needed; a function that usually does begins there
//! ([`placement`]). However a call ends, and wherever, it is answered exactly once ([`answer`]).

pub mod answer;
pub mod beat;
mod host;
pub mod placement;
mod running;
mod trigger;
mod workers;

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

use nex_protocol::agent::CallFailure;
use nex_protocol::nats::Delivery;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::link::Outbox;
use crate::provider::function::{Function, FunctionLimits, Host};
use answer::Responder;
use beat::Beat;
pub use host::{HostLink, Identity};
use placement::{Place, Placement};
use running::{Running, Step};
pub use trigger::{Trigger, TriggerError};
use workers::Workers;

/// The calls of one function. Dropping it ends them; each is answered that it was.
pub struct Calls {
    function: Arc<dyn Function>,
    host: Arc<HostLink>,
    limits: FunctionLimits,
    outbox: Outbox,
    beat: Beat,
    workers: Workers,
    placement: Arc<Mutex<Placement>>,
    /// Calls that did not end in their first poll.
    tasks: JoinSet<Option<Running>>,
    closed: bool,
}

impl Calls {
    /// None yet.
    #[must_use]
    pub fn new(
        function: Arc<dyn Function>,
        host: Arc<HostLink>,
        limits: FunctionLimits,
        beat: Beat,
        outbox: Outbox,
    ) -> Self {
        Self {
            function,
            host,
            limits,
            outbox,
            beat,
            workers: Workers::default(),
            placement: Arc::default(),
            tasks: JoinSet::new(),
            closed: false,
        }
    }

    /// Begins a call, and ends it if it is short.
    pub fn begin(&mut self, message: &Delivery) {
        let responder = Responder::new(self.outbox.clone(), message.reply.clone());
        let now = Instant::now();
        let trigger = match Trigger::decode(message, self.limits.call_timeout, now) {
            Ok(trigger) => trigger,
            Err(error) => {
                return responder.refuse(CallFailure::Unacceptable, &error.to_string());
            }
        };
        if self.closed {
            return responder.refuse(CallFailure::Unavailable, "the function is being stopped");
        }
        if trigger.call.deadline <= now {
            return responder.refuse(CallFailure::Timeout, "there is no time left for this call");
        }
        // Their places are free: their answers are on the way.
        while let Some(ended) = self.tasks.try_join_next() {
            self.go_on(ended.ok().flatten());
        }
        if self.tasks.len() >= self.limits.max_concurrent_calls as usize {
            let limit = self.limits.max_concurrent_calls;
            let text = format!("{limit} calls of this function run already; call again");
            return responder.refuse(CallFailure::Busy, &text);
        }
        let deadline = trigger.call.deadline;
        let host: Arc<dyn Host> = Arc::clone(&self.host) as _;
        let future = Arc::clone(&self.function).call(trigger.call, Arc::clone(&host));
        let placement = Arc::clone(&self.placement);
        let place = placement.lock().unwrap_or_else(PoisonError::into_inner).place();
        let hold = self.beat.hold();
        let mut running = Running::new(future, deadline, responder, placement, host, hold);
        match place {
            Place::Worker => self.move_to_workers(running),
            Place::Link => match running.step(&mut Context::from_waker(Waker::noop())) {
                Step::Answered => {}
                Step::GaveWay => self.move_to_workers(running),
                Step::Waits => {
                    self.tasks.spawn(running.until_it_gives_way());
                }
            },
        }
    }

    fn move_to_workers(&mut self, running: Running) {
        match self.workers.handle() {
            Ok(workers) => {
                self.tasks.spawn_on(running.finish(), workers);
            }
            // Slower for everybody else, but it runs.
            Err(error) => {
                crate::diagnostics::say(&format!("no threads for long calls: {error}"));
                self.tasks.spawn(running.finish());
            }
        }
    }

    fn go_on(&mut self, gave_way: Option<Running>) {
        if let Some(running) = gave_way {
            self.move_to_workers(running);
        }
    }

    /// Waits for something to be done, and does it; for ever while no call runs in a task.
    pub async fn work(&mut self) {
        match self.tasks.join_next().await {
            Some(ended) => self.go_on(ended.ok().flatten()),
            None => std::future::pending().await,
        }
    }

    /// No new calls: each is answered that the function is being stopped.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Ends all calls; each is answered that the function was stopped.
    pub fn abort(&mut self) {
        self.tasks.abort_all();
    }

    /// Whether no call runs and none will.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.closed && self.tasks.is_empty()
    }
}
