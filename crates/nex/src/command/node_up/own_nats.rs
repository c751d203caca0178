//! The nats-server that comes with the node: `--with-nats`, or
//! `public_nats_server` in the configuration.

use anyhow::Context;
use nex_node::config::{Config, PublicNatsServer, default_state_dir};
use nex_node::nats_server::{Binary, JetStream, NatsServer, NatsServerConfig, Places, ServerState};

use crate::output::Printer;

/// Folder in the state directory for all that the server keeps.
const FOLDER: &str = "nats";

/// A running nats-server.
pub(super) struct OwnNats(NatsServer);

impl OwnNats {
    /// Finds or gets a nats-server, and starts it.
    pub(super) async fn start(
        config: &Config,
        settings: &PublicNatsServer,
        printer: &mut Printer,
    ) -> anyhow::Result<Self> {
        let places = Places::from_variables(|name| std::env::var_os(name));
        let binary =
            Binary::ensure(&places, &mut |step| printer.message(&step.to_string())).await?;
        let state_dir = match &config.state_dir {
            Some(dir) => dir.clone(),
            None => default_state_dir()?,
        };
        // The server runs elsewhere: a relative path would mean another folder.
        let state_dir = std::path::absolute(&state_dir).with_context(|| {
            format!("cannot use {}; name another --state-dir", state_dir.display())
        })?;
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
