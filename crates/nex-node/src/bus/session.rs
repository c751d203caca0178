//! What one connection may do: a pure function from operations to effects.
//!
//! ```text
//! AwaitingConnect ──CONNECT with credentials──► AwaitingVerdict ──admit──► Admitted
//!        │                                            └──────refused──► (closed)
//!        └──CONNECT without, where legacy agents may──► Unclaimed
//!                Unclaimed ──first use of agentint.<id>.…──► AwaitingVerdict (claim)
//! ```
//!
//! No clock, no lock, no I/O. Identity comes from [`Session::admit`] alone: nothing a client
//! writes into a subject, header or later operation can change it.

use nex_protocol::name::WorkloadId;
use nex_protocol::nats::{ClientOp, ErrKind, Publish, Subscribe, Text};
use nex_protocol::subject::{AgentSubject, AgentSubjectKind, Subject, SubjectPattern};

use super::requests::answered_number;
use super::subscriptions::Subscriptions;

const AGENT_TOKEN: &str = "agentint";
const INBOX_TOKEN: &str = "_INBOX";
const JETSTREAM_PREFIX: &str = "$JS.";

/// The state of one connection's conversation.
#[derive(Debug)]
pub(super) struct Session {
    phase: Phase,
    /// Connections without credentials may claim a legacy agent's identity.
    legacy: bool,
    max_subscriptions: usize,
    verbose: bool,
    headers: bool,
    no_responders: bool,
    subscriptions: Subscriptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    AwaitingConnect,
    AwaitingVerdict,
    Unclaimed,
    Admitted(WorkloadId),
}

/// What has to be done about an operation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    Nothing,
    /// The operation is accepted; there is nothing more to do.
    Accepted,
    /// Answer `PONG`.
    Pong,
    /// Answer `-ERR`; the connection stays.
    Refuse {
        /// Kind of refusal.
        kind: ErrKind,
        /// Whole text.
        text: String,
    },
    /// Answer `-ERR` and close.
    Close(ErrKind),
    /// Check these credentials, then [`Session::admit`] or close.
    Verify {
        /// User name.
        user: String,
        /// Password.
        pass: String,
    },
    /// Check whether this identity may be claimed without a secret; if so [`Session::admit`] and
    /// step again with `op`, else close.
    Claim {
        /// The claimed identity.
        id: WorkloadId,
        /// The operation that claimed it.
        op: ClientOp,
    },
    /// A message for the node.
    Inbound(AgentSubjectKind, Publish),
    /// The answer to the node's request of this number, if there is such a request.
    Answer(u64, Publish),
    /// A message to the `NEXCACHE` facade; from a connection that is nobody's yet, too.
    JetStream(Publish),
    /// A request that nobody listens to: answer status 503 there.
    NobodyListens(Text),
}

impl Effect {
    /// Whether a verbose client is told `+OK`.
    pub(super) fn is_accepted(&self) -> bool {
        match self {
            Self::Accepted
            | Self::Inbound(..)
            | Self::Answer(..)
            | Self::JetStream(_)
            | Self::NobodyListens(_) => true,
            Self::Nothing
            | Self::Pong
            | Self::Refuse { .. }
            | Self::Close(_)
            | Self::Verify { .. }
            | Self::Claim { .. } => false,
        }
    }
}

impl Session {
    /// A connection that has not said anything yet.
    pub(super) fn new(legacy: bool, max_subscriptions: usize) -> Self {
        Self {
            phase: Phase::AwaitingConnect,
            legacy,
            max_subscriptions,
            verbose: false,
            headers: false,
            no_responders: false,
            subscriptions: Subscriptions::default(),
        }
    }

    /// The connection is this agent's from now on. Does nothing unless a verdict is awaited.
    pub(super) fn admit(&mut self, id: WorkloadId) {
        if self.phase == Phase::AwaitingVerdict {
            self.phase = Phase::Admitted(id);
        }
    }

    /// The client wants `+OK`.
    pub(super) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// The client reads message headers.
    pub(super) fn reads_headers(&self) -> bool {
        self.headers
    }

    /// What the client listens to.
    pub(super) fn subscriptions(&mut self) -> &mut Subscriptions {
        &mut self.subscriptions
    }

    /// Judges one operation.
    pub(super) fn step(&mut self, op: ClientOp) -> Effect {
        match (self.phase, op) {
            (Phase::AwaitingConnect, ClientOp::Connect(options)) => {
                self.verbose = options.verbose;
                self.headers = options.headers;
                self.no_responders = options.no_responders && options.headers;
                match (options.user, options.pass) {
                    (Some(user), Some(pass)) => {
                        self.phase = Phase::AwaitingVerdict;
                        Effect::Verify { user, pass }
                    }
                    (None, None) if self.legacy && options.auth_token.is_none() => {
                        self.phase = Phase::Unclaimed;
                        Effect::Accepted
                    }
                    _ => Effect::Close(ErrKind::AuthorizationViolation),
                }
            }
            // Identity cannot change: a second CONNECT is an attempt at it.
            (_, ClientOp::Connect(_)) | (Phase::AwaitingConnect | Phase::AwaitingVerdict, _) => {
                Effect::Close(ErrKind::AuthorizationViolation)
            }
            (Phase::Unclaimed | Phase::Admitted(_), ClientOp::Ping) => Effect::Pong,
            (Phase::Unclaimed | Phase::Admitted(_), ClientOp::Pong) => Effect::Nothing,
            (Phase::Unclaimed | Phase::Admitted(_), ClientOp::Unsubscribe(op)) => {
                self.subscriptions.remove(&op.sid, op.max);
                Effect::Accepted
            }
            (Phase::Unclaimed, ClientOp::Subscribe(op)) => match claimed_id(&op.subject) {
                Some(id) => self.claim(id, ClientOp::Subscribe(op)),
                None => self.subscribe(None, &op),
            },
            (Phase::Unclaimed, ClientOp::Publish(op)) => match claimed_id(&op.subject) {
                Some(id) => self.claim(id, ClientOp::Publish(op)),
                // Old agents look for their bucket before they say who they are.
                None if op.subject.starts_with(JETSTREAM_PREFIX) => Effect::JetStream(op),
                None => refuse_publish(&op),
            },
            (Phase::Admitted(id), ClientOp::Subscribe(op)) => self.subscribe(Some(id), &op),
            (Phase::Admitted(id), ClientOp::Publish(op)) => self.publish(id, op),
        }
    }

    fn claim(&mut self, id: WorkloadId, op: ClientOp) -> Effect {
        self.phase = Phase::AwaitingVerdict;
        Effect::Claim { id, op }
    }

    /// An agent may listen below its own prefix and to inboxes, which are its connection's own.
    fn subscribe(&mut self, id: Option<WorkloadId>, op: &Subscribe) -> Effect {
        let pattern = match op.subject.parse::<SubjectPattern>() {
            Ok(pattern) if is_own_pattern(&pattern, id) => pattern,
            Ok(_) => {
                return Effect::Refuse {
                    kind: ErrKind::PermissionsViolation,
                    text: format!(
                        "{} for Subscription to \"{}\"",
                        ErrKind::PermissionsViolation,
                        op.subject
                    ),
                };
            }
            Err(_) => {
                return Effect::Refuse {
                    kind: ErrKind::InvalidSubject,
                    text: ErrKind::InvalidSubject.to_string(),
                };
            }
        };
        match self.subscriptions.add(pattern, &op.sid, self.max_subscriptions) {
            Ok(()) => Effect::Accepted,
            Err(_) => Effect::Refuse {
                kind: ErrKind::MaximumSubscriptionsExceeded,
                text: ErrKind::MaximumSubscriptionsExceeded.to_string(),
            },
        }
    }

    fn publish(&self, id: WorkloadId, op: Publish) -> Effect {
        if let Some(number) = answered_number(&op.subject) {
            return Effect::Answer(number, op);
        }
        if op.subject.starts_with(JETSTREAM_PREFIX) {
            return Effect::JetStream(op);
        }
        match op.subject.parse::<AgentSubject>() {
            Ok(subject) if subject.id == id => match subject.kind {
                AgentSubjectKind::Handshake
                | AgentSubjectKind::Event(_)
                | AgentSubjectKind::Logs
                | AgentSubjectKind::Rpc { .. } => Effect::Inbound(subject.kind, op),
                // What the node asks of agents is not asked of the node.
                AgentSubjectKind::Deploy
                | AgentSubjectKind::Undeploy
                | AgentSubjectKind::Trigger => self.nobody_listens(op),
            },
            Err(_) if is_own_subject(&op.subject, id) => self.nobody_listens(op),
            Ok(_) | Err(_) => refuse_publish(&op),
        }
    }

    fn nobody_listens(&self, op: Publish) -> Effect {
        match op.reply {
            Some(reply) if self.no_responders => Effect::NobodyListens(reply),
            _ => Effect::Accepted,
        }
    }
}

/// The refusal of a publish, with nats-server's text.
pub(super) fn refuse_publish(op: &Publish) -> Effect {
    Effect::Refuse {
        kind: ErrKind::PermissionsViolation,
        text: format!("{} for Publish to \"{}\"", ErrKind::PermissionsViolation, op.subject),
    }
}

/// The agent whose private subjects these are.
fn claimed_id(subject: &str) -> Option<WorkloadId> {
    let mut tokens = subject.split('.');
    if tokens.next() != Some(AGENT_TOKEN) {
        return None;
    }
    let id = tokens.next()?.parse().ok()?;
    tokens.next().map(|_| id)
}

fn is_own_pattern(pattern: &SubjectPattern, id: Option<WorkloadId>) -> bool {
    let mut tokens = pattern.tokens();
    match (tokens.next(), tokens.next(), tokens.next()) {
        (Some(INBOX_TOKEN), Some(_), _) => true,
        (Some(AGENT_TOKEN), Some(token), Some(_)) => id.is_some_and(|id| id.as_str() == token),
        _ => false,
    }
}

fn is_own_subject(subject: &str, id: WorkloadId) -> bool {
    claimed_id(subject) == Some(id) && subject.parse::<Subject>().is_ok()
}

#[cfg(test)]
mod tests;
