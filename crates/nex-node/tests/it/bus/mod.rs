//! The endpoint for agents, through its sockets.

mod basics;
mod hostile;
mod legacy;
mod nexcache;
mod wire;

use std::time::Duration;

use nex_node::bus::{AgentSeat, BusConfig, BusLimits, Endpoint, Inbound, LegacyPolicy};
use tempfile::TempDir;

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// An endpoint in a folder of its own.
pub(crate) struct TestBus {
    pub(crate) endpoint: Endpoint,
    pub(crate) folder: TempDir,
}

impl TestBus {
    pub(crate) async fn start(change: impl FnOnce(&mut BusConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = BusConfig {
            unix: folder.path().join("bus.sock"),
            tcp: Some("127.0.0.1:0".parse().unwrap()),
            legacy: None,
            limits: BusLimits::default(),
        };
        change(&mut config);
        Self { endpoint: Endpoint::start(config).await.unwrap(), folder }
    }

    pub(crate) async fn legacy() -> Self {
        Self::start(|config| config.legacy = Some(LegacyPolicy::default())).await
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.endpoint.tcp().unwrap())
    }

    /// An unmodified NATS client that is this agent.
    pub(crate) async fn nats(&self, seat: &AgentSeat) -> async_nats::Client {
        async_nats::ConnectOptions::with_user_and_password(
            seat.id().to_string(),
            seat.secret().to_owned(),
        )
        .connect(self.url())
        .await
        .unwrap()
    }
}

/// The next message of the agent.
pub(crate) async fn next(seat: &mut AgentSeat) -> Inbound {
    within("a message from the agent", seat.recv()).await.unwrap()
}

/// Takes the message that says that the agent is there.
pub(crate) async fn connected(seat: &mut AgentSeat) {
    let said = next(seat).await;
    assert!(matches!(said, Inbound::Connected), "{said:?}");
}

/// Takes the message that says that it is gone.
pub(crate) async fn disconnected(seat: &mut AgentSeat) {
    let said = next(seat).await;
    assert!(matches!(said, Inbound::Disconnected), "{said:?}");
}

/// Fails the test if it takes too long.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("no {what} within {PATIENCE:?}"),
    }
}
