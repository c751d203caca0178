//! Agents of the old protocol: no credentials, identity by first use.

use bytes::Bytes;
use futures_util::StreamExt;
use nex_node::bus::{AgentRequest, Inbound};
use nex_protocol::name::WorkloadId;
use nex_protocol::nats::{ConnectOptions, ErrKind};

use super::wire::Wire;
use super::{PATIENCE, TestBus, connected, disconnected, next, within};

async fn stranger(bus: &TestBus) -> Wire {
    let mut wire = Wire::tcp(bus.endpoint.tcp().unwrap()).await;
    assert!(!wire.info.auth_required);
    wire.connect(&ConnectOptions { headers: true, ..ConnectOptions::default() }).await;
    wire.pong().await;
    wire
}

#[tokio::test]
async fn an_old_agent_is_who_it_says_first() {
    let bus = TestBus::legacy().await;
    let mut seat = bus.endpoint.register_legacy(WorkloadId::generate()).unwrap();
    let id = seat.id();
    let client = async_nats::connect(bus.url()).await.unwrap();
    let hello = client.request(format!("agentint.{id}.handshake"), "{}".into());
    let welcome = async {
        connected(&mut seat).await;
        match next(&mut seat).await {
            Inbound::Handshake { reply, .. } => reply.respond(None, "{}".into()).unwrap(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(tokio::join!(hello, welcome).0.unwrap().payload, "{}");
    let mut deploys = client.subscribe(format!("agentint.{id}.deploy")).await.unwrap();
    client.request(format!("agentint.{id}.nobody"), "".into()).await.unwrap_err();
    let link = seat.link();
    let asked = link.request(AgentRequest::Deploy, None, Bytes::from_static(b"d"), PATIENCE);
    let answered = async {
        let deploy = deploys.next().await.unwrap();
        client.publish(deploy.reply.unwrap(), "ok".into()).await.unwrap();
    };
    assert_eq!(tokio::join!(asked, answered).0.unwrap().payload, "ok");
    client.drain().await.unwrap();
    within("end", disconnected(&mut seat)).await;
}

#[tokio::test]
async fn a_seat_with_a_secret_cannot_be_claimed() {
    let bus = TestBus::legacy().await;
    let seat = bus.endpoint.register(WorkloadId::generate()).unwrap();
    let nobody = WorkloadId::generate();
    for id in [seat.id(), nobody] {
        let mut wire = stranger(&bus).await;
        wire.send(&format!("SUB agentint.{id}.deploy 1\n")).await;
        wire.closed_with(ErrKind::AuthorizationViolation).await;
        let mut wire = stranger(&bus).await;
        wire.send(&format!("PUB agentint.{id}.handshake 0\n\n")).await;
        wire.closed_with(ErrKind::AuthorizationViolation).await;
    }
    assert!(!seat.link().is_connected());
}

#[tokio::test]
async fn a_seat_that_is_taken_cannot_be_claimed_and_is_free_again_afterwards() {
    let bus = TestBus::legacy().await;
    let mut seat = bus.endpoint.register_legacy(WorkloadId::generate()).unwrap();
    let claim = format!("SUB agentint.{}.deploy 1\n", seat.id());
    let mut first = stranger(&bus).await;
    first.send(&claim).await;
    first.pong().await;
    connected(&mut seat).await;
    let mut second = stranger(&bus).await;
    second.send(&claim).await;
    second.closed_with(ErrKind::AuthorizationViolation).await;
    first.pong().await;
    drop(first);
    disconnected(&mut seat).await;
    let mut third = stranger(&bus).await;
    third.send(&claim).await;
    third.pong().await;
    connected(&mut seat).await;
}

#[tokio::test]
async fn an_identity_does_not_change() {
    let bus = TestBus::legacy().await;
    let mine = bus.endpoint.register_legacy(WorkloadId::generate()).unwrap();
    let other = bus.endpoint.register_legacy(WorkloadId::generate()).unwrap();
    let mut wire = stranger(&bus).await;
    wire.send(&format!("SUB _INBOX.a.* 1\nSUB agentint.{}.deploy 2\n", mine.id())).await;
    wire.pong().await;
    wire.send(&format!("SUB agentint.{}.deploy 3\n", other.id())).await;
    assert_eq!(wire.refused().await.0, ErrKind::PermissionsViolation);
    wire.send(&format!("PUB agentint.{}.handshake 0\n\n", other.id())).await;
    assert_eq!(wire.refused().await.0, ErrKind::PermissionsViolation);
    assert!(!other.link().is_connected());
}

#[tokio::test]
async fn nobody_does_without_a_secret_where_that_is_not_allowed() {
    let bus = TestBus::legacy().await;
    let seat = bus.endpoint.register_legacy(WorkloadId::generate()).unwrap();
    let mut wire = Wire::unix(bus.endpoint.socket()).await;
    wire.connect(&ConnectOptions::default()).await;
    wire.closed_with(ErrKind::AuthorizationViolation).await;

    let strict = TestBus::start(|_| {}).await;
    let mut wire = Wire::tcp(strict.endpoint.tcp().unwrap()).await;
    assert!(wire.info.auth_required);
    wire.connect(&ConnectOptions::default()).await;
    wire.closed_with(ErrKind::AuthorizationViolation).await;

    // Wrong credentials are not none.
    for (user, pass, token) in
        [(Some("x"), None, None), (None, Some("x"), None), (None, None, Some("x"))]
    {
        let mut wire = Wire::tcp(bus.endpoint.tcp().unwrap()).await;
        wire.connect(&ConnectOptions {
            user: user.map(str::to_owned),
            pass: pass.map(str::to_owned),
            auth_token: token.map(str::to_owned),
            ..ConnectOptions::default()
        })
        .await;
        wire.closed_with(ErrKind::AuthorizationViolation).await;
    }
    drop(seat);
}

#[tokio::test]
async fn before_it_says_who_it_is_it_can_do_nothing() {
    let bus = TestBus::legacy().await;
    let mut wire = stranger(&bus).await;
    for line in [
        "SUB > 1\n",
        "SUB agentint.> 1\n",
        "SUB agentint.*.deploy 1\n",
        "SUB agentint.*.> 1\n",
        "PUB _INBOX.nex.1 0\n\n",
        "PUB $JS.API.STREAM.MSG.GET.OBJ_NEXCACHE 0\n\n",
        "PUB $JS.API.CONSUMER.CREATE.OBJ_NEXCACHE 0\n\n",
        "PUB agentint 0\n\n",
        "PUB a 0\n\n",
    ] {
        wire.send(line).await;
        assert_eq!(wire.refused().await.0, ErrKind::PermissionsViolation, "{line}");
    }
    // Old agents look for their bucket before they say who they are. It is empty.
    wire.send("SUB _INBOX.x 1\nPUB $JS.API.STREAM.INFO.OBJ_NEXCACHE _INBOX.x 0\n\n").await;
    let info: serde_json::Value = serde_json::from_slice(&wire.message().await.payload).unwrap();
    assert_eq!(
        (&info["config"]["name"], &info["state"]["messages"]),
        (&"OBJ_NEXCACHE".into(), &0.into())
    );
    wire.send(&format!("PUB a 17000\n{}\n", "x".repeat(17_000))).await;
    wire.closed_with(ErrKind::AuthorizationViolation).await;
}

#[tokio::test]
async fn who_never_says_who_it_is_is_closed() {
    let patience = std::time::Duration::from_millis(100);
    let bus = TestBus::start(|config| {
        config.legacy = Some(nex_node::bus::LegacyPolicy { claim_deadline: patience });
    })
    .await;
    let mut wire = Wire::tcp(bus.endpoint.tcp().unwrap()).await;
    wire.connect(&ConnectOptions::default()).await;
    wire.send("PING\nSUB _INBOX.> 1\n").await;
    wire.pong().await;
    loop {
        match wire.next().await {
            Some(nex_protocol::nats::ServerOp::Pong) => {}
            Some(nex_protocol::nats::ServerOp::Err(refusal)) => {
                assert_eq!(refusal.kind, ErrKind::AuthenticationTimeout);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(wire.next().await, None);
}
