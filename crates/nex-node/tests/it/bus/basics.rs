//! What an agent and the node say to each other when both behave.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use nex_node::bus::{AgentRequest, BusError, Endpoint, Inbound, LinkError};
use nex_protocol::name::WorkloadId;
use nex_protocol::nats::{HeaderMap, NO_RESPONDERS, ServerOp};

use super::wire::{Wire, credentials};
use super::{PATIENCE, TestBus, connected, disconnected, next, within};

#[tokio::test]
async fn an_agent_says_hello_and_is_asked() {
    let bus = TestBus::start(|_| {}).await;
    let mut seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let id = seat.id();
    let link = seat.link();
    assert!(!link.is_connected());

    let mut agent = Wire::agent(bus.endpoint.socket(), &seat).await;
    connected(&mut seat).await;
    assert!(link.is_connected());

    agent
        .send(&format!(
            "SUB _INBOX.a.* 1\nSUB agentint.{id}.deploy 2\nSUB agentint.{id}.trigger 3\n\
             PUB agentint.{id}.handshake _INBOX.a.1 2\n{{}}\n"
        ))
        .await;
    match next(&mut seat).await {
        Inbound::Handshake { body, reply } => {
            assert_eq!(body, "{}");
            assert!(reply.is_expected());
            reply.respond(None, Bytes::from_static(b"welcome")).unwrap();
        }
        other => panic!("{other:?}"),
    }
    let welcome = agent.message().await;
    assert_eq!((&*welcome.subject, &*welcome.sid), ("_INBOX.a.1", "1"));
    assert_eq!(welcome.payload, "welcome");

    let mut headers = HeaderMap::new();
    headers.append("x-nex-trigger-subject", "a.b").unwrap();
    let asked = link.request(
        AgentRequest::Trigger,
        Some(&headers),
        Bytes::from_static(b"question"),
        PATIENCE,
    );
    let answered = async {
        let request = agent.message().await;
        assert_eq!(&*request.subject, format!("agentint.{id}.trigger"));
        assert_eq!(request.headers.unwrap().get("x-nex-trigger-subject"), Some("a.b"));
        assert_eq!(request.payload, "question");
        let reply = request.reply.unwrap();
        agent.send(&format!("HPUB {reply} 18 24\nNATS/1.0\na: b\n\nanswer\n")).await;
    };
    let (reply, ()) = tokio::join!(asked, answered);
    let reply = reply.unwrap();
    assert_eq!(reply.payload, "answer");
    assert_eq!(reply.headers.unwrap().get("a"), Some("b"));

    agent
        .send(&format!(
            "PUB agentint.{id}.events.workload_started 1\n1\nPUB agentint.{id}.logs 1\n2\n\
             HPUB agentint.{id}.rpc.default.echo.kv.get _INBOX.a.2 30 32\n\
             NATS/1.0\nx-keyvalue-key:k\n\n33\n"
        ))
        .await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        match next(&mut seat).await {
            Inbound::Event { kind, body } => {
                assert_eq!((kind.as_str(), &body[..]), ("workload_started", &b"1"[..]));
                seen.push("event");
            }
            Inbound::Log(body) => {
                assert_eq!(body, "2");
                seen.push("log");
            }
            Inbound::Rpc { namespace, workload, service, method, headers, body, reply } => {
                assert_eq!(
                    format!("{namespace} {workload} {service} {method}"),
                    "default echo kv get"
                );
                assert_eq!(headers.unwrap().get("x-keyvalue-key"), Some("k"));
                assert_eq!(body, "33");
                let mut headers = HeaderMap::new();
                headers.append("x-nex-error", "no").unwrap();
                reply.respond(Some(&headers), Bytes::from_static(b"value")).unwrap();
                seen.push("rpc");
            }
            other => panic!("{other:?}"),
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, ["event", "log", "rpc"]);
    let value = agent.message().await;
    assert_eq!(value.payload, "value");
    assert_eq!(value.headers.unwrap().get("x-nex-error"), Some("no"));
    drop(agent);
    disconnected(&mut seat).await;
    assert!(!link.is_connected());
}

#[tokio::test]
async fn an_unmodified_nats_client_is_an_agent_too() {
    let bus = TestBus::start(|_| {}).await;
    let mut seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let client = bus.nats(&seat).await;
    connected(&mut seat).await;
    let id = seat.id();
    let mut triggers = client.subscribe(format!("agentint.{id}.trigger")).await.unwrap();
    let hello = client.request(format!("agentint.{id}.handshake"), "hi".into());
    let welcome = async {
        match next(&mut seat).await {
            Inbound::Handshake { body, reply } => {
                reply.respond(None, body).unwrap();
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(tokio::join!(hello, welcome).0.unwrap().payload, "hi");

    let link = seat.link();
    let large = Bytes::from(vec![b'x'; 300 * 1024]);
    let asked = link.request(AgentRequest::Trigger, None, large.clone(), PATIENCE);
    let answered = async {
        let request = triggers.next().await.unwrap();
        client.publish(request.reply.unwrap(), request.payload).await.unwrap();
        client.flush().await.unwrap();
    };
    assert_eq!(tokio::join!(asked, answered).0.unwrap().payload, large);

    // Nobody answers these, and the client hears it at once.
    let started = Instant::now();
    let error = client.request(format!("agentint.{id}.deploy"), "".into()).await.unwrap_err();
    assert_eq!(error.kind(), async_nats::RequestErrorKind::NoResponders);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn requests_fail_at_once_when_nobody_can_answer() {
    let bus = TestBus::start(|_| {}).await;
    let mut seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let link = seat.link();
    let ask = || link.request(AgentRequest::Trigger, None, Bytes::new(), PATIENCE * 10);
    let started = Instant::now();
    assert!(matches!(ask().await, Err(LinkError::Disconnected)), "never connected");

    let mut agent = Wire::agent(bus.endpoint.socket(), &seat).await;
    connected(&mut seat).await;
    assert!(matches!(ask().await, Err(LinkError::NoResponders)), "no subscription");

    agent.send(&format!("SUB agentint.{}.trigger 1\n", seat.id())).await;
    agent.pong().await;
    let limit = bus_limit(&bus);
    let large =
        link.request(AgentRequest::Trigger, None, Bytes::from(vec![0; limit + 1]), PATIENCE).await;
    assert!(matches!(large, Err(LinkError::TooLarge { size, .. }) if size == limit + 1));

    let leave = async {
        agent.message().await;
        drop(agent);
    };
    let (asked, ()) = tokio::join!(ask(), leave);
    assert!(matches!(asked, Err(LinkError::Disconnected)), "it left while we waited");
    assert!(started.elapsed() < PATIENCE);
}

fn bus_limit(_: &TestBus) -> usize {
    nex_node::bus::BusLimits::default().max_payload
}

#[tokio::test]
async fn a_late_answer_is_thrown_away_and_a_never_asked_one_refused() {
    let bus = TestBus::start(|_| {}).await;
    let mut seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let mut agent = Wire::agent(bus.endpoint.socket(), &seat).await;
    connected(&mut seat).await;
    agent.send(&format!("SUB agentint.{}.undeploy 1\n", seat.id())).await;
    agent.pong().await;
    let link = seat.link();
    let brief = Duration::from_millis(20);
    let asked = link.request(AgentRequest::Undeploy, None, Bytes::new(), brief).await;
    assert!(matches!(asked, Err(LinkError::Timeout(given)) if given == brief));
    let reply = agent.message().await.reply.unwrap();
    agent.send(&format!("PUB {reply} 0\n\n")).await;
    agent.pong().await;
    agent.send(&format!("PUB {reply}1 0\n\n")).await;
    let (_, text) = agent.refused().await;
    assert_eq!(text, format!("Permissions Violation for Publish to \"{reply}1\""));
    agent.pong().await;
}

#[tokio::test]
async fn verbose_clients_hear_ok() {
    let bus = TestBus::start(|_| {}).await;
    let seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let mut agent = Wire::unix(bus.endpoint.socket()).await;
    let mut options = credentials(&seat);
    options.verbose = true;
    options.pedantic = true;
    agent.connect(&options).await;
    assert_eq!(agent.next().await, Some(ServerOp::Ok));
    agent
        .send(&format!("SUB _INBOX.> 1\nPUB agentint.{}.logs 1\nx\nUNSUB 1\nPING\n", seat.id()))
        .await;
    for expected in [ServerOp::Ok, ServerOp::Ok, ServerOp::Ok, ServerOp::Pong] {
        assert_eq!(agent.next().await, Some(expected));
    }
}

#[tokio::test]
async fn a_request_to_nobody_is_answered_503() {
    let bus = TestBus::start(|_| {}).await;
    let seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let mut agent = Wire::agent(bus.endpoint.socket(), &seat).await;
    agent
        .send(&format!("SUB _INBOX.x 9\nPUB agentint.{}.nonsense _INBOX.x 0\n\n", seat.id()))
        .await;
    let answer = agent.message().await;
    assert_eq!(&*answer.sid, "9");
    assert_eq!(answer.headers.unwrap().status().unwrap().code, NO_RESPONDERS);
}

#[tokio::test]
async fn the_newer_connection_wins_once_it_is_authenticated() {
    let bus = TestBus::start(|_| {}).await;
    let mut seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let mut older = Wire::agent(bus.endpoint.socket(), &seat).await;
    connected(&mut seat).await;

    let mut wrong = credentials(&seat);
    wrong.pass = Some("x".repeat(43));
    let mut stranger = Wire::unix(bus.endpoint.socket()).await;
    stranger.connect(&wrong).await;
    stranger.closed_with(nex_protocol::nats::ErrKind::AuthorizationViolation).await;
    older.pong().await;

    let mut newer = Wire::agent(bus.endpoint.socket(), &seat).await;
    older.closed_with(nex_protocol::nats::ErrKind::DuplicateConnection).await;
    disconnected(&mut seat).await;
    connected(&mut seat).await;
    newer.pong().await;
    assert!(seat.link().is_connected());
}

#[tokio::test]
async fn dropping_the_seat_closes_the_connection_and_revokes_the_secret() {
    let bus = TestBus::start(|_| {}).await;
    let seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let options = credentials(&seat);
    let link = seat.link();
    let mut agent = Wire::agent(bus.endpoint.socket(), &seat).await;
    drop(seat);
    agent.closed_with(nex_protocol::nats::ErrKind::AuthenticationRevoked).await;
    assert!(!link.is_connected());
    let asked = link.request(AgentRequest::Trigger, None, Bytes::new(), PATIENCE).await;
    assert!(matches!(asked, Err(LinkError::Disconnected)));
    let mut again = Wire::unix(bus.endpoint.socket()).await;
    again.connect(&options).await;
    again.closed_with(nex_protocol::nats::ErrKind::AuthorizationViolation).await;
}

#[tokio::test]
async fn an_agent_that_outlived_the_node_comes_back_with_its_secret() {
    let bus = TestBus::start(|_| {}).await;
    let id = WorkloadId::generate();
    let seat = bus.endpoint.register(id).unwrap();
    let options = credentials(&seat);
    let secret = seat.secret().parse().unwrap();
    let path = bus.endpoint.socket().to_owned();
    let mut agent = Wire::agent(&path, &seat).await;
    within("end of the endpoint", bus.endpoint.shutdown()).await;
    // No last word: client libraries take one for the end of everything and stay away.
    assert_eq!(agent.next().await, None);
    assert!(!path.exists());

    let again = Endpoint::start(nex_node::bus::BusConfig {
        unix: path.clone(),
        tcp: None,
        legacy: None,
        limits: nex_node::bus::BusLimits::default(),
    })
    .await
    .unwrap();
    let mut seat = again.register_known(id, secret).unwrap();
    let mut agent = Wire::unix(&path).await;
    agent.connect(&options).await;
    agent.pong().await;
    connected(&mut seat).await;
}

#[tokio::test]
async fn the_socket_is_private_and_replaced_only_when_nobody_listens() {
    let bus = TestBus::start(|_| {}).await;
    let path = bus.endpoint.socket().to_owned();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let config = |unix: &std::path::Path| nex_node::bus::BusConfig {
        unix: unix.to_owned(),
        tcp: None,
        legacy: None,
        limits: nex_node::bus::BusLimits::default(),
    };
    let second = Endpoint::start(config(&path)).await;
    assert!(matches!(second, Err(BusError::InUse { .. })), "{second:?}");

    let inner = bus.folder.path().join("new/inner/bus.sock");
    let nested = Endpoint::start(config(&inner)).await.unwrap();
    let mode = std::fs::metadata(inner.parent().unwrap()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    drop(nested);

    let stale = bus.folder.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    assert!(stale.exists());
    let revived = Endpoint::start(config(&stale)).await.unwrap();
    drop(revived);

    let file = bus.folder.path().join("file.sock");
    std::fs::write(&file, "keep me").unwrap();
    let blocked = Endpoint::start(config(&file)).await;
    assert!(matches!(blocked, Err(BusError::NotASocket { .. })), "{blocked:?}");
    assert_eq!(std::fs::read(&file).unwrap(), b"keep me");

    let open = bus.folder.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o775)).unwrap();
    let refused = Endpoint::start(config(&open.join("bus.sock"))).await;
    assert!(matches!(refused, Err(BusError::FolderOpen { mode: 0o775, .. })), "{refused:?}");

    let long = bus.folder.path().join("x".repeat(120));
    let refused = Endpoint::start(config(&long)).await;
    assert!(matches!(refused, Err(BusError::PathTooLong { .. })), "{refused:?}");
}

#[tokio::test]
async fn many_requests_at_once_each_get_their_own_answer() {
    let bus = TestBus::start(|_| {}).await;
    let mut seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let client = bus.nats(&seat).await;
    connected(&mut seat).await;
    let mut triggers = client.subscribe(format!("agentint.{}.trigger", seat.id())).await.unwrap();
    client.flush().await.unwrap();
    tokio::spawn(async move {
        while let Some(request) = triggers.next().await {
            client.publish(request.reply.unwrap(), request.payload).await.unwrap();
        }
    });
    let link = seat.link();
    while !matches!(
        link.request(AgentRequest::Trigger, None, Bytes::new(), PATIENCE).await,
        Ok(_) | Err(LinkError::Timeout(_))
    ) {
        tokio::task::yield_now().await;
    }
    let calls = (0..500_u32).map(|number| {
        let link = link.clone();
        async move {
            let payload = Bytes::from(number.to_be_bytes().repeat(1 + number as usize % 3000));
            let reply =
                link.request(AgentRequest::Trigger, None, payload.clone(), PATIENCE).await.unwrap();
            assert_eq!(reply.payload, payload);
        }
    });
    futures_util::future::join_all(calls).await;
}
