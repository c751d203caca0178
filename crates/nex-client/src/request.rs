//! One request to one node, one reply.

use std::time::Duration;

use async_nats::{Request, RequestErrorKind};
use bytes::Bytes;
use nex_protocol::envelope::{Envelope, EnvelopeError};
use nex_protocol::subject::ControlSubject;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::client::Client;

/// Why a request to a node got no good answer.
#[derive(Debug, Error)]
pub enum RequestError {
    /// Nobody listens for requests to this node.
    #[error("{node} is not there: `nex node ls` lists the nodes that are")]
    NoSuchNode {
        /// The node, in words.
        node: String,
    },
    /// Somebody listens and did not answer.
    #[error(
        "{node} did not answer within {seconds} s: try again, or give it more time with --timeout"
    )]
    NoAnswer {
        /// The node, in words.
        node: String,
        /// How long we waited.
        seconds: f32,
    },
    /// The node said no.
    #[error("{}", refusal(.node, .reason))]
    Refused {
        /// The node, in words.
        node: String,
        /// What it said. May be empty.
        reason: String,
    },
    /// The answer is not one.
    #[error("cannot read the answer of {node}: check that it runs a matching version of Nex")]
    BadAnswer {
        /// The node, in words.
        node: String,
        /// What is wrong with it.
        #[source]
        source: EnvelopeError,
    },
    /// The request is larger than the NATS server lets through.
    #[error(
        "the request to {node} is too large for the NATS server: shorten arguments and environment, or raise max_payload"
    )]
    TooLarge {
        /// The node, in words.
        node: String,
        /// What the library said.
        #[source]
        source: async_nats::RequestError,
    },
    /// The connection to NATS failed.
    #[error("the request to {node} could not be sent: check the connection to NATS")]
    Connection {
        /// The node, in words.
        node: String,
        /// What the library said.
        #[source]
        source: async_nats::RequestError,
    },
}

fn refusal(node: &str, reason: &str) -> String {
    if reason.is_empty() {
        format!("{node} refused without saying why: its own log tells more")
    } else {
        format!("{node} refused: {reason}")
    }
}

impl Client {
    /// Sends a control request and reads the data of its reply. `node` names
    /// the receiver in errors.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        subject: &ControlSubject,
        payload: Vec<u8>,
        timeout: Duration,
        node: &str,
    ) -> Result<T, RequestError> {
        let request = Request::new().payload(Bytes::from(payload)).timeout(Some(timeout));
        let node = node.to_owned();
        match self.nats().send_request(subject.to_string(), request).await {
            Ok(reply) => Envelope::decode(&reply.payload).map_err(|error| match error {
                EnvelopeError::Refused(reason) => RequestError::Refused { node, reason },
                source => RequestError::BadAnswer { node, source },
            }),
            Err(source) => Err(match source.kind() {
                RequestErrorKind::NoResponders => RequestError::NoSuchNode { node },
                RequestErrorKind::TimedOut => {
                    RequestError::NoAnswer { node, seconds: timeout.as_secs_f32() }
                }
                RequestErrorKind::MaxPayloadExceeded => RequestError::TooLarge { node, source },
                RequestErrorKind::InvalidSubject | RequestErrorKind::Other => {
                    RequestError::Connection { node, source }
                }
            }),
        }
    }
}
