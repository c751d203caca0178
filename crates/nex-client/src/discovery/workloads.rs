//! Finding workloads on all nodes.

use async_nats::Message;
use futures_util::StreamExt;
use nex_protocol::control::{PingResponse, WorkloadPingResponse};
use nex_protocol::name::Namespace;
use nex_protocol::subject::{ControlSubject, Token, WorkloadPingScope};
use tokio::time::Instant;

use super::answers::{Answers, Verdict, gather};
use super::{DiscoveryError, judge, merged};
use crate::client::Client;

/// Which workloads to look for.
///
/// A Go node answers only where a namespace is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadFilter {
    namespace: Option<Namespace>,
    workload: Option<String>,
}

/// A workload that runs somewhere, as its node describes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct FoundWorkload {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Its type: `elf`, `v8`, `wasm`, `oci`.
    pub workload_type: String,
    /// Public key of the node it runs on.
    pub node_id: String,
    /// Name of that node, if it has one.
    pub node_name: Option<String>,
}

impl WorkloadFilter {
    /// All workloads in all namespaces.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// All workloads of one namespace.
    #[must_use]
    pub fn in_namespace(namespace: Namespace) -> Self {
        Self { namespace: Some(namespace), workload: None }
    }

    /// Those with this id, or with this name in any case.
    #[must_use]
    pub fn workload(mut self, id_or_name: impl Into<String>) -> Self {
        self.workload = Some(id_or_name.into());
        self
    }

    /// What the nodes are asked. A workload can be named on the wire only
    /// together with its namespace; else it is picked out of all.
    fn question(&self) -> ControlSubject {
        let workload = self.workload.as_ref().and_then(|text| text.parse::<Token>().ok());
        ControlSubject::WorkloadPing(match (self.namespace.clone(), workload) {
            (None, _) => WorkloadPingScope::All,
            (Some(namespace), None) => WorkloadPingScope::Namespace(namespace),
            (Some(namespace), Some(workload)) => {
                WorkloadPingScope::Workload { namespace, workload }
            }
        })
    }

    fn accepts(&self, found: &FoundWorkload) -> bool {
        let named = |text: &String| *text == found.id || text.eq_ignore_ascii_case(&found.name);
        let inside = |namespace: &Namespace| namespace.is_asked_for_by(&found.namespace);
        self.workload.as_ref().is_none_or(named) && self.namespace.as_ref().is_none_or(inside)
    }
}

impl Client {
    /// Asks all nodes for workloads, and gives their answers as they come. A
    /// node that runs none of them does not answer.
    ///
    /// Since silence is a valid answer, all nodes are pinged at the same time:
    /// when their pings are in and no more workloads come, the stream ends.
    pub async fn workload_ping(
        &self,
        filter: &WorkloadFilter,
    ) -> Result<Answers<WorkloadPingResponse>, DiscoveryError> {
        let (workloads, pings) = (self.nats().new_inbox(), self.nats().new_inbox());
        let messages = merged(self.listen(&workloads).await?, self.listen(&pings).await?);
        let asked = Instant::now();
        self.put(filter.question().to_string(), &workloads).await?;
        self.put(ControlSubject::PingAll.to_string(), &pings).await?;
        Ok(gather(messages, asked, self.timeout(), move |message: &Message| {
            if message.subject.as_str() == pings {
                return match judge(message, |ping: &PingResponse| ping.node_id.clone()) {
                    Verdict::Answer { .. } => Verdict::Sign,
                    Verdict::Sign | Verdict::Garbage => Verdict::Garbage,
                };
            }
            judge(message, |answer: &WorkloadPingResponse| answer.node_id.clone())
        }))
    }

    /// All workloads that the filter accepts, sorted by namespace, name and id.
    pub async fn workloads(
        &self,
        filter: &WorkloadFilter,
    ) -> Result<Vec<FoundWorkload>, DiscoveryError> {
        let answers: Vec<_> = self.workload_ping(filter).await?.collect().await;
        let mut found: Vec<_> = answers
            .into_iter()
            .flat_map(FoundWorkload::all_of)
            .filter(|workload| filter.accepts(workload))
            .collect();
        found.sort();
        found.dedup();
        Ok(found)
    }
}

impl FoundWorkload {
    fn all_of(answer: WorkloadPingResponse) -> impl Iterator<Item = Self> {
        let node_name = super::resolve::node_name(&answer.tags).map(str::to_owned);
        let node_id = answer.node_id;
        answer.running_machines.into_iter().map(move |machine| Self {
            namespace: machine.namespace,
            name: machine.name,
            id: machine.id,
            workload_type: machine.workload_type,
            node_id: node_id.clone(),
            node_name: node_name.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_name_what_the_wire_can_name() {
        let all = WorkloadFilter::all();
        assert_eq!(all.question().to_string(), "$NEX.WPING");
        assert_eq!(all.workload("echo").question().to_string(), "$NEX.WPING");
        let inside = WorkloadFilter::in_namespace("dev".parse().unwrap());
        assert_eq!(inside.question().to_string(), "$NEX.WPING.dev");
        assert_eq!(inside.clone().workload("echo").question().to_string(), "$NEX.WPING.dev.echo");
        assert_eq!(inside.workload("a.>").question().to_string(), "$NEX.WPING.dev");
    }
}
