//! Where the node listens for agents.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// The node's endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket: local sandboxes.
    Unix(PathBuf),
    /// TCP: virtual machines, and nodes of the old kind.
    Tcp(SocketAddr),
}

/// A host that is neither an address nor `localhost`.
///
/// The agent is a static program, and glibc resolves names only in dynamic ones; besides, no node
/// ever names itself in another way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an IP address; give the node's address in numbers")]
pub struct HostError(String);

impl Address {
    /// From a host, which is an IP address or `localhost`, and a port.
    ///
    /// # Errors
    /// [`HostError`].
    pub fn tcp(host: &str, port: u16) -> Result<Self, HostError> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let ip = match bare.parse::<IpAddr>() {
            Ok(ip) => ip,
            Err(_) if bare.eq_ignore_ascii_case("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Err(_) => return Err(HostError(host.chars().take(100).collect())),
        };
        // A node that listens on every address is reached on this machine's own.
        let ip = if ip == IpAddr::V4(Ipv4Addr::UNSPECIFIED) {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        } else {
            ip
        };
        Ok(Self::Tcp(SocketAddr::new(ip, port)))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => write!(f, "{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_addresses_or_localhost() {
        assert_eq!(Address::tcp("localhost", 1), Address::tcp("127.0.0.1", 1));
        assert_eq!(Address::tcp("0.0.0.0", 1), Address::tcp("127.0.0.1", 1));
        assert_eq!(Address::tcp("[::1]", 9222).unwrap().to_string(), "[::1]:9222");
        assert!(Address::tcp("example.com", 1).unwrap_err().to_string().contains("in numbers"));
    }
}
