//! Host services and log of the function, over the link.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use nex_protocol::agent::{AgentLevel, header};
use nex_protocol::nats::{Delivery, HeaderMap};
use nex_protocol::subject::{AgentSubject, AgentSubjectKind};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::link::Outbox;
use crate::output::lines::Lines;
use crate::provider::function::{BoxFuture, Host, HostCall, HostError, HostReply};

/// Most host calls that wait at the same time.
const MAX_WAITING: usize = 1024;
/// Most replies of one call that wait to be taken.
const MAX_REPLIES: usize = 1024;
/// How long the replies of `messaging.requestMany` are collected: the node's 3 s, and a little
/// more to hear from it that they are over. Nodes of the old kind do not say so.
const COLLECTING: Duration = Duration::from_millis(3_200);
/// What headers and subject take of the largest message beside those of the call.
const ROOM: usize = 4096;

/// The way from a function to its node.
#[derive(Debug)]
pub struct HostLink {
    outbox: Outbox,
    lines: Lines,
    identity: Identity,
    /// Number of the next call.
    next: AtomicU64,
    waiting: Arc<Mutex<Waiting>>,
}

/// Whose calls these are.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The agent.
    pub id: nex_protocol::name::WorkloadId,
    /// The workload's namespace.
    pub namespace: nex_protocol::name::Namespace,
    /// The workload's name.
    pub workload: nex_protocol::name::WorkloadName,
}

impl Identity {
    /// Where replies come: this, and the number of the call.
    fn inbox(&self) -> String {
        format!("_INBOX.{}.rpc.", self.id)
    }

    /// What the agent listens to for them.
    #[must_use]
    pub fn inboxes(&self) -> String {
        self.inbox() + "*"
    }
}

/// Calls whose replies have not come.
#[derive(Debug, Default)]
struct Waiting {
    calls: HashMap<u64, mpsc::Sender<Delivery>>,
    lost: bool,
}

/// Takes a call off the list, however it ends.
struct Place {
    waiting: Arc<Mutex<Waiting>>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.waiting).calls.remove(&self.number);
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    // Nothing panics while it holds the lock.
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lost() -> HostError {
    HostError("the connection to the node is lost".to_owned())
}

impl HostLink {
    /// Nothing under way.
    #[must_use]
    pub fn new(outbox: Outbox, lines: Lines, identity: Identity) -> Self {
        Self { outbox, lines, identity, next: AtomicU64::new(1), waiting: Arc::default() }
    }

    /// Whose calls these are.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The workload's log.
    #[must_use]
    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    /// The link is gone: whatever waits fails now, and new calls fail until it is back.
    pub fn link_lost(&self) {
        let mut waiting = lock(&self.waiting);
        waiting.lost = true;
        waiting.calls.clear();
    }

    /// There is a link again.
    pub fn link_back(&self) {
        lock(&self.waiting).lost = false;
    }

    /// Takes a message that came to one of the inboxes.
    pub fn on_reply(&self, message: Delivery) {
        let number = message.subject.rsplit('.').next().and_then(|last| last.parse().ok());
        let Some(number): Option<u64> = number else { return };
        let waiting = lock(&self.waiting);
        if let Some(call) = waiting.calls.get(&number) {
            // More replies than anyone waits for are as good as none.
            let _ = call.try_send(message);
        }
    }

    fn take_place(&self, replies: mpsc::Sender<Delivery>) -> Result<Place, HostError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut waiting = lock(&self.waiting);
        if waiting.lost {
            return Err(lost());
        }
        if waiting.calls.len() >= MAX_WAITING {
            return Err(HostError(format!("{MAX_WAITING} host calls wait already")));
        }
        waiting.calls.insert(number, replies);
        Ok(Place { waiting: Arc::clone(&self.waiting), number })
    }

    fn send(&self, call: &HostCall, place: &Place) -> Result<(), HostError> {
        let name = |text: &str| {
            let token = text.parse();
            token.map_err(|_| HostError(format!("there is no host service {text:?}")))
        };
        let kind = AgentSubjectKind::Rpc {
            namespace: self.identity.namespace.clone(),
            workload: self.identity.workload.clone(),
            service: name(call.service)?,
            method: name(call.method)?,
        };
        let subject = AgentSubject { id: self.identity.id, kind }.to_string();
        let reply = format!("{}{}", self.identity.inbox(), place.number);
        let limit = self.outbox.max_payload().saturating_sub(ROOM);
        let size = call.headers.encoded_len() + call.body.len();
        if size > limit {
            let text = format!("{size} bytes are more than a host call may have, {limit}");
            return Err(HostError(text));
        }
        let headers = (!call.headers.is_empty()).then_some(&call.headers);
        self.outbox.publish_bytes(&subject, Some(&reply), headers, call.body.clone(), None);
        Ok(())
    }
}

impl Host for HostLink {
    fn call(&self, call: HostCall, deadline: Instant) -> BoxFuture<Result<HostReply, HostError>> {
        let many = is_many(&call);
        let (sender, mut replies) = mpsc::channel(if many { MAX_REPLIES } else { 1 });
        let sent = self.take_place(sender).and_then(|place| {
            self.send(&call, &place)?;
            Ok(place)
        });
        Box::pin(async move {
            let _place = sent?;
            if many {
                return collect(&mut replies, deadline).await;
            }
            match timeout_at(deadline, replies.recv()).await {
                Ok(Some(reply)) => {
                    check(&call, &reply)?;
                    Ok(HostReply { parts: vec![reply.payload] })
                }
                Ok(None) => Err(lost()),
                Err(_) => Err(HostError(format!(
                    "{}.{} did not answer in time",
                    call.service, call.method
                ))),
            }
        })
    }

    fn log(&self, level: AgentLevel, text: &str) {
        self.lines.write(level, text);
    }
}

/// The one method with several replies.
fn is_many(call: &HostCall) -> bool {
    (call.service, call.method) == ("messaging", "requestMany")
}

async fn collect(
    replies: &mut mpsc::Receiver<Delivery>,
    deadline: Instant,
) -> Result<HostReply, HostError> {
    let until = deadline.min(Instant::now() + COLLECTING);
    let mut parts = Vec::new();
    loop {
        match timeout_at(until, replies.recv()).await {
            Ok(Some(reply)) => {
                if let Some(error) = error_in(reply.headers.as_ref()) {
                    return Err(error);
                }
                if reply.headers.is_some_and(|headers| headers.get(header::END).is_some()) {
                    return Ok(HostReply { parts });
                }
                parts.push(reply.payload);
            }
            Ok(None) => return Err(lost()),
            // That nothing more came is how a node of the old kind says it.
            Err(_) => return Ok(HostReply { parts }),
        }
    }
}

fn check(call: &HostCall, reply: &Delivery) -> Result<(), HostError> {
    match error_in(reply.headers.as_ref()) {
        Some(error) => Err(error),
        None if answers_json(call) => error_in_body(&reply.payload).map_or(Ok(()), Err),
        None => Ok(()),
    }
}

fn error_in(headers: Option<&HeaderMap>) -> Option<HostError> {
    let headers = headers?;
    if let Some(text) = headers.get_any_case(header::ERROR) {
        return Some(HostError(text.to_owned()));
    }
    // The endpoint's own word that nobody listens there.
    let status = headers.status()?;
    Some(HostError(format!("this node has no such host service (status {})", status.code)))
}

/// Whether a success is JSON, so that an error of a node of the old kind can be told from it.
fn answers_json(call: &HostCall) -> bool {
    match call.service {
        "kv" | "objectstore" => call.method != "get",
        "messaging" => call.method == "publish",
        "http" => true,
        _ => false,
    }
}

fn error_in_body(body: &Bytes) -> Option<HostError> {
    #[derive(Deserialize)]
    struct Said {
        error: Option<String>,
        errors: Option<Vec<String>>,
    }
    // Most have none, and are not read twice.
    memchr::memmem::find(body, b"\"error")?;
    let said: Said = serde_json::from_slice(body).ok()?;
    said.error.or_else(|| said.errors.map(|all| all.join("; "))).map(HostError)
}

#[cfg(test)]
mod tests {
    use nex_protocol::nats::Text;

    use super::*;
    use crate::output::capture::LogTarget;
    use crate::output::limit::Rates;

    fn link() -> (Outbox, HostLink) {
        let outbox = Outbox::new();
        let target = LogTarget {
            outbox: outbox.clone(),
            subject: "logs".to_owned(),
            source: "echo".to_owned(),
        };
        let identity = Identity {
            id: "cohvl8bl5c0s73b2rcs0".parse().unwrap(),
            namespace: "default".parse().unwrap(),
            workload: "echo".parse().unwrap(),
        };
        let lines = Lines::new(target, Rates::DEFAULT);
        (outbox.clone(), HostLink::new(outbox, lines, identity))
    }

    fn call(service: &'static str, method: &'static str) -> HostCall {
        HostCall { service, method, headers: HeaderMap::new(), body: Bytes::from_static(b"x") }
    }

    fn reply(number: u64, headers: &[(&str, &str)], body: &'static [u8]) -> Delivery {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value).unwrap();
        }
        Delivery {
            subject: Text::from(format!("_INBOX.cohvl8bl5c0s73b2rcs0.rpc.{number}")),
            sid: Text::from("7"),
            reply: None,
            headers: (!headers.is_empty()).then_some(map),
            payload: Bytes::from_static(body),
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test(start_paused = true)]
    async fn replies_reach_their_calls_whatever_the_order() {
        let (outbox, host) = link();
        let (first, second) =
            (host.call(call("kv", "get"), soon()), host.call(call("kv", "set"), soon()));
        host.on_reply(reply(2, &[], b"two"));
        host.on_reply(reply(1, &[], b"{\"error\":\"bytes are bytes\"}"));
        host.on_reply(reply(3, &[], b"nobody's"));
        assert_eq!(second.await.unwrap().parts, ["two"]);
        assert_eq!(first.await.unwrap().parts, ["{\"error\":\"bytes are bytes\"}"]);
        let mut sent = outbox.next_batch().await.unwrap();
        let left = bytes::Buf::remaining(&sent);
        let sent = bytes::Buf::copy_to_bytes(&mut sent, left);
        let sent = String::from_utf8_lossy(&sent).into_owned();
        let expected = "PUB agentint.cohvl8bl5c0s73b2rcs0.rpc.default.echo.kv.get \
                        _INBOX.cohvl8bl5c0s73b2rcs0.rpc.1 1\r\nx\r\n";
        assert!(sent.starts_with(expected), "{sent}");
        assert!(lock(&host.waiting).calls.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn every_kind_of_error_is_an_error() {
        let (_outbox, host) = link();
        for (number, headers, body, said) in [
            (1, &[("x-nex-error", "nats: key not found")][..], &b"{}"[..], "key not found"),
            (2, &[], b"{\"success\":false,\"errors\":[\"a\",\"b\"]}", "a; b"),
            (3, &[], b"{\"error\":\"no\"}", "no"),
        ] {
            let answer = host.call(call("kv", "set"), soon());
            host.on_reply(reply(number, headers, body));
            assert!(answer.await.unwrap_err().0.contains(said), "{said}");
        }
        let late = host.call(call("kv", "get"), soon());
        assert!(late.await.unwrap_err().0.contains("in time"));
        let mut large = call("kv", "set");
        large.body = Bytes::from(vec![0; 2 << 20]);
        assert!(host.call(large, soon()).await.unwrap_err().0.contains("more than"));
        assert!(host.call(call("kv", "a.b"), soon()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_link_ends_every_wait_and_refuses_new_calls() {
        let (_outbox, host) = link();
        let waiting = host.call(call("kv", "get"), soon());
        host.link_lost();
        assert_eq!(waiting.await.unwrap_err(), lost());
        assert_eq!(host.call(call("kv", "get"), soon()).await.unwrap_err(), lost());
        host.link_back();
        let again = host.call(call("kv", "get"), soon());
        let number = host.next.load(Ordering::Relaxed) - 1;
        host.on_reply(reply(number, &[], b"yes"));
        assert_eq!(again.await.unwrap().parts, ["yes"]);
    }

    #[tokio::test(start_paused = true)]
    async fn many_replies_end_with_a_word_or_with_time() {
        let (_outbox, host) = link();
        let many = host.call(call("messaging", "requestMany"), soon());
        host.on_reply(reply(1, &[], b"a"));
        host.on_reply(reply(1, &[], b""));
        host.on_reply(reply(1, &[("x-nex-end", "")], b""));
        assert_eq!(many.await.unwrap().parts, ["a", ""]);
        let until = Instant::now() + COLLECTING;
        let old = host.call(call("messaging", "requestMany"), soon());
        host.on_reply(reply(2, &[], b"a"));
        assert_eq!(old.await.unwrap().parts, ["a"]);
        assert_eq!(Instant::now(), until, "a node of the old kind does not say when");
        let none = host.call(call("messaging", "requestMany"), soon());
        host.on_reply(reply(3, &[("x-nex-error", "refused")], b""));
        assert!(none.await.is_err());
    }
}
