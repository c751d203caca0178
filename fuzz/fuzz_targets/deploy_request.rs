//! Deploy requests, as clients send them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nex_protocol::control::DeployRequest;

fuzz_target!(|data: &[u8]| {
    if let Ok(read) = DeployRequest::decode(data) {
        assert_eq!(DeployRequest::decode(&read.encode()).expect("ours"), read);
    }
});
