//! Messages that functions send.
//!
//! A function has no inbox and no subscription. It can publish, and ask: the replies come to an
//! inbox of the node's own connection, which the function never sees.

use std::time::Duration;

use async_nats::{Client, Request, RequestErrorKind, StatusCode, connection::State};
use bytes::Bytes;
use futures_util::StreamExt as _;
use nex_protocol::subject::Subject;
use tokio::time::{Instant, timeout, timeout_at};

use super::{failure::Failure, reply::Answer};
use crate::config::HostMessagingConfig;

/// Set by NATS micro services, and by nodes for their functions, on replies that are errors.
const SERVICE_ERROR: &str = "Nats-Service-Error";
const SERVICE_ERROR_CODE: &str = "Nats-Service-Error-Code";

/// A call of the service `messaging`. The subject was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessagingCall {
    /// Sends a message.
    Publish(Subject, Bytes),
    /// Sends a message and waits for one reply.
    Request(Subject, Bytes),
    /// Sends a message and collects replies.
    RequestMany(Subject, Bytes),
}

impl MessagingCall {
    /// What went wrong if it did, in the words of the Go node.
    fn failed(&self) -> String {
        match self {
            Self::Publish(subject, body) => {
                format!("failed to publish {}-byte message on subject {subject}", body.len())
            }
            Self::Request(subject, body) | Self::RequestMany(subject, body) => {
                format!("failed to send {}-byte request on subject {subject}", body.len())
            }
        }
    }

    /// Does it and answers.
    pub(super) async fn run(
        self,
        client: &Client,
        config: &HostMessagingConfig,
        answer: Answer,
        legacy: bool,
    ) {
        let failed = self.failed();
        let failure = |why: &str| Failure::new(format!("{failed}: {why}"));
        if client.connection_state() != State::Connected {
            return answer.fail(&failure("the node is not connected to NATS; try again"));
        }
        match self {
            Self::Publish(subject, body) => {
                let published = client.publish(subject.as_str().to_owned(), body);
                match timeout(config.request_timeout, published).await {
                    Ok(Ok(())) => answer.succeed(Bytes::from_static(br#"{"success":true}"#)).await,
                    Ok(Err(error)) => answer.fail(&failure(&crate::error_chain(&error))),
                    Err(_) => answer.fail(&failure("nats: timeout")),
                }
            }
            Self::Request(subject, body) => {
                match request(client, &subject, body, config.request_timeout).await {
                    Ok(reply) => answer.succeed(reply).await,
                    Err(why) => answer.fail(&failure(&why)),
                }
            }
            Self::RequestMany(subject, body) => {
                match request_many(client, &subject, body, config, &answer).await {
                    Ok(()) => answer.end_parts(legacy),
                    Err(why) => answer.fail_parts(&failure(&why), legacy),
                }
            }
        }
    }
}

async fn request(
    client: &Client,
    subject: &Subject,
    body: Bytes,
    limit: Duration,
) -> Result<Bytes, String> {
    let request = Request::new().payload(body).timeout(Some(limit));
    // The client's own queue may be full: that time counts too.
    let sent = timeout(limit, client.send_request(subject.as_str().to_owned(), request)).await;
    let reply = match sent {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => {
            return Err("nats: no responders available for request".to_owned());
        }
        Ok(Err(error)) if error.kind() != RequestErrorKind::TimedOut => {
            return Err(crate::error_chain(&error));
        }
        Ok(Err(_)) | Err(_) => return Err("nats: timeout".to_owned()),
    };
    // A service that failed says so in headers, with an empty body: no value to hand on.
    let header = |name: &str| reply.headers.as_ref().and_then(|headers| headers.get(name));
    match header(SERVICE_ERROR_CODE) {
        Some(code) => {
            let text = header(SERVICE_ERROR).map_or("", |text| text.as_str());
            Err(format!("the service answered error {code}: {text}"))
        }
        None => Ok(reply.payload),
    }
}

/// Hands on each reply as it comes. Ends when the time is over, when no reply came for a while
/// after one, when nobody listens, or when the agent is gone.
async fn request_many(
    client: &Client,
    subject: &Subject,
    body: Bytes,
    config: &HostMessagingConfig,
    answer: &Answer,
) -> Result<(), String> {
    let end = Instant::now() + config.request_many_timeout;
    let inbox = client.new_inbox();
    let sent = async {
        let replies = client.subscribe(inbox.clone()).await.map_err(|e| crate::error_chain(&e))?;
        let sent = client.publish_with_reply(subject.as_str().to_owned(), inbox.clone(), body);
        sent.await.map_err(|error| crate::error_chain(&error))?;
        Ok::<_, String>(replies)
    };
    let mut replies = timeout_at(end, sent).await.map_err(|_| "nats: timeout".to_owned())??;
    let (mut count, mut bytes) = (0, 0_usize);
    let mut until = end;
    while let Ok(Some(reply)) = timeout_at(until, replies.next()).await {
        if reply.status == Some(StatusCode::NO_RESPONDERS) {
            break;
        }
        count += 1;
        bytes = bytes.saturating_add(reply.payload.len());
        if count > config.max_replies {
            return Err(format!("more than {} replies came", config.max_replies));
        }
        if bytes > config.max_reply_bytes {
            return Err(format!("replies of more than {} bytes came", config.max_reply_bytes));
        }
        if reply.payload.len() > answer.max_bytes() {
            let (size, limit) = (reply.payload.len(), answer.max_bytes());
            return Err(format!(
                "a reply has {size} bytes; node and agent exchange at most {limit}"
            ));
        }
        if !answer.part(reply.payload).await {
            break;
        }
        until = end.min(Instant::now() + config.request_many_stall);
    }
    Ok(())
}
