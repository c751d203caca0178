//! The test server itself: start, outage, credentials, TLS.

use bytes::Bytes;
use nex_testkit::{Collector, DEADLINE, TestNats, process, wait_until};

#[tokio::test]
async fn a_message_goes_through() {
    let server = TestNats::start().await;
    let client = server.client().await;
    let mut seen = Collector::new(&client, "greet.>").await;
    client.publish("greet.you", Bytes::from_static(b"hello")).await.unwrap();
    assert_eq!(seen.next().await.payload.as_ref(), b"hello");
}

#[tokio::test]
async fn it_comes_back_on_its_port_with_its_data() {
    let mut server = TestNats::start().await;
    let client = server.client().await;
    let url = server.url();
    let bucket = async_nats::jetstream::kv::Config { bucket: "kept".into(), ..Default::default() };
    let store = async_nats::jetstream::new(client.clone());
    let store = store.create_key_value(bucket).await.unwrap();
    store.put("key", Bytes::from_static(b"value")).await.unwrap();

    server.restart().await;
    assert_eq!(server.url(), url);
    let store = async_nats::jetstream::new(server.client().await);
    let store = store.get_key_value("kept").await.unwrap();
    assert_eq!(store.get("key").await.unwrap().unwrap().as_ref(), b"value");

    server.kill();
    assert_eq!(server.pid(), None);
    server.restart().await;
    server.client().await;
}

#[tokio::test]
async fn it_is_gone_when_dropped() {
    let server = TestNats::start().await;
    let pid = server.pid().unwrap();
    assert!(process::is_running(pid));
    assert!(process::pss(pid).unwrap() > 1 << 20);
    assert!(process::count_descriptors_to(pid, "socket:") > 0);
    drop(server);
    wait_until(DEADLINE, "the server to be gone", || !process::is_running(pid)).await;
}

#[tokio::test]
async fn credentials_are_asked_for() {
    let keyed = TestNats::options().nkey().start().await;
    assert!(keyed.nkey_seed().unwrap().starts_with("SU"));
    for server in [
        TestNats::options().password("ann", "s e\"cret").start().await,
        TestNats::options().token("open sesame").start().await,
        keyed,
    ] {
        server.client().await;
        assert!(async_nats::connect(server.url()).await.is_err());
    }
}

#[tokio::test]
async fn tls_in_three_ways() {
    for options in [
        TestNats::options().tls(),
        TestNats::options().mutual_tls(),
        TestNats::options().tls_first(),
    ] {
        let server = options.start().await;
        assert!(server.url().starts_with("tls://"));
        server.client().await;
        assert!(async_nats::connect(server.url()).await.is_err(), "the authority is unknown");
    }
}

#[tokio::test]
async fn domain_and_accounts() {
    let server = TestNats::options()
        .jetstream_domain("edge")
        .config("accounts { A { jetstream: enabled, users: [ { user: a, password: a } ] } }")
        .start()
        .await;
    let options = async_nats::ConnectOptions::with_user_and_password("a".into(), "a".into());
    let client = server.client_with(options).await;
    let context = async_nats::jetstream::with_domain(client, "edge");
    assert_eq!(context.query_account().await.unwrap().domain.as_deref(), Some("edge"));
}
