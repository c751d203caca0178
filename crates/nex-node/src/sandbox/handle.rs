//! What the rest of the node holds of a sandbox.

use std::time::Duration;

use nex_protocol::{agent::AgentDeployRequest, name::WorkloadId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::DropGuard;

use super::{files::WorkloadFiles, lifecycle::Phase};
use crate::bus::AgentLink;

/// Requests that may wait for the sandbox's task. It answers each in
/// microseconds, save while it launches or kills.
pub(super) const COMMAND_QUEUE: usize = 8;

/// The owner's end of a sandbox: dropping it kills the sandbox.
#[derive(Debug)]
pub struct SandboxHandle {
    pub(super) id: WorkloadId,
    pub(super) link: AgentLink,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) ending: watch::Receiver<Option<Ending>>,
    pub(super) phase: watch::Receiver<Phase>,
    /// Kills the sandbox when the handle is dropped.
    pub(super) kill: DropGuard,
}

/// Why a workload is stopped; the text goes into its `workload_stopped` event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// A STOP request of the issuer.
    Requested,
    /// The node is shutting down.
    NodeStopping,
}

impl StopReason {
    /// The `reason` of the event, as the Go node words it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "Workload shutdown requested",
            Self::NodeStopping => "Node is shutting down",
        }
    }
}

/// How a workload ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadExit {
    /// The exit code; `-1` when a signal ended it, or nobody knows.
    pub code: i32,
    /// The same in words.
    pub message: String,
}

/// The end of a sandbox's workload (or of an idle sandbox).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// How the workload ended; `None` when none had been started.
    pub exit: Option<WorkloadExit>,
    /// Why the node ended it, if it was the node.
    pub reason: Option<StopReason>,
}

/// Why a sandbox did not start a workload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeployFailure {
    /// The agent said no, with its reason.
    #[error("{0}")]
    Refused(String),
    /// The agent ended, was cut off or did not answer in time.
    #[error("the sandbox failed while the workload was starting ({0}); deploy again")]
    Lost(String),
}

#[derive(Debug)]
pub(super) enum Command {
    Deploy {
        request: Box<AgentDeployRequest>,
        files: WorkloadFiles,
        reply: oneshot::Sender<Result<(), DeployFailure>>,
    },
    Stop {
        reason: StopReason,
        grace: Duration,
        reply: oneshot::Sender<()>,
    },
}

impl SandboxHandle {
    /// Id of the sandbox, its agent and its workload.
    pub fn id(&self) -> WorkloadId {
        self.id
    }

    /// The way to the agent for calls that need no lifecycle, such as triggers.
    pub fn link(&self) -> &AgentLink {
        &self.link
    }

    /// Where the sandbox is in its life now.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Starts `request` in this sandbox. The sandbox keeps `files` in their
    /// caches for as long as it lives.
    ///
    /// # Errors
    /// A [`DeployFailure`]; the sandbox is of no use then, drop it.
    pub(crate) async fn deploy(
        &self,
        request: AgentDeployRequest,
        files: WorkloadFiles,
    ) -> Result<(), DeployFailure> {
        let (reply, answer) = oneshot::channel();
        let gone = || DeployFailure::Lost("it is gone".to_owned());
        let command = Command::Deploy { request: Box::new(request), files, reply };
        self.commands.send(command).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Gives up the handle of a sandbox whose workload is over, and lets it end
    /// in order: its agent has output to deliver.
    pub fn release(self) {
        self.kill.disarm();
    }

    /// A request to stop what runs here, to be sent without the handle.
    pub fn stopper(&self) -> Stopper {
        Stopper { commands: Some(self.commands.clone()) }
    }

    /// Resolves at the end of the workload, even if that was long ago.
    pub fn ended(&self) -> impl Future<Output = Ending> + Send + use<> {
        let mut ending = self.ending.clone();
        async move {
            let lost = Ending { exit: None, reason: None };
            match ending.wait_for(Option::is_some).await {
                Ok(ending) => ending.clone().unwrap_or(lost),
                Err(_) => lost,
            }
        }
    }
}

/// Stops one sandbox.
#[derive(Debug, Clone)]
pub struct Stopper {
    /// `None`: there is nothing to stop.
    commands: Option<mpsc::Sender<Command>>,
}

impl Stopper {
    /// Stops nothing: between two runs of an essential workload.
    pub(crate) fn idle() -> Self {
        Self { commands: None }
    }

    /// Stops the workload: SIGTERM, `grace`, SIGKILL. Returns when nothing of
    /// it is left.
    pub async fn stop(&self, reason: StopReason, grace: Duration) {
        let Some(commands) = &self.commands else { return };
        let (reply, stopped) = oneshot::channel();
        if commands.send(Command::Stop { reason, grace, reply }).await.is_ok() {
            // An error means that the task is gone, and the workload with it.
            let _ = stopped.await;
        }
    }
}
