//! The step that touches the network.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::{ClientError, Event};

use super::credentials::Credentials;
use super::error::ConnectError;
use super::options::{ConnectOptions, ContextChoice};
use super::server::{Server, UrlLogin};
use super::settings::{Identity, Settings};
use crate::context::{ContextError, ContextFolder, ContextName, Expansion};

/// What the connection has noticed since it was made. Counts only grow.
#[derive(Debug, Default)]
pub struct Counters {
    slow_consumer: AtomicU64,
    disconnects: AtomicU64,
}

impl Counters {
    /// How many messages were dropped because a stream was not read fast
    /// enough.
    pub fn dropped_messages(&self) -> u64 {
        self.slow_consumer.load(Ordering::Relaxed)
    }

    /// How often the connection to NATS was lost.
    pub fn disconnects(&self) -> u64 {
        self.disconnects.load(Ordering::Relaxed)
    }
}

/// Resolves the options, reads the files they name and connects.
pub(crate) async fn dial(
    options: &ConnectOptions,
) -> Result<(async_nats::Client, Settings, Arc<Counters>), ConnectError> {
    let (settings, credentials) = prepare(options)?;
    let counters = Arc::new(Counters::default());
    let seen = Arc::clone(&counters);
    let mut nats = async_nats::ConnectOptions::new()
        .connection_timeout(settings.timeout)
        .request_timeout(Some(settings.timeout))
        .event_callback(move |event| {
            let seen = Arc::clone(&seen);
            async move { seen.note(&event) }
        });
    if let Some(name) = &settings.connection_name {
        nats = nats.name(name);
    }
    if let Some(prefix) = &settings.inbox_prefix {
        nats = nats.custom_inbox_prefix(prefix);
    }
    if settings.tls.required() {
        nats = nats.require_tls(true);
    }
    if settings.tls.first {
        nats = nats.tls_first();
    }
    if let Some(ca) = &settings.tls.ca {
        nats = nats.add_root_certificates(ca.clone());
    }
    if let Some((cert, key)) = &settings.tls.client_certificate {
        nats = nats.add_client_certificate(cert.clone(), key.clone());
    }
    let nats = credentials.apply(nats)?;
    let addresses: Vec<_> = settings.servers.iter().map(Server::address).cloned().collect();
    let client = nats
        .connect(addresses)
        .await
        .map_err(|error| ConnectError::classify(error, &settings, login_in_words(&settings)))?;
    Ok((client, settings, counters))
}

fn prepare(options: &ConnectOptions) -> Result<(Settings, Credentials), ConnectError> {
    let environment = Expansion::from_process();
    let folder = |options: &ConnectOptions| match &options.context_folder {
        Some(folder) => Ok(folder.clone()),
        None => ContextFolder::of_user(&environment),
    };
    let context = match &options.context {
        ContextChoice::None => None,
        ContextChoice::Named(name) => {
            let name: ContextName = name.parse().map_err(ContextError::from)?;
            let context = folder(options)?.load(&name, &environment)?;
            Some((name, context))
        }
        ContextChoice::Selected => match folder(options) {
            Ok(folder) => folder.load_selected(&environment)?,
            // Without a home there is nothing selected.
            Err(ContextError::NoHome) => None,
            Err(error) => return Err(error.into()),
        },
    };
    let settings =
        Settings::resolve(options, context.as_ref().map(|(name, context)| (name, context)))?;
    let credentials = Credentials::load(&settings)?;
    Ok((settings, credentials))
}

fn login_in_words(settings: &Settings) -> &'static str {
    match (&settings.url_login, &settings.identity) {
        (Some(UrlLogin::User { .. }), _) => "user and password in the server URL",
        (Some(UrlLogin::Token(_)), _) => "token in the server URL",
        (None, Identity::User { .. }) => "user and password",
        (None, Identity::Creds(_)) => "credentials file",
        (None, Identity::Nkey(_)) => "nkey",
        (None, Identity::Jwt { .. }) => "user JWT",
        (None, Identity::Anonymous) if settings.token.is_some() => "token",
        (None, Identity::Anonymous) => {
            "connection without credentials (give --creds, --nkey, --user or --context)"
        }
    }
}

impl Counters {
    fn note(&self, event: &Event) {
        match event {
            Event::SlowConsumer(_) => {
                // One event for each dropped message; said once in a while only.
                let before = self.slow_consumer.fetch_add(1, Ordering::Relaxed);
                if before.is_power_of_two() || before == 0 {
                    tracing::warn!(dropped = before + 1, "messages come faster than they are read");
                }
            }
            Event::Disconnected => {
                self.disconnects.fetch_add(1, Ordering::Relaxed);
                tracing::warn!("lost the connection to NATS, trying again");
            }
            Event::Connected => tracing::debug!("connected to NATS"),
            Event::ServerError(error) => tracing::warn!(%error, "NATS refused something"),
            Event::ClientError(ClientError::Other(_)) => {
                tracing::debug!("an attempt to connect to NATS failed");
            }
            Event::ClientError(error) => tracing::warn!(%error, "the NATS connection failed"),
            Event::LameDuckMode => tracing::info!("the NATS server is about to stop"),
            Event::Draining | Event::Closed => tracing::debug!(%event, "NATS connection"),
        }
    }
}
