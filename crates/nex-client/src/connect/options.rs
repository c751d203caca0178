//! What a caller may say about the connection.

use std::path::PathBuf;
use std::time::Duration;

use crate::context::ContextFolder;
use crate::secret::Secret;

/// How long connecting, and each request after it, may take by default.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);

/// How to reach NATS. Everything is optional; what is not given comes from the
/// NATS CLI context, then from defaults. Empty texts count as not given.
///
/// ```no_run
/// # async fn run() -> Result<(), nex_client::ConnectError> {
/// use nex_client::{Client, ConnectOptions};
///
/// let client = Client::connect(
///     ConnectOptions::new().server("nats://demo.example:4222").creds("me.creds"),
/// )
/// .await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// Server URLs, separated by commas. A URL without scheme is `nats://`, one
    /// without port uses 4222. (A secret because a URL can hold a password.)
    pub server: Option<Secret>,
    /// User name.
    pub user: Option<String>,
    /// Password of the user.
    pub password: Option<Secret>,
    /// Token.
    pub token: Option<Secret>,
    /// Credentials file (`.creds`).
    pub creds: Option<PathBuf>,
    /// File with an nkey seed.
    pub nkey: Option<PathBuf>,
    /// Client certificate (PEM file); needs `tls_key` too.
    pub tls_cert: Option<PathBuf>,
    /// Private key of the client certificate (PEM file).
    pub tls_key: Option<PathBuf>,
    /// Certificates of the authorities to trust (PEM file), instead of those
    /// of the system.
    pub tls_ca: Option<PathBuf>,
    /// Whether TLS starts before the server's INFO.
    pub tls_first: bool,
    /// Which NATS CLI context fills in what is not given here.
    pub context: ContextChoice,
    /// Where contexts are looked up, instead of the user's folder.
    pub context_folder: Option<ContextFolder>,
    /// Name of the connection, shown by the server's monitoring.
    pub connection_name: Option<String>,
    /// How long connecting and each request may take ([`DEFAULT_TIMEOUT`]).
    pub timeout: Duration,
    /// Prefix of reply subjects, `_INBOX` by default.
    pub inbox_prefix: Option<String>,
    /// JetStream domain that artifacts are stored in.
    pub jetstream_domain: Option<String>,
}

/// Which NATS CLI context to use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ContextChoice {
    /// The one that `nats context select` chose, if any.
    #[default]
    Selected,
    /// The one of this name; it has to exist.
    Named(String),
    /// None, even when one is selected.
    None,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            server: None,
            user: None,
            password: None,
            token: None,
            creds: None,
            nkey: None,
            tls_cert: None,
            tls_key: None,
            tls_ca: None,
            tls_first: false,
            context: ContextChoice::Selected,
            context_folder: None,
            connection_name: None,
            timeout: DEFAULT_TIMEOUT,
            inbox_prefix: None,
            jetstream_domain: None,
        }
    }
}

impl ConnectOptions {
    /// Options that say nothing: the selected context, else
    /// `nats://127.0.0.1:4222`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Connects to these servers (URLs separated by commas).
    #[must_use]
    pub fn server(mut self, urls: impl Into<Secret>) -> Self {
        self.server = Some(urls.into());
        self
    }

    /// Logs in with user and password.
    #[must_use]
    pub fn user_and_password(
        mut self,
        user: impl Into<String>,
        password: impl Into<Secret>,
    ) -> Self {
        self.user = Some(user.into());
        self.password = Some(password.into());
        self
    }

    /// Logs in with a token.
    #[must_use]
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Logs in with a credentials file.
    #[must_use]
    pub fn creds(mut self, path: impl Into<PathBuf>) -> Self {
        self.creds = Some(path.into());
        self
    }

    /// Logs in with the nkey seed in a file.
    #[must_use]
    pub fn nkey(mut self, path: impl Into<PathBuf>) -> Self {
        self.nkey = Some(path.into());
        self
    }

    /// Presents a client certificate (PEM files).
    #[must_use]
    pub fn client_certificate(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls_cert = Some(cert.into());
        self.tls_key = Some(key.into());
        self
    }

    /// Trusts the authorities in this PEM file instead of the system's.
    #[must_use]
    pub fn ca(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls_ca = Some(path.into());
        self
    }

    /// Starts TLS before the server's INFO (`handshake_first` of the server).
    #[must_use]
    pub fn tls_first(mut self, first: bool) -> Self {
        self.tls_first = first;
        self
    }

    /// Uses the NATS CLI context of this name.
    #[must_use]
    pub fn context(mut self, name: impl Into<String>) -> Self {
        self.context = ContextChoice::Named(name.into());
        self
    }

    /// Uses no NATS CLI context.
    #[must_use]
    pub fn no_context(mut self) -> Self {
        self.context = ContextChoice::None;
        self
    }

    /// Looks contexts up in this folder.
    #[must_use]
    pub fn context_folder(mut self, folder: ContextFolder) -> Self {
        self.context_folder = Some(folder);
        self
    }

    /// Names the connection.
    #[must_use]
    pub fn connection_name(mut self, name: impl Into<String>) -> Self {
        self.connection_name = Some(name.into());
        self
    }

    /// Limits how long connecting and each request may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the prefix of reply subjects.
    #[must_use]
    pub fn inbox_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.inbox_prefix = Some(prefix.into());
        self
    }

    /// Stores artifacts in this JetStream domain.
    #[must_use]
    pub fn jetstream_domain(mut self, domain: impl Into<String>) -> Self {
        self.jetstream_domain = Some(domain.into());
        self
    }
}
