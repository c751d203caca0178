//! The subjects of control requests, events, logs and agents.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nex_protocol::subject::{AgentSubject, ControlSubject, EventSubject, LogSubject, Subject};

fuzz_target!(|text: &str| {
    if let Ok(subject) = text.parse::<ControlSubject>() {
        assert_eq!(subject.to_string(), text);
        assert!(text.parse::<Subject>().is_ok());
    }
    if let Ok(subject) = text.parse::<EventSubject>() {
        assert_eq!(subject.to_string(), text);
        assert!(text.parse::<Subject>().is_ok());
    }
    if let Ok(subject) = text.parse::<AgentSubject>() {
        assert_eq!(subject.to_string(), text);
        assert!(AgentSubject::pattern(subject.id).matches(text));
    }
    if let Ok(subject) = text.parse::<LogSubject>() {
        // Two orders are read, one is printed.
        assert_eq!(subject.to_string().parse::<LogSubject>().as_ref(), Ok(&subject));
    }
});
