//! Functions as NATS services: who is there, what they are, what they have done (ADR-32).
//!
//! The node listens to discovery once, however many functions it has, and answers for each of
//! them. All it shows is counted on the call path anyway.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_nats::{Client, Message, SubscribeError, Subscriber};
use futures_util::StreamExt as _;
use futures_util::stream::{SelectAll, select_all};
use nex_protocol::micro::{
    DiscoverySubject, EndpointInfo, EndpointStats, InfoResponse, PingResponse, StatsResponse, Verb,
};
use nex_protocol::name::NodeId;
use nex_protocol::timestamp;

use super::function::{Function, Trigger};
use super::hub::Hub;
use super::reply;

/// Hex digits of the artifact's digest in a function's version.
const VERSION_DIGITS: usize = 12;

/// Answers discovery for all functions.
#[derive(Debug)]
pub(super) struct Directory {
    hub: Arc<Hub>,
    node: NodeId,
    questions: SelectAll<Subscriber>,
}

impl Directory {
    /// Listens to discovery.
    pub(super) async fn subscribe(nats: &Client) -> Result<SelectAll<Subscriber>, SubscribeError> {
        let mut subscriptions = Vec::new();
        for pattern in DiscoverySubject::patterns() {
            subscriptions.push(nats.subscribe(pattern.to_string()).await?);
        }
        Ok(select_all(subscriptions))
    }

    pub(super) fn new(hub: Arc<Hub>, node: NodeId, questions: SelectAll<Subscriber>) -> Self {
        Self { hub, node, questions }
    }

    /// Answers until NATS is gone.
    pub(super) async fn serve(mut self) {
        while let Some(question) = self.questions.next().await {
            self.answer(question).await;
        }
        // What functions do does not depend on their being found.
        std::future::pending::<()>().await;
    }

    async fn answer(&self, question: Message) {
        let Some(to) = reply::address(question.reply) else { return };
        // What is no question of the protocol is not for us.
        let Ok(subject) = question.subject.parse::<DiscoverySubject>() else { return };
        for function in self.hub.functions() {
            let tag = &function.spec.tag;
            if subject.asks(tag.name.as_str(), tag.id.as_str()) {
                let answer = self.about(&function, subject.verb);
                // The client queues while NATS is away.
                let _ = self.hub.nats().publish(to.clone(), answer.into()).await;
            }
        }
    }

    fn about(&self, function: &Function, verb: Verb) -> Vec<u8> {
        let spec = &function.spec;
        let (name, id) = (spec.tag.name.as_str(), spec.tag.id.as_str());
        let digest = spec.digest.to_string();
        let digits = digest.get(..VERSION_DIGITS).unwrap_or_default();
        let version = format!("0.0.0+{digits}");
        let version = version.as_str();
        let metadata = BTreeMap::from([
            ("nex.namespace", spec.tag.namespace.to_string()),
            ("nex.node", self.node.to_string()),
            ("nex.type", spec.kind.to_string()),
        ]);
        let metadata = &metadata;
        let triggers = function.triggers.iter();
        match verb {
            Verb::Ping => PingResponse { name, id, version, metadata }.encode(),
            Verb::Info => {
                let endpoints = triggers.map(|trigger| EndpointInfo {
                    name: &trigger.endpoint,
                    subject: trigger.subject.as_str(),
                    queue_group: &function.queue_group,
                    metadata: BTreeMap::new(),
                });
                let (description, endpoints) = (spec.description.as_str(), endpoints.collect());
                InfoResponse { name, id, version, metadata, description, endpoints }.encode()
            }
            Verb::Stats => {
                let started = timestamp::format(function.started);
                let endpoints =
                    triggers.map(|trigger| stats(trigger, &function.queue_group)).collect();
                let started = started.as_str();
                StatsResponse { name, id, version, metadata, started, endpoints }.encode()
            }
        }
    }
}

fn stats<'a>(trigger: &'a Trigger, queue_group: &'a str) -> EndpointStats<'a> {
    let counts = trigger.counts();
    let nanos = u64::try_from(counts.elapsed.as_nanos()).unwrap_or(u64::MAX);
    EndpointStats {
        name: &trigger.endpoint,
        subject: trigger.subject.as_str(),
        queue_group,
        num_requests: counts.requests,
        num_errors: counts.errors,
        last_error: counts
            .last_failure
            .map_or_else(String::new, |last| format!("{}:{}", last.kind, last.text)),
        processing_time: nanos,
        average_processing_time: nanos.checked_div(counts.requests).unwrap_or(0),
    }
}
