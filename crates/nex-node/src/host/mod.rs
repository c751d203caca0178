//! Host services: what a node does on behalf of functions.
//!
//! ```text
//! agent ─ rpc.{ns}.{workload}.{service}.{method} ─▶ sandbox task ─▶ HostSession::handle
//!                                                                     │ in its own name? a call? a place?
//!              reply, or an error with x-nex-error ◀── Answer ◀── task of this call
//!                                                                     ├ kv, objects ─ bucket ─▶ JetStream
//!                                                                     ├ messaging ────────────▶ NATS
//!                                                                     └ http ── address check ─▶ the internet
//! ```
//!
//! * A [`Scope`] is what the node knows of the connection that a call came on. Buckets are named
//!   after it; nothing in a call can name another's.
//! * [`Rpc::decode`] checks everything in a call before anything is done: pure and fuzzed.
//! * Every call has a time limit and a task of its own, of which each workload has a bounded
//!   number; one more is refused at once. [`HostSession`] lives as long as the workload and ends
//!   its calls with it.
//! * A call has one answer: `reply` sees to that, also when it is cut off.

mod bucket;
mod call;
mod failure;
pub mod http;
mod kv;
mod messaging;
mod objects;
mod reply;
mod scope;
mod session;
mod subjects;

use std::sync::Arc;

use async_nats::{
    Client,
    jetstream::{self, context::ContextBuilder},
};

pub use call::{HostCall, Refusal, Rpc, Rules};
pub use http::HttpSetupError;
pub use kv::{Key, KeyError, KvCall, MAX_KEY_BYTES};
pub use messaging::MessagingCall;
pub use objects::{MAX_OBJECT_NAME_BYTES, ObjectCall, ObjectName, ObjectNameError};
pub use reply::ReplyTo;
pub use scope::Scope;
pub use session::HostSession;
pub use subjects::{SubjectRefusal, SubjectRules};

use self::http::{HttpService, Resolver};
use crate::config::HostServicesConfig;

/// The host services of a node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HostServices {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    jetstream: jetstream::Context,
    /// What inboxes of the client begin with, last dot included.
    own_inboxes: String,
    http: HttpService,
    config: Arc<HostServicesConfig>,
}

impl HostServices {
    /// Host services on the public NATS system of `client`. Names are resolved by `resolver`.
    ///
    /// # Errors
    /// The file of certificate authorities cannot be used.
    pub fn new(
        client: Client,
        config: &HostServicesConfig,
        resolver: Arc<dyn Resolver>,
    ) -> Result<Self, HttpSetupError> {
        let limit = config.kv.timeout.max(config.object_store.timeout);
        let jetstream =
            ContextBuilder::new().timeout(limit).ack_timeout(limit).build(client.clone());
        let inbox = client.new_inbox();
        let own_inboxes = inbox.rsplit_once('.').map_or("", |(start, _)| start);
        let own_inboxes = format!("{own_inboxes}.");
        let http = HttpService::new(&config.http, resolver)?;
        let config = Arc::new(config.clone());
        Ok(Self { inner: Arc::new(Inner { client, jetstream, own_inboxes, http, config }) })
    }

    /// Begins the calls of one workload. Agents of the old protocol (`legacy`) know no end of
    /// several replies.
    #[must_use]
    pub fn open(&self, scope: Scope, legacy: bool) -> HostSession {
        HostSession::new(self.clone(), scope, legacy)
    }

    fn client(&self) -> &Client {
        &self.inner.client
    }

    fn jetstream(&self) -> &jetstream::Context {
        &self.inner.jetstream
    }

    fn own_inboxes(&self) -> &str {
        &self.inner.own_inboxes
    }

    fn http(&self) -> &HttpService {
        &self.inner.http
    }

    fn config(&self) -> &Arc<HostServicesConfig> {
        &self.inner.config
    }
}
