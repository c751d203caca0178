//! What a server is told: checked here, written as its configuration file.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::binary::Binary;
use super::error::StartError;

/// How long a server may take until it accepts clients, unless told otherwise:
/// it reads its streams first.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// How long a server may take to end in order before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// The server refuses larger payloads.
const LARGEST_PAYLOAD: u32 = 64 << 20;

/// How to run a [`NatsServer`](super::NatsServer).
#[derive(Debug, Clone)]
pub struct NatsServerConfig {
    /// The program.
    pub binary: Binary,
    /// Folder of this server alone: data, configuration, log. Made when missing
    /// (mode 0700), locked while the server runs, kept afterwards.
    pub data_dir: PathBuf,
    /// The address it listens on; loopback unless told otherwise.
    pub host: IpAddr,
    /// The port it listens on; `None` takes any free one, and keeps it over
    /// restarts of the child.
    pub port: Option<u16>,
    /// Message storage; `None` runs without.
    pub jetstream: Option<JetStream>,
    /// Everything else.
    pub options: ServerOptions,
    /// How long the first start may take.
    pub start_deadline: Duration,
    /// How long an orderly end may take before SIGKILL.
    pub stop_grace: Duration,
}

impl NatsServerConfig {
    /// A server with JetStream on any free loopback port.
    #[must_use]
    pub fn new(binary: Binary, data_dir: PathBuf) -> Self {
        Self {
            binary,
            data_dir,
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: None,
            jetstream: Some(JetStream::default()),
            options: ServerOptions::default(),
            start_deadline: START_DEADLINE,
            stop_grace: STOP_GRACE,
        }
    }

    pub(super) fn config_file(&self) -> PathBuf {
        self.data_dir.join("nats-server.conf")
    }

    pub(super) fn log_file(&self) -> PathBuf {
        self.data_dir.join("nats-server.log")
    }

    pub(super) fn ports_dir(&self) -> PathBuf {
        self.data_dir.join("ports")
    }

    /// The text of the server's configuration file. It may hold secrets.
    pub(super) fn text(&self, port: Option<u16>) -> Result<String, StartError> {
        self.options.check()?;
        let mut text = String::from("# Written by Nex at each start; changes here are lost.\n");
        // Writing to a String does not fail.
        let _ = self.write_to(&mut text, port);
        Ok(text)
    }

    fn write_to(&self, text: &mut String, port: Option<u16>) -> fmt::Result {
        writeln!(text, "host: {}", Quoted(&self.host.to_string()))?;
        writeln!(text, "port: {}", port.map_or(-1, i32::from))?;
        writeln!(text, "ports_file_dir: {}", quoted_path(&self.ports_dir()))?;
        if let Some(jetstream) = &self.jetstream {
            let store = jetstream.store_dir.clone().unwrap_or_else(|| self.data_dir.join("data"));
            writeln!(text, "jetstream {{\n  store_dir: {}", quoted_path(&store))?;
            if let Some(bytes) = jetstream.max_memory {
                writeln!(text, "  max_memory_store: {bytes}")?;
            }
            if let Some(bytes) = jetstream.max_file {
                writeln!(text, "  max_file_store: {bytes}")?;
            }
            if let Some(domain) = &jetstream.domain {
                writeln!(text, "  domain: {}", Quoted(domain))?;
            }
            writeln!(text, "}}")?;
        }
        self.options.write_to(text)
    }
}

/// Limits of the message storage. `None` leaves the choice to the server,
/// which takes three quarters of what the machine has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JetStream {
    /// Where streams are kept, when not in the server's data folder.
    pub store_dir: Option<PathBuf>,
    /// Most memory for streams kept in memory, in bytes.
    pub max_memory: Option<u64>,
    /// Most disk for streams kept in files, in bytes.
    pub max_file: Option<u64>,
    /// The JetStream domain.
    pub domain: Option<String>,
}

/// Options of `nats-server` that an operator may set. Those that could start
/// programs, write elsewhere or join clusters have no place here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerOptions {
    /// The name it introduces itself by.
    pub server_name: Option<String>,
    /// Most client connections at once.
    pub max_connections: Option<u32>,
    /// Most subscriptions of one connection.
    pub max_subscriptions: Option<u32>,
    /// Largest message in bytes, 64 MiB at most.
    pub max_payload: Option<u32>,
    /// Most bytes waiting for one slow client.
    pub max_pending: Option<u64>,
    /// Longest protocol line in bytes.
    pub max_control_line: Option<u32>,
    /// How often a quiet client is asked whether it lives.
    pub ping_interval: Option<Duration>,
    /// How many of these may stay unanswered.
    pub ping_max: Option<u32>,
    /// Port of the monitoring pages, on the address of the server.
    pub http_port: Option<u16>,
    /// Who may connect; everybody on the address when `None`.
    pub authorization: Option<Authorization>,
    /// Certificate for clients that connect with TLS.
    pub tls: Option<ServerTls>,
}

/// Who may connect.
#[derive(Clone, PartialEq, Eq)]
pub enum Authorization {
    /// One user with a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// Whoever knows the token.
    Token(String),
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "Password({user}, …)"),
            Self::Token(_) => f.write_str("Token(…)"),
        }
    }
}

/// Files for TLS, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// The server's certificate.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
    /// With it, clients must show a certificate of this authority.
    pub client_ca_file: Option<PathBuf>,
}

impl ServerOptions {
    fn check(&self) -> Result<(), StartError> {
        let wrong = |name, rule| Err(StartError::Option { name, rule });
        if self.server_name.as_deref().is_some_and(|name| name.is_empty() || name.contains(' ')) {
            return wrong("server_name", "must not be empty or hold spaces");
        }
        if self.max_payload.is_some_and(|bytes| bytes == 0 || bytes > LARGEST_PAYLOAD) {
            return wrong("max_payload", "must be between 1 byte and 64 MiB");
        }
        if self.max_control_line.is_some_and(|bytes| bytes < 1024) {
            return wrong("max_control_line", "must be 1024 bytes or more");
        }
        let payload = u64::from(self.max_payload.unwrap_or(1 << 20));
        if self.max_pending.is_some_and(|bytes| bytes < payload) {
            return wrong("max_pending", "must not be smaller than max_payload");
        }
        if self.ping_interval.is_some_and(|every| every < Duration::from_secs(1)) {
            return wrong("ping_interval", "must be one second or more");
        }
        Ok(())
    }

    fn write_to(&self, text: &mut String) -> fmt::Result {
        let numbers = [
            ("max_connections", self.max_connections.map(u64::from)),
            ("max_subscriptions", self.max_subscriptions.map(u64::from)),
            ("max_payload", self.max_payload.map(u64::from)),
            ("max_pending", self.max_pending),
            ("max_control_line", self.max_control_line.map(u64::from)),
            ("ping_max", self.ping_max.map(u64::from)),
            ("http_port", self.http_port.map(u64::from)),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                writeln!(text, "{name}: {number}")?;
            }
        }
        if let Some(name) = &self.server_name {
            writeln!(text, "server_name: {}", Quoted(name))?;
        }
        if let Some(every) = self.ping_interval {
            writeln!(text, "ping_interval: \"{}ms\"", every.as_millis())?;
        }
        match &self.authorization {
            Some(Authorization::Password { user, password }) => writeln!(
                text,
                "authorization {{ user: {}, password: {} }}",
                Quoted(user),
                Quoted(password)
            )?,
            Some(Authorization::Token(token)) => {
                writeln!(text, "authorization {{ token: {} }}", Quoted(token))?;
            }
            None => {}
        }
        if let Some(tls) = &self.tls {
            writeln!(text, "tls {{\n  cert_file: {}", quoted_path(&tls.cert_file))?;
            writeln!(text, "  key_file: {}", quoted_path(&tls.key_file))?;
            if let Some(ca) = &tls.client_ca_file {
                writeln!(text, "  ca_file: {}\n  verify: true", quoted_path(ca))?;
            }
            writeln!(text, "}}")?;
        }
        Ok(())
    }
}

/// A string as the server's configuration language reads it back, byte for byte.
/// It knows the escapes `\xXX \t \n \r \" \\` and no others.
struct Quoted<T>(T);

fn quoted_path(path: &Path) -> Quoted<&[u8]> {
    use std::os::unix::ffi::OsStrExt as _;
    Quoted(path.as_os_str().as_bytes())
}

impl<T: AsRef<[u8]>> fmt::Display for Quoted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for chunk in self.0.as_ref().utf8_chunks() {
            for letter in chunk.valid().chars() {
                match letter {
                    '"' => f.write_str("\\\"")?,
                    '\\' => f.write_str("\\\\")?,
                    control if control.is_ascii_control() => {
                        write!(f, "\\x{:02x}", u32::from(control))?;
                    }
                    other => f.write_char(other)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_for_the_server() {
        assert_eq!(Quoted("a\"b\\c\n$d é").to_string(), r#""a\"b\\c\x0a$d é""#);
        assert_eq!(Quoted(&[b'a', 0xff][..]).to_string(), r#""a\xff""#);
    }

    #[test]
    fn options_that_the_server_would_refuse_are_refused_here() {
        let name = |options: ServerOptions| match options.check() {
            Err(StartError::Option { name, .. }) => Some(name),
            Err(_) | Ok(()) => None,
        };
        let none = ServerOptions::default();
        assert_eq!(name(none.clone()), None);
        let spaced = ServerOptions { server_name: Some("a b".into()), ..none.clone() };
        assert_eq!(name(spaced), Some("server_name"));
        let huge = ServerOptions { max_payload: Some(u32::MAX), ..none.clone() };
        assert_eq!(name(huge), Some("max_payload"));
        let pending = ServerOptions { max_pending: Some(1000), ..none.clone() };
        assert_eq!(name(pending), Some("max_pending"));
        let often = ServerOptions { ping_interval: Some(Duration::ZERO), ..none };
        assert_eq!(name(often), Some("ping_interval"));
    }

    #[test]
    fn secrets_are_not_in_debug_text() {
        let secret = || "hunter2".to_owned();
        let password = Authorization::Password { user: "ann".into(), password: secret() };
        for authorization in [password, Authorization::Token(secret())] {
            assert!(!format!("{authorization:?}").contains("hunter2"));
        }
    }
}
