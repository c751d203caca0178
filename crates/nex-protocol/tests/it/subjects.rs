//! Subjects against the NATS server's rules and against what Go peers published.

use nex_protocol::key::{KeyKind, SigningKey};
use nex_protocol::name::{NameError, Namespace, NodeId, WorkloadId, WorkloadName};
use nex_protocol::subject::{
    AgentSubject, AgentSubjectKind, ControlSubject, EventFilter, EventSubject, LogFilter,
    LogSubject, MAX_SUBJECT_BYTES, PatternError, Subject, SubjectError, SubjectPattern, Token,
    TokenError, WorkloadPingScope,
};
use proptest::prelude::*;

use crate::vectors::{file, section, text};

const NODE: &str = "NCJELP4G66Z6RXDFXWO7JZYJLEYHJS2AR66TKRJUXBH3UANR5I56VDE7";
const ID: &str = "cohvl8bl5c0s73b2rcs0";

#[test]
fn subjects_are_those_that_the_server_takes() {
    let file = file("subjects.json");
    let mut judged = 0;
    for case in section(&file, "subjects") {
        // Ours are texts: what is no UTF-8 never becomes one.
        let Some(subject) = case["subject"].as_str() else { continue };
        let pattern = subject.parse::<SubjectPattern>();
        assert_eq!(pattern.is_ok(), case["valid_subject"] == true, "{case}");
        let literal = subject.parse::<Subject>();
        assert_eq!(literal.is_ok(), case["valid_publish_subject"] == true, "{case}");
        if let Ok(pattern) = pattern {
            assert_eq!(pattern.is_literal(), literal.is_ok(), "{case}");
            assert!(pattern.matches(subject), "{case}");
        }
        judged += 1;
    }
    assert!(judged > 100);
}

#[test]
fn patterns_match_what_the_server_delivers() {
    let file = file("subjects.json");
    for case in section(&file, "matches") {
        let pattern: SubjectPattern = text(case, "pattern").parse().unwrap();
        assert_eq!(pattern.matches(text(case, "subject")), case["matches"] == true, "{case}");
    }
}

#[test]
fn patterns_collide_where_the_server_says_so() {
    let file = file("subjects.json");
    for case in section(&file, "collisions") {
        let (a, b) = (text(case, "a").parse(), text(case, "b").parse());
        let (a, b): (SubjectPattern, SubjectPattern) = (a.unwrap(), b.unwrap());
        assert_eq!(a.collides(&b), case["collide"] == true, "{case}");
        assert_eq!(b.collides(&a), case["collide"] == true, "{case}");
    }
}

#[test]
fn captured_subjects_read_back_as_they_are() {
    let control = file("control.json");
    let mut requests = 0;
    for step in section(&control, "captured") {
        for frame in step["frames"].as_array().into_iter().flatten() {
            let Some(subject) = frame["subject"].as_str() else { continue };
            if !subject.starts_with("$NEX.") || subject.starts_with("$NEX.events.") {
                continue;
            }
            if subject.starts_with("$NEX.logs.") {
                continue;
            }
            let read = subject.parse::<ControlSubject>();
            // A Go node ignores tokens after the workload's; ours says that they mean nothing.
            if subject.starts_with("$NEX.WPING.") && subject.ends_with(".more") {
                assert_eq!(read, Err(SubjectError::Unknown));
                continue;
            }
            if subject.ends_with(".NUNKNOWN") {
                assert!(matches!(read, Err(SubjectError::Name(NameError::Node(_)))));
                continue;
            }
            assert_eq!(read.unwrap().to_string(), subject);
            requests += 1;
        }
    }
    assert!(requests > 0);
    let events = file("events.json");
    for case in section(&events, "captured") {
        let subject = text(case, "subject");
        assert_eq!(subject.parse::<EventSubject>().unwrap().to_string(), subject);
    }
    let agent = file("agent.json");
    let mut messages = 0;
    for step in section(&agent, "captured") {
        for frame in step["frames"].as_array().into_iter().flatten() {
            let Some(subject) = frame["subject"].as_str() else { continue };
            if !subject.starts_with("agentint.") {
                continue;
            }
            let read: AgentSubject = subject.parse().unwrap_or_else(|e| panic!("{subject}: {e}"));
            assert_eq!(read.to_string(), subject);
            messages += 1;
        }
    }
    assert!(messages > 0);
}

#[test]
fn log_subjects_read_in_both_orders() {
    let logs = file("logs.json");
    let mut swapped = 0;
    for case in
        section(&logs, "captured").iter().chain(section(&logs, "published_by_calling_the_node"))
    {
        let subject = text(case, "subject");
        let read: LogSubject = subject.parse().unwrap_or_else(|e| panic!("{subject}: {e}"));
        let tokens: Vec<&str> = subject.split('.').collect();
        let (name, id) = (read.workload.as_str(), read.id.as_str());
        assert!(tokens[4..] == [name, id] || tokens[4..] == [id, name], "{subject}");
        swapped += usize::from(tokens[4] == id);
        let printed = read.to_string();
        assert!(printed.ends_with(&format!(".{name}.{id}")), "{printed}");
        assert_eq!(printed.parse::<LogSubject>().unwrap(), read);
    }
    assert!(swapped > 0);
    // A name that could be an id: the documented order decides.
    let name = "abcdefghijabcdefghij";
    let read: LogSubject = format!("$NEX.logs.default.{NODE}.{name}.{ID}").parse().unwrap();
    assert_eq!((read.workload.as_str(), read.id.as_str()), (name, ID));
}

#[test]
fn control_subjects_are_told_apart() {
    let node: NodeId = NODE.parse().unwrap();
    let namespace = Namespace::default();
    let all = [
        ("$NEX.PING".to_owned(), ControlSubject::PingAll),
        (format!("$NEX.PING.{NODE}"), ControlSubject::Ping(node)),
        ("$NEX.WPING".to_owned(), ControlSubject::WorkloadPing(WorkloadPingScope::All)),
        (
            "$NEX.WPING.default".to_owned(),
            ControlSubject::WorkloadPing(WorkloadPingScope::Namespace(namespace.clone())),
        ),
        (
            "$NEX.WPING.default.Echo".to_owned(),
            ControlSubject::WorkloadPing(WorkloadPingScope::Workload {
                namespace: namespace.clone(),
                workload: "Echo".parse().unwrap(),
            }),
        ),
        (
            format!("$NEX.INFO.default.{NODE}"),
            ControlSubject::Info { namespace: namespace.clone(), node },
        ),
        (
            format!("$NEX.DEPLOY.default.{NODE}"),
            ControlSubject::Deploy { namespace: namespace.clone(), node },
        ),
        (format!("$NEX.STOP.default.{NODE}"), ControlSubject::Stop { namespace, node }),
        (format!("$NEX.LAMEDUCK.{NODE}"), ControlSubject::LameDuck(node)),
    ];
    let patterns = ControlSubject::patterns(node);
    for (text, subject) in all {
        assert_eq!(text.parse(), Ok(subject.clone()), "{text}");
        assert_eq!(subject.to_string(), text);
        assert_eq!(patterns.iter().filter(|pattern| pattern.matches(&text)).count(), 1, "{text}");
    }
    let other = SigningKey::generate(KeyKind::Server).public();
    for foreign in [format!("$NEX.PING.{other}"), format!("$NEX.STOP.default.{other}")] {
        assert!(!patterns.iter().any(|pattern| pattern.matches(&foreign)), "{foreign}");
    }
}

#[test]
fn other_control_subjects_are_refused() {
    for unknown in [
        "",
        "$NEX",
        "$NEX.",
        "$nex.PING",
        "NEX.PING",
        "$NEX.ping",
        "$NEX.PING.a.b",
        "$NEX.INFO",
        "$NEX.INFO.default",
        "$NEX.STOP.default",
        "$NEX.DEPLOY.default",
        "$NEX.LAMEDUCK",
        "$NEX.WPING.a.b.c",
        "$NEX.events.default.heartbeat",
    ] {
        assert_eq!(unknown.parse::<ControlSubject>(), Err(SubjectError::Unknown), "{unknown}");
    }
    let name = |text: &str| match text.parse::<ControlSubject>() {
        Err(SubjectError::Name(error)) => error,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(name("$NEX.WPING."), NameError::NamespaceEmpty);
    assert_eq!(
        name(&format!("$NEX.DEPLOY.*.{NODE}")),
        NameError::NamespaceCharacter { found: '*' }
    );
    assert!(matches!(name("$NEX.PING.nobody"), NameError::Node(_)));
    assert_eq!(
        "$NEX.WPING.a.*".parse::<ControlSubject>(),
        Err(SubjectError::Token(TokenError::Wildcard))
    );
    assert_eq!("$NEX.WPING.a.".parse::<ControlSubject>(), Err(TokenError::Empty.into()));
    let long = format!("$NEX.WPING.a.{}", "b".repeat(MAX_SUBJECT_BYTES));
    assert_eq!(long.parse::<ControlSubject>(), Err(SubjectError::TooLong));
}

#[test]
fn agent_subjects_are_told_apart() {
    for kind in ["handshake", "deploy", "undeploy", "logs", "trigger", "events.agent_started"] {
        let text = format!("agentint.{ID}.{kind}");
        assert_eq!(text.parse::<AgentSubject>().unwrap().to_string(), text);
    }
    let text = format!("agentint.{ID}.rpc.default.echo.kv.get");
    let read: AgentSubject = text.parse().unwrap();
    assert_eq!(read.to_string(), text);
    assert!(AgentSubject::pattern(read.id).matches(&text));
    assert!(matches!(read.kind, AgentSubjectKind::Rpc { ref method, .. } if *method == "get"));
    for unknown in ["", ".", ".handshake.x", ".events", ".rpc.a.b.c", ".rpc.a.b.c.d.e", ".other"] {
        let text = format!("agentint.{ID}{unknown}");
        assert!(text.parse::<AgentSubject>().is_err(), "{text}");
    }
    assert!("agentint.*.handshake".parse::<AgentSubject>().is_err());
    assert!(format!("agent.{ID}.handshake").parse::<AgentSubject>().is_err());
}

#[test]
fn filters_become_patterns() {
    let all = EventFilter::default();
    assert_eq!(all.pattern().as_str(), "$NEX.events.*.*");
    let some = EventFilter {
        namespace: Some(Namespace::default()),
        kind: Some("heartbeat".parse().unwrap()),
    };
    assert_eq!(some.pattern().as_str(), "$NEX.events.default.heartbeat");
    let subject: EventSubject = "$NEX.events.default.heartbeat".parse().unwrap();
    assert!(all.matches(&subject) && some.matches(&subject));
    let other: EventSubject = "$NEX.events.system.heartbeat".parse().unwrap();
    assert!(all.matches(&other) && !some.matches(&other));

    let texts = |filter: &LogFilter| -> Vec<String> {
        filter.patterns().iter().map(ToString::to_string).collect()
    };
    assert_eq!(texts(&LogFilter::default()), ["$NEX.logs.*.*.*.*"]);
    let named = LogFilter { workload: Some("echo".parse().unwrap()), ..LogFilter::default() };
    assert_eq!(texts(&named), ["$NEX.logs.*.*.echo.*", "$NEX.logs.*.*.*.echo"]);
    let node = LogFilter {
        namespace: Some(Namespace::default()),
        node: Some(NODE.parse().unwrap()),
        id: Some(ID.parse().unwrap()),
        ..LogFilter::default()
    };
    assert_eq!(
        texts(&node),
        [format!("$NEX.logs.default.{NODE}.*.{ID}"), format!("$NEX.logs.default.{NODE}.{ID}.*")]
    );
}

#[test]
fn refusals_name_their_cause() {
    let long = "a".repeat(MAX_SUBJECT_BYTES + 1);
    for (text, cause) in [
        ("", PatternError::Empty),
        (&long, PatternError::TooLong { found: MAX_SUBJECT_BYTES + 1 }),
        ("a..b", PatternError::EmptyToken),
        ("a.", PatternError::EmptyToken),
        ("a b", PatternError::Blank { found: ' ' }),
        (">.a", PatternError::TailWildcard),
    ] {
        assert_eq!(text.parse::<SubjectPattern>(), Err(cause.clone()), "{text}");
        assert_eq!(text.parse::<Subject>(), Err(cause), "{text}");
    }
    assert_eq!("a.*".parse::<Subject>(), Err(PatternError::Wildcard));
    assert_eq!("a.b".parse::<Token>(), Err(TokenError::Character { found: '.' }));
}

fn pattern_text() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab]|\\*", 1..5).prop_flat_map(|tokens| {
        any::<bool>().prop_map(move |open| {
            let mut text = tokens.join(".");
            if open {
                text.push_str(".>");
            }
            text
        })
    })
}

fn namespace() -> impl Strategy<Value = Namespace> {
    "[A-Za-z0-9_-]{1,64}".prop_map(|text| text.parse().unwrap())
}

fn workload() -> impl Strategy<Value = WorkloadName> {
    "[a-z][a-z0-9-]{0,62}".prop_map(|text| text.parse().unwrap())
}

fn id() -> impl Strategy<Value = WorkloadId> {
    "[0-9a-v]{20}".prop_map(|text| text.parse().unwrap())
}

fn node() -> impl Strategy<Value = NodeId> {
    Just(()).prop_map(|()| SigningKey::generate(KeyKind::Server).public().try_into().unwrap())
}

fn token() -> impl Strategy<Value = Token> {
    "[^. \t\n\r\x0c]{1,12}".prop_filter_map("wildcard", |text| text.parse().ok())
}

fn control() -> impl Strategy<Value = ControlSubject> {
    prop_oneof![
        Just(ControlSubject::PingAll),
        node().prop_map(ControlSubject::Ping),
        Just(ControlSubject::WorkloadPing(WorkloadPingScope::All)),
        namespace().prop_map(|ns| ControlSubject::WorkloadPing(WorkloadPingScope::Namespace(ns))),
        (namespace(), token()).prop_map(|(namespace, workload)| {
            ControlSubject::WorkloadPing(WorkloadPingScope::Workload { namespace, workload })
        }),
        (namespace(), node())
            .prop_map(|(namespace, node)| ControlSubject::Info { namespace, node }),
        (namespace(), node())
            .prop_map(|(namespace, node)| ControlSubject::Deploy { namespace, node }),
        (namespace(), node())
            .prop_map(|(namespace, node)| ControlSubject::Stop { namespace, node }),
        node().prop_map(ControlSubject::LameDuck),
    ]
}

fn agent() -> impl Strategy<Value = AgentSubject> {
    let kind = prop_oneof![
        Just(AgentSubjectKind::Handshake),
        Just(AgentSubjectKind::Deploy),
        Just(AgentSubjectKind::Undeploy),
        Just(AgentSubjectKind::Logs),
        Just(AgentSubjectKind::Trigger),
        token().prop_map(AgentSubjectKind::Event),
        (namespace(), workload(), token(), token()).prop_map(
            |(namespace, workload, service, method)| AgentSubjectKind::Rpc {
                namespace,
                workload,
                service,
                method
            }
        ),
    ];
    (id(), kind).prop_map(|(id, kind)| AgentSubject { id, kind })
}

proptest! {
    #[test]
    fn control_subjects_survive_their_texts(subject in control()) {
        let text = subject.to_string();
        prop_assert_eq!(text.parse::<ControlSubject>().unwrap(), subject);
        prop_assert!(text.parse::<Subject>().is_ok());
    }

    #[test]
    fn agent_subjects_survive_their_texts(subject in agent()) {
        let text = subject.to_string();
        prop_assert!(AgentSubject::pattern(subject.id).matches(&text));
        prop_assert_eq!(text.parse::<AgentSubject>().unwrap(), subject);
        prop_assert!(text.parse::<Subject>().is_ok());
    }

    #[test]
    fn event_and_log_subjects_survive_their_texts(
        namespace in namespace(), kind in token(), node in node(), workload in workload(), id in id(),
    ) {
        let event = EventSubject { namespace: namespace.clone(), kind };
        prop_assert_eq!(&event.to_string().parse::<EventSubject>().unwrap(), &event);
        prop_assert!(EventFilter::default().pattern().matches(&event.to_string()));
        let log = LogSubject { namespace, node, workload: workload.clone(), id };
        let text = log.to_string();
        prop_assert_eq!(&text.parse::<LogSubject>().unwrap(), &log);
        for filter in [
            LogFilter::default(),
            LogFilter { workload: Some(workload.clone()), ..LogFilter::default() },
            LogFilter { workload: Some(workload), id: Some(id), ..LogFilter::default() },
        ] {
            prop_assert!(filter.matches(&log));
            prop_assert!(filter.patterns().iter().any(|pattern| pattern.matches(&text)));
        }
    }

    #[test]
    fn patterns_collide_if_a_subject_matches_both(
        a in pattern_text(), b in pattern_text(), subject in "[ab](\\.[ab]){0,4}",
    ) {
        let (a, b): (SubjectPattern, SubjectPattern) = (a.parse().unwrap(), b.parse().unwrap());
        prop_assert_eq!(a.collides(&b), b.collides(&a));
        prop_assert!(a.collides(&a));
        if a.matches(&subject) && b.matches(&subject) {
            prop_assert!(a.collides(&b), "{} {} {}", a, b, subject);
        }
        // A literal collides with exactly the patterns that match it.
        let literal: SubjectPattern = subject.parse().unwrap();
        prop_assert_eq!(a.collides(&literal), a.matches(&subject));
    }

    #[test]
    fn no_subject_is_too_odd(text in "(\\$NEX\\.|agentint\\.)?(PING|WPING|INFO|events|logs)?.{0,40}") {
        let pattern = text.parse::<SubjectPattern>();
        if let Ok(pattern) = &pattern {
            prop_assert_eq!(pattern.as_str(), text.as_str());
            let _ = pattern.matches(&text);
        }
        if let Ok(subject) = text.parse::<ControlSubject>() {
            prop_assert_eq!(subject.to_string(), text.as_str());
        }
        if let Ok(subject) = text.parse::<AgentSubject>() {
            prop_assert_eq!(subject.to_string(), text.as_str());
        }
        if let Ok(subject) = text.parse::<EventSubject>() {
            prop_assert_eq!(subject.to_string(), text.as_str());
        }
        let _ = text.parse::<LogSubject>();
    }
}
