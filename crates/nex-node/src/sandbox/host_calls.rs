//! Calls of host services that come over an agent's connection.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use nex_protocol::{agent::header, nats::HeaderMap};

use crate::{bus::Responder, host::ReplyTo};

impl ReplyTo for Responder {
    fn max_bytes(&self) -> usize {
        Responder::max_bytes(self)
    }

    fn room(&self) -> BoxFuture<'_, bool> {
        Box::pin(Responder::room(self))
    }

    fn part(&self, payload: Bytes) -> bool {
        Responder::part(self, None, payload).is_ok()
    }

    fn finish(self: Box<Self>, headers: Option<&HeaderMap>, payload: Bytes) {
        // An agent that is gone misses it.
        let _ = self.respond(headers, payload);
    }

    fn end(self: Box<Self>) {
        Responder::end(*self);
    }
}

/// Refuses a call that comes when nothing runs on whose behalf it could be.
pub(super) fn refuse(reply: Responder) {
    const WHY: &str = "host services are there for a workload, and none runs here";
    let mut headers = HeaderMap::new();
    // Plain ASCII: it always fits.
    let _ = headers.append(header::ERROR, WHY);
    let body = serde_json::json!({ "success": false, "error": WHY }).to_string();
    // An agent that is gone misses it.
    let _ = reply.respond(Some(&headers), body.into());
}
