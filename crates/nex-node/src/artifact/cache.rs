//! The cache on disk: `<dir>/sha256/<64 hex digits>`, written through `<dir>/tmp`.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use nex_protocol::digest::Digest;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::{
    error::ArtifactError,
    index::{Full, Index},
    turns::Turns,
};

/// Chunks on their way to the disk. With chunks of 128 KiB, what nats clients
/// write, that is half a megabyte: enough to keep network and disk both busy.
const CHUNKS_IN_FLIGHT: usize = 4;

/// Buffer for hashing a file that was found at start, bytes.
const REHASH_BUFFER: usize = 128 * 1024;

/// Artifacts on disk, by digest. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ArtifactCache {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    max_artifact: u64,
    /// Held for a few map operations, never across I/O.
    index: Mutex<Index>,
    /// One download at a time per claimed digest: twenty deploys of one
    /// artifact fetch it once.
    downloads: Turns,
}

/// The right to use one cached artifact: while it lives, the file stays.
#[derive(Debug)]
pub struct ArtifactLease {
    digest: Digest,
    size: u64,
    path: PathBuf,
    inner: Arc<Inner>,
}

impl ArtifactLease {
    /// SHA-256 of the artifact.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The read-only, executable file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ArtifactLease {
    fn drop(&mut self) {
        self.inner.index().release(&self.digest);
    }
}

impl Inner {
    fn index(&self) -> MutexGuard<'_, Index> {
        // The index stays consistent between its operations, so a panic of
        // another thread cannot have left it half changed.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path_of(&self, digest: &Digest) -> PathBuf {
        self.dir.join("sha256").join(digest.to_string())
    }
}

/// Bytes promised to a download; taken back unless it is committed.
struct Reservation {
    inner: Arc<Inner>,
    size: u64,
    committed: bool,
}

impl Reservation {
    fn commit(mut self, digest: Digest) {
        self.committed = true;
        self.inner.index().commit(digest, self.size);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.committed {
            self.inner.index().cancel(self.size);
        }
    }
}

impl ArtifactCache {
    /// Opens the cache under `dir`, keeps what earlier runs left there and
    /// removes unfinished downloads. `max_bytes` bounds the whole cache,
    /// `max_artifact` one artifact.
    ///
    /// # Errors
    /// When the folders cannot be made or listed.
    pub fn open(dir: &Path, max_bytes: u64, max_artifact: u64) -> Result<Self, ArtifactError> {
        let failed = |doing| move |source| ArtifactError::io(dir, doing, source);
        let store = dir.join("sha256");
        let unfinished = dir.join("tmp");
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("cleaned")(error));
            }
            _ => {}
        }
        for folder in [&store, &unfinished] {
            fs::create_dir_all(folder).map_err(failed("made"))?;
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(&store).map_err(failed("listed"))? {
            let entry = entry.map_err(failed("listed"))?;
            let metadata = entry.metadata().map_err(failed("listed"))?;
            let digest = entry.file_name().to_str().and_then(|name| name.parse::<Digest>().ok());
            match digest {
                Some(digest) if metadata.is_file() => {
                    found.push((metadata.modified().ok(), digest, metadata.len()));
                }
                _ => tracing::warn!(path = %entry.path().display(), "not an artifact, left alone"),
            }
        }
        found.sort_unstable_by_key(|(modified, _, _)| *modified);
        let mut index = Index::new(max_bytes);
        for (_, digest, size) in found {
            index.adopt(digest, size);
        }
        let inner = Inner {
            dir: dir.to_owned(),
            max_artifact,
            index: Mutex::new(index),
            downloads: Turns::default(),
        };
        let cache = Self { inner: Arc::new(inner) };
        // A limit that was lowered since the last run holds from the start.
        if let Ok(victims) = cache.inner.index().reserve(0) {
            cache.delete(&victims);
        }
        Ok(cache)
    }

    /// The folder that holds the artifacts' files and nothing else.
    pub fn folder(&self) -> PathBuf {
        self.inner.dir.join("sha256")
    }

    /// The largest artifact taken, bytes.
    pub fn max_artifact(&self) -> u64 {
        self.inner.max_artifact
    }

    /// Bytes held and promised.
    pub fn used_bytes(&self) -> u64 {
        self.inner.index().used_bytes()
    }

    /// Waits for the turn to download `digest`; whoever comes second finds the
    /// artifact in the cache.
    pub async fn download_turn(&self, digest: Digest) -> tokio::sync::OwnedMutexGuard<()> {
        self.inner.downloads.of(digest).lock_owned().await
    }

    /// A lease on an artifact that is already here. A file left by an earlier
    /// run is hashed once before it is trusted; a damaged one is removed.
    pub async fn lookup(&self, digest: Digest) -> Option<ArtifactLease> {
        let verified = self.inner.index().lease(&digest)?;
        let path = self.inner.path_of(&digest);
        let mut lease = ArtifactLease { digest, size: 0, path, inner: Arc::clone(&self.inner) };
        let path = lease.path.clone();
        let checked = if verified {
            fs::metadata(&path).map(|metadata| metadata.len())
        } else {
            tokio::task::spawn_blocking(move || rehash(&path, digest))
                .await
                .unwrap_or_else(|panic| Err(io::Error::other(panic)))
        };
        match checked {
            Ok(size) => {
                self.inner.index().mark_verified(&digest);
                lease.size = size;
                Some(lease)
            }
            Err(error) => {
                tracing::warn!(%digest, %error, "cached artifact is damaged, dropping it");
                self.inner.index().forget(&digest);
                let _ = fs::remove_file(&lease.path);
                None
            }
        }
    }

    /// Starts to store an artifact of exactly `size` bytes: makes room, opens
    /// the temporary file and starts the thread that writes and hashes.
    ///
    /// # Errors
    /// [`ArtifactError::Empty`], [`ArtifactError::TooLarge`],
    /// [`ArtifactError::CacheFull`] or one of the file system.
    pub async fn begin(&self, size: u64) -> Result<ArtifactWriter, ArtifactError> {
        let inner = &self.inner;
        if size == 0 {
            return Err(ArtifactError::Empty);
        }
        if size > inner.max_artifact {
            return Err(ArtifactError::TooLarge { size, limit: inner.max_artifact });
        }
        let victims = inner.index().reserve(size);
        let victims = victims
            .map_err(|Full| ArtifactError::CacheFull { size, limit: inner.index().limit() })?;
        let reservation = Reservation { inner: Arc::clone(inner), size, committed: false };
        self.delete(&victims);
        let (chunks, receiver) = mpsc::channel(CHUNKS_IN_FLIGHT);
        let dir = inner.dir.clone();
        let done = tokio::task::spawn_blocking(move || write_hashed(&dir, size, receiver));
        Ok(ArtifactWriter { reservation, chunks, done })
    }

    fn delete(&self, victims: &[Digest]) {
        for digest in victims {
            tracing::info!(%digest, "evicting artifact");
            if let Err(error) = fs::remove_file(self.inner.path_of(digest)) {
                tracing::warn!(%digest, %error, "evicted artifact could not be deleted");
            }
        }
    }
}

/// An artifact on its way to the disk. Dropping it leaves nothing behind.
pub struct ArtifactWriter {
    reservation: Reservation,
    chunks: mpsc::Sender<Bytes>,
    done: tokio::task::JoinHandle<io::Result<Written>>,
}

struct Written {
    file: tempfile::NamedTempFile,
    digest: Digest,
    size: u64,
}

impl ArtifactWriter {
    /// Hands over the next bytes; waits while the disk is behind. `false` when
    /// the writer has given up: [`finish`](Self::finish) says why.
    pub async fn write(&self, chunk: Bytes) -> bool {
        self.chunks.send(chunk).await.is_ok()
    }

    /// Waits for the disk, checks the digest against `claimed` and moves the
    /// file into place.
    ///
    /// # Errors
    /// [`ArtifactError::WrongDigest`], or what the file system said.
    pub async fn finish(self, claimed: Option<Digest>) -> Result<ArtifactLease, ArtifactError> {
        let Self { reservation, chunks, done } = self;
        drop(chunks);
        let inner = Arc::clone(&reservation.inner);
        let failed = |doing| {
            let dir = inner.dir.clone();
            move |source| ArtifactError::io(&dir, doing, source)
        };
        let written = done
            .await
            .unwrap_or_else(|panic| Err(io::Error::other(panic)))
            .map_err(failed("written"))?;
        if let Some(claimed) = claimed
            && claimed != written.digest
        {
            return Err(ArtifactError::WrongDigest { claimed, found: written.digest });
        }
        let digest = written.digest;
        let path = inner.path_of(&digest);
        written.file.persist(&path).map_err(|error| failed("written")(error.error))?;
        reservation.commit(digest);
        Ok(ArtifactLease { digest, size: written.size, path, inner })
    }
}

/// Writes and hashes chunks until the sender is dropped. More than `size`
/// bytes, or fewer, is an error: the object's record was wrong.
fn write_hashed(dir: &Path, size: u64, mut chunks: mpsc::Receiver<Bytes>) -> io::Result<Written> {
    let mut file = tempfile::Builder::new()
        .prefix("artifact-")
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(dir.join("tmp"))?;
    let mut hasher = Sha256::new();
    let mut written: u64 = 0;
    while let Some(chunk) = chunks.blocking_recv() {
        written = written.saturating_add(chunk.len() as u64);
        if written > size {
            return Err(io::Error::other("more bytes than the object's record says"));
        }
        hasher.update(&chunk);
        file.write_all(&chunk)?;
    }
    if written != size {
        return Err(io::Error::other("fewer bytes than the object's record says"));
    }
    // The digest is checked again before a file of an earlier run is used, so
    // no fsync is needed: a torn write is found, and fetched anew.
    file.as_file().set_permissions(fs::Permissions::from_mode(0o555))?;
    Ok(Written { file, digest: Digest::from_bytes(hasher.finalize().into()), size: written })
}

fn rehash(path: &Path, expected: Digest) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; REHASH_BUFFER];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
        size += read as u64;
    }
    if Digest::from_bytes(hasher.finalize().into()) == expected {
        Ok(size)
    } else {
        Err(io::Error::other("its bytes do not hash to its name"))
    }
}
