//! The endpoint: its listeners and the agents that may connect.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nex_protocol::name::WorkloadId;
use nex_protocol::nats::ServerInfo;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::listener::{self, BusError, UnixSocket};
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

    /// The seat is dropped; a newer one of the same id stays.
    pub(super) fn forget(&self, seat: &Arc<Seat>) {
        let mut seats = self.seats();
        if seats.get(&seat.id()).is_some_and(|held| Arc::ptr_eq(held, seat)) {
            seats.remove(&seat.id());
        }
    }
}

/// The running endpoint. Dropping it closes every connection and removes the socket file;
/// [`Endpoint::shutdown`] also waits for that.
#[derive(Debug)]
pub struct Endpoint {
    hub: Arc<Hub>,
    unix: UnixSocket,
    tcp: Option<SocketAddr>,
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
        Ok(Self { hub, unix, tcp })
    }

    /// Path of the socket for local agents.
    #[must_use]
    pub fn unix_path(&self) -> &Path {
        self.unix.path()
    }

    /// Address that is listened on for TCP, with the real port.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp
    }

    /// Lets an agent connect, with a new secret. An older seat of the same id ends.
    #[must_use]
    pub fn register(&self, id: WorkloadId) -> AgentSeat {
        self.seat(id, AgentSecret::generate(), false)
    }

    /// As [`Endpoint::register`] with a secret issued before: for agents that outlived the node.
    #[must_use]
    pub fn register_known(&self, id: WorkloadId, secret: AgentSecret) -> AgentSeat {
        self.seat(id, secret, false)
    }

    /// As [`Endpoint::register`]; the agent may also connect over TCP without its secret, if the
    /// endpoint was started with a [`LegacyPolicy`].
    #[must_use]
    pub fn register_legacy(&self, id: WorkloadId) -> AgentSeat {
        self.seat(id, AgentSecret::generate(), true)
    }

    fn seat(&self, id: WorkloadId, secret: AgentSecret, legacy: bool) -> AgentSeat {
        let seat = AgentSeat::new(Arc::clone(&self.hub), id, secret, legacy);
        let older = self.hub.seats().insert(id, Arc::clone(seat.shared()));
        if let Some(older) = older {
            older.revoke();
        }
        seat
    }

    /// Closes the listeners and every connection, and waits for their tasks, at most a few
    /// seconds. Agents see the end of their connection and may connect to the next endpoint.
    pub async fn shutdown(self) {
        self.hub.shutdown.cancel();
        self.hub.tasks.close();
        if tokio::time::timeout(SHUTDOWN_DEADLINE, self.hub.tasks.wait()).await.is_err() {
            tracing::warn!("connections of agents did not end in time");
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.hub.shutdown.cancel();
    }
}
