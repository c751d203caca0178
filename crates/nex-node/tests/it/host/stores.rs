//! Key-value and object stores.

use async_nats::jetstream;
use nex_protocol::agent::header;
use nex_protocol::config::{ByteSize, HostKvFile, HostObjectStoreFile, HostServicesFile};
use nex_testkit::TestNats;
use serde_json::Value;

use super::{HostWorld, TestResolver};

#[tokio::test(flavor = "multi_thread")]
async fn bytes_stay_bytes() {
    let world = HostWorld::start().await;
    let agent = world.agent("a", "echo").await;
    let all: Vec<u8> = (0..=255).collect();
    agent.set("k", all.clone()).await.unwrap();
    assert_eq!(agent.get("k").await.unwrap(), all);
    agent.set("empty", "").await.unwrap();
    assert_eq!(agent.get("empty").await.unwrap(), "");
    agent.object("put", "o", all.clone()).await.unwrap();
    assert_eq!(agent.object("get", "o", "").await.unwrap(), all);
    agent.object("put", "empty", "").await.unwrap();
    assert_eq!(agent.object("get", "empty", "").await.unwrap(), "");
    // Several chunks, the last of them short.
    let large: Vec<u8> = (0..700_001_u32).map(|at| (at % 251) as u8).collect();
    let record = agent.object("put", "large", large.clone()).await.unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!((&record["chunks"], &record["size"]), (&6.into(), &700_001.into()));
    assert_eq!(agent.object("get", "large", "").await.unwrap(), large);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_clients_see_the_same() {
    let world = HostWorld::start().await;
    let agent = world.agent("a_b", "echo").await;
    agent.set("k", "v").await.unwrap();
    agent.object("put", "ü/1 *", "content").await.unwrap();
    let context = jetstream::new(world.nats.client().await);
    let keys = context.get_key_value("hs_a_b_echo_kv").await.unwrap();
    assert_eq!(keys.get("k").await.unwrap().unwrap(), "v");
    keys.put("theirs", "x".into()).await.unwrap();
    assert_eq!(agent.get("theirs").await.unwrap(), "x");
    keys.delete("theirs").await.unwrap();
    agent.get("theirs").await.unwrap_err();
    assert_eq!(agent.keys().await.unwrap(), ["k"]);
    assert_eq!(keys.status().await.unwrap().history(), 1);

    let objects = context.get_object_store("hs_a_b_echo_os").await.unwrap();
    let mut read = Vec::new();
    let mut object = objects.get("ü/1 *").await.unwrap();
    tokio::io::AsyncReadExt::read_to_end(&mut object, &mut read).await.unwrap();
    assert_eq!(read, b"content");
    objects.put("theirs", &mut &b"hello"[..]).await.unwrap();
    assert_eq!(agent.object("get", "theirs", "").await.unwrap(), "hello");
    agent.object("delete", "ü/1 *", "").await.unwrap();
    assert!(objects.get("ü/1 *").await.is_err());
    objects.delete("theirs").await.unwrap();
    let refusal = agent.object("get", "theirs", "").await.unwrap_err();
    assert_eq!(refusal, "failed to get object theirs: nats: object not found");
    let refusal = agent.object("delete", "theirs", "").await.unwrap_err();
    assert_eq!(refusal, "failed to delete object theirs: nats: object not found");
    let list = agent.call("objectstore.list", &[], "{}").await.unwrap();
    assert_eq!(list, "[]");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_agents_make_a_bucket_once() {
    let world = HostWorld::start().await;
    let mut agents = Vec::new();
    for _ in 0..6 {
        agents.push(world.agent("a", "echo").await);
    }
    let sets = agents.iter().enumerate().flat_map(|(at, agent)| {
        (0..4).map(move |n| async move {
            agent.set(&format!("k{at}.{n}"), "v").await.unwrap();
            agent.object("put", &format!("o{at}.{n}"), "v").await.unwrap();
        })
    });
    futures_util::future::join_all(sets).await;
    assert_eq!(agents[0].keys().await.unwrap().len(), 24);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_was_deleted_is_made_anew() {
    let world = HostWorld::start().await;
    let agent = world.agent("a", "echo").await;
    agent.set("k", "v").await.unwrap();
    agent.object("put", "o", "v").await.unwrap();
    let context = jetstream::new(world.nats.client().await);
    context.delete_key_value("hs_a_echo_kv").await.unwrap();
    context.delete_object_store("hs_a_echo_os").await.unwrap();
    if let Err(refusal) = agent.get("k").await {
        assert_eq!(refusal, "failed to get value for key k: nats: key not found");
    }
    context.delete_key_value("hs_a_echo_kv").await.unwrap();
    agent.set("k", "w").await.unwrap();
    assert_eq!(agent.get("k").await.unwrap(), "w");
    context.delete_key_value("hs_a_echo_kv").await.unwrap();
    // What it holds is not said: nats-server 2.15 removes the files of a stream a little later, and
    // one that is made in between may find them.
    agent.keys().await.unwrap();
    agent.object("put", "o", "w").await.unwrap();
    assert_eq!(agent.object("get", "o", "").await.unwrap(), "w");
}

/// Buckets of other tools and of older servers have no direct access, and limits of their own.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_there_is_taken_as_it_is() {
    let world = HostWorld::start().await;
    let context = jetstream::new(world.nats.client().await);
    let stream = |name: &str, subjects: &[&str]| jetstream::stream::Config {
        name: name.to_owned(),
        subjects: subjects.iter().map(|subject| (*subject).to_owned()).collect(),
        max_messages_per_subject: 1,
        allow_direct: false,
        allow_rollup: true,
        discard: jetstream::stream::DiscardPolicy::New,
        ..jetstream::stream::Config::default()
    };
    let keys = stream("KV_hs_a_old_kv", &["$KV.hs_a_old_kv.>"]);
    context.create_stream(keys).await.unwrap();
    let subjects = ["$O.hs_a_old_os.C.>", "$O.hs_a_old_os.M.>"];
    let objects = jetstream::stream::Config {
        max_messages_per_subject: -1,
        ..stream("OBJ_hs_a_old_os", &subjects)
    };
    context.create_stream(objects).await.unwrap();
    let agent = world.agent("a", "old").await;
    let refusal = agent.get("k").await.unwrap_err();
    assert!(refusal.ends_with("nats: key not found"), "{refusal}");
    agent.set("k", "v").await.unwrap();
    assert_eq!(agent.get("k").await.unwrap(), "v");
    assert_eq!(agent.keys().await.unwrap(), ["k"]);
    let refusal = agent.object("get", "o", "").await.unwrap_err();
    assert!(refusal.ends_with("nats: object not found"), "{refusal}");
    let content = vec![7; 300_000];
    agent.object("put", "o", content.clone()).await.unwrap();
    assert_eq!(agent.object("get", "o", "").await.unwrap(), content);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_was_tampered_with_is_not_handed_out() {
    let world = HostWorld::start().await;
    let agent = world.agent("a", "echo").await;
    agent.object("put", "o", "content").await.unwrap();
    let context = jetstream::new(world.nats.client().await);
    let stream = context.get_stream("OBJ_hs_a_echo_os").await.unwrap();
    let chunk = stream.get_raw_message(1).await.unwrap();
    stream.delete_message(1).await.unwrap();
    let refusal = agent.object("get", "o", "").await.unwrap_err();
    assert!(refusal.contains("damaged"), "{refusal}");
    context.publish(chunk.subject, "CONTENT".into()).await.unwrap().await.unwrap();
    let refusal = agent.object("get", "o", "").await.unwrap_err();
    assert!(refusal.contains("damaged"), "{refusal}");
    // Putting it again mends it.
    agent.object("put", "o", "content").await.unwrap();
    assert_eq!(agent.object("get", "o", "").await.unwrap(), "content");
}

fn small() -> HostServicesFile {
    HostServicesFile {
        kv: Some(HostKvFile {
            max_value_bytes: Some(ByteSize::bytes(4096)),
            max_bucket_bytes: Some(ByteSize::bytes(16 * 1024)),
            ..HostKvFile::default()
        }),
        object_store: Some(HostObjectStoreFile {
            max_object_bytes: Some(ByteSize::bytes(20_000)),
            max_bucket_bytes: Some(ByteSize::bytes(64 * 1024)),
            ..HostObjectStoreFile::default()
        }),
        ..HostServicesFile::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_has_a_size_and_does_not_fill_with_what_was_deleted() {
    let world = HostWorld::with(small()).await;
    let agent = world.agent("a", "echo").await;
    let refusal = agent.set("k", vec![1; 4097]).await.unwrap_err();
    assert!(refusal.contains("4096 bytes"), "{refusal}");
    let mut held = 0;
    let refusal = loop {
        match agent.set(&format!("k{held}"), vec![1; 4096]).await {
            Ok(_) => held += 1,
            Err(refusal) => break refusal,
        }
        assert!(held < 10);
    };
    assert!(refusal.contains("full"), "{refusal}");
    assert!(held >= 2, "{held} values of 4 KiB in 16 KiB");
    // Deleting works in a full bucket, and makes room.
    agent.call("kv.delete", &[(header::KEY_VALUE_KEY, "k0")], "").await.unwrap();
    agent.set("again", vec![2; 2048]).await.unwrap();
    // Markers of deleted keys are cleared away when their room is needed.
    for round in 0..400 {
        let key = format!("round-{round}-{}", "x".repeat(40));
        agent.set(&key, "v").await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        agent.call("kv.delete", &[(header::KEY_VALUE_KEY, &key)], "").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_store_has_a_size_and_keeps_no_rubbish() {
    let world = HostWorld::with(small()).await;
    let agent = world.agent("a", "echo").await;
    let refusal = agent.object("put", "o", vec![1; 20_001]).await.unwrap_err();
    assert!(refusal.contains("20000 bytes"), "{refusal}");
    // Replacing one again and again leaves one.
    for round in 0..20_u8 {
        agent.object("put", "same", vec![round; 20_000]).await.unwrap();
    }
    // So does writing it from several sides at once.
    let puts = (0..8_u8).map(|side| agent.object("put", "same", vec![side; 2_000]));
    for done in futures_util::future::join_all(puts).await {
        if let Err(error) = done {
            assert!(error.contains("try again"), "{error}");
        }
    }
    let bytes = async || {
        let context = jetstream::new(world.nats.client().await);
        let mut stream = context.get_stream("OBJ_hs_a_echo_os").await.unwrap();
        stream.info().await.unwrap().state.bytes
    };
    let content = agent.object("get", "same", "").await.unwrap();
    assert_eq!(content.len(), 2_000);
    assert!(bytes().await < 5_000, "{} bytes for an object of 2000", bytes().await);
    // What did not fit leaves nothing behind.
    let mut held = 0;
    while agent.object("put", &format!("o{held}"), vec![1; 20_000]).await.is_ok() {
        held += 1;
        assert!(held < 10);
    }
    let full = bytes().await;
    agent.object("put", "more", vec![1; 20_000]).await.unwrap_err();
    assert_eq!(bytes().await, full);
    for at in 0..held {
        agent.object("delete", &format!("o{at}"), "").await.unwrap();
    }
    // Records of deleted objects are cleared away when their room is needed.
    for round in 0..150 {
        let name = format!("round {round} {}", "x".repeat(200));
        agent.object("put", &name, "v").await.unwrap_or_else(|e| panic!("round {round}: {e}"));
        agent.object("delete", &name, "").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_into_a_reply_is_an_error() {
    let config = HostServicesFile {
        kv: Some(HostKvFile {
            max_bucket_bytes: Some(ByteSize::mebibytes(32)),
            ..HostKvFile::default()
        }),
        ..HostServicesFile::default()
    };
    let world = HostWorld::with(config).await;
    let agent = world.agent("a", "echo").await;
    agent.set("k", "v").await.unwrap();
    let context = jetstream::new(world.nats.client().await);
    let keys = context.get_key_value("hs_a_echo_kv").await.unwrap();
    let puts = (0..1_100).map(|at| keys.put(format!("{at}-{}", "k".repeat(990)), "".into()));
    for put in futures_util::future::join_all(puts).await {
        put.unwrap();
    }
    let refusal = agent.keys().await.unwrap_err();
    assert!(refusal.contains("more than fits"), "{refusal}");
    // An object that somebody else put there.
    agent.object("put", "o", "v").await.unwrap();
    let objects = context.get_object_store("hs_a_echo_os").await.unwrap();
    let large = vec![0; 2 << 20];
    objects.put("large", &mut large.as_slice()).await.unwrap();
    let refusal = agent.object("get", "large", "").await.unwrap_err();
    assert!(refusal.contains("more than fits"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_not_followed() {
    let world = HostWorld::start().await;
    let (mine, theirs) = (world.agent("a", "echo").await, world.agent("b", "echo").await);
    mine.object("put", "o", "mine").await.unwrap();
    theirs.object("put", "secret", "theirs").await.unwrap();
    let context = jetstream::new(world.nats.client().await);
    let other = context.get_object_store("hs_b_echo_os").await.unwrap();
    let own = context.get_object_store("hs_a_echo_os").await.unwrap();
    own.add_link("link", &other.get("secret").await.unwrap()).await.unwrap();
    let refusal = mine.object("get", "link", "").await.unwrap_err();
    assert!(refusal.contains("links are not followed"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_behind_by_looking_through_a_bucket() {
    let world = HostWorld::start().await;
    let agent = world.agent("a", "echo").await;
    agent.set("k", "v").await.unwrap();
    agent.object("put", "o", "v").await.unwrap();
    for _ in 0..10 {
        agent.keys().await.unwrap();
        agent.call("objectstore.list", &[], "{}").await.unwrap();
        agent.object("get", "o", "").await.unwrap();
    }
    let context = jetstream::new(world.nats.client().await);
    for stream in ["KV_hs_a_echo_kv", "OBJ_hs_a_echo_os"] {
        let mut stream = context.get_stream(stream).await.unwrap();
        assert_eq!(stream.info().await.unwrap().state.consumer_count, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_jetstream_there_is_an_error_that_says_so() {
    let nats = TestNats::options().without_jetstream().start().await;
    let world = HostWorld::on(nats, HostServicesFile::default(), TestResolver::new(&[])).await;
    let agent = world.agent("a", "echo").await;
    for refusal in [
        agent.get("k").await.unwrap_err(),
        agent.set("k", "v").await.unwrap_err(),
        agent.keys().await.unwrap_err(),
        agent.object("put", "o", "v").await.unwrap_err(),
    ] {
        assert!(refusal.contains("JetStream is not available"), "{refusal}");
    }
    // Messages need none.
    agent.send("publish", "a.b", "hi").await.unwrap();
}
