//! CloudEvents, as agents and nodes send them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nex_protocol::event::{Heartbeat, RawEvent, WorkloadStopped};

fuzz_target!(|data: &[u8]| {
    if let Ok(read) = RawEvent::decode(data) {
        assert_eq!(RawEvent::decode(&read.encode()).expect("ours"), read);
        let _ = read.kind();
        let _ = read.data_as::<Heartbeat>();
        let _ = read.data_as::<WorkloadStopped>();
    }
});
