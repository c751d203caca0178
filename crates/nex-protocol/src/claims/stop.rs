//! Whether claims may stop the workload that other claims started.

use super::{HashClaim, WorkloadClaims};

/// Why claims do not entitle their bearer to stop a workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StopClaimsError {
    /// Another issuer than the one who started the workload.
    #[error("only the issuer that started the workload may stop it: sign with that issuer's key")]
    Issuer,
    /// Another workload name.
    #[error("the stop claims name another workload than the one to stop: sign for its name")]
    Workload,
    /// The claims are the start's own, or another deploy's: whoever saw one pass could send it.
    #[error(
        "the stop claims are those of a deploy, which anybody could have captured: sign new claims without a hash"
    )]
    Captured,
    /// The claims are older than those that started the workload.
    #[error(
        "the stop claims are older than the workload's start: sign new claims, and check the clock"
    )]
    Older,
}

impl WorkloadClaims {
    /// Checks that `stop` entitles to stop what `start` started. The times of `stop` are checked
    /// by [`WorkloadClaims::verify`].
    ///
    /// Both stricter and laxer than Go, which takes any other deploy token for a stop, and refuses
    /// a stop made in the second of its start (both tokens have one `jti` then).
    ///
    /// # Errors
    /// Why not.
    pub fn check_stop(start: &Self, stop: &Self) -> Result<(), StopClaimsError> {
        if start.issuer != stop.issuer {
            return Err(StopClaimsError::Issuer);
        }
        if start.workload != stop.workload {
            return Err(StopClaimsError::Workload);
        }
        if start == stop || stop.hash != HashClaim::Absent {
            return Err(StopClaimsError::Captured);
        }
        if stop.issued_at < start.issued_at {
            return Err(StopClaimsError::Older);
        }
        Ok(())
    }
}
