//! Every command against a node of the Go implementation, as it was recorded:
//! tables and JSON are frozen.

use nex_testkit::TestNats;

use crate::fake_node::{self, NODE, WORKLOAD};
use crate::program::User;

#[tokio::test]
async fn tables_and_json() {
    let nats = TestNats::start().await;
    fake_node::start(&nats).await;
    let user = User::at(&nats.url());
    for (name, args) in [
        ("node_ls", &["node", "ls"][..]),
        ("node_info", &["node", "info"]),
        ("node_info_by_name", &["node", "info", "quiet-river"]),
        ("node_info_elsewhere", &["node", "info", NODE, "--namespace", "other"]),
        ("node_probe", &["node", "probe", "--namespace", "default"]),
        ("ps", &["ps"]),
        ("ps_of_a_namespace", &["ps", "--namespace", "default"]),
    ] {
        insta::assert_snapshot!(format!("table_{name}"), user.ok(args).await);
        insta::assert_json_snapshot!(format!("json_{name}"), user.json(args).await);
    }
    assert_eq!(user.ok(&["ps", "--namespace", "other"]).await, "");
    assert_eq!(user.json(&["ps", "--namespace", "other"]).await, serde_json::json!([]));
    let error = user.fails(1, &["node", "info", "loud-river"]).await;
    assert_eq!(
        error,
        format!("error: no node is called \"loud-river\": there is {NODE} (quiet-river)\n")
    );
}

#[tokio::test]
async fn nobody_answers() {
    let nats = TestNats::start().await;
    let user = User::at(&nats.url());
    for args in [&["node", "ls"][..], &["ps"], &["ps", "--namespace", "x"], &["node", "probe"]] {
        let ended = user.nex(args).await;
        assert_eq!((ended.status.code(), ended.out.as_str()), (Some(0), ""), "{args:?}");
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
        assert_eq!(user.json(args).await, serde_json::json!([]), "{args:?}");
    }
    for args in [&["node", "info"][..], &["lameduck"]] {
        let error = user.fails(1, args).await;
        assert_eq!(error, "error: no node answers: start one with `nex node up`\n", "{args:?}");
    }
}

#[tokio::test]
async fn a_workload_is_stopped_by_its_name_and_in_the_old_form() {
    let nats = TestNats::start().await;
    let asked = fake_node::start(&nats).await;
    let user = User::at(&nats.url());
    let error = user.fails(1, &["stop", "servicesh"]).await;
    assert!(error.contains("issuer.nk; name the seed"), "{error}");
    let seed = nex_protocol::key::SigningKey::generate(nex_protocol::key::KeyKind::Account).seed();
    let seed = user.file("mine.nk", format!("{seed}\n"));
    let issuer = ["--issuer", seed.to_str().unwrap()];
    let stop = |args: &[&'static str]| [&["stop"], args, &issuer].concat();

    let told = user.ok(&stop(&["servicesh"])).await;
    assert_eq!(told, format!("stopped servicesh ({WORKLOAD}) on {NODE}\n"));
    user.ok(&stop(&[NODE, WORKLOAD, "--name", "servicesh"])).await;
    let stopped = user.json(&stop(&["SERVICESH"])).await;
    assert_eq!(stopped["id"], WORKLOAD);
    let subject = format!("$NEX.STOP.default.{NODE}");
    let stops = |asked: &fake_node::Asked| {
        asked.lock().unwrap().iter().filter(|(asked, _)| *asked == subject).count()
    };
    assert_eq!(stops(&asked), 3);

    for args in [
        &["nothing"][..],
        // The start of a name is too little to end something by.
        &["service"],
        &["servicesh", "--name", "another"],
        &["servicesh", "--namespace", "other"],
    ] {
        let error = user.nex(&stop(args)).await;
        assert_eq!(error.status.code(), Some(1), "{args:?}");
    }
    assert_eq!(stops(&asked), 3);
}

#[tokio::test]
async fn lame_duck() {
    let nats = TestNats::start().await;
    fake_node::start(&nats).await;
    let told = User::at(&nats.url()).ok(&["lameduck"]).await;
    assert_eq!(told, format!("{NODE} takes no new workloads; what runs goes on\n"));
}

#[tokio::test]
async fn logs_are_followed_and_filtered() {
    let nats = TestNats::start().await;
    let user = User::at(&nats.url());
    let client = nats.client().await;
    let mut all = user.start(&["logs", "--timeformat", "DateOnly"]);
    let mut warnings =
        user.start(&["logs", "--workload_name", "echo", "--level", "warn", "--json"]);
    all.message_with("following logs").await;
    warnings.message_with("following logs").await;
    // A Go node swaps the last two tokens.
    for (name, level, text) in
        [("echo", "INFO", "one"), ("echo", "ERROR", "two\\u001b[31m"), ("other", "WARN", "three")]
    {
        let subject = format!("$NEX.logs.default.{NODE}.{WORKLOAD}.{name}");
        let line = format!(r#"{{"text":"{text}","level":"{level}","id":"{WORKLOAD}"}}"#);
        fake_node::publish(&client, &subject, &line).await;
    }
    let line = all.line().await;
    assert_eq!(line.split_once(' ').unwrap().1, "INFO  echo one");
    assert!(all.line().await.ends_with(" ERROR echo two"));
    assert!(all.line().await.ends_with(" WARN  other three"));
    let line: serde_json::Value = serde_json::from_str(&warnings.line().await).unwrap();
    assert_eq!(line["workload"], "echo");
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["id"], WORKLOAD);
    for (running, signal) in [(all, "INT"), (warnings, "TERM")] {
        running.signal(signal);
        assert_eq!(running.end().await, (Some(0), String::new()));
    }
}

#[tokio::test]
async fn events_are_followed_and_filtered() {
    let nats = TestNats::start().await;
    let user = User::at(&nats.url());
    let client = nats.client().await;
    let mut all = user.start(&["events", "--no-heartbeats"]);
    let mut some =
        user.start(&["events", "--json", "--type", "workload_started", "--namespace", "dev"]);
    all.message_with("following events").await;
    some.message_with("following events").await;
    for (namespace, kind, data) in [
        ("system", "heartbeat", "{}"),
        ("default", "workload_started", r#"{"workload_name":"echo","code":0}"#),
        (
            "default",
            "function_exec_succeeded",
            r#"{"workload_name":"f","trigger_subject":"a.>","elapsed_nanos":1240000,"namespace":"default"}"#,
        ),
        ("dev", "workload_started", r#"{"workload_name":"tests","code":0}"#),
        (
            "dev",
            "workload_stopped",
            r#"{"workload_name":"tests","code":1,"message":"it \u001b[2Jbroke"}"#,
        ),
    ] {
        let event = format!(
            r#"{{"specversion":"1.0","id":"x","source":"{WORKLOAD}","type":"{kind}","time":"2024-04-26T12:00:05Z","datacontenttype":"application/json","data":{data}}}"#
        );
        fake_node::publish(&client, &format!("$NEX.events.{namespace}.{kind}"), &event).await;
    }
    let lines = [all.line().await, all.line().await, all.line().await, all.line().await].join("\n");
    insta::assert_snapshot!("events", lines);
    let event: serde_json::Value = serde_json::from_str(&some.line().await).unwrap();
    assert_eq!(event["namespace"], "dev");
    assert_eq!(event["data"]["workload_name"], "tests");
    for running in [all, some] {
        running.signal("INT");
        assert_eq!(running.end().await, (Some(0), String::new()));
    }
    let ended = user.nex(&["events", "--no-follow", "--timeout", "200ms"]).await;
    assert_eq!((ended.status.code(), ended.out.as_str()), (Some(0), ""));
}
