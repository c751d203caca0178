//! The endpoint: its listeners and the agents that may connect.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nex_protocol::name::WorkloadId;
use nex_protocol::nats::ServerInfo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::listener::{self, BusError, Gate, UnixSocket};
use super::seat::{AgentSeat, Seat};
use super::secret::AgentSecret;
use super::{BusConfig, BusLimits, LegacyPolicy};

/// How long [`Endpoint::shutdown`] waits for connections to end.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(3);

/// What all connections share.
#[derive(Debug)]
pub(super) struct Hub {
    limits: BusLimits,
    legacy: Option<LegacyPolicy>,
    server_id: String,
    seats: Mutex<HashMap<WorkloadId, Arc<Seat>>>,
    connections: AtomicU64,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Hub {
    fn seats(&self) -> MutexGuard<'_, HashMap<WorkloadId, Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn limits(&self) -> BusLimits {
        self.limits
    }

    pub(super) fn legacy(&self) -> Option<LegacyPolicy> {
        self.legacy
    }

    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    pub(super) fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// A number for a new connection.
    pub(super) fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What a new connection is told. Clients choose their forms of JetStream requests by the
    /// version: ours are those of 2.10.
    pub(super) fn info(&self, connection: u64, auth_required: bool) -> ServerInfo {
        ServerInfo {
            server_id: self.server_id.clone(),
            server_name: "nex-node".to_owned(),
            version: "2.10.0".to_owned(),
            go: "none".to_owned(),
            host: "0.0.0.0".to_owned(),
            headers: true,
            max_payload: self.limits.max_payload,
            proto: 1,
            client_id: connection,
            auth_required,
            jetstream: true,
            ..ServerInfo::default()
        }
    }

    /// The seat that these credentials are for.
    pub(super) fn authenticate(&self, user: &str, pass: &str) -> Option<Arc<Seat>> {
        let id = user.parse::<WorkloadId>().ok()?;
        let seat = self.seats().get(&id).cloned()?;
        seat.secret().matches(pass).then_some(seat)
    }

    /// The seat of an agent that may do without credentials.
    pub(super) fn claimable(&self, id: WorkloadId) -> Option<Arc<Seat>> {
        self.seats().get(&id).filter(|seat| seat.legacy).cloned()
    }

    /// The seat is dropped.
    pub(super) fn forget(&self, id: WorkloadId) {
        self.seats().remove(&id);
    }
}

/// The running endpoint. Cheap to clone; with the last clone every connection is closed and the
/// socket file removed. [`Endpoint::shutdown`] also waits for that.
#[derive(Debug, Clone)]
pub struct Endpoint {
    open: Arc<Open>,
}

#[derive(Debug)]
struct Open {
    hub: Arc<Hub>,
    unix: UnixSocket,
    tcp: Option<SocketAddr>,
    streams: Gate,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.hub.shutdown.cancel();
    }
}

impl Endpoint {
    /// Opens the listeners. Nobody can connect until an agent is registered.
    ///
    /// # Errors
    /// [`BusError`] says which listener cannot be opened, and what to do.
    pub async fn start(config: BusConfig) -> Result<Self, BusError> {
        let hub = Arc::new(Hub {
            limits: config.limits,
            legacy: config.legacy,
            server_id: WorkloadId::generate().to_string(),
            seats: Mutex::default(),
            connections: AtomicU64::new(0),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let (unix, unix_listener) = listener::open_unix(&config.unix)?;
        let tcp = match config.tcp {
            Some(address) => {
                let (address, tcp_listener) = listener::open_tcp(address).await?;
                hub.tasks.spawn(listener::accept_tcp(Arc::clone(&hub), tcp_listener));
                Some(address)
            }
            None => None,
        };
        hub.tasks.spawn(listener::accept_unix(Arc::clone(&hub), unix_listener));
        Ok(Self { open: Arc::new(Open { streams: Gate::new(&hub, false), hub, unix, tcp }) })
    }

    /// Path of the socket for local agents.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.open.unix.path()
    }

    /// Address that is listened on for TCP, with the real port.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        self.open.tcp
    }

    /// Serves an agent over a stream that came another way, such as a virtual machine's serial
    /// or vsock device. It has to show its secret as on the sockets.
    ///
    /// # Errors
    /// [`BusError::TooManyStrangers`] while too many such streams have not authenticated.
    pub fn serve<S>(&self, stream: S) -> Result<(), BusError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let ticket = self.open.streams.ticket().ok_or(BusError::TooManyStrangers)?;
        let (reader, writer) = tokio::io::split(stream);
        self.open.streams.admit(&self.open.hub, reader, writer, ticket);
        Ok(())
    }

    /// Lets an agent connect, with a new secret.
    ///
    /// # Errors
    /// [`BusError::Duplicate`] while there is a seat of this id.
    pub fn register(&self, id: WorkloadId) -> Result<AgentSeat, BusError> {
        self.seat(id, AgentSecret::generate(), false)
    }

    /// As [`Endpoint::register`] with a secret issued before: for agents that outlived the node.
    ///
    /// # Errors
    /// [`BusError::Duplicate`].
    pub fn register_known(
        &self,
        id: WorkloadId,
        secret: AgentSecret,
    ) -> Result<AgentSeat, BusError> {
        self.seat(id, secret, false)
    }

    /// As [`Endpoint::register`]; the agent may also connect over TCP without its secret, if the
    /// endpoint was started with a [`LegacyPolicy`].
    ///
    /// # Errors
    /// [`BusError::Duplicate`].
    pub fn register_legacy(&self, id: WorkloadId) -> Result<AgentSeat, BusError> {
        self.seat(id, AgentSecret::generate(), true)
    }

    fn seat(
        &self,
        id: WorkloadId,
        secret: AgentSecret,
        legacy: bool,
    ) -> Result<AgentSeat, BusError> {
        let mut seats = self.open.hub.seats();
        match seats.entry(id) {
            Entry::Occupied(_) => Err(BusError::Duplicate { id }),
            Entry::Vacant(free) => {
                let seat = AgentSeat::new(Arc::clone(&self.open.hub), id, secret, legacy);
                free.insert(Arc::clone(seat.shared()));
                Ok(seat)
            }
        }
    }

    /// Closes the listeners and every connection, and waits for their tasks, at most a few
    /// seconds. Agents see the end of their connection and may connect to the next endpoint.
    /// Other clones are of no use afterwards.
    pub async fn shutdown(self) {
        let hub = &self.open.hub;
        hub.shutdown.cancel();
        hub.tasks.close();
        if tokio::time::timeout(SHUTDOWN_DEADLINE, hub.tasks.wait()).await.is_err() {
            tracing::warn!("connections of agents did not end in time");
        }
    }
}
