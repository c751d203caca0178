//! The nats-server that comes with the node: `--with-nats`, or
//! `public_nats_server` in the configuration.

use std::path::Path;

use nex_node::config::PublicNatsServer;
use nex_node::nats_server::{Binary, JetStream, NatsServer, NatsServerConfig, Places, ServerState};

use crate::output::Printer;

/// Folder in the state directory for all that the server keeps.
const FOLDER: &str = "nats";

/// A running nats-server.
pub(super) struct OwnNats(NatsServer);

impl OwnNats {
    /// Finds or gets a nats-server, and starts it with its data in the node's state directory.
    pub(super) async fn start(
        state_dir: &Path,
        settings: &PublicNatsServer,
        printer: &mut Printer,
    ) -> anyhow::Result<Self> {
        let places = Places::from_variables(|name| std::env::var_os(name));
        let binary =
            Binary::ensure(&places, &mut |step| printer.message(&step.to_string())).await?;
        let mut server = NatsServerConfig::new(binary, state_dir.join(FOLDER));
        server.host = settings.host;
        server.port = settings.port;
        server.jetstream = settings
            .jetstream
            .then(|| JetStream { store_dir: settings.store_dir.clone(), ..JetStream::default() });
        server.options.server_name.clone_from(&settings.server_name);
        Ok(Self(NatsServer::start(server).await?))
    }

    /// Where it can be reached.
    pub(super) fn url(&self) -> String {
        self.0.url()
    }

    /// Resolves when it died too often to be started again, with what to do.
    pub(super) async fn gave_up(&self) -> String {
        let mut states = self.0.watch();
        match states.wait_for(|state| matches!(state, ServerState::Failed(_))).await.as_deref() {
            Ok(ServerState::Failed(why)) => why.to_string(),
            _ => std::future::pending().await,
        }
    }

    /// Stops it in order.
    pub(super) async fn stop(self) {
        self.0.stop().await;
    }
}
