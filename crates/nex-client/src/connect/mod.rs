//! From options to a connection, in three steps:
//!
//! ```text
//! ConnectOptions + context ──resolve──▶ Settings ──load──▶ Credentials ──dial──▶ connection
//!                          (pure)                 (files)              (network)
//! ```
//!
//! [`Client::connect`](crate::Client::connect) takes all three.

mod credentials;
mod dial;
mod error;
mod options;
mod server;
mod settings;

pub use credentials::{Credentials, CredentialsError};
pub use dial::Counters;
pub(crate) use dial::dial;
pub use error::ConnectError;
pub use options::{ConnectOptions, ContextChoice, DEFAULT_TIMEOUT};
pub use server::{Server, ServerError, UrlLogin};
pub use settings::{
    CredsSource, DEFAULT_SERVER, Identity, JetStreamSettings, Settings, SettingsError, TlsSettings,
    Unsupported,
};
