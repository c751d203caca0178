//! Log lines, as nodes publish them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nex_protocol::log::{LogLevel, LogLine};

fuzz_target!(|data: &[u8]| {
    if let Ok(read) = LogLine::decode(data) {
        assert_eq!(LogLine::decode(&read.encode()).expect("ours"), read);
    }
    if let Some(level) = str::from_utf8(data).ok().and_then(|text| text.parse::<LogLevel>().ok()) {
        assert_eq!(level.to_string().parse::<LogLevel>(), Ok(level));
    }
});
