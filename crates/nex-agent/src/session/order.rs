//! A deploy request, checked: what the agent is really going to do.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use nex_protocol::agent::AgentDeployRequest;
use nex_protocol::control::{RequestError, WorkloadType};
use nex_protocol::digest::Digest;
use nex_protocol::name::WorkloadName;

use crate::output::limit::Rates;

/// How long a workload may take to end when its deploy does not say.
pub const DEFAULT_STOP_GRACE: Duration = Duration::from_secs(5);
/// Longest grace that is granted; a larger wish gets this.
pub const MAX_STOP_GRACE: Duration = Duration::from_secs(3600);

/// A workload to be started.
#[derive(Clone, PartialEq, Eq)]
pub struct Order {
    /// Name of the workload.
    pub name: WorkloadName,
    /// `argv[0]`.
    pub argv0: String,
    /// The arguments after it.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: BTreeMap<String, String>,
    /// Where the program is.
    pub artifact: Artifact,
    /// How long it may take to end after SIGTERM.
    pub stop_grace: Duration,
    /// How much it may print.
    pub rates: Rates,
}

/// Where the program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Artifact {
    /// In a file that the node has verified, to be executed where it is.
    File {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// In the node's object store, under the workload's name: what Go nodes offer.
    Cache {
        /// Its size in bytes, the most that is fetched.
        size: u64,
        /// What the deploy request says its SHA-256 is, where that is a digest.
        digest: Option<Digest>,
    },
}

impl fmt::Debug for Order {
    /// Arguments and environment hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Order")
            .field("name", &self.name)
            .field("artifact", &self.artifact)
            .field("stop_grace", &self.stop_grace)
            .field("rates", &self.rates)
            .finish_non_exhaustive()
    }
}

/// Why a deploy request cannot be carried out by this agent, before anything was tried.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// It is no deploy request, or one that does not fit together.
    #[error("cannot read the deploy request")]
    Request(#[source] RequestError),
    /// A type that this agent has no provider for.
    #[error("this agent cannot run workloads of type {}; it runs elf", .0.as_str())]
    Type(WorkloadType),
}

impl OrderError {
    /// The whole chain in one line, for the reply.
    #[must_use]
    pub fn to_line(&self) -> String {
        one_line(self)
    }
}

/// An error and its sources, joined by colons.
pub(crate) fn one_line(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

impl Order {
    /// Reads a deploy request.
    ///
    /// # Errors
    /// [`OrderError`].
    pub fn decode(message: &[u8]) -> Result<Self, OrderError> {
        let request = AgentDeployRequest::decode(message).map_err(OrderError::Request)?;
        match request.workload_type {
            WorkloadType::Elf => {}
            other @ (WorkloadType::V8 | WorkloadType::Wasm | WorkloadType::Oci) => {
                return Err(OrderError::Type(other));
            }
        }
        let ours = request.extensions;
        let artifact = match ours.artifact_path {
            Some(path) => Artifact::File { path: path.into(), size: request.total_bytes },
            None => {
                Artifact::Cache { size: request.total_bytes, digest: request.hash.parse().ok() }
            }
        };
        Ok(Self {
            argv0: ours.argv0.unwrap_or_else(|| request.workload_name.to_string()),
            name: request.workload_name,
            arguments: request.argv,
            environment: request.environment.into(),
            artifact,
            stop_grace: ours.stop_grace_ms.map_or(DEFAULT_STOP_GRACE, |milliseconds| {
                Duration::from_millis(milliseconds).min(MAX_STOP_GRACE)
            }),
            rates: Rates::new(
                ours.log_lines_per_second.map_or(Rates::DEFAULT.lines, u64::from),
                ours.log_bytes_per_second.unwrap_or(Rates::DEFAULT.bytes),
            ),
        })
    }
}
