//! Why an upload failed.

use std::error::Error as StdError;
use std::io;

use async_nats::jetstream::context::{RequestError, RequestErrorKind};
use async_nats::jetstream::{self, ErrorCode};
use nex_protocol::location::LocationError;
use thiserror::Error;

/// Why a file is not in its bucket.
#[derive(Debug, Error)]
pub enum UploadError {
    /// Bucket or key cannot be those of an object.
    #[error("cannot store an artifact there")]
    Location(#[from] LocationError),
    /// The file cannot be read.
    #[error("cannot read {path}: check the path and that you may read it")]
    Unreadable {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A folder or a device.
    #[error("{path} is no file: name the program to deploy")]
    NotAFile {
        /// What was named.
        path: String,
    },
    /// Nothing in it.
    #[error("{path} is empty: name the program to deploy")]
    EmptyFile {
        /// The file.
        path: String,
    },
    /// The file can never fit.
    #[error(
        "{path} has {size} bytes and the bucket {bucket} holds {limit}: raise that with --bucketmaxbytes"
    )]
    TooLarge {
        /// The file.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// The bucket.
        bucket: String,
        /// Room in the bucket, in bytes.
        limit: u64,
    },
    /// Other objects take the room.
    #[error(
        "the bucket {bucket} is full: remove objects with `nats object rm {bucket}`, or raise its size with --bucketmaxbytes"
    )]
    BucketFull {
        /// The bucket.
        bucket: String,
        /// What JetStream said.
        #[source]
        source: async_nats::Error,
    },
    /// The NATS server stores nothing.
    #[error(
        "this NATS server has no JetStream, which artifacts are stored in: start it with `nats-server -js`, or name the domain that has"
    )]
    NoJetStream {
        /// What the server said.
        #[source]
        source: async_nats::Error,
    },
    /// The bucket cannot be opened, created or changed.
    #[error("cannot use the bucket {bucket}: check your JetStream permissions and limits")]
    Bucket {
        /// The bucket.
        bucket: String,
        /// What JetStream said.
        #[source]
        source: async_nats::Error,
    },
    /// Something could not be stored.
    #[error("cannot store into the bucket {bucket}: check the connection and try again")]
    Store {
        /// The bucket.
        bucket: String,
        /// What JetStream said.
        #[source]
        source: async_nats::Error,
    },
}

/// Code of JetStream for a message that the store did not take.
const STREAM_STORE_FAILED: u64 = 10077;

impl UploadError {
    pub(super) fn bucket(bucket: &str, source: impl StdError + Send + Sync + 'static) -> Self {
        let source: async_nats::Error = Box::new(source);
        if lacks_jetstream(source.as_ref()) {
            Self::NoJetStream { source }
        } else {
            Self::Bucket { bucket: bucket.to_owned(), source }
        }
    }

    pub(super) fn store(bucket: &str, source: impl StdError + Send + Sync + 'static) -> Self {
        let source: async_nats::Error = Box::new(source);
        let bucket = bucket.to_owned();
        let full = links(source.as_ref()).filter_map(jetstream_error).any(|error| {
            let code = error.error_code();
            // 10077 stands for many things; only its text tells which.
            (code.0 == STREAM_STORE_FAILED && error.to_string().contains("maximum bytes"))
                || code == ErrorCode::STORAGE_RESOURCES_EXCEEDED
                || code == ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        });
        if full { Self::BucketFull { bucket, source } } else { Self::Store { bucket, source } }
    }
}

fn lacks_jetstream(error: &(dyn StdError + 'static)) -> bool {
    let nobody = |link: &(dyn StdError + 'static)| {
        link.downcast_ref::<RequestError>()
            .is_some_and(|error| error.kind() == RequestErrorKind::NoResponders)
    };
    let disabled = |link| {
        jetstream_error(link).is_some_and(|error| {
            [ErrorCode::JETSTREAM_NOT_ENABLED, ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT]
                .contains(&error.error_code())
        })
    };
    links(error).any(|link| nobody(link) || disabled(link))
}

fn jetstream_error<'a>(link: &'a (dyn StdError + 'static)) -> Option<&'a jetstream::Error> {
    link.downcast_ref::<jetstream::Error>()
}

/// An error and its sources.
fn links<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let link = next?;
        next = link.source();
        Some(link)
    })
}
