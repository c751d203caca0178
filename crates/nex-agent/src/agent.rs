//! Does what the [`session`](crate::session) decides: one task, one loop.

mod function;
mod say;
mod start;

use std::{
    collections::VecDeque, future::Future, path::PathBuf, pin::Pin, sync::Arc, time::Duration,
};

use nex_protocol::{
    agent::{DeployResponse, Handshake},
    nats::{ConnectOptions, Delivery},
    subject::{AgentSubject, AgentSubjectKind},
};
use rustix::process::Pid;
use time::OffsetDateTime;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    boot::Metadata,
    calls::{Calls, HostLink},
    confine::{Inside, Keeper, watch::MemoryWatch},
    diagnostics,
    link::{Inbound, Link, LinkError, Outbox},
    output::capture::{Capture, LogTarget},
    provider::elf::{Child, tree},
    provider::function::PrepareError,
    session::{Effect, Event, Order, Policy, ReplyTo, Session, TimerKind, one_line},
};
use start::{Fetching, StartError};

/// How long the node may take over the handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// How long the last output and events may take to reach the node.
const DRAIN_LIMIT: Duration = Duration::from_secs(3);
/// Pause between two attempts to reach a lost node.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// The agent's subscriptions, by the names the node repeats in deliveries.
mod sid {
    pub(super) const INBOX: &str = "1";
    pub(super) const DEPLOY: &str = "2";
    pub(super) const UNDEPLOY: &str = "3";
    /// Answers of the node's object store.
    pub(super) const STORE: &str = "4";
    /// What it pushes.
    pub(super) const CHUNKS: &str = "5";
    /// Calls of the function.
    pub(super) const TRIGGER: &str = "6";
    /// Replies to its host calls.
    pub(super) const RPC: &str = "7";
}

type Pending<T> = Option<Pin<Box<dyn Future<Output = T>>>>;

/// A workload's process and the reader of its output.
struct Running {
    pid: Pid,
    finish: watch::Sender<bool>,
    capture: Option<JoinHandle<()>>,
}

/// A launch that waits for its file to be closed.
struct Launching {
    order: Box<Order>,
    program: PathBuf,
    again_at: Instant,
    give_up_at: Instant,
}

/// The agent.
pub struct Agent {
    metadata: Metadata,
    started: OffsetDateTime,
    session: Session,
    outbox: Outbox,
    link: Option<Link>,
    /// A connection that is being made.
    connecting: Pending<Result<Link, LinkError>>,
    handshake_by: Option<Instant>,
    running: Option<Running>,
    /// Starts the workload in a sandbox that this agent made.
    keeper: Option<Keeper>,
    /// Ends a workload that takes too much memory, where the kernel does not.
    memory: Option<MemoryWatch>,
    /// The way of a function to its node; there as soon as it is being prepared.
    host: Option<Arc<HostLink>>,
    preparing: Pending<Result<Calls, PrepareError>>,
    calls: Option<Calls>,
    fetching: Option<Fetching>,
    launching: Option<Launching>,
    draining: Pending<()>,
    grace: Option<Instant>,
    kill_deadline: Option<Instant>,
    directory: Option<PathBuf>,
    signals: Signals,
    /// Children may have ended without a signal that is still to come.
    look_at_children: bool,
}

struct Signals {
    child: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn watch() -> std::io::Result<Self> {
        Ok(Self {
            child: signal(SignalKind::child())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

/// The result of a future that may not be there.
async fn ready<T>(pending: &mut Pending<T>) -> T {
    match pending {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

impl Agent {
    /// Lives the agent's whole life; answers its exit code.
    pub async fn run(metadata: Metadata, inside: Option<Inside>) -> u8 {
        let signals = match Signals::watch() {
            Ok(signals) => signals,
            Err(error) => {
                diagnostics::say(&format!("cannot watch signals: {error}"));
                return 1;
            }
        };
        let started = OffsetDateTime::now_utc();
        if let Some(address) = metadata.health {
            let text = nex_protocol::timestamp::format(started);
            tokio::spawn(async move {
                if let Err(error) = crate::health::serve(address, text).await {
                    diagnostics::say(&format!("no health on {address}: {error}"));
                }
            });
        }
        let mut agent = Self {
            metadata,
            started,
            session: Session::new(Policy::default()),
            outbox: Outbox::new(),
            link: None,
            connecting: None,
            handshake_by: None,
            running: None,
            memory: inside.as_ref().and_then(|inside| inside.watched_memory).map(MemoryWatch::new),
            keeper: inside.map(|inside| inside.keeper),
            host: None,
            preparing: None,
            calls: None,
            fetching: None,
            launching: None,
            draining: None,
            grace: None,
            kill_deadline: None,
            directory: None,
            signals,
            look_at_children: false,
        };
        agent.connecting = Some(agent.connect(None));
        let code = agent.live().await;
        agent.leave().await;
        code
    }

    async fn live(&mut self) -> u8 {
        loop {
            let mut events = VecDeque::from([self.next_event().await]);
            while let Some(event) = events.pop_front() {
                for effect in self.session.step(event) {
                    if let Effect::Quit { code, reason } = effect {
                        diagnostics::say(&reason);
                        return code;
                    }
                    events.extend(self.perform(effect));
                }
            }
        }
    }

    /// Hands over what waits, and tidies up.
    async fn leave(&mut self) {
        if self.link.is_some() {
            let _ = timeout(DRAIN_LIMIT, self.outbox.drained()).await;
        }
        if let Some(directory) = self.directory.take() {
            let _ = std::fs::remove_dir_all(directory);
        }
    }

    /// Waits for something that concerns the session.
    async fn next_event(&mut self) -> Event {
        loop {
            if std::mem::take(&mut self.look_at_children)
                && let Some(event) = self.reap()
            {
                return event;
            }
            let retry_at = self.launching.as_ref().map(|launching| launching.again_at);
            let fetch_by = self.fetching.as_ref().map(|fetching| fetching.give_up_at);
            let memory = self.memory.as_ref().filter(|_| self.running.is_some());
            let look_at = memory.map(MemoryWatch::due);
            let link = async {
                match &mut self.link {
                    Some(link) => link.next().await,
                    None => std::future::pending().await,
                }
            };
            let event = tokio::select! {
                inbound = link => self.hear(inbound),
                connected = ready(&mut self.connecting) => {
                    self.connecting = None;
                    Some(self.connected(connected))
                }
                () = function::work(&mut self.calls) => self.calls_done(),
                prepared = ready(&mut self.preparing) => {
                    self.preparing = None;
                    Some(self.prepared(prepared))
                }
                _ = self.signals.child.recv() => self.reap(),
                _ = self.signals.terminate.recv() => Some(Event::Signalled),
                _ = self.signals.interrupt.recv() => Some(Event::Signalled),
                () = ready(&mut self.draining) => {
                    self.draining = None;
                    Some(Event::OutputDrained)
                }
                () = at(retry_at) => self.launch_again(),
                () = at(fetch_by) => self.fetch_failed(&StartError::Silent),
                () = at(self.grace) => {
                    self.grace = None;
                    Some(Event::Elapsed { timer: TimerKind::Grace })
                }
                () = at(look_at) => {
                    self.look_at_memory();
                    None
                }
                () = at(self.kill_deadline) => {
                    self.kill_deadline = None;
                    Some(Event::Elapsed { timer: TimerKind::KillDeadline })
                }
                () = at(self.handshake_by) => {
                    self.handshake_by = None;
                    let reason = "the node did not answer the handshake".to_owned();
                    Some(Event::HandshakeFailed { reason })
                }
            };
            if let Some(event) = event {
                return event;
            }
        }
    }

    /// Reaps what has ended. The end of the workload's first process is told before the end of
    /// the last one, which takes another look.
    fn reap(&mut self) -> Option<Event> {
        let running = self.running.as_ref()?;
        let reaped = tree::reap(Some(running.pid));
        if let Some(exit) = reaped.main {
            self.look_at_children = reaped.tree_gone;
            // The process that ended was the keeper: it left word of its workload.
            let told = self.keeper.as_ref().and_then(Keeper::verdict);
            let exit = told.unwrap_or(exit);
            return Some(Event::Exited { exit });
        }
        reaped.tree_gone.then_some(Event::TreeGone)
    }

    fn look_at_memory(&mut self) {
        if self.memory.as_mut().is_some_and(MemoryWatch::look) {
            tree::kill();
            self.look_at_children = true;
        }
    }

    fn subject(&self, kind: AgentSubjectKind) -> String {
        AgentSubject { id: self.metadata.id, kind }.to_string()
    }

    fn inbox(&self, what: &str) -> String {
        format!("_INBOX.{}.{what}", self.metadata.id)
    }

    fn hear(&mut self, inbound: Inbound) -> Option<Event> {
        match inbound {
            Inbound::Message(message) => self.read(message),
            Inbound::Lost(error) => {
                self.link = None;
                self.handshake_by = None;
                if let Some(host) = &self.host {
                    host.link_lost();
                }
                Some(Event::LinkLost { reason: one_line(&error) })
            }
        }
    }

    fn read(&mut self, message: Delivery) -> Option<Event> {
        let reply = message.reply.clone().map(ReplyTo);
        match message.sid.as_str() {
            sid::TRIGGER => {
                self.calls.as_mut()?.begin(&message);
                None
            }
            sid::RPC => {
                self.host.as_ref()?.on_reply(message);
                None
            }
            sid::INBOX => {
                self.handshake_by.take()?;
                // Nobody there: the node's endpoint says so with a status.
                if message.headers.is_some_and(|headers| headers.status().is_some()) {
                    let reason = "the node does not answer handshakes".to_owned();
                    return Some(Event::HandshakeFailed { reason });
                }
                Some(Event::HandshakeDone)
            }
            sid::DEPLOY => {
                let order = Order::decode(&message.payload).map(Box::new);
                Some(Event::Deploy { reply: reply?, order })
            }
            sid::UNDEPLOY => Some(Event::Undeploy { reply }),
            sid::STORE | sid::CHUNKS => self.fetched(&message),
            _ => None,
        }
    }

    /// Connects, at once or for as long as `window` allows.
    fn connect(
        &self,
        window: Option<Duration>,
    ) -> Pin<Box<dyn Future<Output = Result<Link, LinkError>>>> {
        let address = self.metadata.node.clone();
        let outbox = self.outbox.clone();
        let secret = self.metadata.secret.clone();
        let options = ConnectOptions {
            user: secret.is_some().then(|| self.metadata.id.to_string()),
            pass: secret,
            name: Some(format!("nex-agent {}", self.metadata.id)),
            lang: "rust".to_owned(),
            version: crate::VERSION.to_owned(),
            protocol: 1,
            echo: false,
            headers: true,
            no_responders: true,
            ..ConnectOptions::default()
        };
        Box::pin(async move {
            let give_up_at = Instant::now() + window.unwrap_or_default();
            loop {
                outbox.reopen();
                match Link::open(&address, &options, &outbox).await {
                    Err(error @ (LinkError::Refused(_) | LinkError::Tls)) => return Err(error),
                    Err(error) if Instant::now() >= give_up_at => return Err(error),
                    Err(_) => sleep(RECONNECT_PAUSE).await,
                    Ok(link) => return Ok(link),
                }
            }
        })
    }

    fn connected(&mut self, connected: Result<Link, LinkError>) -> Event {
        match connected {
            Ok(link) => {
                self.link = Some(link);
                if let Some(host) = &self.host {
                    host.link_back();
                }
                Event::Connected
            }
            Err(error) => Event::LinkGivenUp { reason: one_line(&error) },
        }
    }

    /// Does something, and answers what came of it where that is known at once.
    fn perform(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Introduce => self.introduce(),
            Effect::Reconnect { window } => self.connecting = Some(self.connect(Some(window))),
            Effect::AnnounceAgentStarted => {
                self.announce_agent_started();
                // From here it waits, perhaps for long.
                crate::boot::image::release();
            }
            Effect::AnnounceAgentStopped { code, message } => {
                self.announce_agent_stopped(code, message);
            }
            Effect::AnnounceWorkloadStarted { name } => self.announce_workload_started(name),
            Effect::AnnounceWorkloadStopped { name, code, message } => {
                let cause = self.memory.as_ref().and_then(MemoryWatch::words);
                self.announce_workload_stopped(name, code, cause.unwrap_or(message));
            }
            Effect::Launch(order) => return self.begin(order),
            Effect::CancelLaunch => {
                let cancelled = self.launching.take().is_some()
                    || self.preparing.take().is_some()
                    || self.end_fetch().is_some();
                if cancelled {
                    let reason = "it was cancelled".to_owned();
                    return Some(Event::LaunchFailed { reason });
                }
            }
            Effect::AcceptDeploy { reply } => {
                self.reply(&reply, &DeployResponse::accepted("Workload deployed").encode());
            }
            Effect::RefuseDeploy { reply, reason } => {
                self.reply(&reply, &DeployResponse::refused(reason).encode());
            }
            Effect::ConfirmUndeploy { reply } => self.reply(&reply, b""),
            Effect::Terminate => {
                match (&self.keeper, &self.running) {
                    (Some(keeper), Some(_)) => keeper.terminate(),
                    (None, Some(running)) => tree::terminate(running.pid),
                    (_, None) => {}
                }
                return self.close_calls();
            }
            Effect::Kill if self.calls.is_some() => return self.abort_calls(),
            Effect::Kill => {
                tree::kill();
                // What had ended before has sent its signal already.
                self.look_at_children = true;
            }
            Effect::StartTimer { timer, after } => {
                let timer = match timer {
                    TimerKind::Grace => &mut self.grace,
                    TimerKind::KillDeadline => &mut self.kill_deadline,
                };
                *timer = Some(Instant::now() + after);
            }
            Effect::DrainOutput => self.drain_output(),
            // The caller's.
            Effect::Quit { .. } => {}
        }
        None
    }

    fn introduce(&mut self) {
        self.outbox.subscribe(&self.inbox("handshake"), sid::INBOX);
        self.outbox.subscribe(&self.subject(AgentSubjectKind::Deploy), sid::DEPLOY);
        self.outbox.subscribe(&self.subject(AgentSubjectKind::Undeploy), sid::UNDEPLOY);
        self.listen_for_function();
        let handshake = Handshake {
            id: self.metadata.id.to_string(),
            start_time: Some(self.started),
            message: self.metadata.message.to_owned(),
        };
        let subject = self.subject(AgentSubjectKind::Handshake);
        self.outbox.publish(&subject, Some(&self.inbox("handshake")), None, &handshake.encode());
        self.handshake_by = Some(Instant::now() + HANDSHAKE_LIMIT);
    }

    fn reply(&self, to: &ReplyTo, body: &[u8]) {
        self.outbox.publish(to.0.as_str(), None, None, body);
    }

    fn launch_again(&mut self) -> Option<Event> {
        let launching = self.launching.take()?;
        self.launch(launching)
    }

    fn launched(&mut self, order: &Order, child: Child) -> Event {
        let (finish, finished) = watch::channel(false);
        let target = LogTarget {
            outbox: self.outbox.clone(),
            subject: self.subject(AgentSubjectKind::Logs),
            source: order.name.to_string(),
        };
        let capture = match Capture::new(child.stdout, child.stderr, target, order.rates) {
            Ok(capture) => Some(tokio::spawn(capture.run(finished))),
            Err(error) => {
                diagnostics::say(&format!("output cannot be read: {error}"));
                None
            }
        };
        self.running = Some(Running { pid: child.pid, finish, capture });
        // It may have ended before there was anybody to be told.
        self.look_at_children = true;
        Event::Launched
    }

    fn drain_output(&mut self) {
        if let Some(host) = &self.host {
            host.lines().report();
        }
        let capture = self.running.as_mut().and_then(|running| {
            running.finish.send_replace(true);
            running.capture.take()
        });
        let outbox = self.outbox.clone();
        let connected = self.link.is_some();
        self.draining = Some(Box::pin(async move {
            let drain = async {
                if let Some(capture) = capture {
                    let _ = capture.await;
                }
                if connected {
                    outbox.drained().await;
                }
            };
            let _ = timeout(DRAIN_LIMIT, drain).await;
        }));
    }
}
