//! Host services: a real nats-server, the real bus, and agents that say what tests tell them.

mod http;
mod limits;
mod messaging;
mod outage;
mod redirects;
mod server;
mod stores;
mod tenancy;
mod vectors;
mod wired;

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use futures_util::{StreamExt as _, future::BoxFuture};
use nex_node::bus::Inbound;
use nex_node::config::Config;
use nex_node::host::http::{Resolver, Ticket};
use nex_node::host::{HostServices, Rpc, Scope};
use nex_protocol::agent::header;
use nex_protocol::config::HostServicesFile;
use nex_protocol::name::WorkloadId;
use nex_testkit::TestNats;
use serde_json::Value;
use tokio::task::JoinHandle;

pub(crate) use self::server::TestServer;
use crate::bus::{PATIENCE, TestBus, within};

/// A nats-server, a bus and the host services of a node.
pub(crate) struct HostWorld {
    pub(crate) nats: TestNats,
    pub(crate) bus: TestBus,
    pub(crate) services: HostServices,
}

impl HostWorld {
    pub(crate) async fn start() -> Self {
        Self::with(HostServicesFile::default()).await
    }

    pub(crate) async fn with(config: HostServicesFile) -> Self {
        Self::on(TestNats::start().await, config, TestResolver::new(&[])).await
    }

    pub(crate) async fn on(
        nats: TestNats,
        config: HostServicesFile,
        resolver: Arc<TestResolver>,
    ) -> Self {
        let config = Config::builder().host_services(config).build().unwrap();
        let client = nats.client().await;
        let services = HostServices::new(client, &config.host_services, resolver).unwrap();
        Self { nats, bus: TestBus::start(|_| {}).await, services }
    }

    /// An agent that runs `workload` of `namespace`.
    pub(crate) async fn agent(&self, namespace: &str, workload: &str) -> HostAgent {
        self.agent_of(namespace, workload, false).await
    }

    /// The same, of the old protocol if `legacy`.
    pub(crate) async fn agent_of(
        &self,
        namespace: &str,
        workload: &str,
        legacy: bool,
    ) -> HostAgent {
        let mut seat = self.bus.endpoint.register(WorkloadId::generate()).unwrap();
        let id = seat.id();
        let secret = seat.secret().to_owned();
        let scope =
            Scope { namespace: namespace.parse().unwrap(), workload: workload.parse().unwrap() };
        let session = self.services.open(scope, legacy);
        // What the sandbox task does with calls, and nothing else.
        let node = tokio::spawn(async move {
            while let Some(said) = seat.recv().await {
                if let Inbound::Rpc { namespace, workload, service, method, headers, body, reply } =
                    said
                {
                    let rpc = Rpc {
                        service: service.as_str(),
                        method: method.as_str(),
                        headers: headers.as_ref(),
                        body,
                    };
                    session.handle(&namespace, &workload, rpc, Box::new(reply));
                }
            }
        });
        let nats = async_nats::ConnectOptions::with_user_and_password(id.to_string(), secret)
            .request_timeout(Some(PATIENCE))
            .connect(self.bus.url())
            .await
            .unwrap();
        let (namespace, workload) = (namespace.to_owned(), workload.to_owned());
        HostAgent { id, namespace, workload, nats, node }
    }
}

/// An agent, by its connection.
pub(crate) struct HostAgent {
    pub(crate) id: WorkloadId,
    namespace: String,
    workload: String,
    pub(crate) nats: async_nats::Client,
    node: JoinHandle<()>,
}

impl Drop for HostAgent {
    fn drop(&mut self) {
        self.node.abort();
    }
}

/// A reply, as an agent of ours reads it.
pub(crate) type Answer = Result<Bytes, String>;

pub(crate) fn answer(message: &Message) -> Answer {
    let error = message.headers.as_ref().and_then(|headers| headers.get(header::ERROR));
    match error {
        Some(error) => Err(error.as_str().to_owned()),
        None => Ok(message.payload.clone()),
    }
}

impl HostAgent {
    pub(crate) fn subject(&self, call: &str) -> String {
        format!("agentint.{}.rpc.{}.{}.{call}", self.id, self.namespace, self.workload)
    }

    /// Calls `service.method` with headers.
    pub(crate) async fn raw(
        &self,
        call: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Message {
        self.raw_at(self.subject(call), headers, body).await
    }

    pub(crate) async fn raw_at(
        &self,
        subject: String,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Message {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, *value);
        }
        let called = self.nats.request_with_headers(subject.clone(), map, body.into());
        match within("an answer", called).await {
            Ok(message) => message,
            Err(error) => panic!("{subject}: {error}"),
        }
    }

    pub(crate) async fn call(
        &self,
        call: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        answer(&self.raw(call, headers, body).await)
    }

    pub(crate) async fn get(&self, key: &str) -> Answer {
        self.call("kv.get", &[(header::KEY_VALUE_KEY, key)], "").await
    }

    pub(crate) async fn set(&self, key: &str, value: impl Into<Bytes>) -> Answer {
        self.call("kv.set", &[(header::KEY_VALUE_KEY, key)], value).await
    }

    pub(crate) async fn keys(&self) -> Result<Vec<String>, String> {
        self.call("kv.keys", &[], "{}").await.map(|body| serde_json::from_slice(&body).unwrap())
    }

    pub(crate) async fn object(&self, method: &str, name: &str, body: impl Into<Bytes>) -> Answer {
        let call = format!("objectstore.{method}");
        self.call(&call, &[(header::OBJECT_NAME, name)], body).await
    }

    pub(crate) async fn send(&self, method: &str, subject: &str, body: impl Into<Bytes>) -> Answer {
        let call = format!("messaging.{method}");
        self.call(&call, &[(header::MESSAGING_SUBJECT, subject)], body).await
    }

    /// An HTTP call, with what it says decoded.
    pub(crate) async fn http(&self, method: &str, url: &str) -> Result<Value, String> {
        let call = format!("http.{method}");
        let done = self.call(&call, &[(header::HTTP_URL, url)], "").await;
        done.map(|body| serde_json::from_slice(&body).unwrap())
    }

    /// Calls `messaging.requestMany` and collects what comes, to the end or until it is quiet.
    pub(crate) async fn request_many(
        &self,
        subject: &str,
        quiet: Duration,
    ) -> (Vec<Bytes>, Option<Answer>) {
        let inbox = self.nats.new_inbox();
        let mut replies = self.nats.subscribe(inbox.clone()).await.unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::MESSAGING_SUBJECT, subject);
        let call = self.subject("messaging.requestMany");
        let sent = self.nats.publish_with_reply_and_headers(call, inbox, headers, "hi".into());
        sent.await.unwrap();
        let mut parts = Vec::new();
        while let Ok(Some(reply)) = tokio::time::timeout(quiet, replies.next()).await {
            let has =
                |name: &str| reply.headers.as_ref().is_some_and(|all| all.get(name).is_some());
            if has(header::END) || has(header::ERROR) {
                return (parts, Some(answer(&reply)));
            }
            parts.push(reply.payload.clone());
        }
        (parts, None)
    }
}

/// Names as a test has them.
#[derive(Debug)]
pub(crate) struct TestResolver {
    /// Each name with what it resolves to the first time, the second time and so on; the last
    /// stays.
    names: Mutex<Vec<(String, Vec<Vec<IpAddr>>)>>,
    asked: Mutex<Vec<String>>,
}

impl TestResolver {
    pub(crate) fn new(names: &[(&str, &[&[&str]])]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|text| text.parse().unwrap()).collect();
        let name = |(name, answers): &(&str, &[&[&str]])| {
            ((*name).to_owned(), answers.iter().map(parse).collect())
        };
        Arc::new(Self {
            names: Mutex::new(names.iter().map(name).collect()),
            asked: Mutex::default(),
        })
    }

    /// What was looked up so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Resolver for TestResolver {
    fn resolve(&self, name: &str, _: Ticket) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.asked.lock().unwrap().push(name.to_owned());
        let mut names = self.names.lock().unwrap();
        let found = names.iter_mut().find(|(held, _)| held == name).map(|(_, answers)| {
            if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
        });
        let found = found.ok_or_else(|| io::Error::other("no such name in this test"));
        Box::pin(async { found })
    }
}
