//! The bare NATS echo that calls are measured against: on a connection and a
//! thread of its own, as a program of its own would be.

use std::thread;

use anyhow::Context;
use futures_util::StreamExt;
use nex_client::{Client, ConnectOptions};
use nex_protocol::subject::Subject;
use tokio::sync::oneshot;

/// A responder that sends back what it gets. It ends when this is dropped.
pub(super) struct Echo {
    subject: Subject,
    _stop: oneshot::Sender<()>,
}

impl Echo {
    /// Starts it; when this returns, it answers.
    pub(super) async fn start(options: ConnectOptions, subject: Subject) -> anyhow::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = oneshot::channel();
        let listen_on = subject.clone();
        let body = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(answer(options, listen_on, ready, stopped)),
                // The receiver gets the error unless it has given up.
                Err(error) => drop(ready.send(Err(error.into()))),
            }
        };
        let thread = thread::Builder::new().name("bench-echo".to_owned());
        thread.spawn(body).context("cannot start the thread of the echo")?;
        started.await.context("the echo ended before it was ready")??;
        Ok(Self { subject, _stop: stop })
    }

    /// Where it listens.
    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }
}

/// Answers until it is stopped.
async fn answer(
    options: ConnectOptions,
    subject: Subject,
    ready: oneshot::Sender<anyhow::Result<()>>,
    mut stopped: oneshot::Receiver<()>,
) {
    let connected = async {
        let client = Client::connect(options).await?;
        let requests = client.nats().subscribe(subject.to_string()).await?;
        anyhow::Ok((client, requests))
    };
    let (client, mut requests) = match connected.await {
        Ok(connected) => connected,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let nats = client.nats();
    // Once a request of its own has come, the server knows the subscription.
    let listening = nats.publish(subject.to_string(), bytes::Bytes::new()).await;
    let listening = match listening {
        Ok(()) => requests.next().await.context("the connection of the echo was closed"),
        Err(error) => Err(error.into()),
    };
    let listens = listening.is_ok();
    if ready.send(listening.map(drop)).is_err() || !listens {
        return;
    }
    loop {
        let request = tokio::select! {
            biased;
            request = requests.next() => request,
            _ = &mut stopped => return,
        };
        let Some(request) = request else { return };
        if let Some(reply) = request.reply {
            // Fails only when the connection is closed for good, which ends the requests too.
            let _ = nats.publish(reply, request.payload).await;
        }
    }
}
