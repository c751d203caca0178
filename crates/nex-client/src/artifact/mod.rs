//! Programs on their way to the nodes: files uploaded into a JetStream object
//! store.
//!
//! The file is read once, in chunks that are hashed and sent while the next is
//! read; several are under way at a time. An object that is there already with
//! the same bytes is not sent again. What a failed upload left behind is
//! removed, so that it does not eat the bucket's room.

mod bucket;
mod error;

pub use bucket::{DEFAULT_BUCKET, DEFAULT_BUCKET_BYTES};
pub use error::UploadError;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use async_nats::jetstream::context::PublishAckFuture;
use bytes::{Bytes, BytesMut};
use futures_util::future::join_all;
use nex_protocol::digest::Digest;
use nex_protocol::location::ArtifactLocation;
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::client::Client;
use crate::deploy::Artifact;
use bucket::Bucket;

/// Bytes in one chunk, the size every NATS client uses. Smaller where the
/// server's `max_payload` asks for it.
const CHUNK_BYTES: usize = 128 * 1024;

/// Chunks that are sent and not yet stored: enough to keep a link busy while
/// one is written, little enough to stay small in memory (1 MiB).
const CHUNKS_UNDER_WAY: usize = 8;

/// What to upload, and where to.
///
/// ```no_run
/// # async fn run(client: nex_client::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use nex_client::artifact::Upload;
///
/// let uploaded = client
///     .upload(&Upload::of_file("target/release/echo", "echo"), |progress| {
///         eprintln!("{} of {} bytes", progress.sent, progress.total);
///     })
///     .await?;
/// println!("{} is {}", uploaded.artifact.location, uploaded.artifact.digest);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is uploaded before `Client::upload`"]
pub struct Upload {
    file: PathBuf,
    bucket: String,
    key: String,
    bucket_bytes: Option<u64>,
    description: Option<String>,
}

/// How far an upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that the server has stored.
    pub sent: u64,
    /// Bytes in the file.
    pub total: u64,
}

/// An artifact that is in its bucket.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Uploaded {
    /// Where it is and what it is, ready for a
    /// [`WorkloadBuilder`](crate::deploy::WorkloadBuilder).
    pub artifact: Artifact,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it was there already, so that nothing was sent.
    pub was_there: bool,
}

impl Upload {
    /// Uploads this file under this key into the bucket `NEXCLIFILES`.
    pub fn of_file(file: impl Into<PathBuf>, key: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            bucket: DEFAULT_BUCKET.to_owned(),
            key: key.into(),
            bucket_bytes: None,
            description: None,
        }
    }

    /// Uploads into another bucket. It is created when it is missing.
    pub fn bucket(mut self, name: impl Into<String>) -> Self {
        self.bucket = name.into();
        self
    }

    /// Room in the bucket, in bytes: for a bucket that is created (100 MiB
    /// unless told otherwise), and one that has less is enlarged.
    pub fn bucket_bytes(mut self, bytes: u64) -> Self {
        self.bucket_bytes = Some(bytes);
        self
    }

    /// A text for people who list the bucket.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }
}

impl Client {
    /// Uploads a file. `progress` is called after each chunk that is stored,
    /// and once at the end even if nothing had to be sent.
    pub async fn upload(
        &self,
        upload: &Upload,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<Uploaded, UploadError> {
        let location = ArtifactLocation::new(&upload.bucket, &upload.key)?;
        let size = size_of(&upload.file).await?;
        let bucket = Bucket::open(&self.jetstream(), &upload.bucket, upload.bucket_bytes).await?;
        if let Some(limit) = bucket.limit().filter(|limit| size > *limit) {
            return Err(UploadError::TooLarge {
                path: upload.file.display().to_string(),
                size,
                bucket: upload.bucket.clone(),
                limit,
            });
        }
        let existing = bucket.object(location.key()).await?;
        let known =
            existing.as_ref().filter(|object| object.size == size).and_then(|object| object.digest);
        let artifact = |digest| Artifact {
            location: location.clone(),
            digest,
            jetstream_domain: self.jetstream_domain().map(str::to_owned),
        };
        // Worth a look into the file only where an object of its size is there.
        if let Some(digest) = known
            && digest == digest_of(&upload.file).await?
        {
            progress(Progress { sent: size, total: size });
            return Ok(Uploaded { artifact: artifact(digest), size, was_there: true });
        }

        let sending = Sending { client: self, bucket: &bucket, upload, key: location.key() };
        let mut replaced = existing;
        let sent = match sending.send(size, &mut progress).await {
            Err(UploadError::BucketFull { .. }) if replaced.is_some() => {
                // Old and new do not fit side by side: the old one goes first.
                if let Some(object) = replaced.take() {
                    bucket.remove_chunks(&object.nuid).await?;
                }
                sending.send(size, &mut progress).await?
            }
            sent => sent?,
        };
        if let Some(object) = replaced
            && let Err(error) = bucket.remove_chunks(&object.nuid).await
        {
            tracing::warn!(%error, "the replaced object still takes room in the bucket");
        }
        Ok(Uploaded { artifact: artifact(sent.digest), size: sent.size, was_there: false })
    }
}

struct Sending<'a> {
    client: &'a Client,
    bucket: &'a Bucket,
    upload: &'a Upload,
    key: &'a str,
}

struct Sent {
    digest: Digest,
    size: u64,
}

impl Sending<'_> {
    /// Sends the file as a new object. If that fails, nothing of it stays.
    async fn send(
        &self,
        total: u64,
        progress: &mut (impl FnMut(Progress) + Send),
    ) -> Result<Sent, UploadError> {
        let nuid = bucket::new_nuid();
        let mut under_way = VecDeque::new();
        let sent = self.send_as(&nuid, total, &mut under_way, progress).await;
        if sent.is_err() {
            // What is under way could still be stored after the removal, where
            // that makes room.
            join_all(under_way.drain(..).map(|(_, ack)| ack.into_future())).await;
            if let Err(error) = self.bucket.remove_chunks(&nuid).await {
                tracing::warn!(%error, "an unfinished upload still takes room in the bucket");
            }
        }
        sent
    }

    async fn send_as(
        &self,
        nuid: &str,
        total: u64,
        under_way: &mut VecDeque<(u64, PublishAckFuture)>,
        progress: &mut (impl FnMut(Progress) + Send),
    ) -> Result<Sent, UploadError> {
        let mut chunks = Chunks::open(&self.upload.file, self.chunk_bytes()).await?;
        let mut hash = Sha256::new();
        let (mut stored, mut count) = (0, 0_u64);
        loop {
            let chunk = chunks.next().await?;
            let at_end = chunk.is_empty();
            while under_way.len() >= CHUNKS_UNDER_WAY || (at_end && !under_way.is_empty()) {
                let Some((bytes, ack)) = under_way.pop_front() else { break };
                ack.await.map_err(|error| self.bucket.write_error(error))?;
                stored += bytes;
                progress(Progress { sent: stored, total: total.max(stored) });
            }
            if at_end {
                break;
            }
            hash.update(&chunk);
            count += 1;
            let bytes = chunk.len() as u64;
            under_way.push_back((bytes, self.bucket.put_chunk(nuid, chunk).await?));
        }
        let digest = Digest::from_bytes(hash.finalize().into());
        let object = bucket::NewObject {
            key: self.key,
            nuid,
            size: stored,
            chunks: count,
            chunk_bytes: self.chunk_bytes(),
            digest,
            description: self.upload.description.as_deref(),
        };
        self.bucket.put_object(&object).await?;
        Ok(Sent { digest, size: stored })
    }

    fn chunk_bytes(&self) -> usize {
        match self.client.nats().server_info().max_payload {
            0 => CHUNK_BYTES,
            limit => limit.min(CHUNK_BYTES),
        }
    }
}

/// A file in full chunks; only the last one is shorter.
struct Chunks<'a> {
    path: &'a Path,
    file: File,
    chunk_bytes: usize,
}

impl<'a> Chunks<'a> {
    async fn open(path: &'a Path, chunk_bytes: usize) -> Result<Self, UploadError> {
        let file = File::open(path).await.map_err(|source| unreadable(path, source))?;
        Ok(Self { path, file, chunk_bytes })
    }

    /// The next chunk; empty at the end of the file.
    async fn next(&mut self) -> Result<Bytes, UploadError> {
        let mut chunk = BytesMut::with_capacity(self.chunk_bytes);
        // One read gives what is at hand, often less than a chunk.
        while chunk.len() < self.chunk_bytes {
            let room = self.chunk_bytes - chunk.len();
            let read = (&mut self.file)
                .take(room as u64)
                .read_buf(&mut chunk)
                .await
                .map_err(|source| unreadable(self.path, source))?;
            if read == 0 {
                break;
            }
        }
        Ok(chunk.freeze())
    }
}

/// The SHA-256 of a file, read in chunks.
pub async fn digest_of(path: &Path) -> Result<Digest, UploadError> {
    let mut chunks = Chunks::open(path, CHUNK_BYTES).await?;
    let mut hash = Sha256::new();
    loop {
        let chunk = chunks.next().await?;
        if chunk.is_empty() {
            return Ok(Digest::from_bytes(hash.finalize().into()));
        }
        hash.update(&chunk);
    }
}

async fn size_of(path: &Path) -> Result<u64, UploadError> {
    let meta = tokio::fs::metadata(path).await.map_err(|source| unreadable(path, source))?;
    let name = || path.display().to_string();
    if !meta.is_file() {
        Err(UploadError::NotAFile { path: name() })
    } else if meta.len() == 0 {
        Err(UploadError::EmptyFile { path: name() })
    } else {
        Ok(meta.len())
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> UploadError {
    UploadError::Unreadable { path: path.display().to_string(), source }
}
