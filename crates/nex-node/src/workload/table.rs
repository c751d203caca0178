//! The task that owns the workloads.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use nex_protocol::name::WorkloadId;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{Snapshot, Status, Workload, restart::restart_pause};
use crate::sandbox::{Ending, Launcher, SandboxHandle, StopReason, Stopper};
use crate::trigger::FunctionHandle;

/// Requests that may wait for the table's task, which never waits for anybody.
const COMMAND_QUEUE: usize = 64;

/// The table's task has ended: the node is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this node is shutting down; use another node")]
pub struct TableClosed;

enum Command {
    Insert { workload: Arc<Workload>, sandbox: SandboxHandle, reply: oneshot::Sender<()> },
    Stop { id: WorkloadId, reply: oneshot::Sender<Option<Stopping>> },
}

/// A workload that is to be stopped.
#[derive(Debug)]
struct Stopping {
    /// Ended first, so that no new calls come.
    function: Option<FunctionHandle>,
    sandbox: Stopper,
}

/// The way to the table. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Table {
    commands: mpsc::Sender<Command>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
}

impl Table {
    /// Makes the table and its task, which restarts essential workloads with
    /// `launcher` and runs until `stop`; what is still in the table then dies.
    pub(crate) fn start(
        launcher: Launcher,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (commands, queue) = mpsc::channel(COMMAND_QUEUE);
        let (published, snapshot) = watch::channel(Arc::new(Snapshot::default()));
        let owner = Owner {
            launcher,
            entries: HashMap::new(),
            endings: FuturesUnordered::new(),
            restarts: FuturesUnordered::new(),
            published,
        };
        (Self { commands, snapshot }, owner.run(queue, stop))
    }

    /// All workloads as of now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.borrow())
    }

    /// Adds a workload that has just been started; it is in every snapshot
    /// taken after this returned.
    ///
    /// # Errors
    /// [`TableClosed`]; the workload is killed then.
    pub async fn insert(
        &self,
        workload: Arc<Workload>,
        sandbox: SandboxHandle,
    ) -> Result<(), TableClosed> {
        let (reply, inserted) = oneshot::channel();
        let command = Command::Insert { workload, sandbox, reply };
        self.commands.send(command).await.map_err(|_| TableClosed)?;
        inserted.await.map_err(|_| TableClosed)
    }

    /// Stops a workload and waits until nothing of it is left: for a function first its triggers,
    /// then its calls, for up to `grace`, and then its sandbox. `false` when there is none with
    /// this id.
    ///
    /// # Errors
    /// [`TableClosed`].
    pub async fn stop(
        &self,
        id: WorkloadId,
        reason: StopReason,
        grace: Duration,
    ) -> Result<bool, TableClosed> {
        let (reply, stopping) = oneshot::channel();
        self.commands.send(Command::Stop { id, reply }).await.map_err(|_| TableClosed)?;
        let Some(stopping) = stopping.await.map_err(|_| TableClosed)? else { return Ok(false) };
        if let Some(function) = stopping.function {
            function.close(grace).await;
        }
        stopping.sandbox.stop(reason, grace).await;
        let mut snapshot = self.snapshot.clone();
        let gone = snapshot.wait_for(|snapshot| snapshot.get(id).is_none()).await;
        gone.map(|_| true).map_err(|_| TableClosed)
    }
}

/// One workload and where it runs.
struct Entry {
    workload: Arc<Workload>,
    /// `None` while a workload waits for its restart.
    sandbox: Option<SandboxHandle>,
    started_at: Instant,
    restarts: u32,
    last_pause: Option<Duration>,
    /// A stop was asked for while no sandbox was there to ask.
    stopped: bool,
}

/// A restart that came to its end.
struct Restarted {
    id: WorkloadId,
    sandbox: Result<SandboxHandle, String>,
}

struct Owner {
    launcher: Launcher,
    entries: HashMap<WorkloadId, Entry>,
    endings: FuturesUnordered<BoxFuture<'static, (WorkloadId, Ending)>>,
    restarts: FuturesUnordered<BoxFuture<'static, Restarted>>,
    published: watch::Sender<Arc<Snapshot>>,
}

impl Owner {
    async fn run(mut self, mut queue: mpsc::Receiver<Command>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                command = queue.recv() => match command {
                    Some(command) => self.obey(command),
                    None => break,
                },
                Some((id, ending)) = self.endings.next() => self.ended(id, &ending),
                Some(restarted) = self.restarts.next() => self.restarted(restarted),
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Insert { workload, sandbox, reply } => {
                let id = workload.id;
                self.endings.push(ending_of(id, &sandbox));
                let entry = Entry {
                    workload,
                    sandbox: Some(sandbox),
                    started_at: Instant::now(),
                    restarts: 0,
                    last_pause: None,
                    stopped: false,
                };
                self.entries.insert(id, entry);
                self.publish();
                let _ = reply.send(());
            }
            Command::Stop { id, reply } => {
                let stopping = self.entries.get_mut(&id).map(|entry| {
                    entry.stopped = true;
                    let function = entry.workload.function.clone();
                    let sandbox = entry.sandbox.as_ref().map(SandboxHandle::stopper);
                    (function, sandbox)
                });
                let stopping = stopping.map(|(function, sandbox)| {
                    let sandbox = sandbox.unwrap_or_else(|| {
                        // Between two runs there is nothing to stop but the next one.
                        self.entries.remove(&id);
                        self.publish();
                        Stopper::idle()
                    });
                    Stopping { function, sandbox }
                });
                let _ = reply.send(stopping);
            }
        }
    }

    fn ended(&mut self, id: WorkloadId, ending: &Ending) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let again = entry.workload.is_kept_up() && !entry.stopped && ending.reason.is_none();
        if let Some(function) = &entry.workload.function {
            function.detach();
        }
        // The sandbox's own task lets the machine go in order.
        if let Some(sandbox) = entry.sandbox.take() {
            sandbox.release();
        }
        if again {
            let ran = entry.started_at.elapsed();
            let pause = restart_pause(entry.last_pause, ran, rand::random());
            entry.last_pause = Some(pause);
            entry.restarts = entry.restarts.saturating_add(1);
            tracing::info!(%id, name = %entry.workload.name, ?pause, "workload ended, restarting");
            let attempt = start_again(
                self.launcher.clone(),
                Arc::clone(&entry.workload),
                entry.restarts,
                pause,
            );
            self.restarts.push(Box::pin(attempt));
        } else {
            self.entries.remove(&id);
        }
        self.publish();
    }

    fn restarted(&mut self, restarted: Restarted) {
        let Restarted { id, sandbox } = restarted;
        // Stopped meanwhile: dropping the sandbox kills it.
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.started_at = Instant::now();
        match sandbox {
            Ok(sandbox) => {
                self.endings.push(ending_of(id, &sandbox));
                entry.sandbox = Some(sandbox);
                self.publish();
            }
            Err(error) => {
                tracing::warn!(%id, name = %entry.workload.name, error, "restart failed");
                self.ended(id, &Ending { exit: None, reason: None });
            }
        }
    }

    fn publish(&self) {
        let workloads = self.entries.iter().map(|(id, entry)| {
            let status = Status {
                workload: Arc::clone(&entry.workload),
                running: entry.sandbox.is_some(),
                restarts: entry.restarts,
                started_at: entry.started_at,
            };
            (*id, status)
        });
        self.published.send_replace(Arc::new(Snapshot { workloads: workloads.collect() }));
    }
}

fn ending_of(id: WorkloadId, sandbox: &SandboxHandle) -> BoxFuture<'static, (WorkloadId, Ending)> {
    let ended = sandbox.ended();
    Box::pin(async move { (id, ended.await) })
}

async fn start_again(
    launcher: Launcher,
    workload: Arc<Workload>,
    restarts: u32,
    pause: Duration,
) -> Restarted {
    let id = workload.id;
    sleep(pause).await;
    let sandbox = async {
        let sandbox = launcher.launch(id).await.map_err(|error| crate::error_chain(&error))?;
        let mut request = workload.request.clone();
        request.retry_count = Some(u64::from(restarts));
        let files = workload.files.clone();
        sandbox.deploy(request, files).await.map_err(|error| error.to_string())?;
        if let Some(function) = &workload.function {
            let attached = function.attach(sandbox.link().clone()).await;
            attached.map_err(|error| crate::error_chain(&error))?;
        }
        Ok(sandbox)
    };
    Restarted { id, sandbox: sandbox.await }
}
