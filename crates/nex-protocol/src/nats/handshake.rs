//! The JSON that both sides open a connection with.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// The argument of `CONNECT`. Unknown fields are ignored; `null` and `""` mean absent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectOptions {
    /// Answer every operation with `+OK`.
    #[serde(deserialize_with = "or_default")]
    pub verbose: bool,
    /// Check subjects strictly.
    #[serde(deserialize_with = "or_default")]
    pub pedantic: bool,
    /// The client wants TLS.
    #[serde(deserialize_with = "or_default")]
    pub tls_required: bool,
    /// User name; an agent's id on the bus.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "or_absent")]
    pub user: Option<String>,
    /// Password; an agent's secret on the bus.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "or_absent")]
    pub pass: Option<String>,
    /// Token, where a server asks for one instead of user and password.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "or_absent")]
    pub auth_token: Option<String>,
    /// Name of the connection, for people.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "or_absent")]
    pub name: Option<String>,
    /// Language of the client library.
    #[serde(deserialize_with = "or_default")]
    pub lang: String,
    /// Version of the client library.
    #[serde(deserialize_with = "or_default")]
    pub version: String,
    /// 1: the client understands later `INFO` lines.
    #[serde(deserialize_with = "or_default")]
    pub protocol: u8,
    /// Deliver the client's own messages to it too.
    #[serde(deserialize_with = "or_true")]
    pub echo: bool,
    /// The client reads and writes message headers.
    #[serde(deserialize_with = "or_default")]
    pub headers: bool,
    /// Answer a request that nobody listens to with status 503.
    #[serde(deserialize_with = "or_default")]
    pub no_responders: bool,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            verbose: false,
            pedantic: false,
            tls_required: false,
            user: None,
            pass: None,
            auth_token: None,
            name: None,
            lang: String::new(),
            version: String::new(),
            protocol: 1,
            echo: true,
            headers: false,
            no_responders: false,
        }
    }
}

/// Hides the credentials.
impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("user", &self.user)
            .field("has_pass", &self.pass.is_some())
            .field("has_token", &self.auth_token.is_some())
            .field("name", &self.name)
            .field("lang", &self.lang)
            .field("version", &self.version)
            .field("verbose", &self.verbose)
            .field("headers", &self.headers)
            .field("no_responders", &self.no_responders)
            .finish_non_exhaustive()
    }
}

/// The argument of `INFO`. Unknown fields are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerInfo {
    /// Unique id of the server.
    #[serde(deserialize_with = "or_default")]
    pub server_id: String,
    /// Name of the server.
    #[serde(deserialize_with = "or_default")]
    pub server_name: String,
    /// Version of the server; clients choose JetStream forms by it.
    #[serde(deserialize_with = "or_default")]
    pub version: String,
    /// Version of Go it was built with; clients want the field.
    #[serde(deserialize_with = "or_default")]
    pub go: String,
    /// Address it listens on.
    #[serde(deserialize_with = "or_default")]
    pub host: String,
    /// Port it listens on.
    #[serde(deserialize_with = "or_default")]
    pub port: u16,
    /// It understands message headers.
    #[serde(deserialize_with = "or_default")]
    pub headers: bool,
    /// Largest message in bytes.
    #[serde(deserialize_with = "or_default")]
    pub max_payload: usize,
    /// Version of the protocol.
    #[serde(deserialize_with = "or_default")]
    pub proto: i8,
    /// The server's number for this connection.
    #[serde(deserialize_with = "or_default")]
    pub client_id: u64,
    /// `CONNECT` has to carry credentials.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "or_default")]
    pub auth_required: bool,
    /// The connection has to be upgraded to TLS.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "or_default")]
    pub tls_required: bool,
    /// JetStream is there.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "or_default")]
    pub jetstream: bool,
    /// The server is in lame duck mode.
    #[serde(rename = "ldm", skip_serializing_if = "is_false", deserialize_with = "or_default")]
    pub lame_duck_mode: bool,
    /// Other addresses of the same system.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub connect_urls: Vec<String>,
    /// To be signed by clients that authenticate with a key.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "or_absent")]
    pub nonce: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_false(value: &bool) -> bool {
    !value
}

fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

fn or_true<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::<bool>::deserialize(deserializer)?.unwrap_or(true))
}

fn or_absent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}
