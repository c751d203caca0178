//! Finding nodes and workloads, and knowing when all have answered.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use nex_client::discovery::{ResolveError, WorkloadFilter};
use nex_client::protocol::control::{InfoResponse, WorkloadPingMachine, WorkloadPingResponse};
use nex_client::protocol::envelope::{Envelope, MessageType};
use nex_client::protocol::key::CurveKey;
use nex_client::protocol::name::{Namespace, NodeId};
use nex_client::protocol::subject::ControlSubject;
use nex_client::{Client, ConnectOptions, RequestError};
use nex_testkit::TestNats;
use serde_json::Value;

use crate::fake_node::{FakeNode, after, fresh_id, now, ping};

/// Long enough that a test which waits for it to pass has failed.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What "does not wait for the timeout" means on a busy machine.
const SOON: Duration = Duration::from_secs(8);

async fn connect(nats: &TestNats, timeout: Duration) -> Client {
    let options = ConnectOptions::new().server(nats.url()).no_context().timeout(timeout);
    Client::connect(options).await.unwrap()
}

fn running(id: NodeId, workloads: &[(&str, &str, &str)]) -> Vec<u8> {
    let running_machines = workloads
        .iter()
        .map(|(namespace, name, id)| WorkloadPingMachine {
            id: (*id).into(),
            namespace: (*namespace).into(),
            name: (*name).into(),
            workload_type: "elf".into(),
        })
        .collect();
    let response = WorkloadPingResponse {
        node_id: id.to_string(),
        running_machines,
        ..WorkloadPingResponse::default()
    };
    Envelope::encode_success(MessageType::Ping, &response)
}

#[tokio::test]
async fn with_nobody_there_it_ends_at_once() {
    let nats = TestNats::start().await;
    let client = connect(&nats, TIMEOUT).await;
    let start = Instant::now();
    assert!(client.nodes().await.unwrap().is_empty());
    assert!(client.workloads(&WorkloadFilter::all()).await.unwrap().is_empty());
    let namespace = Namespace::default();
    assert_eq!(client.infos(&namespace).await.unwrap().count().await, 0);
    let error = client.ping_node(fresh_id()).await.unwrap_err();
    assert!(matches!(error, RequestError::NoSuchNode { .. }), "{error}");
    let error = client.resolve_node(None).await.unwrap_err();
    assert!(matches!(error, ResolveError::NoNodes), "{error}");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[tokio::test]
async fn finds_near_and_slower_nodes_without_waiting_for_the_timeout() {
    let nats = TestNats::start().await;
    let ids: Vec<NodeId> = (0..3).map(|_| fresh_id()).collect();
    let mut nodes = Vec::new();
    for (id, delay) in ids.iter().copied().zip([0, 20, 40]) {
        let script = move |subject, _: &_| match subject {
            ControlSubject::PingAll => after(delay, ping(id, "")),
            _ => vec![],
        };
        nodes.push(FakeNode::start_as(&nats, id, CurveKey::generate(), script).await);
    }
    let client = connect(&nats, TIMEOUT).await;
    let start = Instant::now();
    let found: Vec<String> =
        client.nodes().await.unwrap().into_iter().map(|node| node.node_id).collect();
    let mut expected: Vec<String> = ids.iter().map(ToString::to_string).collect();
    expected.sort();
    assert_eq!(found, expected);
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[tokio::test]
async fn passes_over_garbage_and_second_answers() {
    let nats = TestNats::start().await;
    let good = fresh_id();
    let _node = FakeNode::start(&nats, move |subject, _| match subject {
        ControlSubject::PingAll => [
            b"garbage".to_vec(),
            Vec::new(),
            b"[]".to_vec(),
            b"{\"data\":".repeat(20_000),
            Envelope::encode_failure(MessageType::Ping, "no"),
            ping("", ""),
            ping(good, "one"),
            ping(good, "one"),
        ]
        .into_iter()
        .map(|reply| (Duration::ZERO, reply))
        .collect(),
        _ => vec![],
    })
    .await;
    let client = connect(&nats, TIMEOUT).await;
    let found = client.nodes().await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].node_id, good.to_string());
}

#[tokio::test]
async fn answers_arrive_while_others_are_waited_for() {
    let nats = TestNats::start().await;
    let quick = fresh_id();
    let _node = FakeNode::start(&nats, move |subject, _| match subject {
        ControlSubject::PingAll => now(ping(quick, "")),
        _ => vec![],
    })
    .await;
    let client = connect(&nats, TIMEOUT).await;
    let mut answers = client.ping().await.unwrap();
    assert_eq!(answers.next().await.unwrap().node_id, quick.to_string());
    assert!(answers.next().await.is_none());
}

#[tokio::test]
async fn a_listener_that_never_answers_costs_no_more_than_the_timeout() {
    let nats = TestNats::start().await;
    let spy = nats.client().await;
    let _everything = spy.subscribe("$NEX.>").await.unwrap();
    nex_testkit::settle(&spy).await;
    let client = connect(&nats, Duration::from_millis(300)).await;
    let start = Instant::now();
    assert!(client.nodes().await.unwrap().is_empty());
    assert!(start.elapsed() >= Duration::from_millis(300));
    let error = client.ping_node(fresh_id()).await.unwrap_err();
    assert!(matches!(error, RequestError::NoAnswer { .. }), "{error}");
}

#[tokio::test]
async fn silence_about_workloads_is_an_answer() {
    let nats = TestNats::start().await;
    let id = fresh_id();
    let _node = FakeNode::start(&nats, move |subject, _| match subject {
        ControlSubject::PingAll => now(ping(id, "")),
        _ => vec![],
    })
    .await;
    let client = connect(&nats, TIMEOUT).await;
    let start = Instant::now();
    assert!(client.workloads(&WorkloadFilter::all()).await.unwrap().is_empty());
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[tokio::test]
async fn lists_and_resolves_workloads() {
    let nats = TestNats::start().await;
    let id = fresh_id();
    let _node =
        FakeNode::start_as(&nats, id, CurveKey::generate(), move |subject, _| match subject {
            ControlSubject::PingAll => now(ping(id, "quiet-river")),
            ControlSubject::Ping(_) => now(ping(id, "quiet-river")),
            ControlSubject::WorkloadPing(_) => now(running(
                id,
                &[
                    ("default", "echo", "cohvl8bl5c0s73b2rcs0"),
                    ("Default", "counter", "cohvl8bl5c0s73b2rct0"),
                    ("other", "echo", "cohvl8bl5c0s73b2rcu0"),
                ],
            )),
            _ => vec![],
        })
        .await;
    let client = connect(&nats, TIMEOUT).await;
    let names = |found: Vec<nex_client::discovery::FoundWorkload>| -> Vec<String> {
        found.into_iter().map(|one| format!("{}/{}", one.namespace, one.name)).collect()
    };
    let all = client.workloads(&WorkloadFilter::all()).await.unwrap();
    assert_eq!(names(all), ["Default/counter", "default/echo", "other/echo"]);
    // What the node says beyond the question is not believed.
    let namespace = Namespace::default();
    let inside = WorkloadFilter::in_namespace(namespace.clone());
    let found = client.workloads(&inside.clone().workload("ECHO")).await.unwrap();
    assert_eq!(names(found), ["default/echo"]);
    assert_eq!(client.workloads(&inside).await.unwrap().len(), 2);

    let found = client.resolve_workload("echo", Some(&namespace), None).await.unwrap();
    assert_eq!((found.id.as_str(), found.node), ("cohvl8bl5c0s73b2rcs0", id));
    let found = client.resolve_workload("cohvl8bl5c0s73b2rcu", None, Some(id)).await.unwrap();
    assert_eq!(found.namespace.as_str(), "other");
    let error = client.resolve_workload("echo", None, None).await.unwrap_err();
    assert!(matches!(error, ResolveError::AmbiguousWorkload { .. }), "{error}");
    let error = client.resolve_workload("echo", None, Some(fresh_id())).await.unwrap_err();
    assert!(matches!(error, ResolveError::NoSuchWorkload { .. }), "{error}");

    for text in [None, Some("quiet"), Some(id.to_string().as_str())] {
        assert_eq!(client.resolve_node(text).await.unwrap().id, id);
    }
    let error = client.resolve_node(Some("nope")).await.unwrap_err();
    assert!(matches!(error, ResolveError::NoSuchNode { .. }), "{error}");
}

#[tokio::test]
async fn informations_come_with_their_pings() {
    let nats = TestNats::start().await;
    let id = fresh_id();
    let _node =
        FakeNode::start_as(&nats, id, CurveKey::generate(), move |subject, _| match subject {
            ControlSubject::PingAll => now(ping(id, "")),
            ControlSubject::Info { namespace, .. } => {
                let info =
                    InfoResponse { version: namespace.to_string(), ..InfoResponse::default() };
                now(Envelope::encode_success(MessageType::Info, &info))
            }
            _ => vec![],
        })
        .await;
    let client = connect(&nats, TIMEOUT).await;
    let infos: Vec<_> = client.infos(&"dev".parse().unwrap()).await.unwrap().collect().await;
    assert_eq!(infos.len(), 1);
    assert_eq!(infos[0].ping.node_id, id.to_string());
    assert_eq!(infos[0].info.as_ref().unwrap().version, "dev");
}

/// The list calls against replies that a Go client was shown. Where an answer
/// carries an error or no node id it is left out, which Go does not do.
#[tokio::test]
async fn list_calls_leave_out_what_go_leaves_out() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../nex-protocol/tests/vectors/control.json"))
            .unwrap();
    let cases = vectors["client_reads_lists"].as_array().unwrap();
    assert!(!cases.is_empty());
    let nats = TestNats::start().await;
    let client = connect(&nats, TIMEOUT).await;
    for case in cases {
        let why = case["why"].as_str().unwrap();
        let reply = case["reply"].as_str().unwrap().to_owned();
        let erroneous = why.starts_with("error with data") || why == "no data";
        let both = reply.clone();
        let node = FakeNode::start(&nats, move |subject, _| match subject {
            ControlSubject::PingAll => vec![
                (Duration::ZERO, both.clone().into()),
                // Ends the wait where the reply is not readable.
                (Duration::from_millis(5), ping("FENCE", "")),
            ],
            ControlSubject::WorkloadPing(_) => now(both.clone()),
            _ => vec![],
        })
        .await;
        let expected = |call: &str| -> Vec<String> {
            let listed = case[call]["value"].as_array().unwrap();
            let ids = listed.iter().map(|one| one["node_id"].as_str().unwrap().to_owned());
            ids.filter(|_| !erroneous).collect()
        };
        let mut nodes: Vec<String> =
            client.nodes().await.unwrap().into_iter().map(|node| node.node_id).collect();
        nodes.retain(|id| id != "FENCE");
        assert_eq!(nodes, expected("list_all_nodes"), "{why}");
        let workloads = client.workload_ping(&WorkloadFilter::all()).await.unwrap();
        let nodes: Vec<String> = workloads.map(|answer| answer.node_id).collect().await;
        assert_eq!(nodes, expected("list_workloads"), "{why}");
        drop(node);
    }
}
