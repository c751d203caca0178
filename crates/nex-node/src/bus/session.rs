//! What one connection may do: a pure step from an operation to effects.
//!
//! ```text
//! Unknown ──CONNECT, right secret──▶ Agent(id) ──any mistake of form──▶ closed
//!    └──── anything else, but PING ──▶ closed
//! ```

use std::collections::HashMap;

use nex_protocol::{
    name::WorkloadId,
    nats::{ClientOp, ErrKind, Publish, Subscribe},
    subject::{AgentSubject, AgentSubjectKind, SubjectPattern},
};

/// Subscriptions of one connection.
pub(super) const MAX_SUBSCRIPTIONS: usize = 256;

/// Where an agent's own inboxes live.
const INBOX: &str = "_INBOX.";

/// Where the node waits for the agents' replies.
pub(super) const NODE_INBOX: &str = "_INBOX.node.";

/// What to do about an operation, in this order.
#[derive(Debug, PartialEq)]
pub(super) enum Effect {
    /// Find out whose secret this is; continue with [`Session::authenticated`].
    Authenticate { user: String, secret: String },
    /// A legacy agent says who it is; continue with [`Session::identified`].
    Identify(WorkloadId),
    /// Answer a `PING`.
    Pong,
    /// Say `+OK`.
    Ok,
    /// Say `-ERR` and go on.
    Complain(ErrKind),
    /// Say `-ERR` and hang up.
    Close(ErrKind),
    /// The agent answers the node's request of this number.
    Answer { request: u64, message: Publish },
    /// The agent says something to the node.
    Said { kind: AgentSubjectKind, message: Publish },
    /// The agent asks something nobody answers.
    NoResponders(Publish),
}

/// One subscription.
#[derive(Debug, Clone)]
struct Subscription {
    pattern: SubjectPattern,
    /// Deliveries so far, and after how many it ends.
    delivered: u64,
    max: Option<u64>,
}

/// The state of one connection.
#[derive(Debug, Default)]
pub(super) struct Session {
    agent: Option<WorkloadId>,
    verbose: bool,
    connected: bool,
    /// Admit agents without a secret.
    legacy: bool,
    subscriptions: HashMap<String, Subscription>,
}

impl Session {
    /// A connection that has said nothing. With `legacy` it need not have a secret.
    pub(super) fn new(legacy: bool) -> Self {
        Self { legacy, ..Self::default() }
    }

    /// Whose connection this is.
    pub(super) fn agent(&self) -> Option<WorkloadId> {
        self.agent
    }

    /// The secret was right: the connection is `id`'s.
    pub(super) fn authenticated(&mut self, id: WorkloadId) -> Vec<Effect> {
        self.agent = Some(id);
        self.acknowledge(Vec::new())
    }

    /// Steps.
    pub(super) fn step(&mut self, op: ClientOp) -> Vec<Effect> {
        match op {
            ClientOp::Ping => vec![Effect::Pong],
            ClientOp::Pong => Vec::new(),
            ClientOp::Connect(options) => {
                if self.connected {
                    return vec![Effect::Close(ErrKind::ParserError)];
                }
                self.connected = true;
                self.verbose = options.verbose;
                match (options.user, options.pass) {
                    (Some(user), Some(secret)) => vec![Effect::Authenticate { user, secret }],
                    _ if self.legacy => self.acknowledge(Vec::new()),
                    _ => vec![Effect::Close(ErrKind::AuthorizationViolation)],
                }
            }
            _ if !self.connected => vec![Effect::Close(ErrKind::AuthorizationViolation)],
            ClientOp::Publish(message) => self.publish(message),
            ClientOp::Subscribe(subscribe) => self.subscribe(subscribe),
            ClientOp::Unsubscribe(end) => {
                let sid = end.sid.as_str();
                match end.max.filter(|max| *max > 0) {
                    None => drop(self.subscriptions.remove(sid)),
                    Some(max) => {
                        let over = self.subscriptions.get_mut(sid).is_some_and(|subscription| {
                            subscription.max = Some(max);
                            subscription.delivered >= max
                        });
                        if over {
                            self.subscriptions.remove(sid);
                        }
                    }
                }
                self.acknowledge(Vec::new())
            }
        }
    }

    /// The subscription that a message on `subject` reaches; counts the delivery.
    pub(super) fn deliver(&mut self, subject: &str) -> Option<String> {
        let (sid, subscription) = self
            .subscriptions
            .iter_mut()
            .find(|(_, subscription)| subscription.pattern.matches(subject))?;
        subscription.delivered += 1;
        let sid = sid.clone();
        if subscription.max.is_some_and(|max| subscription.delivered >= max) {
            self.subscriptions.remove(&sid);
        }
        Some(sid)
    }

    fn acknowledge(&self, mut effects: Vec<Effect>) -> Vec<Effect> {
        if self.verbose {
            effects.push(Effect::Ok);
        }
        effects
    }

    fn publish(&self, message: Publish) -> Vec<Effect> {
        let subject = message.subject.as_str();
        let refused = || self.acknowledge(vec![Effect::Complain(ErrKind::PermissionsViolation)]);
        if let Some(number) = subject.strip_prefix(NODE_INBOX) {
            return match (self.agent, number.parse()) {
                (Some(_), Ok(request)) => {
                    self.acknowledge(vec![Effect::Answer { request, message }])
                }
                _ => refused(),
            };
        }
        let Ok(AgentSubject { id, kind }) = subject.parse::<AgentSubject>() else {
            return if message.reply.is_some() && self.agent.is_some() {
                self.acknowledge(vec![Effect::NoResponders(message)])
            } else {
                refused()
            };
        };
        let mut effects = Vec::new();
        match self.agent {
            Some(own) if own == id => {}
            None if self.legacy => effects.push(Effect::Identify(id)),
            _ => return refused(),
        }
        effects.push(Effect::Said { kind, message });
        self.acknowledge(effects)
    }

    fn subscribe(&mut self, subscribe: Subscribe) -> Vec<Effect> {
        let refused = |kind| vec![Effect::Complain(kind)];
        let Ok(pattern) = subscribe.subject.as_str().parse::<SubjectPattern>() else {
            return refused(ErrKind::InvalidSubject);
        };
        let sid = subscribe.sid.as_str();
        if self.subscriptions.len() >= MAX_SUBSCRIPTIONS && !self.subscriptions.contains_key(sid) {
            return vec![Effect::Close(ErrKind::MaximumSubscriptionsExceeded)];
        }
        let mut effects = Vec::new();
        // Inboxes are private: nothing is routed between connections.
        if !pattern.as_str().starts_with(INBOX) {
            let mut tokens = pattern.tokens();
            let (first, id) = (tokens.next(), tokens.next().map(str::parse::<WorkloadId>));
            match (first, id, self.agent) {
                (Some("agentint"), Some(Ok(id)), Some(own)) if own == id => {}
                (Some("agentint"), Some(Ok(id)), None) if self.legacy => {
                    effects.push(Effect::Identify(id));
                }
                _ => return refused(ErrKind::PermissionsViolation),
            }
        }
        let subscription = Subscription { pattern, delivered: 0, max: None };
        self.subscriptions.insert(sid.to_owned(), subscription);
        self.acknowledge(effects)
    }

    /// A legacy agent is who it says: nobody else was, and it was expected.
    pub(super) fn identified(&mut self, id: WorkloadId) {
        self.agent = Some(id);
    }
}
