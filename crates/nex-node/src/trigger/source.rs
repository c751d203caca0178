//! The source of calls that a function has today: its subscriptions.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Subscriber;
use futures_util::StreamExt as _;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::call::Call;
use super::function::Function;

/// How long messages may take that the server had sent before it knew of the end of the
/// subscription: a round trip.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// Makes a call of every message until `stop`; those that were on their way then are still taken.
pub(super) async fn listen(
    function: Arc<Function>,
    trigger: usize,
    mut subscription: Subscriber,
    stop: CancellationToken,
) {
    let mut stopped = std::pin::pin!(stop.cancelled());
    loop {
        let message = tokio::select! {
            biased;
            message = subscription.next() => message,
            () = &mut stopped => break,
        };
        // NATS is gone for good.
        let Some(message) = message else { return };
        hand_over(&function, Call::of_message(trigger, message)).await;
    }
    if subscription.drain().await.is_err() {
        return;
    }
    let rest = async {
        while let Some(message) = subscription.next().await {
            hand_over(&function, Call::of_message(trigger, message)).await;
        }
    };
    if timeout(DRAIN_LIMIT, rest).await.is_err() {
        tracing::debug!(id = %function.spec.tag.id, "NATS does not confirm the end of a subscription");
    }
}

async fn hand_over(function: &Arc<Function>, call: Call) {
    if let Some((refused, failure)) = function.receive(call) {
        refused.refuse(failure).await;
    }
}
