//! Options and context merged into what to connect with. Nothing here opens a
//! file or a socket.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::options::ConnectOptions;
use super::server::{Server, ServerError, UrlLogin};
use crate::context::{Context, ContextName};
use crate::secret::Secret;

/// Where NATS is looked for when nobody says otherwise.
pub const DEFAULT_SERVER: &str = "nats://127.0.0.1:4222";

/// Everything a connection needs, decided. Files are named, not yet read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The servers, at least one.
    pub servers: Vec<Server>,
    /// Login from a server URL; it replaces `identity` and `token`.
    pub url_login: Option<UrlLogin>,
    /// Who connects.
    pub identity: Identity,
    /// Token, sent beside the identity.
    pub token: Option<Secret>,
    /// Encryption.
    pub tls: TlsSettings,
    /// Prefix of reply subjects, if not `_INBOX`.
    pub inbox_prefix: Option<String>,
    /// Where JetStream is.
    pub jetstream: JetStreamSettings,
    /// Name of the connection.
    pub connection_name: Option<String>,
    /// Limit for connecting and for each request.
    pub timeout: Duration,
    /// The context that was merged in.
    pub context: Option<ContextName>,
}

/// Who connects. The first kind that is given is used, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// User and password (empty when only a user is given).
    User {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A credentials file.
    Creds(CredsSource),
    /// A file with an nkey seed.
    Nkey(PathBuf),
    /// A user JWT. Without a seed it is a bearer token and nothing is signed.
    Jwt {
        /// The JWT.
        jwt: Secret,
        /// The seed of its subject.
        seed: Option<Secret>,
    },
    /// Nobody in particular.
    Anonymous,
}

/// A credentials file on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredsSource(PathBuf);

/// Encryption settings. Paths name PEM files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Client certificate and its private key.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// Whether TLS starts before the server's INFO.
    pub first: bool,
}

/// Where JetStream answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JetStreamSettings {
    /// Domain (`$JS.{domain}.API`).
    pub domain: Option<String>,
    /// Subject prefix of an imported API; goes before the domain.
    pub api_prefix: Option<String>,
}

/// What a context may ask for and we do not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unsupported {
    /// `socks_proxy`.
    #[error(
        "the NATS context asks for a SOCKS proxy, which is unsupported: connect directly, or through a forwarded port (`ssh -L`)"
    )]
    SocksProxy,
    /// `windows_cert_store`.
    #[error(
        "the NATS context takes its certificate from a Windows certificate store, which is unsupported: export it to PEM files and name them as `cert` and `key`"
    )]
    WindowsCertificateStore,
    /// `creds` is an `op://` URL.
    #[error(
        "credentials from 1Password (op://…) are unsupported: save them with `op read … > me.creds` and name that file"
    )]
    OnePassword,
    /// `creds` is an `nsc://` URL.
    #[error(
        "credentials looked up by `nsc` are unsupported: save them with `nsc generate creds > me.creds` and name that file"
    )]
    Nsc,
}

/// Why options and context do not make settings.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// A server URL is wrong.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Something we cannot do.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The inbox prefix is no subject.
    #[error(
        "the inbox prefix {0:?} is no subject prefix: use tokens such as _INBOX_me, without wildcards, spaces or a dot at the end"
    )]
    InboxPrefix(String),
}

impl Settings {
    /// Merges options over a context.
    ///
    /// An option replaces the field of the context. A kind of credential given
    /// as an option replaces every kind in the context: nobody who names a
    /// credentials file wants to be the context's user.
    pub fn resolve(
        options: &ConnectOptions,
        context: Option<(&ContextName, &Context)>,
    ) -> Result<Self, SettingsError> {
        let nothing = Context::default();
        let (name, context) = match context {
            Some((name, context)) => (Some(name.clone()), context),
            None => (None, &nothing),
        };
        if context.socks_proxy.is_some() {
            return Err(Unsupported::SocksProxy.into());
        }
        if context.windows_cert_store.is_some() {
            return Err(Unsupported::WindowsCertificateStore.into());
        }
        let servers = given_secret(&options.server).or_else(|| context.servers.clone());
        let servers = servers.as_ref().map_or(DEFAULT_SERVER, Secret::expose);
        let (servers, url_login) = Server::parse_list(servers)?;
        let (identity, token) = resolve_identity(options, context)?;
        let inbox_prefix = given(&options.inbox_prefix).or(context.inbox_prefix.as_deref());
        if let Some(prefix) = inbox_prefix.filter(|prefix| !is_subject_prefix(prefix)) {
            return Err(SettingsError::InboxPrefix(prefix.to_owned()));
        }
        Ok(Self {
            servers,
            url_login,
            identity,
            token,
            tls: resolve_tls(options, context),
            inbox_prefix: inbox_prefix.map(str::to_owned),
            jetstream: JetStreamSettings {
                domain: given(&options.jetstream_domain)
                    .or(context.jetstream_domain.as_deref())
                    .map(str::to_owned),
                // A domain named by the caller is not the context's import.
                api_prefix: context
                    .jetstream_api_prefix
                    .clone()
                    .filter(|_| given(&options.jetstream_domain).is_none()),
            },
            connection_name: given(&options.connection_name).map(str::to_owned),
            timeout: options.timeout,
            context: name,
        })
    }

    /// The servers as one text for messages, without logins.
    #[must_use]
    pub fn server_list(&self) -> String {
        self.servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl TlsSettings {
    /// Whether a connection without TLS is refused. (A server or a `tls://`
    /// URL can ask for TLS on its own.)
    #[must_use]
    pub fn required(&self) -> bool {
        self.client_certificate.is_some() || self.ca.is_some() || self.first
    }
}

impl CredsSource {
    /// Reads the `creds` value of a context: a path or a URL.
    pub fn parse(text: &str) -> Result<Self, Unsupported> {
        if let Some(path) = text.strip_prefix("file://") {
            Ok(Self(PathBuf::from(path)))
        } else if text.starts_with("op://") {
            Err(Unsupported::OnePassword)
        } else if text.starts_with("nsc://") {
            Err(Unsupported::Nsc)
        } else {
            Ok(Self(PathBuf::from(text)))
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.0
    }
}

fn resolve_identity(
    options: &ConnectOptions,
    context: &Context,
) -> Result<(Identity, Option<Secret>), SettingsError> {
    let token = given_secret(&options.token);
    let password = given_secret(&options.password);
    let creds = given_path(&options.creds);
    let nkey = given_path(&options.nkey);

    if let Some(user) = given(&options.user) {
        // The context's password belongs to the context's user only.
        let known = context.password.clone().filter(|_| context.user.as_deref() == Some(user));
        let password = password.or(known).unwrap_or_else(|| Secret::new(""));
        return Ok((Identity::User { user: user.to_owned(), password }, token));
    }
    if let Some(creds) = creds {
        let source = match creds.to_str() {
            Some(text) => CredsSource::parse(text)?,
            None => CredsSource(creds),
        };
        return Ok((Identity::Creds(source), token));
    }
    if let Some(nkey) = nkey {
        return Ok((Identity::Nkey(nkey), token));
    }
    if token.is_some() {
        return Ok((Identity::Anonymous, token));
    }
    let token = context.token.clone();
    let identity = if let Some(user) = &context.user {
        let password =
            password.or_else(|| context.password.clone()).unwrap_or_else(|| Secret::new(""));
        Identity::User { user: user.clone(), password }
    } else if let Some(creds) = &context.creds {
        Identity::Creds(CredsSource::parse(creds)?)
    } else if let Some(nkey) = &context.nkey {
        Identity::Nkey(PathBuf::from(nkey))
    } else if let Some(jwt) = &context.user_jwt {
        Identity::Jwt { jwt: jwt.clone(), seed: context.user_seed.clone() }
    } else {
        Identity::Anonymous
    };
    Ok((identity, token))
}

fn resolve_tls(options: &ConnectOptions, context: &Context) -> TlsSettings {
    let either = |option: &Option<PathBuf>, saved: &Option<String>| {
        given_path(option).or_else(|| saved.as_ref().map(PathBuf::from))
    };
    let cert = either(&options.tls_cert, &context.cert);
    let key = either(&options.tls_key, &context.key);
    TlsSettings {
        client_certificate: cert.zip(key),
        ca: either(&options.tls_ca, &context.ca),
        first: options.tls_first || context.tls_first,
    }
}

fn given(option: &Option<String>) -> Option<&str> {
    option.as_deref().filter(|text| !text.is_empty())
}

fn given_secret(option: &Option<Secret>) -> Option<Secret> {
    option.clone().filter(|text| !text.is_empty())
}

fn given_path(option: &Option<PathBuf>) -> Option<PathBuf> {
    option.clone().filter(|path| !path.as_os_str().is_empty())
}

/// async-nats puts the prefix in front of every reply subject unchecked.
fn is_subject_prefix(text: &str) -> bool {
    text.split('.').all(|token| {
        !token.is_empty() && !token.contains(|c: char| c.is_whitespace() || c == '*' || c == '>')
    })
}
