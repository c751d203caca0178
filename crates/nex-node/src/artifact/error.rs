//! Why an artifact could not be had.

use std::path::PathBuf;

use nex_protocol::digest::Digest;

/// Why an artifact could not be staged. Every text is fit for the deploy's
/// reply: it names what the requester or the operator can do next.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The bucket of the location does not exist (or JetStream is off).
    #[error(
        "object store bucket '{bucket}' cannot be read; create it and upload the artifact first"
    )]
    Bucket {
        /// The bucket of the location.
        bucket: String,
        /// What NATS said.
        #[source]
        source: ReadError,
    },
    /// The bucket is there, the object is not.
    #[error("no object '{key}' in bucket '{bucket}'; upload the artifact before deploying it")]
    NoSuchObject {
        /// The bucket of the location.
        bucket: String,
        /// The key of the location.
        key: String,
    },
    /// The object's own record cannot be understood, or contradicts its chunks.
    #[error("object '{key}' in bucket '{bucket}' is damaged ({reason}); upload it again")]
    Damaged {
        /// The bucket of the location.
        bucket: String,
        /// The key of the location.
        key: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The read broke off or stalled.
    #[error("reading object '{key}' of bucket '{bucket}' failed; try the deploy again")]
    Read {
        /// The bucket of the location.
        bucket: String,
        /// The key of the location.
        key: String,
        /// What NATS said.
        #[source]
        source: ReadError,
    },
    /// The bytes are not those that the claims name.
    #[error(
        "the artifact's SHA-256 is {found}, but the workload's claims say {claimed}; sign the claims for the uploaded file"
    )]
    WrongDigest {
        /// Digest in the signed claims.
        claimed: Digest,
        /// Digest of what the location holds.
        found: Digest,
    },
    /// An empty object cannot be a program.
    #[error("the artifact is empty; upload a program")]
    Empty,
    /// The artifact is larger than the operator allows.
    #[error(
        "the artifact has {size} bytes, more than this node takes ({limit}); see limits.max_artifact_bytes"
    )]
    TooLarge {
        /// Size of the object, bytes.
        size: u64,
        /// The node's limit, bytes.
        limit: u64,
    },
    /// Nothing can be evicted: running workloads use all of the cache.
    #[error(
        "no room for {size} bytes in the artifact cache ({limit} bytes, the rest is in use); stop a workload or raise artifact_cache.max_bytes"
    )]
    CacheFull {
        /// Size of the artifact, bytes.
        size: u64,
        /// The cache's limit, bytes.
        limit: u64,
    },
    /// The file system under the cache is full.
    #[error("the disk under the artifact cache {} is full; free some space and deploy again", .dir.display())]
    DiskFull {
        /// The folder of the cache.
        dir: PathBuf,
    },
    /// Any other failure of the file system.
    #[error("the artifact cache {} cannot be {doing}", .dir.display())]
    Io {
        /// The folder of the cache.
        dir: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// What went wrong on the way to the object store.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The JetStream API answered with an error, or did not answer.
    #[error("JetStream: {0}")]
    JetStream(String),
    /// No chunk came within the stall limit.
    #[error("no data for {0} s")]
    Stalled(u64),
}

impl ArtifactError {
    /// Sorts an I/O error of the cache's folder into "disk full" and the rest.
    pub(super) fn io(dir: &std::path::Path, doing: &'static str, source: std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match source.kind() {
            StorageFull | QuotaExceeded => Self::DiskFull { dir: dir.to_owned() },
            _ => Self::Io { dir: dir.to_owned(), doing, source },
        }
    }
}
