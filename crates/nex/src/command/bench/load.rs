//! Clients that call as fast as they get replies.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use nex_client::Client;
use nex_client::call::HeaderMap;
use nex_protocol::subject::Subject;

use super::statistics::Latencies;

/// What every call sends.
#[derive(Clone)]
pub(super) struct Message {
    /// The body.
    pub(super) payload: Bytes,
    /// The headers.
    pub(super) headers: HeaderMap,
    /// How long a reply is waited for.
    pub(super) timeout: Duration,
}

/// How long a slice of a measurement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Budget {
    /// So long; calls under way are finished.
    Time(Duration),
    /// So many calls by all clients together.
    Calls(u64),
}

/// What a slice showed.
pub(super) struct Slice {
    /// Times and counts.
    pub(super) latencies: Latencies,
    /// What the first call that failed said.
    pub(super) first_error: Option<String>,
}

/// Lets every client call, one call after the other, until the budget is spent.
pub(super) async fn run(
    clients: &[Client],
    subject: &Subject,
    message: &Message,
    budget: Budget,
) -> Slice {
    let slice = RefCell::new(Slice { latencies: Latencies::new(), first_error: None });
    let begun = Cell::new(0);
    let began = Instant::now();
    let more = || match budget {
        Budget::Time(time) => began.elapsed() < time,
        Budget::Calls(calls) => begun.replace(begun.get() + 1) < calls,
    };
    let workers: FuturesUnordered<_> =
        clients.iter().map(|client| work(client, subject, message, more, &slice)).collect();
    workers.collect::<()>().await;
    let mut slice = slice.into_inner();
    slice.latencies.measured_for(began.elapsed());
    slice
}

async fn work(
    client: &Client,
    subject: &Subject,
    message: &Message,
    more: impl Fn() -> bool,
    slice: &RefCell<Slice>,
) {
    while more() {
        let Message { payload, headers, timeout } = message.clone();
        let answer = client.call(subject, payload, headers, timeout).await;
        // Never held over an await.
        let mut slice = slice.borrow_mut();
        match answer {
            Ok(reply) => slice.latencies.answered(reply.elapsed),
            Err(error) => {
                slice.latencies.failed();
                slice.first_error.get_or_insert_with(|| error.to_string());
            }
        }
    }
}
