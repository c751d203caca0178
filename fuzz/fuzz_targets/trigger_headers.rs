//! A call as a node hands it over: its header block, and what a function sees of it.
#![no_main]

use std::time::Duration;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use nex_agent::calls::Trigger;
use nex_agent::calls::answer::line;
use nex_protocol::nats::{Delivery, HeaderMap, Text};
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_secs(5);

fuzz_target!(|data: &[u8]| {
    let mut block = b"NATS/1.0\r\n".to_vec();
    block.extend_from_slice(data);
    block.extend_from_slice(b"\r\n\r\n");
    let Ok(headers) = HeaderMap::decode(&Bytes::from(block)) else { return };
    let message = Delivery {
        subject: Text::from_static("agentint.x.trigger"),
        sid: Text::from_static("6"),
        reply: None,
        headers: Some(headers.clone()),
        payload: Bytes::new(),
    };
    let now = Instant::now();
    let Ok(trigger) = Trigger::decode(&message, LIMIT, now) else {
        assert!(headers.get_any_case("x-nex-trigger-subject").is_none());
        return;
    };
    let call = trigger.call;
    assert!(call.deadline >= now && call.deadline <= now + LIMIT);
    assert!(call.headers.len() <= headers.len());
    for (name, value) in call.headers.iter() {
        assert!(!name.to_ascii_lowercase().starts_with("x-nex-"));
        assert!(headers.get_all(name).any(|held| held == value));
    }
    // Whatever a function says about it fits the answer's header.
    assert!(HeaderMap::new().insert("x-nex-error", &line(&call.subject)).is_ok());
});
