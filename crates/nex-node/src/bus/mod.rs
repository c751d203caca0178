//! The endpoint that agents connect to.
//!
//! It speaks the NATS client protocol to agents and is no broker: a message goes from an agent to
//! the node or from the node to an agent, and there is no operation that moves one from
//! connection to connection. The node's side crosses no socket.
//!
//! ```text
//!            register(id)                       CONNECT user = id, pass = secret
//!   node ───────────────► AgentSeat ◄── Seat ◄────────────────────────── agent
//!     AgentLink::request ──► Line (session, requests, outbox) ──writer──►  MSG
//!     AgentSeat::recv   ◄── queue (events, rpc) / queue (logs) ◄─reader─  PUB
//! ```
//!
//! * A connection acts for exactly one agent, the one whose secret it showed. It may publish below
//!   `agentint.<id>.` and to reply subjects of requests that were made on this very connection;
//!   it may listen below `agentint.<id>.` and to inboxes.
//! * Everything an agent can make large is bounded: see [`BusLimits`].
//! * Per connection there is one task that reads and one that writes. The pure part, what an
//!   agent may do, is in `session`.

mod connection;
mod endpoint;
mod line;
mod link;
mod listener;
mod nexcache;
mod outbox;
mod requests;
mod seat;
mod secret;
mod session;
mod subscriptions;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use nex_protocol::nats::Limits;

pub use endpoint::Endpoint;
pub use link::{AgentLink, AgentRequest, LinkError, Reply, Responder};
pub use listener::BusError;
pub use seat::{AgentSeat, Inbound};
pub use secret::{AgentSecret, AgentSecretError};

/// How an endpoint is set up.
#[derive(Debug, Clone)]
pub struct BusConfig {
    /// Socket for local agents, of mode 0600. Its folder is made (mode 0700) if it is missing; one
    /// that others can write to is refused. A socket that nobody listens on is replaced.
    pub unix: PathBuf,
    /// Address for agents in virtual machines and for those that cannot use a Unix socket. Port 0
    /// takes a free one.
    pub tcp: Option<SocketAddr>,
    /// Whether agents without credentials are admitted on the TCP address.
    pub legacy: Option<LegacyPolicy>,
    /// Bounds.
    pub limits: BusLimits,
}

/// How agents of the old protocol, which have no credentials, are admitted.
///
/// Such a connection becomes the agent whose subjects it uses first, if that agent was registered
/// with [`Endpoint::register_legacy`] and is not connected. So whoever can reach the TCP address
/// first *is* that agent: only for networks where nobody else can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegacyPolicy {
    /// How long such a connection may go without saying which agent it is.
    pub claim_deadline: Duration,
}

impl Default for LegacyPolicy {
    fn default() -> Self {
        Self { claim_deadline: Duration::from_secs(5) }
    }
}

/// Bounds of the endpoint. Sizes are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusLimits {
    /// Longest control line.
    pub max_control_line: usize,
    /// Largest message, headers included.
    pub max_payload: usize,
    /// Largest header block.
    pub max_headers: usize,
    /// Longest subject.
    pub max_subject: usize,
    /// Subscriptions per connection.
    pub max_subscriptions: usize,
    /// Requests of the node that wait for one agent.
    pub max_requests: usize,
    /// Bytes that wait for one agent to read them; beyond it the connection is closed.
    pub max_pending: usize,
    /// Connections per listener that have not authenticated yet.
    pub max_unauthenticated: usize,
    /// How long a connection may go without credentials.
    pub connect_deadline: Duration,
    /// How often a silent agent is asked for a sign of life.
    pub ping_interval: Duration,
    /// After so many unanswered pings a connection is stale and closed.
    pub max_pings_out: u32,
}

impl Default for BusLimits {
    fn default() -> Self {
        let protocol = Limits::default();
        Self {
            max_control_line: protocol.max_control_line,
            max_payload: protocol.max_payload,
            max_headers: protocol.max_headers,
            max_subject: protocol.max_subject,
            max_subscriptions: 256,
            max_requests: 1024,
            max_pending: 16 * 1024 * 1024,
            max_unauthenticated: 64,
            connect_deadline: Duration::from_secs(5),
            ping_interval: Duration::from_secs(2),
            max_pings_out: 2,
        }
    }
}

impl BusLimits {
    /// Limits of the codec for a connection that has authenticated.
    fn protocol(&self) -> Limits {
        Limits {
            max_control_line: self.max_control_line,
            max_payload: self.max_payload,
            max_headers: self.max_headers,
            max_subject: self.max_subject,
            ..Limits::default()
        }
    }

    /// Limits of the codec before that: enough for `CONNECT` and a handshake.
    fn protocol_of_strangers(&self) -> Limits {
        Limits { max_payload: self.max_payload.min(STRANGER_PAYLOAD), ..self.protocol() }
    }
}

/// Largest message of a connection that is nobody's yet: a legacy agent may start with its
/// handshake.
const STRANGER_PAYLOAD: usize = 16 * 1024;
