//! Accepts agents on a Unix socket and, where wanted, on TCP.

use std::{
    io,
    net::SocketAddr,
    os::unix::{fs::PermissionsExt as _, net::UnixStream as StdUnixStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nex_protocol::name::WorkloadId;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::Semaphore,
    time::sleep,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    BusError,
    connection::{self, Door},
    link::LinkState,
    registry::Registry,
    seat::{self, AgentSeat},
};

/// Connections that have not proved who they are; more are closed at once.
const MAX_STRANGERS: usize = 128;

/// After a failed accept, such as one without a free descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where agents connect.
#[derive(Debug, Clone)]
pub struct BusConfig {
    /// The Unix socket, in a folder that belongs to this node alone.
    pub unix: PathBuf,
    /// A TCP address too, for agents that cannot reach the socket.
    pub tcp: Option<SocketAddr>,
    /// Admit agents without a secret over TCP, for ids that were registered as legacy.
    pub legacy: bool,
}

/// The running endpoint. Cheap to clone; it closes with the last clone.
#[derive(Debug, Clone)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Arc<Registry>,
    unix: PathBuf,
    tcp: Option<SocketAddr>,
    _stop: DropGuard,
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.unix);
    }
}

impl Endpoint {
    /// Opens the sockets and starts to accept.
    ///
    /// # Errors
    /// A [`BusError`].
    pub async fn start(config: BusConfig) -> Result<Self, BusError> {
        let BusConfig { unix, tcp, legacy } = config;
        let failed = |source| BusError::Unix { path: unix.clone(), source };
        remove_stale(&unix).map_err(failed)?;
        let socket = UnixListener::bind(&unix).map_err(failed)?;
        std::fs::set_permissions(&unix, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let listener = match tcp {
            Some(address) => {
                Some(TcpListener::bind(address).await.map_err(|source| match source.kind() {
                    io::ErrorKind::AddrInUse => BusError::Busy { address },
                    _ => BusError::Tcp { address, source },
                })?)
            }
            None => None,
        };
        let stop = CancellationToken::new();
        let registry = Arc::new(Registry::default());
        let strangers = Arc::new(Semaphore::new(MAX_STRANGERS));
        let door = |legacy| Door {
            registry: Arc::clone(&registry),
            legacy,
            strangers: Arc::clone(&strangers),
            stop: stop.clone(),
        };
        let unix_door = door(false);
        tokio::spawn(async move {
            accept(&unix_door, || async {
                let (stream, _) = socket.accept().await?;
                Ok(stream)
            })
            .await;
        });
        let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        if let Some(listener) = listener {
            let tcp_door = door(legacy);
            tokio::spawn(async move {
                accept(&tcp_door, || async {
                    let (stream, _) = listener.accept().await?;
                    stream.set_nodelay(true)?;
                    Ok(stream)
                })
                .await;
            });
        }
        let inner = Inner { registry, unix, tcp: address, _stop: stop.drop_guard() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The Unix socket.
    pub fn socket(&self) -> &Path {
        &self.inner.unix
    }

    /// The TCP address, if it listens there, with the port that it really has.
    pub fn tcp(&self) -> Option<SocketAddr> {
        self.inner.tcp
    }

    /// Expects an agent, which has to know its seat's secret.
    ///
    /// # Errors
    /// [`BusError::Duplicate`].
    pub fn register(&self, id: WorkloadId) -> Result<AgentSeat, BusError> {
        self.seat(id, false)
    }

    /// Expects an agent that has no secret. Once it is connected nobody else
    /// can take its seat.
    ///
    /// # Errors
    /// [`BusError::Duplicate`].
    pub fn register_legacy(&self, id: WorkloadId) -> Result<AgentSeat, BusError> {
        self.seat(id, true)
    }

    fn seat(&self, id: WorkloadId, legacy: bool) -> Result<AgentSeat, BusError> {
        let (mouth, ears) = seat::queues();
        let state = Arc::new(LinkState::new(id, mouth));
        let (registration, secret) = self
            .inner
            .registry
            .expect(id, legacy, Arc::clone(&state))
            .ok_or(BusError::Duplicate)?;
        Ok(AgentSeat::new(id, secret, state, ears, registration))
    }
}

/// A socket file that nobody listens on is a remnant of a killed node.
fn remove_stale(path: &Path) -> io::Result<()> {
    match StdUnixStream::connect(path) {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) => std::fs::remove_file(path),
    }
}

async fn accept<S, F>(door: &Door, next: impl Fn() -> F)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + 'static,
    F: Future<Output = io::Result<S>>,
{
    loop {
        let accepted = tokio::select! {
            () = door.stop.cancelled() => return,
            accepted = next() => accepted,
        };
        match accepted {
            Ok(stream) => {
                let Ok(place) = Arc::clone(&door.strangers).try_acquire_owned() else {
                    tracing::warn!("too many connections that say nothing, closing one");
                    continue;
                };
                tokio::spawn(connection::serve(stream, door.clone(), place));
            }
            Err(error) => {
                tracing::warn!(%error, "an agent's connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
