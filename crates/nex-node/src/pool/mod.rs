//! The pool of warm sandboxes. One task owns it; deploys send it claims.
//!
//! A claimed sandbox leaves the pool for good: [`Lease`] is not `Clone`, so it
//! cannot reach two deploys. What is taken is replaced at once, and when more
//! deploys wait than sandboxes are warm, more are launched on demand.

pub mod policy;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use nex_protocol::name::WorkloadId;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use self::policy::{Demand, launches, pause_after};
use crate::sandbox::{LaunchError, Launcher, SandboxHandle};

/// Claims that may wait in the pool's own queue.
const CLAIM_QUEUE: usize = 64;

/// Deploys that may wait for a sandbox; more are refused.
const MAX_WAITING: usize = 1024;

/// Launches at the same time: enough to keep a machine busy, few enough that
/// the first one is not slowed down by the last.
const MAX_BOOTING: usize = 8;

/// After this many failed launches in a row whoever waits is told.
const PATIENCE: u32 = 3;

/// A claimed sandbox. Dropping it kills the sandbox.
#[derive(Debug)]
pub struct Lease {
    sandbox: SandboxHandle,
}

impl Lease {
    /// The sandbox, now its workload's for good.
    pub fn into_sandbox(self) -> SandboxHandle {
        self.sandbox
    }
}

/// Why no sandbox could be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClaimError {
    /// Too many deploys wait.
    #[error(
        "this node is busy: {MAX_WAITING} deploys wait for a sandbox; try again or use another node"
    )]
    Busy,
    /// Sandboxes cannot be launched.
    #[error("this node cannot launch sandboxes; see its log")]
    Launch(#[source] Arc<LaunchError>),
    /// None came up in time.
    #[error("no sandbox became ready within {} s; try again or use another node", .0.as_secs())]
    Timeout(Duration),
    /// The node is shutting down.
    #[error("this node is shutting down; use another node")]
    Closed,
}

type Claim = oneshot::Sender<Result<Lease, ClaimError>>;

/// The way to the pool. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pool {
    claims: mpsc::Sender<Claim>,
    warm: watch::Receiver<usize>,
}

impl Pool {
    /// Starts the pool's task, which keeps `target` sandboxes warm until `stop`.
    /// The task is returned to be watched: it ends early only by a bug.
    pub(crate) fn start(
        launcher: Launcher,
        target: usize,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (claims, queue) = mpsc::channel(CLAIM_QUEUE);
        let (published, warm) = watch::channel(0);
        let keeper = Keeper {
            launcher,
            target,
            warm: VecDeque::new(),
            deaths: FuturesUnordered::new(),
            booting: JoinSet::new(),
            waiting: VecDeque::new(),
            failures: 0,
            resume_at: None,
            published,
        };
        (Self { claims, warm }, keeper.run(queue, stop))
    }

    /// Waits until a sandbox is warm.
    ///
    /// # Errors
    /// [`ClaimError::Closed`].
    pub async fn warm(&self) -> Result<(), ClaimError> {
        let mut warm = self.warm.clone();
        warm.wait_for(|warm| *warm > 0).await.map(|_| ()).map_err(|_| ClaimError::Closed)
    }

    /// Takes a warm sandbox, waiting up to `limit` for one.
    ///
    /// # Errors
    /// A [`ClaimError`].
    pub async fn claim(&self, limit: Duration) -> Result<Lease, ClaimError> {
        let (claim, answer) = oneshot::channel();
        let wait = async {
            self.claims.send(claim).await.map_err(|_| ClaimError::Closed)?;
            answer.await.map_err(|_| ClaimError::Closed)?
        };
        timeout(limit, wait).await.map_err(|_| ClaimError::Timeout(limit))?
    }
}

/// The task that owns the warm sandboxes.
struct Keeper {
    launcher: Launcher,
    target: usize,
    warm: VecDeque<SandboxHandle>,
    /// Resolve when a warm sandbox dies before it was claimed.
    deaths: FuturesUnordered<BoxFuture<'static, WorkloadId>>,
    booting: JoinSet<Result<SandboxHandle, LaunchError>>,
    waiting: VecDeque<Claim>,
    /// Failed launches in a row.
    failures: u32,
    /// No launch before this time: the last one failed.
    resume_at: Option<Instant>,
    /// How many sandboxes are warm.
    published: watch::Sender<usize>,
}

impl Keeper {
    async fn run(mut self, mut queue: mpsc::Receiver<Claim>, stop: CancellationToken) {
        loop {
            self.launch_missing();
            self.published.send_if_modified(|warm| {
                std::mem::replace(warm, self.warm.len()) != self.warm.len()
            });
            let resume = self.resume_at;
            tokio::select! {
                () = stop.cancelled() => break,
                claim = queue.recv() => match claim {
                    Some(claim) => self.serve(claim),
                    None => break,
                },
                Some(launched) = self.booting.join_next() => match launched {
                    Ok(launched) => self.launched(launched),
                    Err(panic) => tracing::error!(%panic, "a launch panicked"),
                },
                Some(id) = self.deaths.next() => self.warm.retain(|sandbox| sandbox.id() != id),
                () = async { sleep_until(resume.unwrap_or_else(Instant::now)).await },
                    if resume.is_some() => self.resume_at = None,
            }
        }
        // Whoever still waits learns it now; warm sandboxes die with `self`.
        for claim in self.waiting.drain(..) {
            let _ = claim.send(Err(ClaimError::Closed));
        }
    }

    fn launch_missing(&mut self) {
        if self.resume_at.is_some() {
            return;
        }
        self.waiting.retain(|claim| !claim.is_closed());
        let count = launches(Demand {
            target: self.target,
            warm: self.warm.len(),
            booting: self.booting.len(),
            waiting: self.waiting.len(),
            max_booting: MAX_BOOTING,
        });
        for _ in 0..count {
            self.booting.spawn(self.launcher.clone().launch(WorkloadId::generate()));
        }
    }

    fn serve(&mut self, claim: Claim) {
        if self.waiting.len() >= MAX_WAITING {
            let _ = claim.send(Err(ClaimError::Busy));
            return;
        }
        self.waiting.push_back(claim);
        self.hand_out();
    }

    fn launched(&mut self, launched: Result<SandboxHandle, LaunchError>) {
        match launched {
            Ok(sandbox) => {
                self.failures = 0;
                let (id, ended) = (sandbox.id(), sandbox.ended());
                self.deaths.push(Box::pin(async move {
                    ended.await;
                    id
                }));
                self.warm.push_back(sandbox);
                self.hand_out();
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.resume_at = Some(Instant::now() + pause_after(self.failures));
                let error = Arc::new(error);
                tracing::warn!(
                    error = %crate::error_chain(&*error),
                    failures = self.failures,
                    "sandbox could not be launched"
                );
                if self.failures >= PATIENCE {
                    for claim in self.waiting.drain(..) {
                        let _ = claim.send(Err(ClaimError::Launch(Arc::clone(&error))));
                    }
                }
            }
        }
    }

    /// Gives warm sandboxes to whoever waits, first come first served.
    fn hand_out(&mut self) {
        while let Some(sandbox) = self.warm.pop_front() {
            let Some(claim) = self.waiting.pop_front() else {
                self.warm.push_front(sandbox);
                break;
            };
            // A claim that was given up hands the sandbox back.
            if let Err(Ok(lease)) = claim.send(Ok(Lease { sandbox })) {
                self.warm.push_front(lease.sandbox);
            }
        }
    }
}
