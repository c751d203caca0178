//! The task that owns the child: it does what [`policy`](super::policy) decides.

use std::io;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::data_dir::Locks;
use super::error::StartError;
use super::log::Log;
use super::policy::{Effect, Input, Supervision};
use super::ready::PortsFile;
use super::settings::NatsServerConfig;
use super::{ServerState, data_dir, spawner};

/// How long the last words of a child that ended are waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);

pub(super) struct Supervisor {
    config: NatsServerConfig,
    /// The port asked for, later the one that the server took.
    port: Option<u16>,
    locks: Locks,
    log: Log,
    policy: Supervision,
    began: Instant,
    state: watch::Sender<ServerState>,
    /// Told once, when the first start is decided.
    first: Option<oneshot::Sender<Result<u16, StartError>>>,
    stop: CancellationToken,
    /// Why the last child failed.
    trouble: Option<StartError>,
}

/// A child and what belongs to it.
struct Running {
    child: Child,
    pid: u32,
    ports: PortsFile,
    log_ended: oneshot::Receiver<()>,
}

impl Supervisor {
    pub(super) fn new(
        config: NatsServerConfig,
        locks: Locks,
        state: watch::Sender<ServerState>,
        first: oneshot::Sender<Result<u16, StartError>>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            port: config.port,
            log: Log::new(config.log_file()),
            config,
            locks,
            policy: Supervision::new(),
            began: Instant::now(),
            state,
            first: Some(first),
            stop,
            trouble: None,
        }
    }

    /// Runs until the server is stopped or given up.
    pub(super) async fn run(mut self) {
        let mut effect = Effect::Spawn;
        loop {
            effect = match effect {
                Effect::Spawn => self.run_child().await,
                Effect::Wait(pause) => self.pause(pause).await,
                Effect::Finish => {
                    self.state.send_replace(ServerState::Stopped);
                    return;
                }
                Effect::GiveUp => return self.give_up(),
                // Only a child that runs can be terminated or left alone.
                Effect::Terminate | Effect::None => return,
            };
        }
    }

    fn step(&mut self, input: Input) -> Effect {
        self.policy.step(self.began.elapsed(), input)
    }

    async fn pause(&mut self, pause: Duration) -> Effect {
        let failures = self.policy.failures();
        self.state.send_replace(ServerState::Restarting { failures, pause });
        tokio::select! {
            () = self.stop.cancelled() => self.step(Input::Stop),
            () = tokio::time::sleep(pause) => self.step(Input::Waited),
        }
    }

    fn give_up(mut self) {
        let error = match self.trouble.take() {
            Some(error) if !self.policy.was_ready() => error,
            Some(_) | None => StartError::KeepsDying {
                times: self.policy.failures(),
                lines: self.log.last_lines(),
                log: self.config.log_file(),
            },
        };
        let text: Arc<str> = error.to_string().into();
        if let Some(first) = self.first.take() {
            // Nobody is told when the start was given up meanwhile.
            let _ = first.send(Err(error));
        } else {
            tracing::error!(error = %text, "nats-server is not started again");
        }
        self.state.send_replace(ServerState::Failed(text));
    }

    /// Starts a child and stays with it until its end.
    async fn run_child(&mut self) -> Effect {
        match self.spawn().await {
            Ok(running) => self.watch_child(running).await,
            Err(error) => {
                if self.policy.was_ready() {
                    tracing::warn!(%error, "cannot start nats-server again");
                }
                self.trouble = Some(error);
                self.step(Input::Ended)
            }
        }
    }

    async fn spawn(&mut self) -> Result<Running, StartError> {
        let config = &self.config;
        if let Some(port) = self.port {
            check_port(config, port)?;
        }
        data_dir::write_config(config, &config.text(self.port)?)?;
        let data = |path| move |source| StartError::Data { path, source };
        let ports = PortsFile::watch(&config.ports_dir()).map_err(data(config.ports_dir()))?;

        let path = config.binary.path();
        let spawn = |source| StartError::Spawn { path: path.to_owned(), source };
        let (output, input) = std::io::pipe().map_err(spawn)?;
        let mut command = Command::new(path);
        command.arg("--config").arg(config.config_file()).current_dir(&config.data_dir);
        command.stdin(Stdio::null());
        command.stdout(input.try_clone().map_err(spawn)?).stderr(input);
        // The command holds the writing ends of the pipe and is dropped by the
        // spawner, so the log ends with the child.
        let child = spawner::spawn_bound(command, Arc::clone(&self.locks)).await.map_err(spawn)?;
        let log_ended = self.log.follow(output).map_err(data(config.log_file()))?;
        let pid = child.id().unwrap_or_default();
        Ok(Running { child, pid, ports, log_ended })
    }

    async fn watch_child(&mut self, running: Running) -> Effect {
        let Running { mut child, pid, ports, log_ended } = running;
        let stop = self.stop.clone();
        let (mut ready, mut stopping) = (false, false);
        // First the time until it is ready, later the time it may take to end.
        let mut timer = pin!(tokio::time::sleep(self.config.start_deadline));
        loop {
            tokio::select! {
                biased;
                status = child.wait() => return self.ended(status, log_ended, stopping).await,
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    // The only answer of the policy while a child runs.
                    if self.step(Input::Stop) == Effect::Terminate {
                        signal(pid, Signal::TERM);
                    }
                    timer.as_mut().reset(tokio::time::Instant::now() + self.config.stop_grace);
                }
                port = ports.port(), if !ready && !stopping => match port {
                    Ok(port) => {
                        ready = true;
                        self.ready(port, pid);
                    }
                    Err(source) => {
                        self.trouble = Some(StartError::Data { path: self.config.ports_dir(), source });
                        ready = true;
                        signal(pid, Signal::KILL);
                    }
                },
                () = timer.as_mut(), if !ready || stopping => {
                    if !stopping {
                        self.trouble = Some(StartError::NotReady {
                            deadline: self.config.start_deadline,
                            lines: self.log.last_lines(),
                            log: self.config.log_file(),
                        });
                    }
                    signal(pid, Signal::KILL);
                    // The kernel ends it now; `wait` sees that. Not fired again.
                    timer.as_mut().reset(tokio::time::Instant::now() + self.config.stop_grace);
                }
            }
        }
    }

    fn ready(&mut self, port: u16, pid: u32) {
        self.port = Some(port);
        self.step(Input::Ready);
        tracing::info!(port, pid, "nats-server accepts clients");
        self.state.send_replace(ServerState::Running { pid });
        if let Some(first) = self.first.take() {
            let _ = first.send(Ok(port));
        }
    }

    async fn ended(
        &mut self,
        status: io::Result<ExitStatus>,
        log_ended: oneshot::Receiver<()>,
        stopping: bool,
    ) -> Effect {
        let status = status.unwrap_or_default();
        // A grandchild may hold the pipe open: not waited for.
        let _ = tokio::time::timeout(LAST_WORDS, log_ended).await;
        let mut input = Input::Ended;
        if !stopping {
            tracing::warn!(%status, "nats-server ended");
            // Where there is a trouble already, the signal was ours.
            if status.signal().is_some() && self.trouble.is_none() {
                input = Input::Killed;
            }
            let ended = self.explain_end(status);
            self.trouble.get_or_insert(ended);
        }
        let effect = self.step(input);
        if matches!(effect, Effect::Wait(_)) {
            self.trouble = None;
        }
        effect
    }

    fn explain_end(&self, status: ExitStatus) -> StartError {
        let lines = self.log.last_lines();
        // Another program took the port between our look and the server's.
        let taken = |line: &String| line.contains("address already in use");
        match self.port {
            Some(port) if lines.iter().any(taken) => {
                StartError::PortInUse { host: self.config.host, port }
            }
            Some(_) | None => StartError::Ended { status, lines, log: self.config.log_file() },
        }
    }
}

/// A look before the start gives a better answer than the server's log.
fn check_port(config: &NatsServerConfig, port: u16) -> Result<(), StartError> {
    let host = config.host;
    match TcpListener::bind((host, port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(StartError::PortInUse { host, port })
        }
        Err(source) => Err(StartError::CannotListen { host, port, source }),
    }
}

fn signal(pid: u32, signal: Signal) {
    if let Some(group) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // Fails only when it has ended, which `wait` sees.
        let _ = kill_process_group(group, signal);
    }
}
