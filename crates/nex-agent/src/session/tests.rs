//! The state machine against every order of events.

use std::time::Duration;

use nex_protocol::control::WorkloadType;
use nex_protocol::nats::Text;
use proptest::prelude::*;

use super::*;

fn reply(number: usize) -> ReplyTo {
    ReplyTo(Text::from(format!("_INBOX.{number}")))
}

fn order(grace_ms: u64) -> Box<Order> {
    order_of(Kind::Native { argv0: "echo".to_owned(), arguments: Vec::new() }, grace_ms)
}

fn function() -> Kind {
    Kind::Function(FunctionOrder {
        language: Language::WebAssembly,
        compiled: Some("/compiled".into()),
        limits: crate::provider::function::FunctionLimits::default(),
    })
}

fn order_of(kind: Kind, grace_ms: u64) -> Box<Order> {
    Box::new(Order {
        name: "echo".parse().unwrap(),
        namespace: "default".parse().unwrap(),
        kind,
        environment: nex_protocol::environment::Environment::default(),
        artifact: Artifact::File { path: "/artifact".into(), size: 1 },
        stop_grace: Duration::from_millis(grace_ms),
        rates: crate::output::limit::Rates::DEFAULT,
    })
}

fn after(events: impl IntoIterator<Item = Event>) -> Session {
    let mut session = Session::new(Policy::default());
    for event in events {
        let _ = session.step(event);
    }
    session
}

fn deploy(number: usize) -> Event {
    Event::Deploy { reply: reply(number), order: Ok(order(5_000)) }
}

fn running() -> Session {
    after([Event::Connected, Event::HandshakeDone, deploy(1), Event::Launched])
}

#[test]
fn a_service_that_ends_by_itself_takes_the_agent_with_it() {
    let mut session = running();
    let effects = session.step(Event::Exited { exit: Exit::Code(3) });
    assert_eq!(effects[0], Effect::Kill, "what it left behind");
    assert_eq!(session.step(Event::TreeGone), [Effect::DrainOutput]);
    let effects = session.step(Event::OutputDrained);
    let message = "exited with code 3".to_owned();
    assert_eq!(
        effects,
        [
            Effect::AnnounceWorkloadStopped {
                name: "echo".to_owned(),
                code: 3,
                message: message.clone()
            },
            Effect::AnnounceAgentStopped { code: 0, message: message.clone() },
            Effect::Quit { code: 0, reason: message },
        ]
    );
}

#[test]
fn an_undeploy_is_answered_when_nothing_is_left() {
    let mut session = running();
    let effects = session.step(Event::Undeploy { reply: Some(reply(2)) });
    assert_eq!(effects[0], Effect::Terminate);
    let killed = Exit::Signal { number: libc::SIGTERM, core: false };
    assert_eq!(session.step(Event::Exited { exit: killed }), []);
    assert_eq!(session.step(Event::TreeGone), [Effect::DrainOutput]);
    let effects = session.step(Event::OutputDrained);
    assert_eq!(effects[1], Effect::ConfirmUndeploy { reply: reply(2) });
    let Effect::AnnounceWorkloadStopped { code, message, .. } = &effects[0] else {
        panic!("{effects:?}");
    };
    assert_eq!((*code, message.as_str()), (-1, "stopped on request: killed by SIGTERM"));
}

#[test]
fn a_function_that_is_stopped_has_no_exit_code_of_its_own() {
    let deploy = Event::Deploy { reply: reply(1), order: Ok(order_of(function(), 5_000)) };
    let mut session = after([Event::Connected, Event::HandshakeDone, deploy, Event::Launched]);
    let effects = session.step(Event::Undeploy { reply: Some(reply(2)) });
    assert_eq!(effects[0], Effect::Terminate, "no new calls");
    assert_eq!(session.step(Event::TreeGone), [Effect::DrainOutput], "the last call ended");
    let effects = session.step(Event::OutputDrained);
    let message = "stopped on request".to_owned();
    let stopped = Effect::AnnounceWorkloadStopped { name: "echo".to_owned(), code: 0, message };
    assert_eq!(effects[0], stopped);
    assert_eq!(effects[1], Effect::ConfirmUndeploy { reply: reply(2) });
}

#[test]
fn grace_then_kill_then_the_deadline() {
    let mut session = running();
    let _ = session.step(Event::Undeploy { reply: None });
    let effects = session.step(Event::Elapsed { timer: TimerKind::Grace });
    assert_eq!(effects[0], Effect::Kill);
    let effects = session.step(Event::Elapsed { timer: TimerKind::KillDeadline });
    assert_eq!(effects, [Effect::DrainOutput]);
    let effects = session.step(Event::OutputDrained);
    assert!(format!("{effects:?}").contains("could not be killed"));
}

#[test]
fn a_refused_deploy_does_not_poison_the_agent() {
    let mut session = after([Event::Connected, Event::HandshakeDone]);
    let order = Err(OrderError::Type(WorkloadType::Oci));
    let effects = session.step(Event::Deploy { reply: reply(1), order });
    assert!(matches!(&effects[0], Effect::RefuseDeploy { reason, .. } if reason.contains("oci")));
    let effects = session.step(deploy(2));
    assert!(matches!(effects[0], Effect::Launch(_)));
    let effects = session.step(Event::LaunchFailed { reason: "no".to_owned() });
    assert_eq!(effects, [Effect::RefuseDeploy { reply: reply(2), reason: "no".to_owned() }]);
    assert_eq!(session.state(), &State::Idle);
    assert!(matches!(session.step(deploy(3))[0], Effect::Launch(_)));
}

#[test]
fn a_second_deploy_is_refused_by_name() {
    let mut session = running();
    let effects = session.step(deploy(2));
    let Effect::RefuseDeploy { reason, .. } = &effects[0] else { panic!("{effects:?}") };
    assert!(reason.contains("already runs \"echo\""), "{reason}");
}

#[test]
fn a_lost_node_stops_the_workload_only_when_the_window_is_over() {
    let lost = || Event::LinkLost { reason: "cut".to_owned() };
    let mut session = running();
    assert_eq!(session.step(lost())[0], Effect::Terminate);

    let window = Duration::from_secs(60);
    let policy = Policy { reconnect_window: window, ..Policy::default() };
    let mut session = Session::new(policy);
    for event in [Event::Connected, Event::HandshakeDone, deploy(1), Event::Launched] {
        let _ = session.step(event);
    }
    assert_eq!(session.step(lost()), [Effect::Reconnect { window }]);
    assert_eq!(session.step(Event::Connected), [Effect::Introduce]);
    assert_eq!(session.step(Event::HandshakeDone), [], "the node heard of this agent before");
    assert!(matches!(session.state(), State::Running { .. }));
    let _ = session.step(lost());
    let effects = session.step(Event::LinkGivenUp { reason: "gone".to_owned() });
    assert_eq!(effects[0], Effect::Terminate);
}

#[test]
fn a_warm_agent_without_a_node_leaves_quietly() {
    let mut session = after([Event::Connected, Event::HandshakeDone]);
    let effects = session.step(Event::LinkLost { reason: "cut".to_owned() });
    assert!(matches!(effects[1], Effect::Quit { code: 0, .. }));
    let mut session = after([Event::Connected]);
    let effects = session.step(Event::HandshakeFailed { reason: "503".to_owned() });
    assert_eq!(effects, [Effect::Quit { code: 1, reason: "503".to_owned() }]);
}

/// An event without its parts; numbers are given when it happens.
#[derive(Debug, Clone, Copy)]
enum Happening {
    Connected,
    HandshakeDone,
    HandshakeFailed,
    LinkLost,
    LinkGivenUp,
    Deploy { grace: u64, function: bool },
    BadDeploy,
    Launched,
    LaunchFailed,
    Undeploy,
    Signalled,
    Exited,
    TreeGone,
    Elapsed(TimerKind),
    OutputDrained,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    use Happening as H;
    let one = prop_oneof![
        Just(H::Connected),
        Just(H::HandshakeDone),
        Just(H::HandshakeFailed),
        Just(H::LinkLost),
        Just(H::LinkGivenUp),
        (0_u64..2, any::<bool>()).prop_map(|(grace, function)| H::Deploy { grace, function }),
        Just(H::BadDeploy),
        Just(H::Launched),
        Just(H::LaunchFailed),
        Just(H::Undeploy),
        Just(H::Signalled),
        Just(H::Exited),
        Just(H::TreeGone),
        Just(H::Elapsed(TimerKind::Grace)),
        Just(H::Elapsed(TimerKind::KillDeadline)),
        Just(H::OutputDrained),
    ];
    proptest::collection::vec(one, 0..60)
}

fn event(happening: Happening, number: usize) -> Event {
    let reason = "a reason".to_owned();
    match happening {
        Happening::Connected => Event::Connected,
        Happening::HandshakeDone => Event::HandshakeDone,
        Happening::HandshakeFailed => Event::HandshakeFailed { reason },
        Happening::LinkLost => Event::LinkLost { reason },
        Happening::LinkGivenUp => Event::LinkGivenUp { reason },
        Happening::Deploy { grace, function: false } => {
            Event::Deploy { reply: reply(number), order: Ok(order(grace)) }
        }
        Happening::Deploy { grace, function: true } => {
            Event::Deploy { reply: reply(number), order: Ok(order_of(function(), grace)) }
        }
        Happening::BadDeploy => {
            Event::Deploy { reply: reply(number), order: Err(OrderError::Type(WorkloadType::Oci)) }
        }
        Happening::Launched => Event::Launched,
        Happening::LaunchFailed => Event::LaunchFailed { reason },
        Happening::Undeploy => Event::Undeploy { reply: Some(reply(number)) },
        Happening::Signalled => Event::Signalled,
        Happening::Exited => Event::Exited { exit: Exit::Code(0) },
        Happening::TreeGone => Event::TreeGone,
        Happening::Elapsed(timer) => Event::Elapsed { timer },
        Happening::OutputDrained => Event::OutputDrained,
    }
}

/// What must hold whatever happens, kept up by looking at the effects.
#[derive(Default)]
struct Books {
    deploys: Vec<ReplyTo>,
    undeploys: Vec<ReplyTo>,
    answered: Vec<ReplyTo>,
    launches: usize,
    launched: usize,
    failed: usize,
    started: usize,
    stopped: usize,
    quits: usize,
    agent_started: usize,
    agent_stopped: usize,
}

impl Books {
    fn enter(&mut self, happening: Happening, number: usize, launching: bool) {
        match happening {
            Happening::Deploy { .. } | Happening::BadDeploy => self.deploys.push(reply(number)),
            Happening::Undeploy => self.undeploys.push(reply(number)),
            Happening::Launched if launching => self.launched += 1,
            Happening::LaunchFailed if launching => self.failed += 1,
            _ => {}
        }
    }

    fn note(&mut self, effect: &Effect) {
        match effect {
            Effect::AcceptDeploy { reply }
            | Effect::RefuseDeploy { reply, .. }
            | Effect::ConfirmUndeploy { reply } => self.answered.push(reply.clone()),
            Effect::Launch(_) => self.launches += 1,
            Effect::AnnounceWorkloadStarted { .. } => self.started += 1,
            Effect::AnnounceWorkloadStopped { .. } => self.stopped += 1,
            Effect::AnnounceAgentStarted => self.agent_started += 1,
            Effect::AnnounceAgentStopped { .. } => self.agent_stopped += 1,
            Effect::Quit { .. } => self.quits += 1,
            Effect::Introduce
            | Effect::Reconnect { .. }
            | Effect::CancelLaunch
            | Effect::Terminate
            | Effect::Kill
            | Effect::StartTimer { .. }
            | Effect::DrainOutput => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens(happenings in happenings(), window in 0_u64..2) {
        let policy =
            Policy { reconnect_window: Duration::from_secs(window), ..Policy::default() };
        let mut session = Session::new(policy);
        let mut books = Books::default();
        let mut step = |session: &mut Session, happening, number| {
            let launching = matches!(session.state(), State::Starting { .. });
            books.enter(happening, number, launching);
            for effect in session.step(event(happening, number)) {
                prop_assert_eq!(books.quits, 0, "nothing is done after the end but {:?}", effect);
                books.note(&effect);
            }
            prop_assert!(books.launches <= books.failed + 1, "one workload per life");
            prop_assert!(books.stopped <= books.started && books.started <= 1);
            prop_assert!(books.agent_stopped <= books.agent_started && books.agent_started <= 1);
            prop_assert_eq!(books.quits == 1, session.state() == &State::Done);
            let mut answered = books.answered.clone();
            answered.sort_by(|a, b| a.0.cmp(&b.0));
            answered.dedup();
            prop_assert_eq!(answered.len(), books.answered.len(), "nobody is answered twice");
            Ok(())
        };
        let count = happenings.len();
        for (number, happening) in happenings.into_iter().enumerate() {
            if session.state() == &State::Done { break; }
            step(&mut session, happening, number)?;
        }
        // Told to end, it ends, whatever it was doing, if the machine does its part.
        for (number, happening) in [
            Happening::Signalled,
            Happening::LaunchFailed,
            Happening::Elapsed(TimerKind::Grace),
            Happening::Elapsed(TimerKind::KillDeadline),
            Happening::OutputDrained,
        ].into_iter().enumerate() {
            if session.state() == &State::Done { break; }
            step(&mut session, happening, count + number)?;
        }
        prop_assert_eq!(session.state(), &State::Done);
        prop_assert_eq!(books.started, books.stopped);
        let expected = books.deploys.len()
            + books.undeploys.iter().filter(|reply| books.answered.contains(reply)).count();
        prop_assert_eq!(books.answered.len(), expected, "every deploy is answered");
        // A few beyond the bound are left to the node's time limit.
        let unanswered = books.undeploys.len() + books.deploys.len() - books.answered.len();
        prop_assert!(unanswered <= books.undeploys.len().saturating_sub(MAX_WAITING));
    }
}
