//! NATS goes away while a function calls.

use nex_protocol::config::{HostKvFile, HostMessagingFile, HostObjectStoreFile, HostServicesFile};
use nex_testkit::TestNats;
use rustix::process::{Pid, Signal, kill_process};

use super::{HostAgent, HostWorld, TestResolver, within};

fn quick() -> HostServicesFile {
    HostServicesFile {
        kv: Some(HostKvFile { timeout_ms: Some(500), ..HostKvFile::default() }),
        object_store: Some(HostObjectStoreFile {
            timeout_ms: Some(500),
            ..HostObjectStoreFile::default()
        }),
        messaging: Some(HostMessagingFile {
            request_many_timeout_ms: Some(500),
            ..HostMessagingFile::default()
        }),
        ..HostServicesFile::default()
    }
}

/// Every call that needs NATS, each of which has to be an error.
async fn all_fail(agent: &HostAgent) -> Vec<String> {
    let keys = agent.keys().await.map(|_| "".into());
    let list = agent.call("objectstore.list", &[], "{}").await;
    let answers = [
        agent.get("k").await,
        agent.set("k", "v").await,
        agent.call("kv.delete", &[("x-keyvalue-key", "k")], "").await,
        keys,
        agent.object("get", "o", "").await,
        agent.object("put", "o", "v").await,
        agent.object("delete", "o", "").await,
        list,
        agent.send("request", "one", "hi").await,
    ];
    answers.into_iter().map(Result::unwrap_err).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_an_error_and_passes() {
    let mut nats = TestNats::start().await;
    let url = nats.url();
    let client = nats.client_with(nats.connect_options().retry_on_initial_connect()).await;
    let config = nex_node::config::Config::builder().host_services(quick()).build().unwrap();
    let services = nex_node::host::HostServices::new(
        client.clone(),
        &config.host_services,
        TestResolver::new(&[]),
    )
    .unwrap();
    let bus = crate::bus::TestBus::start(|_| {}).await;
    let spare = TestNats::start().await;
    let mut world = HostWorld { nats: spare, bus, services };
    let agent = world.agent("a", "echo").await;
    agent.set("k", "v").await.unwrap();
    agent.object("put", "o", "v").await.unwrap();

    nats.kill();
    let gone = async {
        while client.connection_state() == async_nats::connection::State::Connected {
            tokio::task::yield_now().await;
        }
    };
    within("the end of the connection", gone).await;
    for refusal in all_fail(&agent).await {
        assert!(refusal.contains("not connected to NATS"), "{refusal}");
    }
    let refusal = agent.send("publish", "a.b", "hi").await.unwrap_err();
    assert!(refusal.contains("not connected to NATS"), "{refusal}");
    let (parts, end) = agent.request_many("a.b", std::time::Duration::from_secs(8)).await;
    assert!(parts.is_empty() && end.unwrap().is_err());

    nats.restart().await;
    assert_eq!(nats.url(), url);
    let back = async {
        while client.connection_state() != async_nats::connection::State::Connected {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    within("a new connection", back).await;
    assert_eq!(agent.get("k").await.unwrap(), "v");
    assert_eq!(agent.object("get", "o", "").await.unwrap(), "v");
    world.nats.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_more_is_an_error_within_the_limit() {
    let world = HostWorld::with(quick()).await;
    let agent = world.agent("a", "echo").await;
    agent.set("k", "v").await.unwrap();
    agent.object("put", "o", "v").await.unwrap();
    let pid = Pid::from_raw(world.nats.pid().unwrap().cast_signed()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let refusals = all_fail(&agent).await;
    let (_, end) = agent.request_many("a.b", std::time::Duration::from_secs(8)).await;
    kill_process(pid, Signal::CONT).unwrap();
    for refusal in refusals {
        assert!(refusal.contains("in time") || refusal.contains("timeout"), "{refusal}");
    }
    end.unwrap().unwrap();
    // Not `k`: the `kv.delete` that was answered with an error may be carried out now.
    let back = async {
        while agent.set("next", "v").await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    within("the next answer", back).await;
    assert_eq!(agent.get("next").await.unwrap(), "v");
}
