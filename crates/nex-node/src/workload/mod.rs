//! The workloads of this node: one task owns them, everybody else reads the
//! snapshot that it publishes.

mod restart;
mod table;

use std::{collections::BTreeMap, sync::Arc};

use nex_protocol::{
    agent::AgentDeployRequest,
    claims::WorkloadClaims,
    control::WorkloadType,
    name::{Namespace, WorkloadId, WorkloadName},
};
use tokio::time::Instant;

pub use restart::restart_pause;
pub use table::{Table, TableClosed};

use crate::{sandbox::WorkloadFiles, trigger::FunctionHandle};

/// What is fixed about a workload from its deploy to its end.
#[derive(Debug)]
pub struct Workload {
    /// Its id, and that of its sandbox and agent.
    pub id: WorkloadId,
    /// The namespace of the deploy's subject.
    pub namespace: Namespace,
    /// Its name, from the signed claims.
    pub name: WorkloadName,
    /// What kind of program it is.
    pub kind: WorkloadType,
    /// The description of the deploy, possibly empty.
    pub description: String,
    /// The claims it was deployed with; a stop is checked against them.
    pub claims: WorkloadClaims,
    /// Restarted when it ends by itself, as functions are, too.
    pub essential: bool,
    /// When it was deployed.
    pub deployed_at: Instant,
    /// What its agent was told, kept for a restart.
    pub(crate) request: AgentDeployRequest,
    /// Keeps its files in their caches.
    pub(crate) files: WorkloadFiles,
    /// Its triggers, if it is a function.
    pub(crate) function: Option<FunctionHandle>,
}

/// How a workload is doing.
#[derive(Debug, Clone)]
pub struct Status {
    /// What is fixed about it.
    pub workload: Arc<Workload>,
    /// Its agent is connected and it has been started. `false` between the end
    /// of an essential workload and its restart.
    pub running: bool,
    /// Restarts so far.
    pub restarts: u32,
    /// Start of the present run.
    pub started_at: Instant,
}

/// All workloads at one moment, in the order of their ids.
#[derive(Debug, Default, Clone)]
pub struct Snapshot {
    workloads: BTreeMap<WorkloadId, Status>,
}

impl Snapshot {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.workloads.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.workloads.is_empty()
    }

    /// One by its id.
    pub fn get(&self, id: WorkloadId) -> Option<&Status> {
        self.workloads.get(&id)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Status> {
        self.workloads.values()
    }
}

impl Workload {
    /// Whether it is started again when its sandbox ends by itself: a function that was deployed
    /// goes on answering.
    fn is_kept_up(&self) -> bool {
        self.essential || self.function.is_some()
    }
}
