//! Stop requests, as clients send them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nex_protocol::control::StopRequest;

fuzz_target!(|data: &[u8]| {
    if let Ok(read) = StopRequest::decode(data) {
        assert_eq!(StopRequest::decode(&read.encode()).expect("ours"), read);
        let _ = read.id();
    }
});
