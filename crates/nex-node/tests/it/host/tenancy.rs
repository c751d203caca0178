//! A function of namespace `a` tries to get at what is `b`'s, by every trick there is.

use async_nats::jetstream;
use nex_protocol::agent::header;
use nex_testkit::Collector;
use proptest::prelude::*;

use super::{HostWorld, answer};

/// What `b` has: a key, an object and their buckets.
async fn victim(world: &HostWorld) {
    let b = world.agent("b", "echo").await;
    b.set("secret", "b's").await.unwrap();
    b.object("put", "secret", "b's").await.unwrap();
}

async fn untouched(world: &HostWorld) {
    let context = jetstream::new(world.nats.client().await);
    let keys = context.get_key_value("hs_b_echo_kv").await.unwrap();
    assert_eq!(keys.get("secret").await.unwrap().unwrap(), "b's");
    let mut stream = context.get_stream("KV_hs_b_echo_kv").await.unwrap();
    assert_eq!(stream.info().await.unwrap().state.last_sequence, 1);
    let mut stream = context.get_stream("OBJ_hs_b_echo_os").await.unwrap();
    assert_eq!(stream.info().await.unwrap().state.last_sequence, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_does_not_say_who_calls() {
    let world = HostWorld::start().await;
    victim(&world).await;
    let a = world.agent("a", "echo").await;
    for scope in ["b.echo", "a.other", "A.echo", "b.other"] {
        for call in ["kv.get", "kv.set", "kv.delete", "kv.keys", "objectstore.list", "http.get"] {
            let subject = format!("agentint.{}.rpc.{scope}.{call}", a.id);
            let headers = [(header::KEY_VALUE_KEY, "secret"), (header::OBJECT_NAME, "secret")];
            let refusal = answer(&a.raw_at(subject, &headers, "x").await).unwrap_err();
            assert!(refusal.contains("cannot call for another"), "{scope} {call}: {refusal}");
        }
    }
    // Another agent's subjects are not its to publish on: the bus has nobody listen there.
    let b = world.agent("b", "echo").await;
    let subject = format!("agentint.{}.rpc.b.echo.kv.get", b.id);
    let mut headers = async_nats::HeaderMap::new();
    headers.insert(header::KEY_VALUE_KEY, "secret");
    let request = async_nats::Request::new()
        .headers(headers)
        .timeout(Some(std::time::Duration::from_millis(300)));
    a.nats.send_request(subject, request).await.unwrap_err();
    untouched(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_do_not_say_who_calls() {
    let world = HostWorld::start().await;
    victim(&world).await;
    let a = world.agent("a", "echo").await;
    let headers = [
        (header::KEY_VALUE_KEY, "secret"),
        ("x-namespace", "b"),
        ("x-nex-namespace", "b"),
        ("x-workload", "echo"),
        ("x-keyvalue-bucket", "hs_b_echo_kv"),
        ("Nats-Stream", "KV_hs_b_echo_kv"),
        (header::KEY_VALUE_KEY, "$KV.hs_b_echo_kv.secret"),
    ];
    let refusal = answer(&a.raw("kv.get", &headers, "").await).unwrap_err();
    assert!(refusal.ends_with("nats: key not found"), "{refusal}");
    assert_eq!(a.keys().await.unwrap(), Vec::<String>::new());
    untouched(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_do_not_lead_out_of_a_bucket() {
    let world = HostWorld::start().await;
    victim(&world).await;
    let a = world.agent("a", "echo").await;
    a.set("own", "a's").await.unwrap();
    let long = "x".repeat(5_000);
    for name in [
        "../hs_b_echo_kv/secret",
        "..",
        "*",
        ">",
        "*.secret",
        "hs_b_echo_kv.secret",
        "$KV.hs_b_echo_kv.secret",
        "secret.>",
        ".secret",
        "secret.",
        "se..cret",
        "sеcret",
        "secret\u{200b}",
        "s\u{ea}cret",
        "b_echo_kv.secret",
        "_kv.secret",
        "secret ",
        " secret",
        "a\tb",
        "%2e%2e",
        "..%2f",
        "\u{202e}terces",
        &long,
    ] {
        for method in ["kv.get", "kv.set", "kv.delete"] {
            let done = a.call(method, &[(header::KEY_VALUE_KEY, name)], "taken").await;
            if method == "kv.get" {
                assert!(done.is_err(), "{method} {name:?} gave {done:?}");
            }
        }
        // An object may be called anything, and stays in its own bucket.
        if let Ok(content) = a.object("get", name, "").await {
            panic!("{name:?} gave {content:?}");
        }
        let put = a.object("put", name, "mine").await;
        assert!(put.is_ok() || name.len() > 1_000 || name.contains('\t'), "{name:?}: {put:?}");
        let _ = a.object("delete", name, "").await;
    }
    untouched(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_look_alike_have_buckets_of_their_own() {
    let world = HostWorld::start().await;
    // Joined with underscores, all of these would be the same or part of one another.
    let scopes = [
        ("a", "b"),
        ("a_b", "b"),
        ("a_b_b", "b"),
        ("a-b", "b"),
        ("a_", "b"),
        ("_a", "b"),
        ("a", "b-kv"),
        ("a_b_kv", "b"),
        ("hs_a", "b"),
        ("A", "b"),
    ];
    for (at, (namespace, workload)) in scopes.iter().enumerate() {
        let agent = world.agent(namespace, workload).await;
        assert_eq!(agent.keys().await.unwrap(), Vec::<String>::new(), "{namespace} {workload}");
        agent.set("who", at.to_string()).await.unwrap();
        agent.object("put", "who", at.to_string()).await.unwrap();
    }
    for (at, (namespace, workload)) in scopes.iter().enumerate() {
        let agent = world.agent(namespace, workload).await;
        assert_eq!(agent.get("who").await.unwrap(), at.to_string(), "{namespace} {workload}");
        assert_eq!(agent.object("get", "who", "").await.unwrap(), at.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_connection_is_the_same_agent() {
    let world = HostWorld::start().await;
    victim(&world).await;
    let mut seat = world.bus.endpoint.register(nex_protocol::name::WorkloadId::generate()).unwrap();
    let (id, secret) = (seat.id(), seat.secret().to_owned());
    let scope = nex_node::host::Scope {
        namespace: "a".parse().unwrap(),
        workload: "echo".parse().unwrap(),
    };
    let session = world.services.open(scope, false);
    tokio::spawn(async move {
        while let Some(said) = seat.recv().await {
            if let nex_node::bus::Inbound::Rpc {
                namespace,
                workload,
                service,
                method,
                headers,
                body,
                reply,
            } = said
            {
                let rpc = nex_node::host::Rpc {
                    service: service.as_str(),
                    method: method.as_str(),
                    headers: headers.as_ref(),
                    body,
                };
                session.handle(&namespace, &workload, rpc, Box::new(reply));
            }
        }
    });
    for user in [id.to_string(), "b".to_owned()] {
        let connected =
            async_nats::ConnectOptions::with_user_and_password(user.clone(), secret.clone())
                .connect(world.bus.url())
                .await;
        let Ok(nats) = connected else {
            assert_eq!(user, "b");
            continue;
        };
        for scope in ["a.echo", "b.echo"] {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert(header::KEY_VALUE_KEY, "secret");
            let subject = format!("agentint.{id}.rpc.{scope}.kv.get");
            let reply = nats.request_with_headers(subject, headers, "".into()).await.unwrap();
            answer(&reply).unwrap_err();
        }
    }
    untouched(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_to_b_are_not_heard() {
    let world = HostWorld::start().await;
    let public = world.nats.client().await;
    let a = world.agent("a", "echo").await;
    let mut heard = Collector::new(&public, "b.in").await;
    // Nothing an agent may say to the bus makes it hear what is said on the public system.
    let mut subscriptions = Vec::new();
    for subject in ["b.in", ">", "b.>", "_INBOX.>", &format!("agentint.{}.>", a.id)] {
        subscriptions.push(a.nats.subscribe(subject.to_owned()).await.unwrap());
    }
    public.publish("b.in", "for b".into()).await.unwrap();
    assert_eq!(heard.next().await.payload, "for b");
    // A reply to the node's own request goes to the node's inbox, which is not named to anybody.
    let (parts, _) = a.request_many("b.in", std::time::Duration::from_millis(500)).await;
    assert!(parts.is_empty());
    for mut subscription in subscriptions {
        use futures_util::{FutureExt as _, StreamExt as _};
        while let Some(Some(message)) = subscription.next().now_or_never() {
            assert_ne!(message.payload, "for b");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever headers and body an agent sends, the checked call names nothing outside.
    #[test]
    fn no_call_names_another(
        service in "kv|objectstore|messaging",
        method in "get|set|delete|put|publish|request|requestMany",
        value in "[$.*> /_a-bA-Z0-9\u{e9}=-]{0,24}",
    ) {
        let config = nex_node::config::Config::builder().build().unwrap();
        let scope = nex_node::host::Scope {
            namespace: "a".parse().unwrap(),
            workload: "echo".parse().unwrap(),
        };
        let config = std::sync::Arc::new(config.host_services.clone());
        let rules = nex_node::host::Rules::new(config, &scope, "_INBOX.x.");
        let mut headers = nex_protocol::nats::HeaderMap::new();
        for name in [header::KEY_VALUE_KEY, header::OBJECT_NAME, header::MESSAGING_SUBJECT] {
            headers.append(name, &value).unwrap();
        }
        let rpc = nex_node::host::Rpc {
            service: &service,
            method: &method,
            headers: Some(&headers),
            body: "x".into(),
        };
        use nex_node::host::{HostCall, KvCall, MessagingCall};
        match rpc.decode(&rules) {
            Ok(HostCall::Kv(KvCall::Get(key) | KvCall::Set(key, _) | KvCall::Delete(key))) => {
                let key = key.to_string();
                prop_assert!(key.split('.').all(|token| !token.is_empty()));
                prop_assert!(!key.contains(['*', '>', ' ', '$']));
            }
            Ok(HostCall::Messaging(
                MessagingCall::Publish(subject, _)
                | MessagingCall::Request(subject, _)
                | MessagingCall::RequestMany(subject, _),
            )) => {
                prop_assert!(!subject.as_str().starts_with(['$']));
                prop_assert!(!subject.as_str().starts_with("_INBOX"));
                prop_assert!(!subject.as_str().contains(['*', '>', ' ']) || !subject.as_str()
                    .split('.').any(|token| matches!(token, "*" | ">" | "")));
            }
            Ok(_) => {}
            Err(refusal) => prop_assert!(!refusal.text().is_empty()),
        }
    }
}
