//! Which nodes, workloads and functions are there.
//!
//! Nobody keeps a list of nodes: a question goes to all of them, and whoever
//! is there answers. What is hard is to know when all have: see [`Gap`].

mod answers;
mod functions;
mod gap;
mod resolve;
mod workloads;

pub use answers::Answers;
pub use functions::{FoundFunction, FunctionInstance};
pub use gap::Gap;
pub use resolve::{Candidate, ResolveError, ResolvedNode, ResolvedWorkload};
pub use workloads::{FoundWorkload, WorkloadFilter};

use async_nats::{Message, PublishError, SubscribeError, Subscriber};
use futures_util::stream::{FuturesUnordered, Stream, StreamExt};
use nex_protocol::control::{InfoResponse, PingResponse};
use nex_protocol::envelope::Envelope;
use nex_protocol::name::{Namespace, NodeId};
use nex_protocol::subject::ControlSubject;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::time::Instant;

use crate::client::Client;
use crate::request::RequestError;
use answers::{Verdict, gather};

/// Why a question could not be put to the nodes.
#[derive(Debug, Error)]
pub enum DiscoveryError {
    /// No inbox for the answers.
    #[error("cannot subscribe to answers: check the connection to NATS")]
    Subscribe(#[source] SubscribeError),
    /// The question could not be sent.
    #[error("cannot ask nodes and services: check the connection to NATS")]
    Publish(#[source] PublishError),
}

/// What one node tells about itself and one namespace.
#[derive(Debug)]
#[non_exhaustive]
pub struct NodeInfo {
    /// The node's answer to the ping that found it.
    pub ping: PingResponse,
    /// Its information, or why there is none.
    pub info: Result<InfoResponse, RequestError>,
}

impl Client {
    /// Asks all nodes to answer, and gives their answers as they come.
    ///
    /// ```no_run
    /// # async fn run(client: nex_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::StreamExt as _;
    ///
    /// let mut nodes = client.ping().await?;
    /// while let Some(node) = nodes.next().await {
    ///     println!("{}: {} workloads", node.node_id, node.running_machines);
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn ping(&self) -> Result<Answers<PingResponse>, DiscoveryError> {
        let inbox = self.nats().new_inbox();
        let messages = self.listen(&inbox).await?;
        let asked = Instant::now();
        self.put(ControlSubject::PingAll.to_string(), &inbox).await?;
        Ok(gather(messages, asked, self.timeout(), |message| {
            judge(message, |ping: &PingResponse| ping.node_id.clone())
        }))
    }

    /// All nodes that answer, sorted by id.
    pub async fn nodes(&self) -> Result<Vec<PingResponse>, DiscoveryError> {
        let mut nodes: Vec<_> = self.ping().await?.collect().await;
        nodes.sort_by(|a, b| a.node_id.cmp(&b.node_id));
        Ok(nodes)
    }

    /// Asks one node to answer.
    pub async fn ping_node(&self, node: NodeId) -> Result<PingResponse, RequestError> {
        let subject = ControlSubject::Ping(node);
        self.ask(&subject, Vec::new(), self.timeout(), &node_in_words(node)).await
    }

    /// What a node tells about itself and about its workloads in a namespace.
    pub async fn node_info(
        &self,
        node: NodeId,
        namespace: &Namespace,
    ) -> Result<InfoResponse, RequestError> {
        let subject = ControlSubject::Info { namespace: namespace.clone(), node };
        self.ask(&subject, Vec::new(), self.timeout(), &node_in_words(node)).await
    }

    /// Finds all nodes and asks each for its information about a namespace.
    /// Answers come as the nodes give them.
    pub async fn infos(&self, namespace: &Namespace) -> Result<Answers<NodeInfo>, DiscoveryError> {
        let pings = self.ping().await?.map(Found::Ping);
        let state = Infos {
            client: self.clone(),
            namespace: namespace.clone(),
            pings: pings.boxed().fuse(),
            pending: FuturesUnordered::new(),
        };
        Ok(Answers::new(futures_util::stream::unfold(state, Infos::next)))
    }

    async fn listen(&self, inbox: &str) -> Result<Subscriber, DiscoveryError> {
        self.nats().subscribe(inbox.to_owned()).await.map_err(DiscoveryError::Subscribe)
    }

    async fn put(&self, question: String, inbox: &str) -> Result<(), DiscoveryError> {
        self.nats()
            .publish_with_reply(question, inbox.to_owned(), Vec::new().into())
            .await
            .map_err(DiscoveryError::Publish)
    }
}

/// How errors call a node.
pub(crate) fn node_in_words(node: NodeId) -> String {
    format!("node {node}")
}

fn judge<T: DeserializeOwned>(message: &Message, from: impl Fn(&T) -> String) -> Verdict<T> {
    match Envelope::decode::<T>(&message.payload) {
        Ok(value) => match from(&value) {
            // An empty envelope reads as an answer of nobody.
            nobody if nobody.is_empty() => Verdict::Garbage,
            from => Verdict::Answer { from, value },
        },
        Err(_) => Verdict::Garbage,
    }
}

enum Found {
    Ping(PingResponse),
    Info(NodeInfo),
}

type Pending = std::pin::Pin<Box<dyn Future<Output = Found> + Send>>;

/// Pings that come in and informations asked for, side by side.
struct Infos {
    client: Client,
    namespace: Namespace,
    pings: futures_util::stream::Fuse<futures_util::stream::BoxStream<'static, Found>>,
    pending: FuturesUnordered<Pending>,
}

impl Infos {
    async fn next(mut self) -> Option<(NodeInfo, Self)> {
        loop {
            let found = tokio::select! {
                Some(found) = self.pings.next() => found,
                Some(found) = self.pending.next() => found,
                else => return None,
            };
            match found {
                Found::Info(info) => return Some((info, self)),
                Found::Ping(ping) => self.ask(ping),
            }
        }
    }

    fn ask(&mut self, ping: PingResponse) {
        let Ok(node) = ping.node_id.parse::<NodeId>() else {
            tracing::debug!(id = %ping.node_id, "passed over a node whose id is no node key");
            return;
        };
        let (client, namespace) = (self.client.clone(), self.namespace.clone());
        self.pending.push(Box::pin(async move {
            let info = client.node_info(node, &namespace).await;
            Found::Info(NodeInfo { ping, info })
        }));
    }
}

/// A stream that has already been asked for; what [`gather`] reads.
fn merged(
    first: impl Stream<Item = Message> + Send + Unpin + 'static,
    second: impl Stream<Item = Message> + Send + Unpin + 'static,
) -> impl Stream<Item = Message> + Send + Unpin + 'static {
    futures_util::stream::select(first, second)
}
