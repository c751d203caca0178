//! A whole node, with an agent that calls host services: this very test program.

use std::os::unix::fs::PermissionsExt as _;

use async_nats::{ConnectOptions, HeaderMap, jetstream};
use futures_util::StreamExt as _;
use nex_client::deploy::Workload;
use nex_node::Node;
use nex_node::config::{Config, SandboxChoice};
use nex_protocol::agent::{AgentDeployRequest, env, header};
use nex_protocol::control::WorkloadType;
use nex_protocol::log::LogLine;
use nex_testkit::{Collector, TestNats};

use crate::world::World;

/// The agent: it takes a workload and says in its logs what its calls were answered.
#[tokio::test]
#[ignore = "not a test: the agent of the tests in this file"]
async fn agent_of_the_tests() {
    let var = |name: &str| std::env::var(name).ok();
    let Some(id) = var(env::WORKLOAD_ID) else { return };
    let url = format!(
        "nats://{}:{}",
        var(env::NODE_NATS_HOST).unwrap(),
        var(env::NODE_NATS_PORT).unwrap()
    );
    let nats = ConnectOptions::with_user_and_password(id.clone(), var(env::AGENT_SECRET).unwrap())
        .connect(url)
        .await
        .unwrap();
    let subject = |kind: &str| format!("agentint.{id}.{kind}");
    let call = async |scope: &str, key: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::KEY_VALUE_KEY, key);
        let subject = subject(&format!("rpc.{scope}.kv.set"));
        let reply = nats.request_with_headers(subject, headers, "v".into()).await.unwrap();
        String::from_utf8(reply.payload.to_vec()).unwrap()
    };
    let mut deploys = nats.subscribe(subject("deploy")).await.unwrap();
    let mut undeploys = nats.subscribe(subject("undeploy")).await.unwrap();
    let early = call("a.echo", "early").await;
    let hello = format!(r#"{{"id":"{id}","start_time":"2026-01-01T00:00:00Z","message":"hi"}}"#);
    nats.request(subject("handshake"), hello.into()).await.unwrap();
    let deploy = deploys.next().await.unwrap();
    let request = AgentDeployRequest::decode(&deploy.payload).unwrap();
    // Before the deploy is answered: scripts are evaluated then.
    let own = call(&format!("{}.{}", request.namespace, request.workload_name), "own").await;
    let other = call("victim.other", "taken").await;
    nats.publish(deploy.reply.unwrap(), r#"{"accepted":true}"#.into()).await.unwrap();
    for (what, said) in [("early", early), ("own", own), ("other", other)] {
        let text = serde_json::json!({ "text": format!("{what}: {said}"), "level": 4 });
        nats.publish(subject("logs"), text.to_string().into()).await.unwrap();
    }
    let undeploy = undeploys.next().await.unwrap();
    nats.publish(undeploy.reply.unwrap(), "".into()).await.unwrap();
    nats.flush().await.unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_serves_the_calls_of_what_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let agent = dir.path().join("agent");
    let this = std::env::current_exe().unwrap();
    let script = format!(
        "#!/bin/sh\nexec '{}' --exact host::wired::agent_of_the_tests --ignored --nocapture\n",
        this.display()
    );
    std::fs::write(&agent, script).unwrap();
    std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o755)).unwrap();
    let world =
        World::on(TestNats::start().await, |config| config.internal_node_port(0).agent(&agent))
            .await;
    let public = world.nats.client().await;
    let mut logs = Collector::new(&public, "$NEX.logs.team_a.*.echo.*").await;
    let artifact = world.upload_bytes("echo", b"anything").await;
    let workload = Workload::builder("echo".parse().unwrap(), WorkloadType::Elf, artifact)
        .namespace("team_a".parse().unwrap());
    world.deploy(workload).await.unwrap();
    let mut said = async |what: &str| {
        let line = |message: &async_nats::Message| LogLine::decode(&message.payload).unwrap().text;
        let found = logs.find(what, |message| line(message).starts_with(what)).await;
        line(&found)
    };
    assert_eq!(said("early").await.split(": ").next(), Some("early"));
    assert_eq!(said("own").await, r#"own: {"revision":1,"success":true}"#);
    let other = said("other").await;
    assert!(other.contains("cannot call for another") && other.contains(r#""success":false"#));
    let context = jetstream::new(public);
    let keys = context.get_key_value("hs_team_a_echo_kv").await.unwrap();
    assert_eq!(keys.get("own").await.unwrap().unwrap(), "v");
    assert!(context.get_key_value("hs_victim_other_kv").await.is_err());
    assert!(context.get_key_value("hs_a_echo_kv").await.is_err());
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_does_not_start_with_authorities_that_it_cannot_read() {
    let nats = TestNats::start().await;
    let dir = tempfile::tempdir().unwrap();
    let http = nex_protocol::config::HostHttpFile {
        ca_file: Some(dir.path().join("missing.pem").to_str().unwrap().to_owned()),
        ..Default::default()
    };
    let config = Config::builder()
        .sandbox(SandboxChoice::Process)
        .state_dir(dir.path().join("state"))
        .host_services(super::http::http(http))
        .build()
        .unwrap();
    let error = Node::start(config, nats.client().await).await.err().unwrap();
    assert_eq!(error.to_string(), "host services cannot be set up");
}
