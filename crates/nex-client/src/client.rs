//! The connection that everything else is a method of.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use nex_protocol::key::{KeyKind, SigningKey};
use nex_protocol::name::NodeId;
use nex_protocol::subject::ControlSubject;

use crate::connect::{
    ConnectError, ConnectOptions, Counters, DEFAULT_TIMEOUT, JetStreamSettings, dial,
};

/// How long [`Client::settle`] waits for a server that does not say that nobody
/// listens (somebody subscribes to everything).
const SETTLE_TIMEOUT: Duration = Duration::from_millis(250);

/// A connection to the NATS system that the nodes are on.
///
/// Cloning is cheap; clones share the connection. It reconnects by itself when
/// the server goes away and comes back.
#[derive(Clone)]
pub struct Client {
    nats: async_nats::Client,
    timeout: Duration,
    jetstream: JetStreamSettings,
    server: Arc<str>,
    counters: Arc<Counters>,
}

impl Client {
    /// Connects as the options and the NATS CLI context say.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// use nex_client::{Client, ConnectOptions};
    ///
    /// // Whatever `nats context select` chose, else nats://127.0.0.1:4222.
    /// let client = Client::connect(ConnectOptions::new()).await?;
    /// for node in client.nodes().await? {
    ///     println!("{} up {}", node.node_id, node.uptime);
    /// }
    /// # Ok(()) }
    /// ```
    #[allow(clippy::needless_pass_by_value, reason = "a builder is used up by what it builds")]
    pub async fn connect(options: ConnectOptions) -> Result<Self, ConnectError> {
        let (nats, settings, counters) = dial(&options).await?;
        Ok(Self {
            nats,
            timeout: settings.timeout,
            server: settings.server_list().into(),
            jetstream: settings.jetstream,
            counters,
        })
    }

    /// Uses a connection that exists already.
    #[must_use]
    pub fn from_nats(nats: async_nats::Client) -> Self {
        Self {
            nats,
            timeout: DEFAULT_TIMEOUT,
            jetstream: JetStreamSettings::default(),
            server: "the given connection".into(),
            counters: Arc::default(),
        }
    }

    /// The same connection with another limit for each request.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// The same connection with artifacts in another JetStream domain.
    #[must_use]
    pub fn with_jetstream_domain(&self, domain: impl Into<String>) -> Self {
        let jetstream = JetStreamSettings { domain: Some(domain.into()), api_prefix: None };
        Self { jetstream, ..self.clone() }
    }

    /// The NATS connection itself.
    #[must_use]
    pub fn nats(&self) -> &async_nats::Client {
        &self.nats
    }

    /// How long a request may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The servers this client was told to connect to, for messages. Holds no
    /// login.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The JetStream domain that artifacts are stored in.
    #[must_use]
    pub fn jetstream_domain(&self) -> Option<&str> {
        self.jetstream.domain.as_deref()
    }

    /// What the connection has noticed: dropped messages, lost connections.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn jetstream(&self) -> jetstream::Context {
        let nats = self.nats.clone();
        match &self.jetstream {
            JetStreamSettings { api_prefix: Some(prefix), .. } => {
                jetstream::with_prefix(nats, prefix)
            }
            JetStreamSettings { domain: Some(domain), .. } => jetstream::with_domain(nats, domain),
            JetStreamSettings { .. } => jetstream::new(nats),
        }
    }

    /// Returns once the server has seen what was sent before, subscriptions
    /// above all. (`flush` of the NATS library does not wait for the server.)
    ///
    /// It asks a node that does not exist: the server answers at once that
    /// nobody listens there. That needs no permission beyond those for nodes.
    pub(crate) async fn settle(&self) {
        let Ok(nobody) = NodeId::try_from(SigningKey::generate(KeyKind::Server).public()) else {
            return;
        };
        let subject = ControlSubject::Ping(nobody).to_string();
        let request = async_nats::Request::new().timeout(Some(SETTLE_TIMEOUT));
        // Every outcome means that the round trip is over, or as good as.
        let _ = self.nats.send_request(subject, request).await;
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("server", &self.server)
            .field("timeout", &self.timeout)
            .field("jetstream", &self.jetstream)
            .finish_non_exhaustive()
    }
}
