//! `nex node up`: starts, refusals, ends.

use nex_testkit::{DEADLINE, TestNats, process, wait_until};
use serde_json::Value;

use crate::program::{User, end_of, steady};

#[tokio::test]
async fn the_configuration_is_shown_with_its_origins() {
    let user = User::new();
    let file = user.file("node.json", "// mine\n{\"machine_pool_size\": 3, \"no_sandbx\": true}");
    let args = ["node", "config", "--config", file.to_str().unwrap(), "--sandbox", "process"];
    let ended = user.nex(&args).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    assert!(
        ended.err.starts_with("warning: ") && ended.err.contains("no_sandbox"),
        "{}",
        ended.err
    );
    let config: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(config["machine_pool_size"], 3);
    assert_eq!(config["sandbox"], "process");
    let origins = end_of(user.command(&[&args[..], &["--origins"]].concat())).await;
    let origins: Value = serde_json::from_str(&origins.out).unwrap();
    assert_eq!(origins["machine_pool_size"]["origin"], "file");
    assert_eq!(origins["sandbox"]["origin"], "flag");
    let schema = user.json(&["node", "config", "--schema"]).await;
    assert!(schema["properties"]["machine_pool_size"].is_object());
}

#[tokio::test]
async fn a_start_that_fails_says_why_in_one_line() {
    let nats = TestNats::start().await;
    let user = User::at(&nats.url());
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port().to_string();
    let bad = user.file("bad.json", "{\"machine_pool_size\": \"three\"}");
    let broken = user.file("broken.json", "{\"machine_pool_size\": 3");
    let state = user.file("occupied", "a file where a folder belongs");
    let up = ["node", "up", "--sandbox", "process", "--state-dir", "state"];
    for (name, args) in [
        ("firecracker", &["node", "up", "--sandbox", "firecracker", "--state-dir", "state"][..]),
        ("qemu", &["node", "up", "--sandbox", "qemu", "--state-dir", "state"]),
        ("no_file", &[&up[..], &["--config", "none.json"]].concat()),
        ("bad_value", &[&up[..], &["--config", bad.to_str().unwrap()]].concat()),
        ("broken_file", &[&up[..], &["--config", broken.to_str().unwrap()]].concat()),
        ("no_folder", &[&up[..4], &["--state-dir", state.to_str().unwrap()]].concat()),
        ("busy_port", &[&up[..], &["--with-nats", "--nats-port", &port]].concat()),
    ] {
        let error = user.fails(1, args).await;
        let error = error.lines().last().unwrap_or_default();
        let home = user.home().to_str().unwrap();
        let error = steady(error, &[(home, "HOME"), (port.as_str(), "PORT")]);
        insta::assert_snapshot!(format!("start_{name}"), error);
    }
}

#[tokio::test]
async fn every_mistake_of_a_configuration_is_told() {
    let user = User::new();
    let bad = user.file(
        "bad.json",
        "{\n  \"machine_pool_size\": \"three\",\n  \"tags\": 7,\n  \"sandbox\": \"jail\"\n}",
    );
    for command in ["up", "config"] {
        let error = user.fails(1, &["node", command, "--config", bad.to_str().unwrap()]).await;
        let error = steady(&error, &[(user.home().to_str().unwrap(), "HOME")]);
        insta::assert_snapshot!("every_mistake", error);
    }
}

#[tokio::test]
async fn a_node_says_that_it_is_ready_and_ends_in_order() {
    let nats = TestNats::start().await;
    let user = User::at(&nats.url());
    let mut node = user.up(&["--name", "blue", "--tag", "region=eu"]);
    let ready: Value = serde_json::from_str(&node.line().await).unwrap();
    assert_eq!(ready["node_name"], "blue");
    assert_eq!(ready["sandbox"], "process");
    node.message_with("process: no isolation, workloads run with your rights").await;
    let listed = user.json(&["node", "ls"]).await;
    assert_eq!(listed[0]["node_id"], ready["node_id"]);
    assert_eq!(listed[0]["tags"]["region"], "eu");
    assert_eq!(listed[0]["tags"]["nex.unsafe"], "true");

    let twice =
        user.fails(1, &["node", "up", "--sandbox", "process", "--state-dir", "state"]).await;
    assert_eq!(twice.lines().count(), 1, "{twice}");
    insta::assert_snapshot!(
        "start_second_node_on_one_folder",
        steady(
            &twice,
            &[(user.home().to_str().unwrap(), "HOME"), (&node.pid().to_string(), "PID")]
        )
    );

    node.signal("TERM");
    let (code, said) = node.end().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("a second signal ends everything at once"), "{said}");
    assert!(said.ends_with("stopped\n"), "{said}");

    // Its identity outlives it.
    let mut node = user.up(&[]);
    let again: Value = serde_json::from_str(&node.line().await).unwrap();
    assert_eq!(again["node_id"], ready["node_id"]);
    node.signal("INT");
    assert_eq!(node.end().await.0, Some(0));
}

#[tokio::test]
async fn a_nats_server_of_its_own_comes_and_goes_with_the_node() {
    let user = User::new();
    let mut node = user.up(&["--with-nats", "--nats-port", "0"]);
    let ready: Value = serde_json::from_str(&node.line().await).unwrap();
    let url = ready["nats_url"].as_str().unwrap();
    assert_eq!(User::at(url).json(&["node", "ls"]).await[0]["node_id"], ready["node_id"]);
    // Its data lies with the node's own, so that a second node has another.
    let state_dir = std::path::Path::new(ready["state_dir"].as_str().unwrap());
    assert!(state_dir.join("nats/nats-server.log").is_file());
    let tree = process::tree(node.pid());
    assert!(tree.len() > 1, "{tree:?}");
    node.signal("TERM");
    let (code, said) = node.end().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("lost the connection"), "{said}");
    wait_until(DEADLINE, "all children to be gone", || {
        !tree.iter().any(|pid| process::is_running(*pid))
    })
    .await;
}

#[tokio::test]
async fn the_own_log_can_go_to_nats_and_to_a_file() {
    let nats = TestNats::start().await;
    let user = User::at(&nats.url());
    let mut logs = user.start(&["logs", "--namespace", "system", "--json"]);
    logs.message_with("following").await;
    let mut node = user.up(&["--loglevel", "debug", "--logger", "nats"]);
    node.line().await;
    user.ok(&["lameduck"]).await;
    let line: Value = serde_json::from_str(&logs.line_with("\"nex\"").await).unwrap();
    assert_eq!(line["namespace"], "system");
    node.signal("TERM");
    assert_eq!(node.end().await.0, Some(0));

    let mut node = user.up(&["--loglevel", "debug", "--logger", "file", "--logjson"]);
    node.line().await;
    node.signal("TERM");
    assert_eq!(node.end().await.0, Some(0));
    let log = std::fs::read_to_string(user.home().join("nex.log")).unwrap();
    for line in log.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
}
