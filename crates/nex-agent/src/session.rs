//! The agent's life, as a pure step function.
//!
//! ```text
//! Connecting ─▶ Handshaking ─▶ Idle ◀──────── a launch that failed
//!                                │ deploy          ▲
//!                                ▼                 │
//!                             Starting ────────────┘
//!                                │ launched
//!                                ▼
//!                             Running ── exits, undeploy, signal, node gone ─▶ Stopping ─▶ Done
//! ```
//!
//! Nothing here reads a clock, a socket or a process. [`Session::step`] takes what happened and
//! answers what is to be done; `crate::agent` does it.

mod event;
mod order;
mod stop;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

pub use event::{Effect, Event, ReplyTo, TimerKind};
pub(crate) use order::one_line;
pub use order::{
    Artifact, DEFAULT_STOP_GRACE, FunctionOrder, Kind, Language, MAX_STOP_GRACE, Order, OrderError,
};
pub use stop::{Cause, Phase};

use crate::provider::elf::tree::Exit;

/// Most undeploy requests that wait for the same end; the node sends one.
const MAX_WAITING: usize = 16;

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long a lost node is waited for before the workload is stopped. Zero: not at all.
    pub reconnect_window: Duration,
    /// How long killed processes may take to disappear; after that the agent leaves without them.
    pub kill_deadline: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { reconnect_window: Duration::ZERO, kill_deadline: Duration::from_secs(5) }
    }
}

/// What the session keeps of a deployed workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// Whether it is a function: nothing that runs between calls, and no process.
    pub is_function: bool,
    /// How long it may take to end after it was asked to.
    pub grace: Duration,
}

/// Where the agent stands.
#[derive(Debug, PartialEq, Eq)]
pub enum State {
    /// No connection to the node yet.
    Connecting,
    /// Connected; the node has not answered the handshake.
    Handshaking,
    /// Warm: waits for a workload.
    Idle,
    /// A workload is being started.
    Starting {
        /// Which one.
        workload: Workload,
        /// Who asked for it; answered when it runs or cannot.
        reply: ReplyTo,
        /// Set when it is to be stopped before it even runs.
        cancelled: Option<Cause>,
        /// Who asked to stop it.
        waiting: Vec<ReplyTo>,
    },
    /// A workload runs.
    Running {
        /// Which one.
        workload: Workload,
    },
    /// The workload is on its way out.
    Stopping {
        /// Which one.
        workload: Workload,
        /// Why.
        cause: Cause,
        /// How far that is.
        phase: Phase,
        /// How its first process ended, once it has.
        exit: Option<Exit>,
        /// Who asked to stop it.
        waiting: Vec<ReplyTo>,
    },
    /// The agent leaves.
    Done,
}

/// The state machine.
#[derive(Debug)]
pub struct Session {
    state: State,
    policy: Policy,
    /// The node has been told that this agent is there.
    announced: bool,
}

/// Collects what is to be done, in order.
type Effects = VecDeque<Effect>;

impl Session {
    /// Before the first connection.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { state: State::Connecting, policy, announced: false }
    }

    /// Where the agent stands.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes what happened and answers what is to be done, in this order.
    #[must_use]
    pub fn step(&mut self, event: Event) -> VecDeque<Effect> {
        let mut effects = Effects::new();
        match event {
            Event::Connected => self.connected(&mut effects),
            Event::HandshakeDone => self.handshake_done(&mut effects),
            Event::HandshakeFailed { reason } => self.unusable(reason, &mut effects),
            Event::LinkLost { reason } => self.link_lost(reason, &mut effects),
            Event::LinkGivenUp { reason } => self.given_up(reason, &mut effects),
            Event::Deploy { reply, order } => self.deploy(reply, order, &mut effects),
            Event::Launched => self.launched(&mut effects),
            Event::LaunchFailed { reason } => self.launch_failed(reason, &mut effects),
            Event::Undeploy { reply } => self.undeploy(reply, &mut effects),
            Event::Signalled => self.signalled(&mut effects),
            Event::Exited { exit } => self.exited(exit, &mut effects),
            Event::TreeGone => self.tree_gone(&mut effects),
            Event::Elapsed { timer } => self.elapsed(timer, &mut effects),
            Event::OutputDrained => self.output_drained(&mut effects),
        }
        effects
    }

    fn connected(&mut self, effects: &mut Effects) {
        match self.state {
            State::Connecting => {
                self.state = State::Handshaking;
                effects.push_back(Effect::Introduce);
            }
            // A link that came back: the node has to learn of this agent again.
            State::Handshaking
            | State::Idle
            | State::Starting { .. }
            | State::Running { .. }
            | State::Stopping { .. } => effects.push_back(Effect::Introduce),
            State::Done => {}
        }
    }

    fn handshake_done(&mut self, effects: &mut Effects) {
        if self.state == State::Handshaking {
            self.state = State::Idle;
        }
        if !self.announced && self.state != State::Done {
            self.announced = true;
            effects.push_back(Effect::AnnounceAgentStarted);
        }
    }

    /// The node does not take this agent: nothing can be done here.
    fn unusable(&mut self, reason: String, effects: &mut Effects) {
        match self.state {
            State::Connecting | State::Handshaking => self.quit(1, reason, effects),
            State::Idle
            | State::Starting { .. }
            | State::Running { .. }
            | State::Stopping { .. } => self.given_up(reason, effects),
            State::Done => {}
        }
    }

    fn link_lost(&mut self, reason: String, effects: &mut Effects) {
        if self.policy.reconnect_window.is_zero() {
            return self.given_up(reason, effects);
        }
        match self.state {
            State::Done => {}
            // Leaving anyway: nobody will hear of it.
            State::Stopping { .. } => {}
            State::Connecting
            | State::Handshaking
            | State::Idle
            | State::Starting { .. }
            | State::Running { .. } => {
                effects.push_back(Effect::Reconnect { window: self.policy.reconnect_window });
            }
        }
    }

    fn given_up(&mut self, reason: String, effects: &mut Effects) {
        match &self.state {
            State::Connecting | State::Handshaking => self.quit(1, reason, effects),
            // A node that is gone has no use for a warm agent: an orderly end.
            State::Idle => self.quit(0, reason, effects),
            State::Starting { .. } | State::Running { .. } => {
                self.stop(Cause::LinkLost, None, effects);
            }
            State::Stopping { .. } | State::Done => {}
        }
    }

    fn deploy(
        &mut self,
        reply: ReplyTo,
        order: Result<Box<Order>, OrderError>,
        effects: &mut Effects,
    ) {
        let refusal = match &self.state {
            State::Idle => match order {
                Ok(order) => {
                    let workload = Workload {
                        name: order.name.to_string(),
                        is_function: matches!(order.kind, Kind::Function(_)),
                        grace: order.stop_grace,
                    };
                    let waiting = Vec::new();
                    self.state = State::Starting { workload, reply, cancelled: None, waiting };
                    effects.push_back(Effect::Launch(order));
                    return;
                }
                Err(error) => error.to_line(),
            },
            State::Connecting | State::Handshaking => {
                "this agent has not finished its handshake; ask again after it".to_owned()
            }
            State::Starting { workload, .. } => {
                format!("this agent is starting \"{}\"; use another one", workload.name)
            }
            State::Running { workload } => {
                format!("this agent already runs \"{}\"; use another one", workload.name)
            }
            State::Stopping { .. } | State::Done => {
                "this agent is stopping; use another one".to_owned()
            }
        };
        effects.push_back(Effect::RefuseDeploy { reply, reason: refusal });
    }

    fn launched(&mut self, effects: &mut Effects) {
        let (workload, reply, cancelled, waiting) =
            match std::mem::replace(&mut self.state, State::Done) {
                State::Starting { workload, reply, cancelled, waiting } => {
                    (workload, reply, cancelled, waiting)
                }
                // Only a launch that this machine ordered can succeed, and it waits for it.
                other => return self.state = other,
            };
        effects.push_back(Effect::AcceptDeploy { reply });
        effects.push_back(Effect::AnnounceWorkloadStarted { name: workload.name.clone() });
        self.state = State::Running { workload };
        if let Some(cause) = cancelled {
            self.stop(cause, None, effects);
            if let State::Stopping { waiting: slot, .. } = &mut self.state {
                *slot = waiting;
            }
        }
    }

    fn launch_failed(&mut self, reason: String, effects: &mut Effects) {
        let (reply, cancelled, waiting) = match std::mem::replace(&mut self.state, State::Idle) {
            State::Starting { reply, cancelled, waiting, .. } => (reply, cancelled, waiting),
            other => return self.state = other,
        };
        effects.push_back(Effect::RefuseDeploy { reply, reason });
        effects.extend(waiting.into_iter().map(|reply| Effect::ConfirmUndeploy { reply }));
        match cancelled {
            None | Some(Cause::Requested | Cause::Exited) => {}
            Some(cause @ (Cause::Signalled | Cause::LinkLost)) => {
                self.quit(0, cause.to_string(), effects);
            }
        }
    }

    fn undeploy(&mut self, reply: Option<ReplyTo>, effects: &mut Effects) {
        match &self.state {
            State::Starting { .. } | State::Running { .. } => {
                self.stop(Cause::Requested, reply, effects);
            }
            State::Stopping { .. } => {
                if let (State::Stopping { waiting, .. }, Some(reply)) = (&mut self.state, reply)
                    && waiting.len() < MAX_WAITING
                {
                    waiting.push(reply);
                }
            }
            // There is nothing to stop, which is what was asked for.
            State::Connecting | State::Handshaking | State::Idle | State::Done => {
                effects.extend(reply.map(|reply| Effect::ConfirmUndeploy { reply }));
            }
        }
    }

    fn signalled(&mut self, effects: &mut Effects) {
        match &self.state {
            State::Connecting | State::Handshaking | State::Idle => {
                self.quit(0, Cause::Signalled.to_string(), effects);
            }
            State::Starting { .. } | State::Running { .. } => {
                self.stop(Cause::Signalled, None, effects);
            }
            // A second signal: no more patience.
            State::Stopping { phase: Phase::Terminating, .. } => self.kill(effects),
            State::Stopping { phase: Phase::Killing | Phase::Draining { .. }, .. }
            | State::Done => {}
        }
    }

    /// Leaves at once: there is no workload.
    fn quit(&mut self, code: u8, reason: String, effects: &mut Effects) {
        self.state = State::Done;
        if self.announced {
            effects.push_back(Effect::AnnounceAgentStopped { code, message: reason.clone() });
        }
        effects.push_back(Effect::Quit { code, reason });
    }
}
