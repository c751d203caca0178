//! Where a request may go: the name first, then every address it has, at the time it is used.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::{Host, Url};

use super::address::{canonical, is_public};
use crate::config::{HostHttpConfig, HostRule, Subnet};

/// Names that are looked up at the same time: each holds a thread.
const MAX_LOOKUPS: usize = 64;

/// Addresses of one name that are looked at.
const MAX_ADDRESSES: usize = 16;

/// The place of a call among those of its workload. A look-up that outlives its call keeps it, so
/// that nobody can pile up look-ups.
pub type Ticket = Arc<OwnedSemaphorePermit>;

/// Knows the addresses of names.
pub trait Resolver: fmt::Debug + Send + Sync {
    /// The addresses of a name, at least one.
    fn resolve(&self, name: &str, ticket: Ticket) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The system's resolver: files, DNS and whatever else the machine is set up with.
#[derive(Debug)]
pub struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)) }
    }
}

impl Resolver for SystemResolver {
    fn resolve(&self, name: &str, ticket: Ticket) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let (name, lookups) = (name.to_owned(), Arc::clone(&self.lookups));
        Box::pin(async move {
            let place = lookups.acquire_owned().await.map_err(io::Error::other)?;
            // Cannot be cut off: the thread is busy until the system answers.
            let looked_up = tokio::task::spawn_blocking(move || {
                let _held = (place, ticket);
                let found = (name.as_str(), 0).to_socket_addrs()?;
                Ok(found.map(|address| address.ip()).take(MAX_ADDRESSES).collect())
            });
            looked_up.await.map_err(io::Error::other)?
        })
    }
}

/// Why a request does not go where it was meant to.
#[derive(Debug, thiserror::Error)]
pub(super) enum EgressError {
    /// The operator lists the hosts that may be reached.
    #[error("the operator of this node does not let functions reach {host}")]
    NotListed {
        /// The host.
        host: String,
    },
    /// Not on the internet, and not allowed. The address is not told: whoever asks may be
    /// looking for it.
    #[error(
        "{host} is not at a public address; the operator can allow it (host_services.http.allow_hosts)"
    )]
    NotPublic {
        /// The host.
        host: String,
    },
    /// The name has no address.
    #[error("{host} cannot be resolved")]
    Unresolved {
        /// The host.
        host: String,
        /// What the system said; it may tell of the operator's network.
        #[source]
        source: io::Error,
    },
}

/// The operator's rules.
#[derive(Debug)]
pub(super) struct Egress {
    allow_hosts: Vec<HostRule>,
    allow_networks: Vec<Subnet>,
    only_hosts: Vec<HostRule>,
    resolver: Arc<dyn Resolver>,
}

impl Egress {
    pub(super) fn new(config: &HostHttpConfig, resolver: Arc<dyn Resolver>) -> Self {
        Self {
            allow_hosts: config.allow_hosts.clone(),
            allow_networks: config.allow_networks.clone(),
            only_hosts: config.only_hosts.clone(),
            resolver,
        }
    }

    /// The addresses to connect to for this URL, each of which was checked. They have to be used
    /// as they are: a name that is looked up again may have others.
    pub(super) async fn addresses(
        &self,
        url: &Url,
        ticket: &Ticket,
    ) -> Result<Vec<SocketAddr>, EgressError> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let port = url.port_or_known_default().unwrap_or(80);
        let named = |rules: &[HostRule], target: &Target| {
            rules.iter().any(|rule| match target {
                Target::Address(address) => rule.matches_address(*address, port),
                Target::Name(name) => rule.matches_name(name, port),
            })
        };
        let target = Target::of(url);
        if !self.only_hosts.is_empty() && !named(&self.only_hosts, &target) {
            return Err(EgressError::NotListed { host });
        }
        let trusted = named(&self.allow_hosts, &target);
        let found = match target {
            Target::Address(address) => vec![address],
            Target::Name(name) => {
                let resolved = self.resolver.resolve(&name, Arc::clone(ticket)).await;
                resolved.map_err(|source| EgressError::Unresolved { host: host.clone(), source })?
            }
        };
        let addresses: Vec<SocketAddr> = found
            .into_iter()
            .take(MAX_ADDRESSES)
            .map(canonical)
            .filter(|address| trusted || self.may_reach(*address))
            .map(|address| SocketAddr::new(address, port))
            .collect();
        if addresses.is_empty() { Err(EgressError::NotPublic { host }) } else { Ok(addresses) }
    }

    fn may_reach(&self, address: IpAddr) -> bool {
        is_public(address) || self.allow_networks.iter().any(|network| network.contains(address))
    }
}

/// What a URL points at.
enum Target {
    Address(IpAddr),
    /// In lower case, without a dot at its end.
    Name(String),
}

impl Target {
    fn of(url: &Url) -> Self {
        match url.host() {
            // The URL parser has read every notation of an address: octal, hexadecimal, short.
            Some(Host::Ipv4(address)) => Self::Address(address.into()),
            Some(Host::Ipv6(address)) => Self::Address(canonical(address.into())),
            Some(Host::Domain(name)) => Self::Name(name.trim_end_matches('.').to_owned()),
            None => Self::Name(String::new()),
        }
    }
}
