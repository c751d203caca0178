//! Starting and stopping workloads.

mod name;
mod workload;

pub use name::workload_name_of;
pub use nex_protocol::control::{LameDuckResponse, RunResponse, StopResponse, WorkloadType};
pub use workload::{Artifact, Deployment, Workload, WorkloadBuilder, WorkloadError};

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nex_protocol::claims::{ClaimsRequest, WorkloadClaims};
use nex_protocol::control::StopRequest;
use nex_protocol::key::{CurveKey, CurvePublicKey, KeyError, SigningKey};
use nex_protocol::name::{Namespace, NodeId, WorkloadId, WorkloadName};
use nex_protocol::subject::ControlSubject;
use thiserror::Error;

use crate::client::Client;
use crate::discovery::node_in_words;
use crate::request::RequestError;

/// Least time that a node gets to fetch and start a workload, or to stop one,
/// however short the client's timeout is. A node that is not there is noticed
/// at once all the same.
pub const MIN_WORK_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a workload was not deployed.
#[derive(Debug, Error)]
pub enum DeployError {
    /// The node could not be asked, or refused.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The workload cannot be signed and sealed.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// The node does not tell a usable key to seal the environment for.
    #[error(
        "{node} gives no usable key to seal the environment for: check that it runs a matching version of Nex"
    )]
    NodeKey {
        /// The node, in words.
        node: String,
        /// What is wrong with the key.
        #[source]
        source: KeyError,
    },
    /// The node answered without an error that nothing was started.
    #[error("{node} says that it did not start the workload: its own log tells why")]
    NotStarted {
        /// The node, in words.
        node: String,
    },
}

/// Why a workload was not stopped.
#[derive(Debug, Error)]
pub enum StopError {
    /// The node could not be asked, or refused.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The node answered without an error that nothing was stopped.
    #[error("{node} says that it did not stop the workload: its own log tells why")]
    NotStopped {
        /// The node, in words.
        node: String,
    },
}

/// Why a node is not in lame duck mode.
#[derive(Debug, Error)]
pub enum LameDuckError {
    /// The node could not be asked, or refused.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The node answered without an error that it did not.
    #[error("{node} says that it did not enter lame duck mode: its own log tells why")]
    NotEntered {
        /// The node, in words.
        node: String,
    },
}

impl Client {
    /// Deploys a workload on a node: asks for the node's key, signs, seals and
    /// sends.
    ///
    /// ```no_run
    /// # use nex_client::{Client, deploy::Workload, keys::KeyFolder};
    /// # async fn run(client: Client, workload: Workload) -> Result<(), Box<dyn std::error::Error>> {
    /// let keys = KeyFolder::of_user()?.load_or_create()?;
    /// let node = client.resolve_node(None).await?;
    /// let started = client.run(&workload, node.id, &keys.issuer, &keys.publisher).await?;
    /// println!("{} runs as {}", started.name, started.id);
    /// # Ok(()) }
    /// ```
    pub async fn run(
        &self,
        workload: &Workload,
        node: NodeId,
        issuer: &SigningKey,
        publisher: &CurveKey,
    ) -> Result<RunResponse, DeployError> {
        let info = self.node_info(node, workload.namespace()).await?;
        let xkey: CurvePublicKey = info
            .public_xkey
            .parse()
            .map_err(|source| DeployError::NodeKey { node: node_in_words(node), source })?;
        let deployment = workload.sign_and_seal(node, &xkey, issuer, publisher, unix_seconds())?;
        self.deploy(&deployment).await
    }

    /// Sends a request that is signed and sealed already.
    pub async fn deploy(&self, deployment: &Deployment) -> Result<RunResponse, DeployError> {
        let node = deployment.request.target_node;
        let subject = ControlSubject::Deploy { namespace: deployment.namespace.clone(), node };
        let name = node_in_words(node);
        let timeout = self.timeout().max(MIN_WORK_TIMEOUT);
        let payload = deployment.request.encode();
        let answer: RunResponse = self.ask(&subject, payload, timeout, &name).await?;
        if answer.started { Ok(answer) } else { Err(DeployError::NotStarted { node: name }) }
    }

    /// Stops a workload. Only the issuer that deployed it may.
    pub async fn stop(
        &self,
        node: NodeId,
        namespace: &Namespace,
        id: WorkloadId,
        name: &WorkloadName,
        issuer: &SigningKey,
    ) -> Result<StopResponse, StopError> {
        let claims = ClaimsRequest::stop(name.clone());
        let request = StopRequest {
            workload_id: id.to_string(),
            workload_jwt: WorkloadClaims::issue(issuer, &claims, unix_seconds()),
            target_node: node,
        };
        let subject = ControlSubject::Stop { namespace: namespace.clone(), node };
        let node = node_in_words(node);
        let timeout = self.timeout().max(MIN_WORK_TIMEOUT);
        let answer: StopResponse = self.ask(&subject, request.encode(), timeout, &node).await?;
        if answer.stopped { Ok(answer) } else { Err(StopError::NotStopped { node }) }
    }

    /// Tells a node to take no more workloads.
    pub async fn lame_duck(&self, node: NodeId) -> Result<LameDuckResponse, LameDuckError> {
        let subject = ControlSubject::LameDuck(node);
        let name = node_in_words(node);
        let answer: LameDuckResponse =
            self.ask(&subject, Vec::new(), self.timeout(), &name).await?;
        if answer.success { Ok(answer) } else { Err(LameDuckError::NotEntered { node: name }) }
    }
}

/// Now, as claims count time. A clock before 1970 counts as 1970.
fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
