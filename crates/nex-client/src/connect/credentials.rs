//! The files that settings name, read and checked before anything connects, so
//! that a wrong one is reported by its name.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_nats::ConnectOptions as NatsOptions;
use nkeys::KeyPair;
use thiserror::Error;

use super::server::UrlLogin;
use super::settings::{Identity, Settings};
use crate::secret::Secret;

/// Largest credentials or seed file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Who connects, with the secrets at hand. Secrets do not print.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Credentials {
    /// User and password.
    pub user: Option<(String, Secret)>,
    /// Token.
    pub token: Option<Secret>,
    /// Seed of the user's nkey.
    pub nkey_seed: Option<Secret>,
    /// The contents of a credentials file.
    pub creds: Option<(PathBuf, Secret)>,
    /// A user JWT and the seed that signs for it, if it is no bearer token.
    pub jwt: Option<(Secret, Option<Secret>)>,
}

/// Why the credentials cannot be used.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// A named file cannot be read.
    #[error("cannot read the {what} {path}: check the path and that you may read it")]
    Unreadable {
        /// What the file is for.
        what: &'static str,
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file is far too large to be a credential.
    #[error("the {what} {path} is larger than 1 MiB: name the right file")]
    TooLarge {
        /// What the file is for.
        what: &'static str,
        /// The file.
        path: String,
    },
    /// A credentials file holds no JWT and seed.
    #[error(
        "the credentials file {path} does not hold a user JWT and its seed: create it with `nsc generate creds`"
    )]
    NoCreds {
        /// The file.
        path: String,
    },
    /// A seed file holds no seed.
    #[error("the nkey file {path} does not hold a user seed (SU…): create one with `nk -gen user`")]
    NoSeed {
        /// The file.
        path: String,
    },
    /// `user_seed` of the context is no seed.
    #[error("`user_seed` of the NATS context is no nkey seed: save the context again")]
    BadUserSeed,
}

impl Credentials {
    /// Reads the files that the settings name.
    pub fn load(settings: &Settings) -> Result<Self, CredentialsError> {
        for (what, path) in tls_files(settings) {
            File::open(path).map_err(|source| unreadable(what, path, source))?;
        }
        let mut credentials = Self::default();
        match &settings.url_login {
            Some(UrlLogin::User { user, password }) => {
                credentials.user = Some((user.clone(), password.clone()));
                return Ok(credentials);
            }
            Some(UrlLogin::Token(token)) => {
                credentials.token = Some(token.clone());
                return Ok(credentials);
            }
            None => credentials.token = settings.token.clone(),
        }
        match &settings.identity {
            Identity::User { user, password } => {
                credentials.user = Some((user.clone(), password.clone()));
            }
            Identity::Creds(source) => {
                let contents = read("credentials file", source.path())?;
                credentials.creds = Some((source.path().to_owned(), contents));
            }
            Identity::Nkey(path) => {
                let contents = read("nkey file", path)?;
                let seed = seed_in(contents.expose())
                    .filter(|seed| KeyPair::from_seed(seed).is_ok())
                    .ok_or_else(|| CredentialsError::NoSeed { path: path.display().to_string() })?;
                credentials.nkey_seed = Some(Secret::from(seed));
            }
            Identity::Jwt { jwt, seed } => {
                credentials.jwt = Some((jwt.clone(), seed.clone()));
            }
            Identity::Anonymous => {}
        }
        Ok(credentials)
    }

    /// The public key that logs in by nkey.
    #[must_use]
    pub fn nkey_public(&self) -> Option<String> {
        let pair = KeyPair::from_seed(self.nkey_seed.as_ref()?.expose()).ok()?;
        Some(pair.public_key())
    }

    /// Puts the credentials into the options of the NATS client.
    pub(crate) fn apply(&self, mut options: NatsOptions) -> Result<NatsOptions, CredentialsError> {
        if let Some((user, password)) = &self.user {
            options = options.user_and_password(user.clone(), password.expose().to_owned());
        }
        if let Some(token) = &self.token {
            options = options.token(token.expose().to_owned());
        }
        if let Some(seed) = &self.nkey_seed {
            options = options.nkey(seed.expose().to_owned());
        }
        if let Some((path, contents)) = &self.creds {
            // The error of the library says which half is missing, but may quote
            // a damaged seed: only the name of the file is passed on.
            options = options
                .credentials(contents.expose())
                .map_err(|_| CredentialsError::NoCreds { path: path.display().to_string() })?;
        }
        if let Some((jwt, seed)) = &self.jwt {
            let pair = match seed {
                Some(seed) => {
                    let pair = KeyPair::from_seed(seed.expose())
                        .map_err(|_| CredentialsError::BadUserSeed)?;
                    Some(Arc::new(pair))
                }
                None => None,
            };
            options = options.jwt(jwt.expose().to_owned(), move |nonce| {
                let pair = pair.clone();
                async move {
                    match pair {
                        Some(pair) => pair.sign(&nonce).map_err(async_nats::AuthError::new),
                        None => Ok(Vec::new()),
                    }
                }
            });
        }
        Ok(options)
    }
}

fn tls_files(settings: &Settings) -> impl Iterator<Item = (&'static str, &Path)> {
    let pair = settings.tls.client_certificate.as_ref();
    [
        pair.map(|(cert, _)| ("client certificate", cert.as_path())),
        pair.map(|(_, key)| ("client key", key.as_path())),
        settings.tls.ca.as_ref().map(|ca| ("CA certificate", ca.as_path())),
    ]
    .into_iter()
    .flatten()
}

fn unreadable(what: &'static str, path: &Path, source: io::Error) -> CredentialsError {
    CredentialsError::Unreadable { what, path: path.display().to_string(), source }
}

fn read(what: &'static str, path: &Path) -> Result<Secret, CredentialsError> {
    let file = File::open(path).map_err(|source| unreadable(what, path, source))?;
    let mut contents = String::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut contents)
        .map_err(|source| unreadable(what, path, source))?;
    if contents.len() as u64 > MAX_FILE_BYTES {
        return Err(CredentialsError::TooLarge { what, path: path.display().to_string() });
    }
    Ok(Secret::from(contents))
}

/// The seed in a seed file: the first line that looks like one. Such files may
/// carry comments and the `-----BEGIN USER NKEY SEED-----` frame.
fn seed_in(contents: &str) -> Option<&str> {
    contents
        .lines()
        .map(str::trim)
        .find(|line| ["SU", "SA", "SO"].iter().any(|prefix| line.starts_with(prefix)))
}
