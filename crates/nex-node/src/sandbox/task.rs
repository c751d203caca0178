//! The one task that drives a sandbox: it owns the machine and the agent's seat
//! on the bus, feeds what happens to [`lifecycle::step`](step) and does what
//! that says.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use nex_protocol::{
    agent::{AgentDeployRequest, AgentLog, DeployResponse, HANDSHAKE_RESPONSE},
    event::{EventKind, RawEvent, WorkloadStopped},
    log::LogLevel,
    name::WorkloadId,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    driver::{ArtifactAccess, Boot, Driver, LaunchError, Machine},
    files::WorkloadFiles,
    handle::{
        COMMAND_QUEUE, Command, DeployFailure, Ending, SandboxHandle, StopReason, WorkloadExit,
    },
    host_calls,
    lifecycle::{Effect, Input, Phase, step},
};
use crate::{
    bus::{AgentRequest, AgentSeat, Endpoint, Inbound, LinkError, Responder},
    host::{HostServices, HostSession, Rpc, Scope},
    observe::{Publisher, WorkloadTag},
};

/// From the deploy message to the agent's answer. The artifact is there already,
/// save for agents that read it over their link.
const DEPLOY_LIMIT: Duration = Duration::from_secs(30);

/// Beyond its grace a stop may take this long, for the kill and the answer.
const STOP_SLACK: Duration = Duration::from_secs(2);

/// From the end of the machine to the end of its connection.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// From the end of the workload to the end of the agent, which has output to
/// deliver.
const ENDING_LIMIT: Duration = Duration::from_secs(5);

/// The same for agents of the old protocol: they stay when their workload is gone, and have sent
/// what they had to say.
const LEGACY_ENDING_LIMIT: Duration = Duration::from_millis(250);

/// Makes sandboxes. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Launcher {
    pub driver: Arc<dyn Driver>,
    pub endpoint: Endpoint,
    pub publisher: Publisher,
    pub host: HostServices,
    /// Folder in which each sandbox gets one of its own.
    pub dir: PathBuf,
    /// Tasks of all sandboxes, to be waited for at the end.
    pub tasks: TaskTracker,
    /// Agents speak the protocol of the Go node's: no secret.
    pub legacy: bool,
    /// From launch to handshake.
    pub handshake_timeout: Duration,
}

impl Launcher {
    /// Launches a sandbox with the given id and waits until its agent is ready.
    ///
    /// # Errors
    /// A [`LaunchError`]; nothing is left then.
    pub(crate) async fn launch(self, id: WorkloadId) -> Result<SandboxHandle, LaunchError> {
        let seat = if self.legacy {
            self.endpoint.register_legacy(id)
        } else {
            self.endpoint.register(id)
        };
        let seat = seat.map_err(LaunchError::NoSeat)?;
        let boot = Boot {
            id,
            secret: seat.secret().to_owned(),
            socket: self.endpoint.socket().to_owned(),
            tcp: self.endpoint.tcp(),
            dir: self.dir.join(id.to_string()),
        };
        // To its end, even if nobody waits any more: half a machine would be nobody's.
        let driver = Arc::clone(&self.driver);
        let launched = self.tasks.spawn(async move { driver.launch(&boot).await }).await;
        let machine = launched.map_err(|panic| LaunchError::NoHandshake(panic.to_string()))??;

        let (commands, queue) = mpsc::channel(COMMAND_QUEUE);
        let (ending, ended) = watch::channel(None);
        let (phase, phases) = watch::channel(Phase::Booting);
        let (warm, ready) = oneshot::channel();
        let kill = CancellationToken::new();
        let handle = SandboxHandle {
            id,
            link: seat.link(),
            commands,
            ending: ended,
            phase: phases,
            kill: kill.clone().drop_guard(),
        };
        let task = Task {
            id,
            machine,
            seat,
            publisher: self.publisher,
            host_services: self.host,
            host: None,
            legacy: self.legacy,
            phase,
            ending,
            warm: Some(warm),
            handshake: None,
            deploy: None,
            stops: Vec::new(),
            stop_grace: Duration::ZERO,
            stop_reason: None,
            workload: None,
            files: None,
            exit: None,
            report: None,
            connected: false,
            trouble: None,
            unsent_logs: 0,
            drops_reported: 0,
            call: None,
            deadline: Some(Instant::now() + self.handshake_timeout),
            ending_limit: if self.legacy { LEGACY_ENDING_LIMIT } else { ENDING_LIMIT },
        };
        self.tasks.spawn(task.run(queue, kill));
        match ready.await {
            Ok(Ok(())) => Ok(handle),
            Ok(Err(reason)) => Err(LaunchError::NoHandshake(reason)),
            Err(_) => Err(LaunchError::NoHandshake("its task ended".to_owned())),
        }
    }
}

/// What came back from a request to the agent.
enum CallResult {
    Deploy(Result<Bytes, LinkError>),
    Undeploy(Result<Bytes, LinkError>),
}

/// Something happened.
enum Happening {
    Command(Command),
    Inbound(Inbound),
    SeatClosed,
    Called(CallResult),
    Machine(String),
    Deadline,
    Kill,
}

struct Task {
    id: WorkloadId,
    machine: Box<dyn Machine>,
    seat: AgentSeat,
    publisher: Publisher,
    host_services: HostServices,
    /// The calls of the workload; ends them when it is dropped.
    host: Option<HostSession>,
    /// The agent is one of the old protocol.
    legacy: bool,
    phase: watch::Sender<Phase>,
    ending: watch::Sender<Option<Ending>>,
    warm: Option<oneshot::Sender<Result<(), String>>>,
    handshake: Option<Responder>,
    deploy: Option<PendingDeploy>,
    stops: Vec<oneshot::Sender<()>>,
    stop_grace: Duration,
    stop_reason: Option<StopReason>,
    workload: Option<WorkloadTag>,
    files: Option<WorkloadFiles>,
    /// How the workload ended, as far as anybody knows.
    exit: Option<WorkloadExit>,
    /// How the machine ended.
    report: Option<String>,
    /// The agent's connection is up.
    connected: bool,
    /// Why the sandbox is of no use, for whoever waits for it.
    trouble: Option<String>,
    /// Log lines that found no place on their way to NATS.
    unsent_logs: u64,
    /// Lost lines, those of the bus included, when that was last said.
    drops_reported: u64,
    /// The one request to the agent that is under way.
    call: Option<BoxFuture<'static, CallResult>>,
    deadline: Option<Instant>,
    /// How long the agent may stay when the workload is over.
    ending_limit: Duration,
}

/// A deploy that waits for the agent's answer.
struct PendingDeploy {
    request: Option<Box<AgentDeployRequest>>,
    reply: oneshot::Sender<Result<(), DeployFailure>>,
}

impl Task {
    async fn run(mut self, mut queue: mpsc::Receiver<Command>, kill: CancellationToken) {
        let mut killed = false;
        let mut seat_open = true;
        let mut commands_open = true;
        while self.phase() != Phase::Gone {
            let deadline = self.deadline;
            let happening = tokio::select! {
                biased;
                () = kill.cancelled(), if !killed => {
                    killed = true;
                    Happening::Kill
                }
                inbound = self.seat.recv(), if seat_open => match inbound {
                    Some(inbound) => Happening::Inbound(inbound),
                    None => {
                        seat_open = false;
                        Happening::SeatClosed
                    }
                },
                command = queue.recv(), if commands_open => match command {
                    Some(command) => Happening::Command(command),
                    None => {
                        commands_open = false;
                        continue;
                    }
                },
                result = ready_or_never(&mut self.call) => {
                    self.call = None;
                    Happening::Called(result)
                }
                report = self.machine.exited(), if self.report.is_none() => {
                    Happening::Machine(report)
                }
                () = async { sleep_until(deadline.unwrap_or_else(Instant::now)).await },
                    if deadline.is_some() => Happening::Deadline,
            };
            self.happened(happening).await;
        }
        // Whatever was asked meanwhile is answered by the queue's end.
        while let Ok(Command::Stop { reply, .. }) = queue.try_recv() {
            let _ = reply.send(());
        }
    }

    fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    async fn happened(&mut self, happening: Happening) {
        match happening {
            Happening::Command(Command::Deploy { request, files, reply }) => {
                // A second deploy cannot come: a handle is claimed once. If it
                // does, its sender is dropped and learns that way.
                if self.deploy.is_none() && self.workload.is_none() {
                    self.files = Some(files);
                    self.deploy = Some(PendingDeploy { request: Some(request), reply });
                    self.feed(Input::Deploy).await;
                }
            }
            Happening::Command(Command::Stop { reason, grace, reply }) => {
                self.stops.push(reply);
                self.stop_reason.get_or_insert(reason);
                self.stop_grace = grace;
                self.feed(Input::Stop).await;
            }
            Happening::Inbound(inbound) => self.hear(inbound).await,
            Happening::SeatClosed => self.feed(Input::LinkLost).await,
            Happening::Called(result) => self.answered(result).await,
            Happening::Machine(report) => {
                self.report = Some(report);
                if self.connected {
                    // What the agent said last is still in the socket: its end
                    // is told by the connection's.
                    self.deadline = Some(Instant::now() + FLUSH_LIMIT);
                } else {
                    self.machine_exited().await;
                }
            }
            Happening::Deadline if self.report.is_some() => {
                self.deadline = None;
                self.machine_exited().await;
            }
            Happening::Deadline => {
                self.deadline = None;
                self.trouble.get_or_insert_with(|| "it did not answer in time".to_owned());
                self.feed(Input::Deadline).await;
            }
            Happening::Kill => self.feed(Input::Kill).await,
        }
    }

    /// The machine has ended and everything it said was heard.
    async fn machine_exited(&mut self) {
        while let Some(inbound) = self.seat.try_recv() {
            if let Inbound::Log(line) = inbound {
                self.pass_on_log(&line);
            }
        }
        if self.trouble.is_none() {
            self.trouble.clone_from(&self.report);
        }
        self.feed(Input::MachineExited).await;
    }

    /// Something the agent said.
    async fn hear(&mut self, inbound: Inbound) {
        match inbound {
            Inbound::Connected => self.connected = true,
            Inbound::Disconnected => {
                self.connected = false;
                // An answer that came before the end counts.
                if let Some(result) =
                    self.call.as_mut().and_then(futures_util::FutureExt::now_or_never)
                {
                    self.call = None;
                    self.answered(result).await;
                }
                if self.report.is_some() {
                    self.machine_exited().await;
                } else {
                    self.trouble
                        .get_or_insert_with(|| "the connection to its agent is gone".to_owned());
                    self.feed(Input::LinkLost).await;
                }
            }
            Inbound::Handshake { reply, .. } => {
                self.handshake = Some(reply);
                self.feed(Input::Handshake).await;
            }
            Inbound::Log(line) => self.pass_on_log(&line),
            Inbound::Event { kind, body } => self.hear_event(kind.as_str(), &body).await,
            Inbound::Rpc { namespace, workload, service, method, headers, body, reply } => {
                let Some(host) = &self.host else { return host_calls::refuse(reply) };
                let rpc = Rpc {
                    service: service.as_str(),
                    method: method.as_str(),
                    headers: headers.as_ref(),
                    body,
                };
                host.handle(&namespace, &workload, rpc, Box::new(reply));
            }
        }
    }

    async fn hear_event(&mut self, kind: &str, body: &[u8]) {
        let Some(tag) = self.workload.clone() else { return };
        let (Ok(kind), Ok(event)) = (kind.parse::<EventKind>(), RawEvent::decode(body)) else {
            tracing::warn!(id = %self.id, kind, "the agent sent an event that cannot be read");
            return;
        };
        if !kind.comes_from_agents() {
            tracing::warn!(id = %self.id, %kind, "the agent sent an event that is not its to send");
            return;
        }
        if kind != EventKind::WorkloadStopped {
            self.publisher.agent_event(&tag, kind, &event);
            return;
        }
        // The agent sent all output before this, in a lane that events overtake.
        while let Some(line) = self.seat.take_log() {
            self.pass_on_log(&line);
        }
        // Published once, by `Effect::ReportEnd`: whether the node had asked for
        // it belongs into the event.
        let stopped: WorkloadStopped = event.data_as().unwrap_or_default();
        let code = i32::try_from(stopped.code).unwrap_or(-1);
        self.exit.get_or_insert(WorkloadExit { code, message: stopped.message });
        self.feed(Input::WorkloadEnded).await;
    }

    fn pass_on_log(&mut self, line: &[u8]) {
        let Some(tag) = &self.workload else { return };
        match AgentLog::decode(line) {
            Ok(line) => self.unsent_logs += u64::from(!self.publisher.workload_log(tag, line)),
            Err(error) => tracing::debug!(id = %self.id, %error, "a log line cannot be read"),
        }
        let dropped = self.seat.dropped_logs().saturating_add(self.unsent_logs);
        if dropped > self.drops_reported
            && self.publisher.node_log(
                tag,
                LogLevel::WARN,
                format!(
                    "{} lines of output were dropped: the node could not keep up",
                    dropped - self.drops_reported
                ),
            )
        {
            self.drops_reported = dropped;
        }
    }

    /// The agent's answer to a request.
    async fn answered(&mut self, result: CallResult) {
        let input = match result {
            CallResult::Deploy(Ok(body)) => match DeployResponse::decode(&body) {
                Ok(DeployResponse { accepted: true, .. }) => Input::DeployAccepted,
                Ok(DeployResponse { message, .. }) => {
                    self.refuse(DeployFailure::Refused(message.unwrap_or_default()));
                    Input::DeployRefused
                }
                Err(error) => {
                    self.trouble.get_or_insert(error.to_string());
                    Input::DeployRefused
                }
            },
            CallResult::Deploy(Err(error)) => {
                self.trouble.get_or_insert(error.to_string());
                Input::DeployRefused
            }
            CallResult::Undeploy(Ok(_)) => {
                // The agent's last event was sent before its answer.
                while let Some(inbound) = self.seat.try_recv() {
                    Box::pin(self.hear(inbound)).await;
                }
                Input::Undeployed
            }
            CallResult::Undeploy(Err(error)) => {
                tracing::warn!(id = %self.id, %error, "the agent did not stop its workload, killing it");
                Input::UndeployFailed
            }
        };
        self.feed(input).await;
    }

    /// Steps the lifecycle and does what it says.
    async fn feed(&mut self, input: Input) {
        let before = self.phase();
        let (phase, effects) = step(before, input);
        if phase != before {
            tracing::debug!(id = %self.id, ?before, ?input, ?phase, "sandbox");
            self.phase.send_replace(phase);
            self.deadline = match phase {
                Phase::Booting => self.deadline,
                Phase::Warm | Phase::Running | Phase::Gone => None,
                Phase::Starting => Some(Instant::now() + DEPLOY_LIMIT),
                Phase::Stopping => Some(Instant::now() + self.stop_grace + STOP_SLACK),
                Phase::Ending => Some(Instant::now() + self.ending_limit),
            };
        }
        for effect in effects {
            self.perform(*effect).await;
        }
        if matches!(phase, Phase::Ending | Phase::Gone) {
            self.host = None;
            self.announce_end();
        }
    }

    async fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::AcknowledgeHandshake => {
                if let Some(reply) = self.handshake.take() {
                    // An agent that is gone misses it: its end is heard too.
                    let _ = reply.respond(None, Bytes::from_static(HANDSHAKE_RESPONSE));
                }
            }
            Effect::AnnounceWarm => {
                if let Some(warm) = self.warm.take() {
                    let _ = warm.send(Ok(()));
                }
            }
            Effect::SendDeploy => self.send_deploy(),
            Effect::AnswerDeployed => {
                if let Some(deploy) = self.deploy.take() {
                    let _ = deploy.reply.send(Ok(()));
                }
            }
            Effect::AnswerNotDeployed => {
                let trouble = self.trouble.clone().unwrap_or_else(|| "it ended".to_owned());
                self.refuse(DeployFailure::Lost(trouble));
            }
            Effect::SendUndeploy => {
                let link = self.seat.link();
                let limit = self.stop_grace + STOP_SLACK;
                self.call = Some(Box::pin(async move {
                    let reply = link.request(AgentRequest::Undeploy, None, Bytes::new(), limit);
                    CallResult::Undeploy(reply.await.map(|reply| reply.payload))
                }));
            }
            Effect::KillMachine => {
                if self.warm.is_some() {
                    let words = self.machine.last_words();
                    let trouble =
                        self.trouble.take().unwrap_or_else(|| "it was not wanted".to_owned());
                    self.trouble =
                        Some(words.map_or(trouble.clone(), |words| format!("{trouble}: {words}")));
                }
                self.machine.kill().await;
            }
            Effect::AnswerStopped => {
                for stop in self.stops.drain(..) {
                    let _ = stop.send(());
                }
            }
            Effect::ReportEnd => {
                let trouble = self.trouble.clone();
                let exit = self.exit.get_or_insert_with(|| WorkloadExit {
                    code: -1,
                    message: trouble.unwrap_or_else(|| "killed with its sandbox".to_owned()),
                });
                // A program that ended in order has survived whatever was killed beside it.
                if exit.code != 0
                    && let Some(cause) = self.machine.cause_of_death()
                {
                    exit.message = cause;
                }
                if let Some(tag) = &self.workload {
                    self.publisher.workload_stopped(tag, exit, self.stop_reason);
                    self.publisher.node_log(tag, LogLevel::DEBUG, "Workload stopped");
                }
            }
        }
    }

    fn send_deploy(&mut self) {
        let request = self.deploy.as_mut().and_then(|deploy| deploy.request.take());
        let (Some(mut request), Some(files)) = (request, &self.files) else { return };
        let artifact = &files.artifact;
        let compiled = files.compiled.as_ref();
        request.extensions.compiled_path = compiled
            .and_then(|compiled| self.machine.shared_file(compiled.path()))
            .map(|path| path.to_string_lossy().into_owned());
        match self.machine.artifact(artifact) {
            ArtifactAccess::File(path) => {
                request.extensions.artifact_path = Some(path.to_string_lossy().into_owned());
            }
            ArtifactAccess::Link => {
                self.seat.offer_artifact(
                    &request.workload_name,
                    artifact.path(),
                    artifact.digest(),
                    artifact.size(),
                );
            }
        }
        self.workload = Some(WorkloadTag {
            id: self.id,
            namespace: request.namespace.clone(),
            name: request.workload_name.clone(),
        });
        let scope =
            Scope { namespace: request.namespace.clone(), workload: request.workload_name.clone() };
        self.host = Some(self.host_services.open(scope, self.legacy));
        let (link, body) = (self.seat.link(), Bytes::from(request.encode()));
        self.call = Some(Box::pin(async move {
            let reply = link.request(AgentRequest::Deploy, None, body, DEPLOY_LIMIT);
            CallResult::Deploy(reply.await.map(|reply| reply.payload))
        }));
    }

    fn refuse(&mut self, failure: DeployFailure) {
        if let Some(deploy) = self.deploy.take() {
            let _ = deploy.reply.send(Err(failure));
        }
    }

    /// Tells whoever waits that nothing runs here any more. Once.
    fn announce_end(&mut self) {
        if let Some(warm) = self.warm.take() {
            let _ = warm.send(Err(self.trouble.clone().unwrap_or_default()));
        }
        if self.ending.borrow().is_none() {
            let ending = Ending { exit: self.exit.clone(), reason: self.stop_reason };
            self.ending.send_replace(Some(ending));
        }
    }
}

/// The result of a future that may not be there.
async fn ready_or_never<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
