//! What the node does about each control request.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_nats::Message;
use nex_protocol::{
    claims::WorkloadClaims,
    control::{
        DeployRequest, InfoResponse, LameDuckResponse, MachineSummary, NodeTag, PingResponse,
        RunResponse, StopRequest, StopResponse, WorkloadPingMachine, WorkloadPingQuery,
        WorkloadPingResponse, WorkloadSummary,
    },
    envelope::{Envelope, MessageType},
    key::CurvePublicKey,
    name::{Namespace, NodeId},
    subject::{ControlSubject, SubjectError, Token, WorkloadPingScope},
    uptime::{format_runtime, format_uptime},
};
use serde::Serialize;
use tokio::time::Instant;

use super::refusal::{Refusal, StopError};
use crate::{
    config::{Config, SandboxKind},
    deploy::{Deployer, Received, unix_now},
    observe::Publisher,
    sandbox::StopReason,
    workload::{Status, Table},
};

/// What does not change about a node while it runs.
#[derive(Debug)]
pub(crate) struct NodeFacts {
    pub id: NodeId,
    pub xkey: CurvePublicKey,
    pub started_at: Instant,
    pub tags: BTreeMap<String, String>,
    pub sandbox: SandboxKind,
}

/// Answers control requests.
pub(crate) struct Handler {
    pub facts: Arc<NodeFacts>,
    pub config: Arc<Config>,
    pub deployer: Deployer,
    pub table: Table,
    pub publisher: Publisher,
    pub lame_duck: Arc<AtomicBool>,
}

/// What comes of a request at once.
pub(super) enum Answer {
    /// The reply.
    Now(Vec<u8>),
    /// The protocol wants none: a workload ping that matches nothing.
    Silence,
    /// Something that takes time.
    Work(Work),
}

/// A request that takes time.
pub(super) enum Work {
    Deploy { namespace: Namespace, request: Box<DeployRequest> },
    Stop { namespace: Namespace, request: StopRequest },
}

/// Which reply a [`Work`] is owed.
#[derive(Clone, Copy)]
pub(super) struct WorkKind(MessageType);

impl WorkKind {
    pub(super) fn refuse(self, refusal: &Refusal) -> Vec<u8> {
        Envelope::encode_failure(self.0, &refusal.text())
    }
}

impl Work {
    pub(super) fn kind(&self) -> WorkKind {
        WorkKind(match self {
            Self::Deploy { .. } => MessageType::Run,
            Self::Stop { .. } => MessageType::Stop,
        })
    }

    pub(super) fn refuse(&self, refusal: &Refusal) -> Vec<u8> {
        self.kind().refuse(refusal)
    }
}

impl Handler {
    /// Reads a request and answers it, if that can be done at once.
    pub(super) fn receive(&self, message: &Message, node: NodeId) -> Answer {
        let subject: ControlSubject = match message.subject.as_str().parse() {
            Ok(subject) => subject,
            Err(error) => return unreadable(&message.subject, error),
        };
        match subject {
            ControlSubject::PingAll | ControlSubject::Ping(_) => self.ping(),
            ControlSubject::WorkloadPing(scope) => self.workload_ping(&scope),
            ControlSubject::Info { namespace, .. } => self.info(&namespace),
            ControlSubject::LameDuck(_) => self.lame_duck(),
            ControlSubject::Deploy { namespace, .. } => {
                work(MessageType::Run, self.read_deploy(namespace, &message.payload, node))
            }
            ControlSubject::Stop { namespace, .. } => {
                work(MessageType::Stop, read_stop(namespace, &message.payload, node))
            }
        }
    }

    /// Carries out what takes time, and logs it once.
    pub(super) async fn perform(&self, work: Work) -> Vec<u8> {
        match work {
            Work::Deploy { namespace, request } => {
                let received = Received { namespace, request: *request };
                match self.deployer.deploy(received).await {
                    Ok(workload) => {
                        tracing::info!(id = %workload.id, name = %workload.name, namespace = %workload.namespace, "deployed");
                        let reply = RunResponse {
                            started: true,
                            id: workload.id.to_string(),
                            issuer: workload.claims.issuer.to_string(),
                            name: workload.name.to_string(),
                        };
                        success(MessageType::Run, &reply)
                    }
                    Err(error) => refused(MessageType::Run, &Refusal::Deploy(error)),
                }
            }
            Work::Stop { namespace, request } => match self.stop(&namespace, &request).await {
                Ok(reply) => success(MessageType::Stop, &reply),
                Err(error) => refused(MessageType::Stop, &Refusal::Stop(error)),
            },
        }
    }

    /// Enters lame duck mode; the event is published the first time.
    pub(crate) fn enter_lame_duck(&self) {
        if !self.lame_duck.swap(true, Ordering::SeqCst) {
            tracing::info!("lame duck: no new workloads from here on");
            self.publisher.entered_lame_duck();
        }
    }

    /// The tags of the node now.
    pub(crate) fn tags(&self) -> BTreeMap<String, String> {
        let mut tags = self.facts.tags.clone();
        if self.lame_duck.load(Ordering::SeqCst) {
            tags.insert(NodeTag::LameDuck.to_string(), "true".to_owned());
        }
        tags
    }

    fn ping(&self) -> Answer {
        let reply = PingResponse {
            node_id: self.facts.id.to_string(),
            version: crate::VERSION.to_owned(),
            uptime: format_uptime(self.facts.started_at.elapsed()),
            tags: self.tags(),
            running_machines: self.table.snapshot().len() as u64,
        };
        Answer::Now(success(MessageType::Ping, &reply))
    }

    fn workload_ping(&self, scope: &WorkloadPingScope) -> Answer {
        let query = WorkloadPingQuery {
            namespace: scope.namespace().map(Namespace::as_str),
            workload: scope.workload().map(Token::as_str),
        };
        let running_machines: Vec<_> = self
            .table
            .snapshot()
            .iter()
            .map(|status| &status.workload)
            .filter(|known| {
                query.matches(known.id.as_str(), known.namespace.as_str(), known.name.as_str())
            })
            .map(|known| WorkloadPingMachine {
                id: known.id.to_string(),
                namespace: known.namespace.to_string(),
                name: known.name.to_string(),
                workload_type: known.kind.to_string(),
            })
            .collect();
        if running_machines.is_empty() {
            return Answer::Silence;
        }
        let reply = WorkloadPingResponse {
            node_id: self.facts.id.to_string(),
            version: crate::VERSION.to_owned(),
            tags: self.tags(),
            uptime: format_uptime(self.facts.started_at.elapsed()),
            running_machines,
        };
        Answer::Now(success(MessageType::Ping, &reply))
    }

    fn info(&self, namespace: &Namespace) -> Answer {
        let snapshot = self.table.snapshot();
        let machines = snapshot
            .iter()
            .filter(|status| status.workload.namespace == *namespace)
            .map(|status| summary(status, self.facts.sandbox))
            .collect();
        let reply = InfoResponse {
            version: crate::VERSION.to_owned(),
            uptime: format_uptime(self.facts.started_at.elapsed()),
            public_xkey: self.facts.xkey.to_string(),
            tags: self.tags(),
            memory: crate::observe::memory(),
            machines,
            supported_workload_types: self
                .config
                .workload_types
                .iter()
                .map(ToString::to_string)
                .collect(),
        };
        Answer::Now(success(MessageType::Info, &reply))
    }

    fn lame_duck(&self) -> Answer {
        self.enter_lame_duck();
        let reply = LameDuckResponse { node_id: self.facts.id.to_string(), success: true };
        Answer::Now(success(MessageType::LameDuck, &reply))
    }

    fn read_deploy(
        &self,
        namespace: Namespace,
        body: &[u8],
        node: NodeId,
    ) -> Result<Work, Refusal> {
        let request = DeployRequest::decode(body).map_err(Refusal::Request)?;
        check_target(request.target_node, node)?;
        if self.lame_duck.load(Ordering::SeqCst) {
            return Err(Refusal::LameDuck);
        }
        Ok(Work::Deploy { namespace, request: Box::new(request) })
    }

    async fn stop(
        &self,
        namespace: &Namespace,
        request: &StopRequest,
    ) -> Result<StopResponse, StopError> {
        let id = request.id().ok_or(StopError::NoSuchWorkload)?;
        let snapshot = self.table.snapshot();
        let workload = snapshot
            .get(id)
            .map(|status| Arc::clone(&status.workload))
            .filter(|workload| workload.namespace == *namespace)
            .ok_or(StopError::NoSuchWorkload)?;
        let claims =
            WorkloadClaims::verify(&request.workload_jwt, unix_now()).map_err(StopError::Claims)?;
        WorkloadClaims::check_stop(&workload.claims, &claims).map_err(StopError::Mismatch)?;
        let grace = self.config.stop_grace;
        let stopped = self.table.stop(id, StopReason::Requested, grace).await;
        if !stopped.map_err(StopError::Closed)? {
            return Err(StopError::NoSuchWorkload);
        }
        tracing::info!(%id, name = %workload.name, %namespace, "stopped");
        Ok(StopResponse {
            stopped: true,
            id: id.to_string(),
            issuer: workload.claims.issuer.to_string(),
            name: workload.name.to_string(),
        })
    }
}

fn read_stop(namespace: Namespace, body: &[u8], node: NodeId) -> Result<Work, Refusal> {
    let request = StopRequest::decode(body).map_err(Refusal::Request)?;
    check_target(request.target_node, node)?;
    Ok(Work::Stop { namespace, request })
}

/// The reply to a subject that cannot be understood, such as one with a
/// namespace that no workload can have: an error, where a reply is owed.
fn unreadable(subject: &str, error: SubjectError) -> Answer {
    let kind = match subject.split('.').nth(1) {
        Some("INFO") => MessageType::Info,
        Some("DEPLOY") => MessageType::Run,
        Some("STOP") => MessageType::Stop,
        // Nothing can match a workload ping for an impossible name.
        _ => return Answer::Silence,
    };
    Answer::Now(refused(kind, &Refusal::Subject(error)))
}

/// A body names its node; one that names another was sent astray.
fn check_target(asked: NodeId, this: NodeId) -> Result<(), Refusal> {
    if asked == this { Ok(()) } else { Err(Refusal::OtherNode { asked, this }) }
}

fn summary(status: &Status, sandbox: SandboxKind) -> MachineSummary {
    let workload = &status.workload;
    MachineSummary {
        id: workload.id.to_string(),
        healthy: status.running,
        uptime: format_uptime(workload.deployed_at.elapsed()),
        namespace: workload.namespace.to_string(),
        sandbox: Some(sandbox.as_str().to_owned()),
        workload: WorkloadSummary {
            name: workload.name.to_string(),
            description: workload.description.clone(),
            runtime: match &workload.function {
                Some(function) => format_runtime(function.execution_time()),
                None => format_uptime(status.started_at.elapsed()),
            },
            workload_type: workload.kind.to_string(),
            hash: workload.files.artifact.digest().to_string(),
        },
    }
}

fn work(kind: MessageType, read: Result<Work, Refusal>) -> Answer {
    match read {
        Ok(work) => Answer::Work(work),
        Err(refusal) => Answer::Now(refused(kind, &refusal)),
    }
}

fn success(kind: MessageType, data: &impl Serialize) -> Vec<u8> {
    Envelope::encode_success(kind, data)
}

fn refused(kind: MessageType, refusal: &Refusal) -> Vec<u8> {
    let text = refusal.text();
    tracing::info!(reply = kind.as_str(), text, "refused");
    Envelope::encode_failure(kind, &text)
}
