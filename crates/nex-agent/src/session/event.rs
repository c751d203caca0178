//! What happens to a session and what it wants done.

use std::time::Duration;

use nex_protocol::nats::Text;

use super::{Order, OrderError};
use crate::provider::elf::tree::Exit;

/// Where an answer goes: the reply subject of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyTo(pub Text);

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// There is a connection to the node, for the first time or again.
    Connected,
    /// The node answered the handshake.
    HandshakeDone,
    /// The node did not answer it.
    HandshakeFailed {
        /// What was wrong, for people.
        reason: String,
    },
    /// The connection is gone.
    LinkLost {
        /// What was wrong, for people.
        reason: String,
    },
    /// The connection did not come, or not come back, in time.
    LinkGivenUp {
        /// What was wrong, for people.
        reason: String,
    },
    /// The node asks for a workload.
    Deploy {
        /// Who asks.
        reply: ReplyTo,
        /// What for, or what is wrong with the request.
        order: Result<Box<Order>, OrderError>,
    },
    /// The workload's program is really executing, or the function takes calls.
    Launched,
    /// It could not be started.
    LaunchFailed {
        /// What was wrong, for people.
        reason: String,
    },
    /// The node wants the workload stopped.
    Undeploy {
        /// Who asks; a message without reply subject is obeyed too.
        reply: Option<ReplyTo>,
    },
    /// The agent itself got SIGTERM or SIGINT.
    Signalled,
    /// The workload's first process ended.
    Exited {
        /// How.
        exit: Exit,
    },
    /// No process of the workload is left, or no call of the function.
    TreeGone,
    /// A timer ran out.
    Elapsed {
        /// Which one.
        timer: TimerKind,
    },
    /// All output has been handed to the node, or the time for it is over.
    OutputDrained,
}

/// Timers; there is at most one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimerKind {
    /// The workload's grace after it was asked to end.
    Grace,
    /// The time that killed processes have to disappear.
    KillDeadline,
}

/// Something to be done.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Subscribe, then send the handshake.
    Introduce,
    /// Try for so long to reach the node again.
    Reconnect {
        /// How long.
        window: Duration,
    },
    /// Publish `agent_started`.
    AnnounceAgentStarted,
    /// Publish `agent_stopped`.
    AnnounceAgentStopped {
        /// The agent's exit code.
        code: u8,
        /// Why.
        message: String,
    },
    /// Publish `workload_started`.
    AnnounceWorkloadStarted {
        /// Name of the workload.
        name: String,
    },
    /// Publish `workload_stopped`.
    AnnounceWorkloadStopped {
        /// Name of the workload.
        name: String,
        /// Its exit code, -1 if a signal ended it, 0 for a function.
        code: i32,
        /// How and why it ended.
        message: String,
    },
    /// Start the workload.
    Launch(Box<Order>),
    /// Give up starting it, if it has not started.
    CancelLaunch,
    /// Answer a deploy request: the workload runs.
    AcceptDeploy {
        /// Who asked.
        reply: ReplyTo,
    },
    /// Answer a deploy request: it does not, and why.
    RefuseDeploy {
        /// Who asked.
        reply: ReplyTo,
        /// Why, for people.
        reason: String,
    },
    /// Answer an undeploy request: nothing of the workload is left.
    ConfirmUndeploy {
        /// Who asked.
        reply: ReplyTo,
    },
    /// Ask the workload's processes to end; take no more calls.
    Terminate,
    /// End them, and the calls that run.
    Kill,
    /// Start a timer; one of the same kind is replaced.
    StartTimer {
        /// Which.
        timer: TimerKind,
        /// How long.
        after: Duration,
    },
    /// Read what is left in the workload's pipes and wait until the node has all of it.
    DrainOutput,
    /// Hand everything to the node, close the link, end the program.
    Quit {
        /// The exit code.
        code: u8,
        /// Why, for the diagnostics.
        reason: String,
    },
}
