//! The way out: terminate, kill, drain, say so.

use std::fmt;

use super::{Effect, Effects, ReplyTo, Session, State, TimerKind};
use crate::provider::elf::tree::Exit;

/// Why a workload stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It ended by itself.
    Exited,
    /// The node asked for it.
    Requested,
    /// The agent was told to end.
    Signalled,
    /// There is no node any more.
    LinkLost,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exited => "the workload ended",
            Self::Requested => "stopped on request",
            Self::Signalled => "the agent was told to end",
            Self::LinkLost => "the node is gone",
        })
    }
}

/// How far stopping is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// SIGTERM was sent; the grace runs.
    Terminating,
    /// SIGKILL was sent; nothing can refuse it, but processes need a moment to disappear.
    Killing,
    /// Nothing is left but output to hand over.
    Draining {
        /// Some processes did not disappear in time.
        stuck: bool,
    },
}

impl Session {
    /// Begins to stop a workload that starts or runs.
    pub(super) fn stop(&mut self, cause: Cause, reply: Option<ReplyTo>, effects: &mut Effects) {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Starting { workload, reply: deployer, cancelled, mut waiting } => {
                waiting.extend(reply);
                waiting.truncate(super::MAX_WAITING);
                effects.push_back(Effect::CancelLaunch);
                // What leads to the end of the agent wins over a mere undeploy.
                let cancelled = match (cancelled, cause) {
                    (Some(first @ (Cause::Signalled | Cause::LinkLost)), _) => first,
                    (_, cause) => cause,
                };
                let cancelled = Some(cancelled);
                self.state = State::Starting { workload, reply: deployer, cancelled, waiting };
            }
            State::Running { workload } => {
                let grace = workload.grace;
                self.state = State::Stopping {
                    workload,
                    cause,
                    phase: Phase::Terminating,
                    exit: None,
                    waiting: reply.into_iter().collect(),
                };
                if grace.is_zero() {
                    self.kill(effects);
                } else {
                    effects.push_back(Effect::Terminate);
                    effects.push_back(Effect::StartTimer { timer: TimerKind::Grace, after: grace });
                }
            }
            // The callers look first: there is nothing to stop.
            other @ (State::Connecting
            | State::Handshaking
            | State::Idle
            | State::Stopping { .. }
            | State::Done) => self.state = other,
        }
    }

    pub(super) fn kill(&mut self, effects: &mut Effects) {
        let State::Stopping { phase, .. } = &mut self.state else { return };
        *phase = Phase::Killing;
        let after = self.policy.kill_deadline;
        effects.push_back(Effect::Kill);
        effects.push_back(Effect::StartTimer { timer: TimerKind::KillDeadline, after });
    }

    /// The first process ended. By itself: the workload is over, and whatever it left behind has
    /// no purpose. While terminating: the others keep their grace.
    pub(super) fn exited(&mut self, exit: Exit, effects: &mut Effects) {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Running { workload } => {
                self.state = State::Stopping {
                    workload,
                    cause: Cause::Exited,
                    phase: Phase::Terminating,
                    exit: Some(exit),
                    waiting: Vec::new(),
                };
                self.kill(effects);
            }
            State::Stopping { workload, cause, phase, exit: known, waiting } => {
                let exit = known.or(Some(exit));
                self.state = State::Stopping { workload, cause, phase, exit, waiting };
            }
            // Nothing of ours was started.
            other @ (State::Connecting
            | State::Handshaking
            | State::Idle
            | State::Starting { .. }
            | State::Done) => self.state = other,
        }
    }

    pub(super) fn tree_gone(&mut self, effects: &mut Effects) {
        match &mut self.state {
            State::Stopping { phase: phase @ (Phase::Terminating | Phase::Killing), .. } => {
                *phase = Phase::Draining { stuck: false };
                effects.push_back(Effect::DrainOutput);
            }
            State::Stopping { phase: Phase::Draining { .. }, .. }
            | State::Connecting
            | State::Handshaking
            | State::Idle
            | State::Starting { .. }
            | State::Running { .. }
            | State::Done => {}
        }
    }

    pub(super) fn elapsed(&mut self, timer: TimerKind, effects: &mut Effects) {
        let State::Stopping { phase, .. } = &mut self.state else { return };
        match (timer, *phase) {
            (TimerKind::Grace, Phase::Terminating) => self.kill(effects),
            (TimerKind::KillDeadline, Phase::Killing) => {
                *phase = Phase::Draining { stuck: true };
                effects.push_back(Effect::DrainOutput);
            }
            // A timer of a phase that is over.
            (TimerKind::Grace | TimerKind::KillDeadline, _) => {}
        }
    }

    /// The end: the node learns how it went, then whoever asked for it, then the agent leaves.
    pub(super) fn output_drained(&mut self, effects: &mut Effects) {
        let (workload, cause, stuck, exit, waiting) =
            match std::mem::replace(&mut self.state, State::Done) {
                State::Stopping {
                    workload,
                    cause,
                    phase: Phase::Draining { stuck },
                    exit,
                    waiting,
                } => (workload, cause, stuck, exit, waiting),
                other => return self.state = other,
            };
        let message = message(cause, exit, stuck);
        let no_process = if workload.is_function { 0 } else { -1 };
        effects.push_back(Effect::AnnounceWorkloadStopped {
            name: workload.name,
            code: exit.map_or(no_process, Exit::code),
            message: message.clone(),
        });
        effects.extend(waiting.into_iter().map(|reply| Effect::ConfirmUndeploy { reply }));
        self.quit(0, message, effects);
    }
}

fn message(cause: Cause, exit: Option<Exit>, stuck: bool) -> String {
    let mut text = match (cause, exit) {
        (Cause::Exited, Some(exit)) => exit.to_string(),
        (cause, Some(exit)) => format!("{cause}: {exit}"),
        (cause, None) => cause.to_string(),
    };
    if stuck {
        text.push_str("; some of its processes could not be killed");
    }
    text
}
