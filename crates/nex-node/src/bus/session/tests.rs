//! No order of operations lets a connection be or reach anyone else.

use bytes::Bytes;
use nex_protocol::nats::{ConnectOptions, Unsubscribe};
use proptest::prelude::*;

use super::*;

const MINE: &str = "aaaaaaaaaaaaaaaaaaa0";
const OTHER: &str = "bbbbbbbbbbbbbbbbbbb0";

fn id(text: &str) -> WorkloadId {
    text.parse().unwrap()
}

fn subject() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("agentint".to_owned()),
        Just(MINE.to_owned()),
        Just(OTHER.to_owned()),
        Just("_INBOX".to_owned()),
        Just("nex".to_owned()),
        Just("$JS".to_owned()),
        Just("API".to_owned()),
        Just("handshake".to_owned()),
        Just("events".to_owned()),
        Just("logs".to_owned()),
        Just("deploy".to_owned()),
        Just("rpc".to_owned()),
        Just("*".to_owned()),
        Just(">".to_owned()),
        Just(String::new()),
        Just("1".to_owned()),
        "[!-~]{1,4}",
    ];
    let random = proptest::collection::vec(token.clone(), 1..6).prop_map(|it| it.join("."));
    let near = proptest::collection::vec(token, 1..4)
        .prop_map(|rest| format!("agentint.{MINE}.{}", rest.join(".")));
    prop_oneof![random, near]
}

fn op() -> impl Strategy<Value = ClientOp> {
    let credentials =
        prop_oneof![Just(None), Just(Some(MINE.to_owned())), Just(Some(String::new()))];
    prop_oneof![
        1 => (credentials.clone(), credentials, any::<bool>()).prop_map(|(user, pass, verbose)| {
            let options = ConnectOptions { user, pass, verbose, headers: true, no_responders: true, ..ConnectOptions::default() };
            ClientOp::Connect(Box::new(options))
        }),
        6 => (subject(), proptest::option::of(subject())).prop_map(|(subject, reply)| {
            ClientOp::Publish(Publish {
                subject: subject.into(),
                reply: reply.map(Text::from),
                headers: None,
                payload: Bytes::new(),
            })
        }),
        6 => (subject(), "[0-9]{1,2}").prop_map(|(subject, sid)| {
            ClientOp::Subscribe(Subscribe { subject: subject.into(), queue: None, sid: sid.into() })
        }),
        1 => ("[0-9]{1,2}", proptest::option::of(0_u64..3)).prop_map(|(sid, max)| {
            ClientOp::Unsubscribe(Unsubscribe { sid: sid.into(), max })
        }),
        1 => Just(ClientOp::Ping),
        1 => Just(ClientOp::Pong),
    ]
}

/// Where everything that is not this agent's would arrive.
fn foreign_subjects() -> [String; 8] {
    [
        format!("agentint.{OTHER}.deploy"),
        format!("agentint.{OTHER}.events.x"),
        format!("agentint.{MINE}"),
        "agentint".to_owned(),
        "_INBOX".to_owned(),
        "$JS.API.INFO".to_owned(),
        "$NEX.PING".to_owned(),
        "a.b.c".to_owned(),
    ]
}

proptest! {
    #[test]
    fn a_connection_is_one_agent_and_reaches_no_other(
        ops in proptest::collection::vec(op(), 0..40),
        legacy in any::<bool>(),
        right in any::<bool>(),
    ) {
        let mut session = Session::new(legacy, 8);
        let (mut admitted, mut closed) = (false, false);
        for op in ops {
            let before = op.clone();
            let effect = session.step(op);
            prop_assert!(!closed);
            match effect {
                Effect::Verify { user, .. } => {
                    prop_assert!(!admitted);
                    if right && user == MINE {
                        session.admit(id(MINE));
                        admitted = true;
                    } else {
                        closed = true;
                    }
                }
                Effect::Claim { id: claimed, op } => {
                    prop_assert!(legacy && !admitted);
                    prop_assert_eq!(&op, &before);
                    if right && claimed == id(MINE) {
                        session.admit(claimed);
                        admitted = true;
                        // It cannot lead to another claim.
                        let again = session.step(op);
                        let is_verdict = matches!(again, Effect::Claim { .. } | Effect::Verify { .. });
                        prop_assert!(!is_verdict);
                        closed = matches!(again, Effect::Close(_));
                    } else {
                        closed = true;
                    }
                }
                Effect::Inbound(kind, publish) => {
                    prop_assert!(admitted);
                    let subject = AgentSubject { id: id(MINE), kind };
                    prop_assert_eq!(subject.to_string(), publish.subject.as_str());
                }
                Effect::Answer(number, publish) => {
                    prop_assert!(admitted);
                    prop_assert_eq!(format!("_INBOX.nex.{number}"), publish.subject.as_str());
                }
                Effect::NobodyListens(_) => prop_assert!(admitted),
                Effect::JetStream(publish) => {
                    prop_assert!(admitted || legacy);
                    prop_assert!(publish.subject.starts_with("$JS."));
                }
                Effect::Close(_) => closed = true,
                Effect::Accepted | Effect::Nothing | Effect::Pong | Effect::Refuse { .. } => {}
            }
            if closed {
                break;
            }
        }
        for subject in foreign_subjects() {
            prop_assert!(!session.subscriptions().interest(&subject), "{subject}");
        }
        if !admitted {
            let subject = format!("agentint.{MINE}.deploy");
            prop_assert!(!session.subscriptions().interest(&subject));
        }
    }
}

#[test]
fn only_the_first_verdict_counts() {
    let mut session = Session::new(false, 8);
    session.admit(id(MINE));
    assert_eq!(session.step(ClientOp::Ping), Effect::Close(ErrKind::AuthorizationViolation));
    let options = ConnectOptions {
        user: Some(MINE.to_owned()),
        pass: Some("secret".to_owned()),
        ..ConnectOptions::default()
    };
    let connect = ClientOp::Connect(Box::new(options));
    assert!(matches!(session.step(connect.clone()), Effect::Verify { .. }));
    session.admit(id(MINE));
    session.admit(id(OTHER));
    let publish = |to: &str| {
        ClientOp::Publish(Publish {
            subject: format!("agentint.{to}.logs").into(),
            reply: None,
            headers: None,
            payload: Bytes::new(),
        })
    };
    assert!(matches!(session.step(publish(MINE)), Effect::Inbound(AgentSubjectKind::Logs, _)));
    assert!(matches!(session.step(publish(OTHER)), Effect::Refuse { .. }));
    assert_eq!(session.step(connect), Effect::Close(ErrKind::AuthorizationViolation));
}
