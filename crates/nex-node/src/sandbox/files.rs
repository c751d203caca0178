//! The files of a workload.

use std::sync::Arc;

use crate::{artifact::ArtifactLease, compile::Compiled};

/// What a workload needs on disk; kept there for as long as this lives. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct WorkloadFiles {
    /// The program.
    pub(crate) artifact: Arc<ArtifactLease>,
    /// Machine code, for functions.
    pub(crate) compiled: Option<Compiled>,
}
