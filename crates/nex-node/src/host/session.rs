//! The calls of one workload.

use std::sync::Arc;

use nex_protocol::name::{Namespace, WorkloadName};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    HostServices, Scope,
    bucket::{BucketKind, BucketSlot, BucketSpec, StoreError},
    call::{HostCall, Rpc, Rules},
    failure::Failure,
    http::Ticket,
    reply::{Answer, ReplyTo},
};

/// One workload's way to the host services, for as long as it runs. Dropping it ends its calls;
/// each is answered all the same.
#[derive(Debug)]
pub struct HostSession {
    workload: Arc<Workload>,
    /// Calls that may still begin.
    places: Arc<Semaphore>,
    /// Ends the calls under way.
    ended: CancellationToken,
}

#[derive(Debug)]
struct Workload {
    services: HostServices,
    scope: Scope,
    rules: Rules,
    /// The agent speaks the protocol of Go agents.
    legacy: bool,
    keys: BucketSlot,
    objects: BucketSlot,
}

impl HostSession {
    pub(super) fn new(services: HostServices, scope: Scope, legacy: bool) -> Self {
        let config = services.config();
        let slot = |kind, name, max_bytes| {
            let spec = BucketSpec { kind, name, max_bytes, replicas: config.bucket_replicas };
            BucketSlot::new(services.jetstream().clone(), spec)
        };
        let keys = slot(BucketKind::KeyValue, scope.key_value_bucket(), config.kv.max_bucket_bytes);
        let max_bytes = config.object_store.max_bucket_bytes;
        let objects = slot(BucketKind::Objects, scope.object_bucket(), max_bytes);
        let rules = Rules::new(Arc::clone(config), &scope, services.own_inboxes());
        Self {
            places: Arc::new(Semaphore::new(config.max_concurrent_calls)),
            ended: CancellationToken::new(),
            workload: Arc::new(Workload { services, scope, rules, legacy, keys, objects }),
        }
    }

    /// Takes a call: checks it, and answers it from a task of its own. `namespace` and `workload`
    /// are what the agent wrote, which has to be what it is.
    pub fn handle(
        &self,
        namespace: &Namespace,
        workload: &WorkloadName,
        rpc: Rpc<'_>,
        to: Box<dyn ReplyTo>,
    ) {
        let answer = Answer::new(to, rpc.form());
        let scope = &self.workload.scope;
        if *namespace != scope.namespace || *workload != scope.workload {
            tracing::warn!(
                %scope.namespace, %scope.workload, %namespace, %workload,
                "an agent called a host service in another's name; it was refused"
            );
            return answer.fail(&Failure::new(format!(
                "this agent runs {} of namespace {}: it cannot call for another",
                scope.workload, scope.namespace
            )));
        }
        let call = match rpc.decode(&self.workload.rules) {
            Ok(call) => call,
            Err(refusal) => return answer.fail(&refusal.failure),
        };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let limit = self.workload.services.config().max_concurrent_calls;
            return answer.fail(&Failure::new(format!(
                "{limit} calls of host services are under way for this workload; await some first"
            )));
        };
        let place: Ticket = Arc::new(place);
        let workload = Arc::clone(&self.workload);
        let ended = self.ended.clone();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                // Dropping the answer says so.
                () = ended.cancelled() => {}
                () = workload.run(call, answer, &place) => {}
            }
        });
    }
}

impl Drop for HostSession {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

impl Workload {
    async fn run(&self, call: HostCall, answer: Answer, place: &Ticket) {
        let config = self.services.config();
        let room = answer.max_bytes();
        match call {
            HostCall::Kv(call) => {
                let done = timeout(config.kv.timeout, call.run(&self.keys, room)).await;
                reply(answer, done.unwrap_or(Err(StoreError::Timeout)), || call.failed()).await;
            }
            HostCall::Objects(call) => {
                let done = timeout(config.object_store.timeout, call.run(&self.objects, room));
                let done = done.await.unwrap_or(Err(StoreError::Timeout));
                reply(answer, done, || call.failed()).await;
            }
            HostCall::Messaging(call) => {
                call.run(self.services.client(), &config.messaging, answer, self.legacy).await;
            }
            HostCall::Http(call) => {
                match self.services.http().call(*call, place, room, self.legacy).await {
                    Ok(body) => answer.succeed(body).await,
                    Err(failure) => answer.fail(&failure),
                }
            }
        }
    }
}

async fn reply(
    answer: Answer,
    done: Result<bytes::Bytes, StoreError>,
    failed: impl FnOnce() -> String,
) {
    match done {
        Ok(body) => answer.succeed(body).await,
        Err(error) => answer.fail(&Failure::new(format!("{}: {error}", failed()))),
    }
}
