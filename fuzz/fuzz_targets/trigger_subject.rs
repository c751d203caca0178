//! What a tenant asks to be triggered on.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nex_protocol::subject::{SubjectPattern, TriggerSubject};

static RESERVED: LazyLock<Vec<SubjectPattern>> = LazyLock::new(|| {
    ["$NEX.>", "$JS.>", "$SYS.>", "$KV.>", "$O.>", "_INBOX.>", "_R_.>", "agentint.>"]
        .map(|pattern| pattern.parse().unwrap())
        .into()
});

fuzz_target!(|text: &str| {
    let Ok(trigger) = text.parse::<TriggerSubject>() else { return };
    assert_eq!(trigger.as_str(), text);
    assert!(!RESERVED.iter().any(|reserved| trigger.pattern().collides(reserved)));
});
