//! Server URLs and the logins inside them.

use std::fmt;
use std::io;
use std::str::FromStr;

use async_nats::ServerAddr;
use thiserror::Error;

use crate::secret::Secret;

/// One server to connect to, without the login that its URL may have held:
/// whatever prints it prints no password.
#[derive(Clone, PartialEq, Eq)]
pub struct Server(ServerAddr);

/// A login written into a server URL. It goes before every other login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlLogin {
    /// `nats://user:password@host`
    User {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// `nats://token@host`
    Token(Secret),
}

/// Why a text is no server URL.
#[derive(Debug, Error)]
pub enum ServerError {
    /// No URL in the list.
    #[error("the server list is empty: give a URL such as nats://127.0.0.1:4222")]
    Empty,
    /// Not a URL, or one with a foreign scheme.
    #[error("{url:?} is no NATS server URL: write it as nats://host:4222 or tls://host:4222")]
    Malformed {
        /// The text without the login in it.
        url: String,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// `ws://` and `wss://`.
    #[error("{0} is a WebSocket URL, which is unsupported: use the server's nats:// or tls:// URL")]
    WebSocket(String),
}

impl Server {
    /// Reads one URL and takes the login out of it.
    fn parse(text: &str) -> Result<(Self, Option<UrlLogin>), ServerError> {
        let malformed =
            |source| ServerError::Malformed { url: without_login(text).to_owned(), source };
        let address = ServerAddr::from_str(text).map_err(malformed)?;
        if address.host().is_empty() {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "the URL names no host");
            return Err(malformed(source));
        }
        if address.is_websocket() {
            return Err(ServerError::WebSocket(without_login(text).to_owned()));
        }
        let login = match (address.username(), address.password()) {
            (None, None) => None,
            (Some(token), None) => Some(UrlLogin::Token(percent_decode(token).into())),
            (user, Some(password)) => Some(UrlLogin::User {
                user: percent_decode(user.unwrap_or_default()),
                password: percent_decode(password).into(),
            }),
        };
        let mut url = address.into_inner();
        // These fail only for a URL without a host, which was refused above.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let address = ServerAddr::from_url(url).map_err(malformed)?;
        Ok((Self(address), login))
    }

    /// Reads URLs separated by commas, and the first login found in them.
    pub fn parse_list(text: &str) -> Result<(Vec<Self>, Option<UrlLogin>), ServerError> {
        let mut servers = Vec::new();
        let mut login = None;
        for url in text.split(',').map(str::trim).filter(|url| !url.is_empty()) {
            let (server, its_login) = Self::parse(url)?;
            servers.push(server);
            login = login.or(its_login);
        }
        if servers.is_empty() { Err(ServerError::Empty) } else { Ok((servers, login)) }
    }

    pub(crate) fn address(&self) -> &ServerAddr {
        &self.0
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.host();
        let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}://{open}{host}{close}:{}", self.0.scheme(), self.0.port())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A URL text without what stands between `://` and `@`.
fn without_login(text: &str) -> &str {
    text.rsplit_once('@').map_or(text, |(_login, rest)| rest)
}

/// `%40` → `@`. What is not a valid escape stays as it is.
fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escape = match (first, tail) {
            (b'%', [high, low, after @ ..]) => hex(*high).zip(hex(*low)).map(|pair| (pair, after)),
            _ => None,
        };
        match escape {
            Some(((high, low), after)) => {
                bytes.push(high << 4 | low);
                rest = after;
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::{Server, ServerError, UrlLogin};

    #[test]
    fn reads_lists_and_adds_what_is_missing() {
        let (servers, login) =
            Server::parse_list("nats://a.example:4222,tls://b.example, c.example:7,[::1],")
                .unwrap();
        let texts: Vec<String> = servers.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "nats://a.example:4222",
                "tls://b.example:4222",
                "nats://c.example:7",
                "nats://[::1]:4222"
            ]
        );
        assert_eq!(login, None);
    }

    #[test]
    fn takes_logins_out_of_urls() {
        let (servers, login) = Server::parse_list("nats://me:p%40ss%zz@host").unwrap();
        assert_eq!(format!("{servers:?}"), "[nats://host:4222]");
        assert_eq!(login, Some(UrlLogin::User { user: "me".into(), password: "p@ss%zz".into() }));
        let (_, login) = Server::parse_list("t0ken@host").unwrap();
        assert_eq!(login, Some(UrlLogin::Token("t0ken".into())));
        assert!(!format!("{login:?}").contains("t0ken"));
    }

    #[test]
    fn refuses_without_showing_passwords() {
        for text in [
            "nats://me:secret@",
            "http://me:secret@host",
            "ws://me:secret@host",
            "n s://me:secret@x",
        ] {
            let error = Server::parse_list(text).unwrap_err();
            let chain = format!("{error} {error:?}");
            assert!(!chain.contains("secret"), "{chain}");
        }
        assert!(matches!(Server::parse_list(" , "), Err(ServerError::Empty)));
        assert!(matches!(Server::parse_list("wss://h"), Err(ServerError::WebSocket(_))));
    }
}
