//! The internal endpoint that agents connect to: a NATS client-protocol server
//! inside the node, and no broker. The node's side of a message never crosses a
//! socket, and there is no path by which one agent reaches another.
//!
//! Each connection proves to be *one* agent, with the secret that the node gave
//! that agent at its launch, and may then touch `agentint.<its id>.>` and inboxes
//! that exist on its own connection only. What it may say is decided by
//! [`session`], a pure state machine; everything it sends is hostile.

mod connection;
mod link;
mod listener;
mod registry;
mod seat;
mod session;

use std::{net::SocketAddr, path::PathBuf};

use nex_protocol::nats::HeaderMap;

pub use link::{AgentLink, AgentRequest, LinkError, Reply};
pub use listener::{BusConfig, Endpoint};
pub use seat::{AgentSeat, Inbound, Responder};

/// Why the endpoint cannot be opened or take another agent.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The Unix socket.
    #[error("the socket {} cannot be opened; check that nobody else uses the state directory", .path.display())]
    Unix {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The TCP address is taken.
    #[error(
        "{address} is in use by another program; stop it, or set internal_node_port to a free port"
    )]
    Busy {
        /// The address.
        address: SocketAddr,
    },
    /// The TCP address cannot be listened on.
    #[error("cannot listen on {address}; check internal_node_host and internal_node_port")]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// An id was registered twice.
    #[error("an agent with this id is registered already")]
    Duplicate,
}

/// Headers from pairs, `None` when there are none.
fn headers(pairs: &[(&str, &str)]) -> Option<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        // A value with a line break cannot travel; its text is better than nothing.
        let line: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let _ = map.append(name, &line);
    }
    (!map.is_empty()).then_some(map)
}
