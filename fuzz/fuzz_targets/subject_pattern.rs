//! Two lines: patterns or subjects that are compared.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nex_protocol::subject::{Subject, SubjectPattern, Token};

fuzz_target!(|text: &str| {
    let (first, second) = text.split_once('\n').unwrap_or((text, text));
    let _ = first.parse::<Token>();
    let Ok(pattern) = first.parse::<SubjectPattern>() else { return };
    assert_eq!(pattern.as_str(), first);
    assert!(pattern.collides(&pattern));
    let matches = pattern.matches(second);
    if let Ok(other) = second.parse::<SubjectPattern>() {
        assert_eq!(pattern.collides(&other), other.collides(&pattern));
        assert!(!matches || pattern.collides(&other));
    }
    if let Ok(subject) = second.parse::<Subject>() {
        assert_eq!(matches, pattern.collides(&SubjectPattern::from(subject)));
    }
});
