//! Receives control requests and sends their replies.

use std::{sync::Arc, time::Duration};

use async_nats::{Client, Message, Subscriber};
use futures_util::{StreamExt as _, stream::select_all};
use nex_protocol::{name::NodeId, subject::ControlSubject};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    handler::{Answer, Handler, Work},
    refusal::Refusal,
};
use crate::StartError;

/// Deploys and stops that are worked on or wait; more are refused at once.
const MAX_REQUESTS: usize = 512;

/// How long a new subscription may take to be live.
const SUBSCRIBE_DEADLINE: Duration = Duration::from_secs(5);

/// The subscriptions of a node's control API.
pub(crate) struct Listener {
    nats: Client,
    node: NodeId,
    subscriptions: Vec<Subscriber>,
}

impl Listener {
    /// Subscribes to every subject of the control API. Whether the
    /// subscriptions are live is known once [`confirm`](Self::confirm) answered.
    pub(crate) async fn subscribe(nats: &Client, node: NodeId) -> Result<Self, StartError> {
        let mut subscriptions = Vec::new();
        for pattern in ControlSubject::patterns(node) {
            let subscription = nats.subscribe(pattern.to_string()).await;
            subscriptions.push(subscription.map_err(StartError::Subscribe)?);
        }
        Ok(Self { nats: nats.clone(), node, subscriptions })
    }

    /// Asks the node itself over NATS, until it answers: a flush would not wait
    /// for the server, and nobody may hear of a node that does not listen yet.
    pub(crate) async fn confirm(nats: &Client, node: NodeId) -> Result<(), StartError> {
        let ping = nats.request(ControlSubject::Ping(node).to_string(), Vec::new().into());
        match timeout(SUBSCRIBE_DEADLINE, ping).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(StartError::NotListening(error.to_string())),
            Err(_) => Err(StartError::NotListening("no answer".to_owned())),
        }
    }

    /// Serves requests until `stop`. Requests that are being worked on are
    /// finished first.
    pub(crate) async fn run(self, handler: Arc<Handler>, stop: CancellationToken) {
        let Self { nats, node, subscriptions } = self;
        let mut requests = select_all(subscriptions);
        let places = Arc::new(Semaphore::new(MAX_REQUESTS));
        let tasks = TaskTracker::new();
        loop {
            let message = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                message = requests.next() => match message {
                    Some(message) => message,
                    None => break,
                },
            };
            match handler.receive(&message, node) {
                Answer::Now(reply) => send(&nats, &message, reply).await,
                Answer::Silence => {}
                Answer::Work(work) => {
                    let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                        let reply = work.refuse(&Refusal::Busy);
                        send(&nats, &message, reply).await;
                        continue;
                    };
                    let (nats, handler) = (nats.clone(), Arc::clone(&handler));
                    tasks.spawn(async move {
                        let reply = run_guarded(handler, work).await;
                        send(&nats, &message, reply).await;
                        drop(place);
                    });
                }
            }
        }
        tasks.close();
        tasks.wait().await;
    }
}

/// Runs a request in a task of its own, so that even a bug in it is answered.
async fn run_guarded(handler: Arc<Handler>, work: Work) -> Vec<u8> {
    let kind = work.kind();
    let task = tokio::spawn(async move { handler.perform(work).await });
    task.await.unwrap_or_else(|panic| {
        tracing::error!(%panic, "a control request panicked");
        kind.refuse(&Refusal::Bug)
    })
}

async fn send(nats: &Client, request: &Message, reply: Vec<u8>) {
    let Some(inbox) = request.reply.clone() else {
        tracing::debug!(subject = %request.subject, "a request without reply subject");
        return;
    };
    // The client queues while NATS is away; what it cannot queue has no reader.
    if let Err(error) = nats.publish(inbox, reply.into()).await {
        tracing::warn!(subject = %request.subject, %error, "a reply could not be sent");
    }
}
