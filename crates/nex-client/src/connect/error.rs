//! Why there is no connection, said in one line with a next step.

use std::error::Error as StdError;
use std::io;

use async_nats::{ConnectErrorKind, rustls};
use thiserror::Error;

use super::credentials::CredentialsError;
use super::settings::{Settings, SettingsError};
use crate::context::ContextError;

/// Why [`Client::connect`](crate::Client::connect) failed.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The NATS CLI context cannot be used.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The options do not make sense.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A file with credentials cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// No process listens there.
    #[error(
        "nothing answers at {servers}: start one with `nats-server -js` or let Nex do it with `nex node up --with-nats`"
    )]
    NothingAnswers {
        /// Where we looked.
        servers: String,
        /// What the system said.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The host name is unknown.
    #[error("cannot find the host of {servers}: check the name in the server URL")]
    UnknownHost {
        /// Where we looked.
        servers: String,
        /// What the resolver said.
        #[source]
        source: async_nats::ConnectError,
    },
    /// Something took the connection and said nothing in time.
    #[error(
        "{servers} did not answer within {seconds} s: check address and firewall, or give it more time with --timeout"
    )]
    TimedOut {
        /// Where we looked.
        servers: String,
        /// How long we waited.
        seconds: f32,
        /// The library's error.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The server does not accept these credentials.
    #[error(
        "{servers} refused the {login}: check it, or choose another NATS context with --context"
    )]
    AccessDenied {
        /// Where we looked.
        servers: String,
        /// What we logged in with, in words.
        login: &'static str,
        /// What the server said.
        #[source]
        source: async_nats::ConnectError,
    },
    /// No TLS session could be made.
    #[error(
        "no TLS connection to {servers}: check that the server speaks TLS, its certificate and your --tlsca, --tlscert and --tlsfirst"
    )]
    Tls {
        /// Where we looked.
        servers: String,
        /// What went wrong.
        #[source]
        source: async_nats::ConnectError,
    },
    /// Something listens there, but it does not behave like NATS.
    #[error("no NATS connection to {servers}: check that the address is a NATS client port")]
    NotNats {
        /// Where we looked.
        servers: String,
        /// What went wrong.
        #[source]
        source: async_nats::ConnectError,
    },
}

impl ConnectError {
    /// Sorts an error of the NATS library by its cause.
    pub(crate) fn classify(
        source: async_nats::ConnectError,
        settings: &Settings,
        login: &'static str,
    ) -> Self {
        let servers = settings.server_list();
        match source.kind() {
            ConnectErrorKind::Dns => Self::UnknownHost { servers, source },
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                Self::AccessDenied { servers, login, source }
            }
            ConnectErrorKind::TimedOut => {
                Self::TimedOut { servers, seconds: settings.timeout.as_secs_f32(), source }
            }
            ConnectErrorKind::Tls => Self::Tls { servers, source },
            ConnectErrorKind::ServerParse
            | ConnectErrorKind::Io
            | ConnectErrorKind::MaxReconnects => match cause_of_io(&source) {
                Cause::Nobody => Self::NothingAnswers { servers, source },
                Cause::Tls => Self::Tls { servers, source },
                Cause::Denied => Self::AccessDenied { servers, login, source },
                Cause::Other if settings.tls.required() => Self::Tls { servers, source },
                Cause::Other => Self::NotNats { servers, source },
            },
        }
    }
}

enum Cause {
    Nobody,
    Tls,
    Denied,
    Other,
}

/// Looks through the chain of sources, where `io::Error` hides what it wraps.
fn cause_of_io(error: &async_nats::ConnectError) -> Cause {
    let mut link: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(error) = link {
        if error.is::<rustls::Error>() {
            return Cause::Tls;
        }
        if let Some(refusal) = error.downcast_ref::<async_nats::ServerError>() {
            let text = refusal.to_string().to_ascii_lowercase();
            let denied = text.contains("authoriz") || text.contains("authentic");
            return if denied { Cause::Denied } else { Cause::Other };
        }
        if let Some(io_error) = error.downcast_ref::<io::Error>() {
            match io_error.get_ref() {
                Some(inner) if inner.is::<rustls::Error>() => return Cause::Tls,
                _ => {}
            }
            match io_error.kind() {
                io::ErrorKind::ConnectionRefused
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::AddrNotAvailable => return Cause::Nobody,
                _ => {}
            }
        }
        link = error.source();
    }
    Cause::Other
}
