//! What an agent and the node say to each other when the agent does not behave.

use std::time::{Duration, Instant};

use bytes::Bytes;
use nex_node::bus::{AgentRequest, Inbound, LinkError};
use nex_protocol::name::WorkloadId;
use nex_protocol::nats::{ConnectOptions, ErrKind, ServerOp};
use tokio::io::AsyncWriteExt;

use super::wire::{Wire, credentials};
use super::{PATIENCE, TestBus, connected, disconnected, next, within};

#[tokio::test]
async fn without_the_right_secret_nobody_gets_in() {
    let bus = TestBus::start(|_| {}).await;
    let mine = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let other = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let right = credentials(&mine);
    type Change<'a> = Box<dyn Fn(&mut ConnectOptions) + 'a>;
    let wrong: [Change<'_>; 6] = [
        Box::new(|options| options.pass = Some(other.secret().to_owned())),
        Box::new(|options| options.user = Some(other.id().to_string())),
        Box::new(|options| options.user = Some(WorkloadId::generate().to_string())),
        Box::new(|options| options.user = Some("x".repeat(1000))),
        Box::new(|options| options.pass = None),
        Box::new(|options| options.user = None),
    ];
    for change in wrong {
        let mut options = right.clone();
        change(&mut options);
        let mut wire = Wire::unix(bus.endpoint.socket()).await;
        wire.connect(&options).await;
        wire.closed_with(ErrKind::AuthorizationViolation).await;
    }
    assert!(!mine.link().is_connected() && !other.link().is_connected());
}

#[tokio::test]
async fn whatever_comes_before_connect_ends_the_connection() {
    let bus = TestBus::start(|_| {}).await;
    let seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let long = format!("CONNECT {{\"name\":\"{}\"}}\n", "x".repeat(5000));
    let deep = format!("CONNECT {}\n", "[".repeat(4000));
    for text in [
        "PING\n",
        "PONG\n",
        "SUB a 1\n",
        "UNSUB 1\n",
        "PUB a 0\n\n",
        "PUB a 100000000\n",
        "GET / HTTP/1.1\n",
        "\n",
        "CONNECT\n",
        "CONNECT {}\n",
        "CONNECT null\n",
        &deep,
        &long,
        &"x".repeat(10_000),
    ] {
        let mut wire = Wire::unix(bus.endpoint.socket()).await;
        wire.send(text).await;
        wire.closed_with(ErrKind::AuthorizationViolation).await;
    }
    drop(seat);
}

#[tokio::test]
async fn identity_cannot_be_changed_or_borrowed() {
    let bus = TestBus::start(|_| {}).await;
    let mine = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let mut other = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let (id, foreign) = (mine.id(), other.id());
    let mut victim = Wire::agent(bus.endpoint.socket(), &other).await;
    victim.send(&format!("SUB agentint.{foreign}.> 1\nSUB _INBOX.> 2\n")).await;
    victim.pong().await;
    connected(&mut other).await;
    let mut agent = Wire::agent(bus.endpoint.socket(), &mine).await;
    for subject in [
        format!("agentint.{foreign}.handshake"),
        format!("agentint.{foreign}.logs"),
        format!("agentint.{foreign}.events.workload_started"),
        format!("agentint.{foreign}.deploy"),
        format!("agentint.{id}"),
        format!("agentint.{id}..logs"),
        format!("agentint.{id}.events."),
        "agentint.*.logs".to_owned(),
        "agentint.>".to_owned(),
        format!("agentint.{}.logs", id.to_string().to_uppercase()),
        "_INBOX.foreign".to_owned(),
        "_INBOX.nex.1".to_owned(),
        "_INBOX.nex.0".to_owned(),
        "$NEX.PING".to_owned(),
        "$SYS.REQ.ACCOUNT.PING.CONNZ".to_owned(),
        ">".to_owned(),
        "*".to_owned(),
        ".".to_owned(),
        "é".to_owned(),
    ] {
        agent.send(&format!("PUB {subject} 1\nx\n")).await;
        let (kind, text) = agent.refused().await;
        assert_eq!(kind, ErrKind::PermissionsViolation, "{subject}");
        assert_eq!(text, format!("Permissions Violation for Publish to \"{subject}\""));
    }
    for subject in [
        ">".to_owned(),
        "*".to_owned(),
        "*.>".to_owned(),
        "agentint.>".to_owned(),
        "agentint.*.deploy".to_owned(),
        "agentint.*.>".to_owned(),
        format!("*.{id}.deploy"),
        format!("*.{id}.>"),
        format!("agentint.{foreign}.deploy"),
        format!("agentint.{foreign}.>"),
        format!("agentint.{id}"),
        "_INBOX".to_owned(),
        "*.x".to_owned(),
        "$JS.>".to_owned(),
        "$NEX.>".to_owned(),
    ] {
        agent.send(&format!("SUB {subject} 1\n")).await;
        let (kind, text) = agent.refused().await;
        assert_eq!(kind, ErrKind::PermissionsViolation, "{subject}");
        assert_eq!(text, format!("Permissions Violation for Subscription to \"{subject}\""));
    }
    for subject in [format!("agentint.{id}..x"), "_INBOX.>.x".to_owned(), "_INBOX.".to_owned()] {
        agent.send(&format!("SUB {subject} 1\n")).await;
        assert_eq!(agent.refused().await.0, ErrKind::InvalidSubject, "{subject}");
    }
    // Its own wildcards are its own.
    agent.send(&format!("SUB agentint.{id}.> 1\nSUB agentint.{id}.* w 2\nSUB _INBOX.> 3\n")).await;
    agent.pong().await;
    // The victim heard nothing of all that, and neither did its node.
    victim.pong().await;
    assert!(other.try_recv().is_none());
    // A second CONNECT, even a right one, is the end.
    agent.connect(&credentials(&other)).await;
    agent.closed_with(ErrKind::AuthorizationViolation).await;
    victim.pong().await;
}

#[tokio::test]
async fn an_answer_to_another_agents_request_is_refused() {
    let bus = TestBus::start(|_| {}).await;
    let mine = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let other = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let mut agent = Wire::agent(bus.endpoint.socket(), &mine).await;
    let mut victim = Wire::agent(bus.endpoint.socket(), &other).await;
    victim.send(&format!("SUB agentint.{}.trigger 1\n", other.id())).await;
    victim.pong().await;
    let link = other.link();
    let asked = link.request(AgentRequest::Trigger, None, Bytes::new(), PATIENCE);
    let attack = async {
        let request = victim.message().await;
        let reply = request.reply.unwrap();
        agent.send(&format!("PUB {reply} 6\nforged\n")).await;
        assert_eq!(agent.refused().await.0, ErrKind::PermissionsViolation);
        victim.send(&format!("PUB {reply} 4\nreal\n")).await;
    };
    assert_eq!(tokio::join!(asked, attack).0.unwrap().payload, "real");
}

#[tokio::test]
async fn what_breaks_the_protocol_ends_the_connection() {
    let bus = TestBus::start(|_| {}).await;
    let mut seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let id = seat.id();
    let too_large = format!("PUB agentint.{id}.logs {}\n", 1024 * 1024 + 1);
    let long = format!("SUB {} 1\n", "a".repeat(2000));
    let longer = "PUB ".to_owned() + &"a".repeat(100_000);
    let trailing = format!("PUB agentint.{id}.logs 1\nxyz\n");
    for (text, kind) in [
        (too_large.as_str(), ErrKind::MaximumPayloadViolation),
        ("PUB a 99999999999999999999999\n", ErrKind::ParserError),
        ("PUB a -1\n", ErrKind::ParserError),
        ("HPUB a 100 10\n", ErrKind::ParserError),
        ("HPUB a 4 4\nNATS\n", ErrKind::ParserError),
        (&trailing, ErrKind::ParserError),
        (&long, ErrKind::MaximumControlLineExceeded),
        (&longer, ErrKind::MaximumControlLineExceeded),
        ("MSG a 1 0\n\n", ErrKind::UnknownProtocolOperation),
        ("\n", ErrKind::UnknownProtocolOperation),
        ("\u{0}\u{1}\u{2}\n", ErrKind::UnknownProtocolOperation),
        ("SUB\n", ErrKind::ParserError),
    ] {
        let mut agent = Wire::agent(bus.endpoint.socket(), &seat).await;
        connected(&mut seat).await;
        agent.send(text).await;
        agent.closed_with(kind).await;
        disconnected(&mut seat).await;
    }
}

#[tokio::test]
async fn a_silent_connection_is_closed_at_its_deadline() {
    let deadline = Duration::from_millis(150);
    let bus = TestBus::start(|config| config.limits.connect_deadline = deadline).await;
    let started = Instant::now();
    let mut wire = Wire::unix(bus.endpoint.socket()).await;
    // A byte now and then does not help.
    wire.send("CONN").await;
    wire.closed_with(ErrKind::AuthenticationTimeout).await;
    assert!(started.elapsed() >= deadline);
}

#[tokio::test]
async fn strangers_are_limited_per_listener_and_agents_still_get_in() {
    let bus = TestBus::start(|config| config.limits.max_unauthenticated = 3).await;
    let seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let address = bus.endpoint.tcp().unwrap();
    let mut strangers = Vec::new();
    for _ in 0..3 {
        strangers.push(Wire::tcp(address).await);
    }
    let mut refused = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut said = String::new();
    let read = tokio::io::AsyncReadExt::read_to_string(&mut refused, &mut said);
    within("refusal", read).await.unwrap();
    assert_eq!(said, "-ERR 'Maximum Connections Exceeded'\r\n");
    // The other listener is not affected, and a verdict gives the place back.
    let mut agent = Wire::agent(bus.endpoint.socket(), &seat).await;
    let mut first = strangers.remove(0);
    first.connect(&credentials(&seat)).await;
    first.pong().await;
    agent.closed_with(ErrKind::DuplicateConnection).await;
    let _fourth = Wire::tcp(address).await;
}

#[tokio::test]
async fn thousands_of_subscriptions_are_refused() {
    let bus = TestBus::start(|_| {}).await;
    let seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let mut agent = Wire::agent(bus.endpoint.socket(), &seat).await;
    let mut all = String::new();
    for number in 0..3000 {
        all.push_str(&format!("SUB _INBOX.{number} {number}\n"));
    }
    agent.send(&all).await;
    for _ in 256..3000 {
        assert_eq!(agent.refused().await.0, ErrKind::MaximumSubscriptionsExceeded);
    }
    agent.send("UNSUB 0\nSUB _INBOX.free x\n").await;
    agent.pong().await;
}

#[tokio::test]
async fn who_reads_no_requests_is_sent_no_more_and_whoever_waits_is_told() {
    let bus = TestBus::start(|config| {
        config.limits.max_pending = 2 * 1024 * 1024;
        config.limits.ping_interval = Duration::from_millis(200);
    })
    .await;
    let mut seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let mut agent = Wire::agent(bus.endpoint.socket(), &seat).await;
    connected(&mut seat).await;
    agent.send(&format!("SUB agentint.{}.trigger 1\n", seat.id())).await;
    agent.pong().await;
    let link = seat.link();
    let payload = Bytes::from(vec![0; 256 * 1024]);
    let calls =
        (0..20).map(|_| link.request(AgentRequest::Trigger, None, payload.clone(), PATIENCE * 10));
    let started = Instant::now();
    let (mut refused, mut cut_off) = (0, 0);
    // The agent does not read, so it does not answer pings either: it is stale.
    for result in within("end of calls", futures_util::future::join_all(calls)).await {
        match result {
            Err(LinkError::Backlog { .. }) => refused += 1,
            Err(LinkError::Disconnected) => cut_off += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(refused > 0 && (1..=9).contains(&cut_off), "{refused} refused, {cut_off} cut off");
    assert!(started.elapsed() < PATIENCE);
    disconnected(&mut seat).await;
}

#[tokio::test]
async fn who_reads_no_answers_is_closed() {
    let bus = TestBus::start(|config| {
        config.limits.max_pending = 2 * 1024 * 1024;
        config.limits.ping_interval = Duration::from_secs(60);
    })
    .await;
    let mut seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let mut agent = Wire::agent(bus.endpoint.socket(), &seat).await;
    connected(&mut seat).await;
    let call = format!("PUB agentint.{}.rpc.default.w.kv.get _INBOX.1 0\n\n", seat.id());
    agent.send(&format!("SUB _INBOX.1 1\n{}", call.repeat(20))).await;
    let payload = Bytes::from(vec![0; 256 * 1024]);
    let mut failed = 0;
    for _ in 0..20 {
        let Inbound::Rpc { reply, .. } = next(&mut seat).await else { break };
        failed += usize::from(reply.respond(None, payload.clone()).is_err());
    }
    assert!(failed > 0, "everything was taken");
    disconnected(&mut seat).await;
}

#[tokio::test]
async fn who_does_not_answer_pings_is_stale() {
    let bus =
        TestBus::start(|config| config.limits.ping_interval = Duration::from_millis(40)).await;
    let mut seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let mut agent = Wire::agent(bus.endpoint.socket(), &seat).await;
    connected(&mut seat).await;
    // Answers keep it alive for many periods …
    for _ in 0..5 {
        assert_eq!(agent.next_or_ping().await, Some(ServerOp::Ping));
        agent.send("PONG\n").await;
    }
    // … and silence ends it.
    let mut pings = 0;
    loop {
        match agent.next_or_ping().await {
            Some(ServerOp::Ping) => pings += 1,
            Some(ServerOp::Err(refusal)) => {
                assert_eq!(refusal.kind, ErrKind::StaleConnection);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((1..=3).contains(&pings), "{pings}");
    assert_eq!(agent.next_or_ping().await, None);
    disconnected(&mut seat).await;
}

#[tokio::test]
async fn a_flood_of_logs_is_dropped_and_counted_and_displaces_nothing() {
    let bus = TestBus::start(|_| {}).await;
    let mut seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let id = seat.id();
    let mut agent = Wire::agent(bus.endpoint.socket(), &seat).await;
    let line = format!("PUB agentint.{id}.logs 1\nx\n");
    agent.send(&line.repeat(5000)).await;
    agent.send(&format!("PUB agentint.{id}.events.workload_started 1\ne\n")).await;
    agent.pong().await;
    connected(&mut seat).await;
    assert!(matches!(next(&mut seat).await, Inbound::Event { .. }), "before any log");
    drop(agent);
    let mut logs = 0_u64;
    loop {
        match next(&mut seat).await {
            Inbound::Log(_) => logs += 1,
            Inbound::Disconnected => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(logs + seat.dropped_logs(), 5000);
    assert_eq!(logs, 1024);
}

#[tokio::test]
async fn large_logs_are_bounded_in_bytes() {
    let bus = TestBus::start(|_| {}).await;
    let mut seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let id = seat.id();
    let mut agent = Wire::agent(bus.endpoint.socket(), &seat).await;
    let size = 200 * 1024;
    let line = format!("PUB agentint.{id}.logs {size}\n{}\n", "x".repeat(size));
    for _ in 0..50 {
        agent.send(&line).await;
    }
    agent.pong().await;
    connected(&mut seat).await;
    let mut bytes = 0;
    while let Some(Inbound::Log(body)) = seat.try_recv() {
        bytes += body.len();
    }
    assert!(bytes <= 4 * 1024 * 1024 && bytes > 3 * 1024 * 1024, "{bytes}");
    assert_eq!(seat.dropped_logs(), 50 - (bytes / size) as u64);
}

#[tokio::test]
async fn a_flood_of_events_waits_for_the_node_and_loses_nothing() {
    let bus = TestBus::start(|_| {}).await;
    let mut seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let id = seat.id();
    let mut agent = Wire::agent(bus.endpoint.socket(), &seat).await;
    let count = 20_000;
    let send = tokio::spawn(async move {
        for number in 0..count {
            let number = format!("{number:>5}");
            agent.send(&format!("PUB agentint.{id}.events.e 5\n{number}\n")).await;
        }
        agent
    });
    connected(&mut seat).await;
    for number in 0..count {
        match next(&mut seat).await {
            Inbound::Event { body, .. } => assert_eq!(body, format!("{number:>5}")),
            other => panic!("{other:?}"),
        }
    }
    // A seat that is dropped ends even a reader that waits for room.
    let mut agent = send.await.unwrap();
    agent.send(&format!("PUB agentint.{id}.events.e 1\nx\n").repeat(500)).await;
    drop(seat);
    agent.closed_with(ErrKind::AuthenticationRevoked).await;
}

#[tokio::test]
async fn a_peer_that_vanishes_half_way_is_noticed() {
    let bus = TestBus::start(|_| {}).await;
    let mut seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    for rest in ["", "PUB", "PUB agentint.x.logs 100\r\nhalf"] {
        let mut agent = Wire::agent(bus.endpoint.socket(), &seat).await;
        connected(&mut seat).await;
        agent.stream.write_all(rest.as_bytes()).await.unwrap();
        drop(agent);
        disconnected(&mut seat).await;
    }
}

#[tokio::test]
async fn many_reconnects_leave_nothing_behind() {
    let bus = TestBus::start(|_| {}).await;
    let mut seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let pid = std::process::id();
    let mut before = 0;
    for round in 0..300 {
        let agent = Wire::agent(bus.endpoint.socket(), &seat).await;
        connected(&mut seat).await;
        drop(agent);
        disconnected(&mut seat).await;
        if round == 20 {
            before = nex_testkit::process::count_descriptors_to(pid, "socket:");
        }
    }
    // Other tests of this process open sockets too: hundreds would be ours.
    let after = nex_testkit::process::count_descriptors_to(pid, "socket:");
    assert!(after < before + 150, "{before} {after}");
}
