//! NATS of its own: a supervised child `nats-server`.
//!
//! [`Binary`] finds the program (on `PATH`, in the cache) or installs a pinned
//! one; [`NatsServer`] runs it with JetStream, on loopback unless asked:
//!
//! * it is started again with growing pauses when it dies, on the same port;
//! * it ends when the node ends, even when the node is killed;
//! * its data folder is kept, and locked against a second server.
//!
//! The lifecycle is drawn in the module `policy`, which decides; the module
//! `supervisor` acts.

mod binary;
mod data_dir;
mod error;
mod install;
mod log;
mod policy;
mod ready;
mod release;
mod settings;
mod spawner;
mod supervisor;
mod version;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::binary::{Binary, NotFound, PassedOver, Places, Reason};
pub use self::error::StartError;
pub use self::install::{Attempt, AttemptError, InstallError, InstallProgress};
pub use self::release::{OLDEST_VERSION, PINNED_VERSION};
pub use self::settings::{Authorization, JetStream, NatsServerConfig, ServerOptions, ServerTls};
pub use self::version::ServerVersion;

/// How a server fares.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerState {
    /// The first child has not answered yet.
    Starting,
    /// It accepts clients.
    Running {
        /// Its process.
        pid: u32,
    },
    /// It died and is started again after a pause.
    Restarting {
        /// How many times in a row it died.
        failures: u32,
        /// The pause.
        pause: Duration,
    },
    /// It was stopped.
    Stopped,
    /// It died too often and is not started any more: the text says what to do.
    Failed(Arc<str>),
}

/// A running, supervised `nats-server`.
///
/// Dropping it stops the server too, without waiting for the end.
#[derive(Debug)]
pub struct NatsServer {
    address: SocketAddr,
    scheme: &'static str,
    log: PathBuf,
    state: watch::Receiver<ServerState>,
    task: JoinHandle<()>,
    stop: DropGuard,
}

impl NatsServer {
    /// Starts a server and returns once it accepts clients.
    ///
    /// # Errors
    /// [`StartError`] when it does not: the port is taken, the data folder is in
    /// use or cannot be written, or the program ends with an error.
    pub async fn start(config: NatsServerConfig) -> Result<Self, StartError> {
        // Checked before anything is touched.
        config.text(config.port)?;
        let locks = data_dir::lock(&config).await?;
        let token = CancellationToken::new();
        let (state, watching) = watch::channel(ServerState::Starting);
        let (first, started) = oneshot::channel();
        let (host, log) = (config.host, config.log_file());
        let scheme = if config.options.tls.is_some() { "tls" } else { "nats" };
        let supervisor = supervisor::Supervisor::new(config, locks, state, first, token.clone());
        // Stops the child when the caller gives up this start.
        let stop = token.drop_guard();
        let task = tokio::spawn(supervisor.run());
        let port = match started.await {
            Ok(decided) => decided?,
            Err(_) => return Err(StartError::Interrupted),
        };
        let address = SocketAddr::new(reachable(host), port);
        Ok(Self { address, scheme, log, state: watching, task, stop })
    }

    /// Where clients on this machine connect, without credentials. Stays the
    /// same as long as the server lives.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// The port that clients connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its log file, 4 MiB at most, with one predecessor beside it.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// How it fares, now and later.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<ServerState> {
        self.state.clone()
    }

    /// Stops it in order (SIGTERM, after the grace of the configuration
    /// SIGKILL) and returns when it has ended.
    pub async fn stop(self) {
        drop(self.stop);
        // The task ends by itself; a panic in it has killed the child already.
        let _ = self.task.await;
    }
}

/// The address by which a client on this machine reaches a server that listens on `host`.
fn reachable(host: IpAddr) -> IpAddr {
    match host {
        IpAddr::V4(any) if any.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(any) if any.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    }
}
