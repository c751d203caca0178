//! A call of a host service by a hostile agent: headers and body, to a checked call.
#![no_main]

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use nex_node::config::Config;
use nex_node::host::{HostCall, KvCall, MessagingCall, Rpc, Rules, Scope};
use nex_protocol::nats::HeaderMap;
use nex_protocol::subject::Subject;

const SERVICES: [&str; 5] = ["kv", "objectstore", "messaging", "http", "other"];
const METHODS: [&str; 16] = [
    "get", "set", "delete", "keys", "put", "list", "publish", "request", "requestMany", "head",
    "post", "patch", "GET", "", "get ", "nothing",
];

fn rules() -> &'static Rules {
    static RULES: OnceLock<Rules> = OnceLock::new();
    RULES.get_or_init(|| {
        let config = Config::builder().build().unwrap();
        let scope =
            Scope { namespace: "a".parse().unwrap(), workload: "echo".parse().unwrap() };
        Rules::new(Arc::new(config.host_services.clone()), &scope, "_INBOX.own.")
    })
}

/// What a key or subject makes stays one subject, and none that is reserved.
fn check(call: HostCall) {
    match call {
        HostCall::Kv(KvCall::Get(key) | KvCall::Set(key, _) | KvCall::Delete(key)) => {
            let subject: Subject = format!("$KV.hs_a_echo_kv.{key}").parse().unwrap();
            assert_eq!(subject.tokens().nth(1), Some("hs_a_echo_kv"));
        }
        HostCall::Messaging(
            MessagingCall::Publish(subject, _)
            | MessagingCall::Request(subject, _)
            | MessagingCall::RequestMany(subject, _),
        ) => {
            let text = subject.as_str();
            assert!(!text.starts_with('$') && !text.starts_with("_INBOX"));
            assert!(!text.contains(char::is_whitespace) && !text.contains(char::is_control));
            assert!(text.split('.').all(|token| !matches!(token, "" | "*" | ">")));
        }
        HostCall::Kv(KvCall::Keys) | HostCall::Objects(_) | HostCall::Http(_) => {}
    }
}

fuzz_target!(|data: &[u8]| {
    let [service, method, split, rest @ ..] = data else { return };
    let (block, body) = rest.split_at(rest.len().min(usize::from(*split) * 8));
    let block = Bytes::copy_from_slice(block);
    let Ok(headers) = HeaderMap::decode(&block) else { return };
    let rpc = Rpc {
        service: SERVICES[usize::from(*service) % SERVICES.len()],
        method: METHODS[usize::from(*method) % METHODS.len()],
        headers: Some(&headers),
        body: Bytes::copy_from_slice(body),
    };
    match rpc.decode(rules()) {
        Ok(call) => check(call),
        Err(refusal) => {
            assert!(!refusal.text().is_empty() && !refusal.text().contains(char::is_control));
            HeaderMap::new().append("x-nex-error", refusal.text()).unwrap();
        }
    }
});
