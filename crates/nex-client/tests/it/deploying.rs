//! Deploying, stopping and lame duck, against scripted nodes.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nex_client::deploy::{Artifact, DeployError, StopError, Workload, WorkloadError, WorkloadType};
use nex_client::keys::KeyFolder;
use nex_client::protocol::claims::WorkloadClaims;
use nex_client::protocol::control::{
    DeployRequest, InfoResponse, RunResponse, StopRequest, StopResponse,
};
use nex_client::protocol::digest::Digest;
use nex_client::protocol::envelope::{Envelope, MessageType};
use nex_client::protocol::environment::Environment;
use nex_client::protocol::key::CurveKey;
use nex_client::protocol::location::ArtifactLocation;
use nex_client::protocol::name::{Namespace, WorkloadId};
use nex_client::protocol::subject::ControlSubject;
use nex_client::{Client, ConnectOptions, RequestError};
use nex_testkit::TestNats;
use serde_json::Value;

use crate::fake_node::{FakeNode, fresh_id, now};

async fn connect(nats: &TestNats) -> Client {
    let options =
        ConnectOptions::new().server(nats.url()).no_context().timeout(Duration::from_secs(20));
    Client::connect(options).await.unwrap()
}

fn artifact() -> Artifact {
    Artifact {
        location: ArtifactLocation::new("NEXCLIFILES", "echo").unwrap(),
        digest: Digest::of(b"echo"),
        jetstream_domain: Some("hub".into()),
    }
}

fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

fn info(xkey: &str) -> Vec<u8> {
    let info = InfoResponse { public_xkey: xkey.into(), ..InfoResponse::default() };
    Envelope::encode_success(MessageType::Info, &info)
}

#[tokio::test]
async fn what_arrives_is_signed_and_sealed_for_the_node() {
    let nats = TestNats::start().await;
    let client = connect(&nats).await;
    let home = tempfile::tempdir().unwrap();
    let keys = KeyFolder::at(home.path()).load_or_create().unwrap();
    let (id, xkey) = (fresh_id(), CurveKey::generate());
    let public = xkey.public().to_string();
    let received = Arc::new(Mutex::new(Vec::new()));
    let inbox = Arc::clone(&received);
    let node = FakeNode::start_as(&nats, id, xkey, move |subject, request| {
        inbox.lock().unwrap().push((subject.to_string(), request.payload.clone()));
        match subject {
            ControlSubject::Info { .. } => now(info(&public)),
            ControlSubject::Deploy { .. } => {
                let run =
                    RunResponse { started: true, name: "echo".into(), ..RunResponse::default() };
                now(Envelope::encode_success(MessageType::Run, &run))
            }
            ControlSubject::Stop { .. } => {
                let stop = StopResponse { stopped: true, ..StopResponse::default() };
                now(Envelope::encode_success(MessageType::Stop, &stop))
            }
            _ => vec![],
        }
    })
    .await;

    let namespace: Namespace = "dev".parse().unwrap();
    let workload = Workload::builder("echo".parse().unwrap(), WorkloadType::Elf, artifact())
        .namespace(namespace.clone())
        .description("Says what it hears")
        .arguments(["--greeting", "hello there", ""])
        .variable("Name", "välue with = and \n")
        .essential(true)
        .build()
        .unwrap();
    let started = client.run(&workload, id, &keys.issuer, &keys.publisher).await.unwrap();
    assert_eq!(started.name, "echo");
    let workload_id = WorkloadId::generate();
    let name = "echo".parse().unwrap();
    client.stop(id, &namespace, workload_id, &name, &keys.issuer).await.unwrap();

    let received = received.lock().unwrap();
    let [(info_subject, _), (deploy_subject, deploy), (stop_subject, stop)] = &received[..] else {
        panic!("{received:?}");
    };
    assert_eq!(*info_subject, format!("$NEX.INFO.dev.{id}"));
    assert_eq!(*deploy_subject, format!("$NEX.DEPLOY.dev.{id}"));
    assert_eq!(*stop_subject, format!("$NEX.STOP.dev.{id}"));

    let request = DeployRequest::decode(deploy).unwrap();
    assert_eq!(request.argv, ["--greeting", "hello there", ""]);
    assert_eq!(request.jsdomain.as_deref(), Some("hub"));
    assert_eq!(request.target_node, id);
    assert!(request.essential);
    let opened = Environment::open(&request.environment, &node.xkey, &request.sender).unwrap();
    assert_eq!(opened.get("Name"), Some("välue with = and \n"));
    let claims = WorkloadClaims::verify(&request.workload_jwt, unix_now()).unwrap();
    assert_eq!(claims.issuer, keys.issuer.public());
    assert_eq!(claims.workload.as_str(), "echo");
    assert_eq!(claims.hash.digest(), Some(Digest::of(b"echo")));

    let request = StopRequest::decode(stop).unwrap();
    assert_eq!(request.workload_id, workload_id.to_string());
    let claims = WorkloadClaims::verify(&request.workload_jwt, unix_now()).unwrap();
    assert_eq!(claims.workload.as_str(), "echo");
}

#[tokio::test]
async fn refusals_and_bad_answers_are_told_apart() {
    let nats = TestNats::start().await;
    let client = connect(&nats).await;
    let home = tempfile::tempdir().unwrap();
    let keys = KeyFolder::at(home.path()).load_or_create().unwrap();
    let workload =
        Workload::builder("echo".parse().unwrap(), WorkloadType::Elf, artifact()).build().unwrap();
    let xkey = CurveKey::generate().public().to_string();
    for (xkey, answer, expected) in [
        (xkey.as_str(), Some(Envelope::encode_failure(MessageType::Run, "no room")), "no room"),
        (&xkey, Some(Envelope::encode_failure(MessageType::Run, "")), "without saying why"),
        (&xkey, Some(b"what?".to_vec()), "cannot read the answer"),
        (
            &xkey,
            Some(Envelope::encode_success(MessageType::Run, &RunResponse::default())),
            "did not start",
        ),
        ("XNOKEY", None, "no usable key"),
    ] {
        let (answer, xkey) = (answer.clone(), xkey.to_owned());
        let node = FakeNode::start(&nats, move |subject, _| match (subject, &answer) {
            (ControlSubject::Info { .. }, _) => now(info(&xkey)),
            (ControlSubject::Deploy { .. }, Some(answer)) => now(answer.clone()),
            _ => vec![],
        })
        .await;
        let error =
            client.run(&workload, node.id, &keys.issuer, &keys.publisher).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    let error = client.run(&workload, fresh_id(), &keys.issuer, &keys.publisher).await.unwrap_err();
    assert!(matches!(error, DeployError::Request(RequestError::NoSuchNode { .. })), "{error}");
    let stopped = client
        .stop(
            fresh_id(),
            &Namespace::default(),
            WorkloadId::generate(),
            workload.name(),
            &keys.issuer,
        )
        .await;
    assert!(matches!(stopped, Err(StopError::Request(RequestError::NoSuchNode { .. }))));
}

/// Each call of the Go client that reads a reply, against the replies that Go
/// was shown: the same are taken, the same refused, with the same text.
#[tokio::test]
async fn replies_are_read_as_go_reads_them() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../nex-protocol/tests/vectors/control.json"))
            .unwrap();
    let cases = vectors["client_reads"].as_array().unwrap();
    assert!(cases.len() > 100, "{}", cases.len());
    let nats = TestNats::start().await;
    let client = connect(&nats).await;
    let home = tempfile::tempdir().unwrap();
    let keys = KeyFolder::at(home.path()).load_or_create().unwrap();
    let namespace = Namespace::default();
    let workload =
        Workload::builder("echo".parse().unwrap(), WorkloadType::Elf, artifact()).build().unwrap();
    let reply: Arc<Mutex<Vec<u8>>> = Arc::default();
    let shown = Arc::clone(&reply);
    let node = FakeNode::start(&nats, move |_, _| now(shown.lock().unwrap().clone())).await;
    for case in cases {
        let (call, why) = (case["call"].as_str().unwrap(), case["why"].as_str().unwrap());
        *reply.lock().unwrap() = case["reply"].as_str().unwrap().into();
        let (outcome, done) = match call {
            "NodeInfo" => {
                let info = client.node_info(node.id, &namespace).await;
                (info.map(|info| serde_json::to_value(info).unwrap()), None)
            }
            "StartWorkload" => {
                let (xkey, now) = (node.xkey.public(), unix_now());
                let deployment = workload
                    .sign_and_seal(node.id, &xkey, &keys.issuer, &keys.publisher, now)
                    .unwrap();
                match client.deploy(&deployment).await {
                    Ok(run) => (Ok(serde_json::to_value(run).unwrap()), None),
                    Err(DeployError::Request(error)) => (Err(error), None),
                    Err(DeployError::NotStarted { .. }) => (Ok(Value::Null), Some("started")),
                    Err(error) => panic!("{call}, {why}: {error}"),
                }
            }
            "StopWorkload" => {
                let (id, name) = (WorkloadId::generate(), workload.name());
                match client.stop(node.id, &namespace, id, name, &keys.issuer).await {
                    Ok(stop) => (Ok(serde_json::to_value(stop).unwrap()), None),
                    Err(StopError::Request(error)) => (Err(error), None),
                    Err(StopError::NotStopped { .. }) => (Ok(Value::Null), Some("stopped")),
                }
            }
            "EnterLameDuck" => match client.lame_duck(node.id).await {
                Ok(answer) => (Ok(serde_json::to_value(answer).unwrap()), None),
                Err(nex_client::deploy::LameDuckError::Request(error)) => (Err(error), None),
                Err(_) => (Ok(Value::Null), Some("success")),
            },
            other => panic!("unknown call {other}"),
        };
        let go = &case["go"];
        match (outcome, done) {
            // Read, but it says that nothing was done: we call that an error.
            (Ok(_), Some(field)) => assert_eq!(go["value"][field], false, "{call}, {why}"),
            (Ok(value), None) => {
                assert_eq!(go["ok"], true, "{call}, {why}: {value}");
                for (field, expected) in go["value"].as_object().unwrap() {
                    // Go writes a missing list as null, we as an empty one; and the
                    // numbers of this case went through a float on their way here.
                    if !expected.is_null() && why != "memory above 32 bits" {
                        assert_eq!(&value[field], expected, "{call}, {why}: {field}");
                    }
                }
            }
            (Err(RequestError::Refused { reason, .. }), _) => {
                assert_eq!(go["ok"], false, "{call}, {why}: {reason}");
                let said = serde_json::from_slice::<Value>(&reply.lock().unwrap()).unwrap();
                if let Some(text) = said["error"].as_str() {
                    assert_eq!(reason, text, "{call}, {why}");
                }
            }
            (Err(error), _) => {
                assert!(matches!(error, RequestError::BadAnswer { .. }), "{call}, {why}: {error}");
                assert_eq!(go["ok"], false, "{call}, {why}: {error}");
            }
        }
    }
}

#[test]
fn workloads_that_make_no_sense_are_not_built() {
    let build = |kind| Workload::builder("f".parse().unwrap(), kind, artifact());
    assert!(matches!(build(WorkloadType::Wasm).build(), Err(WorkloadError::NoTrigger(_))));
    let trigger = || "orders.>".parse().unwrap();
    assert!(matches!(
        build(WorkloadType::Elf).trigger(trigger()).build(),
        Err(WorkloadError::TriggersOnService(_))
    ));
    assert!(matches!(
        build(WorkloadType::V8).trigger(trigger()).essential(true).build(),
        Err(WorkloadError::EssentialFunction(_))
    ));
    assert!(matches!(
        build(WorkloadType::V8).trigger(trigger()).call_timeout(Duration::ZERO).build(),
        Err(WorkloadError::NoCallTime)
    ));
    assert!(matches!(
        build(WorkloadType::Elf).call_timeout(Duration::from_secs(1)).build(),
        Err(WorkloadError::CallTimeoutOnService(_))
    ));
    assert!(matches!(
        build(WorkloadType::Elf).variable("", "x").variable("FINE", "x").build(),
        Err(WorkloadError::Variable(_))
    ));
    let printed = format!("{:?}", build(WorkloadType::Elf).variable("A", "HIDDEN").build());
    assert!(!printed.contains("HIDDEN"), "{printed}");
}

#[test]
fn the_time_of_a_call_is_sent_in_whole_milliseconds() {
    let home = tempfile::tempdir().unwrap();
    let keys = KeyFolder::at(home.path()).load_or_create().unwrap();
    for (timeout, sent) in [
        (None, None),
        (Some(Duration::from_secs(30)), Some(30_000)),
        (Some(Duration::from_micros(1)), Some(1)),
        (Some(Duration::from_micros(1_001)), Some(2)),
    ] {
        let builder = Workload::builder("f".parse().unwrap(), WorkloadType::Wasm, artifact())
            .trigger("orders.>".parse().unwrap());
        let workload = match timeout {
            Some(timeout) => builder.call_timeout(timeout),
            None => builder,
        };
        let xkey = CurveKey::generate().public();
        let deployment = workload
            .build()
            .unwrap()
            .sign_and_seal(fresh_id(), &xkey, &keys.issuer, &keys.publisher, unix_now())
            .unwrap();
        let read = DeployRequest::decode(&deployment.request.encode()).unwrap();
        assert_eq!(read.call_timeout_ms, sent);
    }
}
