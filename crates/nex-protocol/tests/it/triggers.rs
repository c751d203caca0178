//! Which subjects a tenant's function may be triggered on.

use nex_protocol::key::{KeyKind, SigningKey};
use nex_protocol::subject::{
    ControlSubject, PatternError, SubjectPattern, TriggerSubject, TriggerSubjectError,
};
use proptest::prelude::*;

#[test]
fn plain_names_are_taken() {
    for good in [
        "orders",
        "orders.new",
        "orders.*",
        "orders.>",
        "a.*.b",
        "inbox.>",
        "_INBOXES.a",
        "x$",
        "orders.$NEX",
        "*x",
        ">x.a",
        "nex.PING",
        "agentint2.a",
        "a._INBOX",
    ] {
        let trigger: TriggerSubject = good.parse().unwrap_or_else(|e| panic!("{good}: {e}"));
        assert_eq!(trigger.as_str(), good);
        assert!(trigger.pattern().as_str() == good);
    }
}

#[test]
fn what_is_not_for_tenants_is_refused() {
    for (text, cause) in [
        (">", TriggerSubjectError::LeadingWildcard),
        ("*", TriggerSubjectError::LeadingWildcard),
        ("*.>", TriggerSubjectError::LeadingWildcard),
        ("*.orders", TriggerSubjectError::LeadingWildcard),
        ("$NEX.>", TriggerSubjectError::System),
        ("$JS.API.>", TriggerSubjectError::System),
        ("$SYS.ACCOUNT", TriggerSubjectError::System),
        ("$", TriggerSubjectError::System),
        ("$anything.at.all", TriggerSubjectError::System),
        ("_INBOX.>", TriggerSubjectError::Reply),
        ("_INBOX", TriggerSubjectError::Reply),
        ("_R_.a", TriggerSubjectError::Reply),
        ("agentint.>", TriggerSubjectError::Agent),
        ("agentint.*.logs", TriggerSubjectError::Agent),
        ("", TriggerSubjectError::Pattern(PatternError::Empty)),
        ("a..b", TriggerSubjectError::Pattern(PatternError::EmptyToken)),
        ("a.>.b", TriggerSubjectError::Pattern(PatternError::TailWildcard)),
        ("a b", TriggerSubjectError::Pattern(PatternError::Blank { found: ' ' })),
    ] {
        assert_eq!(text.parse::<TriggerSubject>(), Err(cause), "{text}");
    }
}

#[test]
fn json_is_checked_too() {
    assert!(serde_json::from_str::<TriggerSubject>(r#""orders.>""#).is_ok());
    assert!(serde_json::from_str::<TriggerSubject>(r#""$NEX.>""#).is_err());
    assert!(serde_json::from_str::<TriggerSubject>("5").is_err());
}

proptest! {
    #[test]
    fn no_trigger_reaches_what_is_not_for_tenants(
        first in "[$]?(NEX|JS|SYS|INBOX|agentint|_INBOX|_R_|a|\\*|>)",
        rest in "(\\.([a-c]|\\*|PING)){0,3}(\\.>)?",
    ) {
        let Ok(trigger) = format!("{first}{rest}").parse::<TriggerSubject>() else { return Ok(()) };
        for reserved in ["$NEX.>", "$JS.>", "$SYS.>", "$KV.>", "_INBOX.>", "agentint.>", "_R_.>"] {
            let reserved: SubjectPattern = reserved.parse().unwrap();
            prop_assert!(!trigger.pattern().collides(&reserved), "{}", trigger);
        }
        let node = SigningKey::generate(KeyKind::Server).public().try_into().unwrap();
        for own in ControlSubject::patterns(node) {
            prop_assert!(!trigger.pattern().collides(&own), "{}", trigger);
        }
        prop_assert_eq!(trigger.to_string().parse::<TriggerSubject>().unwrap(), trigger);
    }

    #[test]
    fn no_text_is_too_odd(text in ".{0,40}") {
        let _ = text.parse::<TriggerSubject>();
    }
}
