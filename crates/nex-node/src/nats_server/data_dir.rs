//! The folders of one server, and the locks that keep a second one out.

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::error::StartError;
use super::settings::NatsServerConfig;

/// Name of the lock file in a folder.
const LOCK_FILE: &str = "nex-nats-server.lock";
/// How long a lock is waited for: after a node was killed, the kernel needs a
/// moment to end its server.
const LOCK_DEADLINE: Duration = Duration::from_secs(2);
/// Pause between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// What keeps other servers out as long as it is open.
pub(super) type Locks = Arc<[OwnedFd]>;

/// Makes the server's folder, and that of its streams where it is another one,
/// and locks both. The child inherits the locks, so they are held as long as
/// *any* server works on the data, whatever became of its node.
pub(super) async fn lock(config: &NatsServerConfig) -> Result<Locks, StartError> {
    let mut locks = vec![lock_folder(&config.data_dir).await?];
    let elsewhere = config.jetstream.as_ref().and_then(|jetstream| jetstream.store_dir.as_ref());
    if let Some(store) = elsewhere.filter(|store| **store != config.data_dir) {
        locks.push(lock_folder(store).await?);
    }
    Ok(locks.into())
}

async fn lock_folder(folder: &Path) -> Result<OwnedFd, StartError> {
    let trouble = |path: &Path| {
        let path = path.to_owned();
        move |source| StartError::Data { path, source }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(trouble(folder))?;
    let path = folder.join(LOCK_FILE);
    let file = File::options().create(true).append(true).mode(0o600).open(&path);
    let file = OwnedFd::from(file.map_err(trouble(&path))?);

    let mut tries = tokio::time::interval(LOCK_PAUSE);
    let locked = tokio::time::timeout(LOCK_DEADLINE, async {
        loop {
            tries.tick().await;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                other => return other,
            }
        }
    });
    match locked.await {
        Ok(Ok(())) => Ok(file),
        Ok(Err(error)) => Err(trouble(&path)(error.into())),
        Err(_) => Err(StartError::DataInUse(folder.to_owned())),
    }
}

/// Writes the server's configuration file (mode 0600: it may hold secrets).
pub(super) fn write_config(config: &NatsServerConfig, text: &str) -> Result<(), StartError> {
    let write = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&config.data_dir)?;
        file.write_all(text.as_bytes())?;
        file.persist(config.config_file())?;
        Ok(())
    };
    write().map_err(|source| StartError::Data { path: config.config_file(), source })
}
