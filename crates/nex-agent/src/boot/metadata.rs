//! Who this agent is and where its node is. From the environment; the ways of virtual machines
//! come with them.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use nex_protocol::agent::env::{self, WORKING_DIRECTORY};
use nex_protocol::name::{NameError, WorkloadId};

use crate::link::Address;
use crate::link::address::HostError;

/// Ours: where `GET /healthz` is answered. Not served without it.
pub const HEALTH_ADDRESS: &str = "NEX_AGENT_HEALTH_ADDR";

const TEMPORARY_DIRECTORY: &str = "TMPDIR";

/// What the node gave this agent at birth.
#[derive(Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Id of the agent, and of the workload it will run.
    pub id: WorkloadId,
    /// Where the node listens.
    pub node: Address,
    /// Proves the id. Nodes of the old kind ask for none.
    pub secret: Option<String>,
    /// How the node was found, for its log.
    pub message: &'static str,
    /// Where health is served.
    pub health: Option<SocketAddr>,
    /// The workload's working directory.
    pub working_directory: Option<PathBuf>,
    /// Where the agent makes folders of its own: `TMPDIR`, or `/tmp`.
    pub temporary_directory: PathBuf,
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata")
            .field("id", &self.id)
            .field("node", &self.node)
            .field("health", &self.health)
            .field("working_directory", &self.working_directory)
            .finish_non_exhaustive()
    }
}

/// Why the agent does not know its node.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// A variable is missing.
    #[error("{0} is not set; an agent is started by a node, not by hand")]
    Missing(&'static str),
    /// The id is none.
    #[error("{} is not an id", env::WORKLOAD_ID)]
    Id(#[source] NameError),
    /// The port is none.
    #[error("{} is not a port from 1 to 65535", env::NODE_NATS_PORT)]
    Port,
    /// The host cannot be used.
    #[error("{} cannot be used", env::NODE_NATS_HOST)]
    Host(#[source] HostError),
    /// The health address is none.
    #[error("{HEALTH_ADDRESS} is not an address like 0.0.0.0:9999")]
    Health,
    /// The working directory is none.
    #[error("{WORKING_DIRECTORY} is not an absolute path")]
    WorkingDirectory,
    /// A variable is not text.
    #[error("{0} is not UTF-8")]
    NotText(&'static str),
}

impl Metadata {
    /// Reads the variables through `get`; an empty one counts as absent.
    ///
    /// # Errors
    /// [`MetadataError`], naming the variable.
    pub fn from_environment(
        get: impl Fn(&'static str) -> Option<OsString>,
    ) -> Result<Self, MetadataError> {
        let raw = |name| get(name).filter(|value| !value.is_empty());
        let text = |name| match raw(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(MetadataError::NotText(name)),
        };
        let required = |name| text(name)?.ok_or(MetadataError::Missing(name));
        let node = match raw(env::NODE_SOCKET) {
            Some(path) => Address::Unix(path.into()),
            None => {
                let host = required(env::NODE_NATS_HOST)?;
                let port: u16 =
                    required(env::NODE_NATS_PORT)?.parse().map_err(|_| MetadataError::Port)?;
                if port == 0 {
                    return Err(MetadataError::Port);
                }
                Address::tcp(&host, port).map_err(MetadataError::Host)?
            }
        };
        let health = text(HEALTH_ADDRESS)?
            .map(|text| text.parse().map_err(|_| MetadataError::Health))
            .transpose()?;
        let working_directory = raw(WORKING_DIRECTORY).map(PathBuf::from);
        if working_directory.as_ref().is_some_and(|path| !path.is_absolute()) {
            return Err(MetadataError::WorkingDirectory);
        }
        let temporary_directory = raw(TEMPORARY_DIRECTORY).map(PathBuf::from);
        Ok(Self {
            id: required(env::WORKLOAD_ID)?.parse().map_err(MetadataError::Id)?,
            node,
            secret: text(env::AGENT_SECRET)?,
            message: "Metadata obtained from no-sandbox environment",
            health,
            working_directory,
            temporary_directory: temporary_directory
                .filter(|path| path.is_absolute())
                .unwrap_or_else(|| PathBuf::from("/tmp")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Metadata, MetadataError> {
        Metadata::from_environment(|name| {
            variables.iter().find(|(held, _)| *held == name).map(|(_, value)| value.into())
        })
    }

    const ID: (&str, &str) = ("NEX_WORKLOADID", "cohvl8bl5c0s73b2rcs0");

    #[test]
    fn the_socket_goes_before_host_and_port() {
        let both = [
            ID,
            ("NEX_NODE_SOCKET", "/run/nex/bus"),
            ("NEX_NODE_NATS_HOST", "127.0.0.1"),
            ("NEX_NODE_NATS_PORT", "9222"),
            ("NEX_AGENT_SECRET", "s3cret"),
        ];
        let metadata = read(&both).unwrap();
        assert_eq!(metadata.node, Address::Unix("/run/nex/bus".into()));
        assert_eq!(metadata.secret.as_deref(), Some("s3cret"));
        assert!(!format!("{metadata:?}").contains("s3cret"));
    }

    #[test]
    fn an_old_node_gives_host_and_port() {
        let old = [ID, ("NEX_NODE_NATS_HOST", "127.0.0.1"), ("NEX_NODE_NATS_PORT", "9222")];
        let metadata = read(&old).unwrap();
        assert_eq!(metadata.node.to_string(), "127.0.0.1:9222");
        assert_eq!(metadata.secret, None);
    }

    #[test]
    fn each_fault_names_its_variable() {
        let said = |variables: &[(&str, &str)]| read(variables).unwrap_err().to_string();
        let socket = ("NEX_NODE_SOCKET", "/run/nex/bus");
        assert!(said(&[socket]).contains("NEX_WORKLOADID is not set"));
        assert!(said(&[socket, ("NEX_WORKLOADID", "me")]).contains("NEX_WORKLOADID is not an id"));
        assert!(said(&[ID]).contains("NEX_NODE_NATS_HOST is not set"));
        let host = ("NEX_NODE_NATS_HOST", "127.0.0.1");
        assert!(said(&[ID, host, ("NEX_NODE_NATS_PORT", "0")]).contains("NEX_NODE_NATS_PORT"));
        let named = ("NEX_NODE_NATS_HOST", "node.local");
        assert!(said(&[ID, named, ("NEX_NODE_NATS_PORT", "1")]).contains("NEX_NODE_NATS_HOST"));
        assert!(said(&[ID, socket, (HEALTH_ADDRESS, "9999")]).contains(HEALTH_ADDRESS));
        assert!(said(&[ID, socket, (WORKING_DIRECTORY, "x")]).contains(WORKING_DIRECTORY));
    }
}
