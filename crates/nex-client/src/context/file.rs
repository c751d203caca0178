//! The contents of one context file.

use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use thiserror::Error;

use super::expand::Expansion;
use crate::secret::Secret;

/// The values of one context. What the file leaves empty is `None` here.
///
/// File names are already expanded (see [`Expansion`]); nothing has been
/// opened or connected yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Context {
    /// A text for people.
    pub description: Option<String>,
    /// Server URLs, separated by commas, as written: they can hold a password.
    pub servers: Option<Secret>,
    /// User name.
    pub user: Option<String>,
    /// Password, used together with `user`.
    pub password: Option<Secret>,
    /// Token, sent beside any other credential.
    pub token: Option<Secret>,
    /// Credentials file: a path, or a URL (`file://…`, `op://…`, `nsc://…`).
    pub creds: Option<String>,
    /// File with an nkey seed.
    pub nkey: Option<String>,
    /// User JWT, given in the file itself.
    pub user_jwt: Option<Secret>,
    /// Seed that belongs to `user_jwt`; without it the JWT is a bearer token.
    pub user_seed: Option<Secret>,
    /// Client certificate (PEM), used only together with `key`.
    pub cert: Option<String>,
    /// Private key of the client certificate (PEM).
    pub key: Option<String>,
    /// Certificates of the authorities to trust (PEM).
    pub ca: Option<String>,
    /// Whether TLS starts before the server's INFO.
    pub tls_first: bool,
    /// URL of the SOCKS5 proxy to connect through; it can hold a password.
    pub socks_proxy: Option<Secret>,
    /// JetStream domain.
    pub jetstream_domain: Option<String>,
    /// Subject prefix of an imported JetStream API.
    pub jetstream_api_prefix: Option<String>,
    /// Subject prefix of imported JetStream events.
    pub jetstream_event_prefix: Option<String>,
    /// Prefix of reply subjects.
    pub inbox_prefix: Option<String>,
    /// Colours of the NATS CLI.
    pub color_scheme: Option<String>,
    /// Legacy look-up of everything by the `nsc` program.
    pub nsc: Option<String>,
    /// Windows certificate store to take the client certificate from.
    pub windows_cert_store: Option<String>,
}

/// Why the contents of a context file cannot be read.
#[derive(Debug, Error)]
#[error("no valid context: expected one JSON object as `nats context add` writes it")]
pub struct ContextFormatError(#[source] serde_json::Error);

impl Context {
    /// Reads the contents of a context file.
    ///
    /// As in Go, names of fields are compared without regard to case, the last
    /// of several wins, `null` leaves a field as it was, and unknown fields are
    /// passed over.
    pub fn parse(contents: &[u8], expansion: &Expansion) -> Result<Self, ContextFormatError> {
        let mut decoder = serde_json::Deserializer::from_slice(contents);
        let mut context = Self::default();
        serde::Deserializer::deserialize_any(
            &mut decoder,
            Fields { context: &mut context, expansion },
        )
        .and_then(|()| decoder.end())
        .map_err(ContextFormatError)?;
        Ok(context)
    }
}

/// Reads the object into a context.
struct Fields<'a> {
    context: &'a mut Context,
    expansion: &'a Expansion,
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    /// `null` is an empty context.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { context, expansion } = self;
        while let Some(name) = map.next_key::<String>()? {
            let name = name.to_ascii_lowercase();
            match name.as_str() {
                "tls_first" => {
                    if let Some(value) = map.next_value_seed(Field::<bool>::new("tls_first"))? {
                        context.tls_first = value;
                    }
                    continue;
                }
                "user" => text(&mut map, "user", &mut context.user)?,
                "description" => text(&mut map, "description", &mut context.description)?,
                "url" => secret(&mut map, "url", &mut context.servers)?,
                "socks_proxy" => secret(&mut map, "socks_proxy", &mut context.socks_proxy)?,
                "jetstream_domain" => {
                    text(&mut map, "jetstream_domain", &mut context.jetstream_domain)?;
                }
                "jetstream_api_prefix" => {
                    text(&mut map, "jetstream_api_prefix", &mut context.jetstream_api_prefix)?;
                }
                "jetstream_event_prefix" => {
                    text(&mut map, "jetstream_event_prefix", &mut context.jetstream_event_prefix)?;
                }
                "inbox_prefix" => text(&mut map, "inbox_prefix", &mut context.inbox_prefix)?,
                "color_scheme" => text(&mut map, "color_scheme", &mut context.color_scheme)?,
                "nsc" => text(&mut map, "nsc", &mut context.nsc)?,
                "windows_cert_store" => {
                    text(&mut map, "windows_cert_store", &mut context.windows_cert_store)?;
                }
                "creds" => path(&mut map, "creds", expansion, &mut context.creds)?,
                "nkey" => path(&mut map, "nkey", expansion, &mut context.nkey)?,
                "cert" => path(&mut map, "cert", expansion, &mut context.cert)?,
                "key" => path(&mut map, "key", expansion, &mut context.key)?,
                "ca" => path(&mut map, "ca", expansion, &mut context.ca)?,
                "password" => secret(&mut map, "password", &mut context.password)?,
                "token" => secret(&mut map, "token", &mut context.token)?,
                "user_jwt" => secret(&mut map, "user_jwt", &mut context.user_jwt)?,
                "user_seed" => secret(&mut map, "user_seed", &mut context.user_seed)?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

fn text<'de, A: MapAccess<'de>>(
    map: &mut A,
    name: &'static str,
    slot: &mut Option<String>,
) -> Result<(), A::Error> {
    if let Some(value) = map.next_value_seed(Field::<String>::new(name))? {
        *slot = Some(value).filter(|value| !value.is_empty());
    }
    Ok(())
}

fn path<'de, A: MapAccess<'de>>(
    map: &mut A,
    name: &'static str,
    expansion: &Expansion,
    slot: &mut Option<String>,
) -> Result<(), A::Error> {
    if let Some(value) = map.next_value_seed(Field::<String>::new(name))? {
        *slot = Some(expansion.expand(&value)).filter(|value| !value.is_empty());
    }
    Ok(())
}

fn secret<'de, A: MapAccess<'de>>(
    map: &mut A,
    name: &'static str,
    slot: &mut Option<Secret>,
) -> Result<(), A::Error> {
    if let Some(value) = map.next_value_seed(Field::<String>::new(name))? {
        *slot = Some(Secret::from(value)).filter(|value| !value.is_empty());
    }
    Ok(())
}

/// A value of one type or `null`. Its errors name the field and never quote
/// the value, which may be a password of the wrong JSON type.
struct Field<T> {
    name: &'static str,
    value: std::marker::PhantomData<T>,
}

impl<T> Field<T> {
    fn new(name: &'static str) -> Self {
        Self { name, value: std::marker::PhantomData }
    }
}

impl<'de, T: serde::de::DeserializeOwned> DeserializeSeed<'de> for Field<T> {
    type Value = Option<T>;

    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        use serde::Deserialize;
        let value = serde_json::Value::deserialize(deserializer)?;
        serde_json::from_value(value).map_err(|_wrong_type| {
            let wanted = std::any::type_name::<T>().rsplit("::").next().unwrap_or("value");
            serde::de::Error::custom(format_args!(
                "the field `{}` must be a {}",
                self.name,
                wanted.to_ascii_lowercase()
            ))
        })
    }
}
