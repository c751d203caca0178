//! Functions as NATS services, to our own eyes and to those of the NATS command line.

use std::process::Command;

use nex_protocol::config::FunctionsFile;
use serde_json::Value;

use super::{call, function, pretend};
use crate::world::World;

async fn ask(world: &World, subject: &str) -> Vec<Value> {
    let nats = world.nats.client().await;
    let mut answers = nex_testkit::Collector::new(&nats, "answers").await;
    nats.publish_with_reply(subject.to_owned(), "answers", "".into()).await.unwrap();
    let answers = answers.until_quiet(std::time::Duration::from_millis(300)).await;
    answers.iter().map(|answer| serde_json::from_slice(&answer.payload).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_is_a_service_that_counts() {
    let world = pretend(FunctionsFile::default()).await;
    let nats = world.nats.client().await;
    let artifact = world.upload_bytes("echo", b"echo").await;
    let echo = function("echo", artifact.clone(), &["echo.one", "echo.*.two"]);
    let id = world.run(echo.description("Says what it hears")).await;
    world.run(function("other", artifact, &["other"])).await;

    assert_eq!(ask(&world, "$SRV.PING").await.len(), 2);
    let ping = ask(&world, "$SRV.PING.echo").await;
    assert_eq!(ping.len(), 1);
    assert_eq!(ping[0]["type"], "io.nats.micro.v1.ping_response");
    assert_eq!(ping[0]["id"], id.as_str());
    let info = &ask(&world, &format!("$SRV.INFO.echo.{id}")).await[0];
    assert_eq!(info["description"], "Says what it hears");
    assert_eq!(info["endpoints"][0]["subject"], "echo.one");
    assert_eq!(info["endpoints"][1]["name"], "echo-any-two");
    assert_eq!(info["endpoints"][0]["queue_group"], "nex.default.echo");
    assert!(ask(&world, "$SRV.INFO.nobody").await.is_empty());

    for payload in ["ran 1000", "ran 3000", "fail 500 broken"] {
        call(&nats, "echo.one", payload).await;
    }
    let stats = &ask(&world, "$SRV.STATS.echo").await[0];
    let one = &stats["endpoints"][0];
    assert_eq!((one["num_requests"].as_u64(), one["num_errors"].as_u64()), (Some(3), Some(1)));
    assert_eq!(one["processing_time"], 4000);
    assert_eq!(one["last_error"], "500:broken");
    assert_eq!(stats["endpoints"][1]["num_requests"], 0);
    world.stop_workload(id, "echo").await;
    assert!(ask(&world, "$SRV.PING.echo").await.is_empty());
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nats_command_line_shows_it() {
    let Some(program) = command_line() else { return };
    let world = pretend(FunctionsFile::default()).await;
    let nats = world.nats.client().await;
    let artifact = world.upload_bytes("echo", b"echo").await;
    let echo = function("echo", artifact, &["echo.>"]).description("Says what it hears");
    let id = world.run(echo).await;
    for payload in ["hello", "fail 500 broken"] {
        call(&nats, "echo.x", payload).await;
    }
    let url = world.nats.url();
    let run = |arguments: &[&str]| {
        let output = Command::new(&program)
            .args(["--server", &url, "micro"])
            .args(arguments)
            .env("HOME", world.dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        said
    };
    let list = run(&["ls"]);
    assert!(list.contains("echo") && list.contains(id.as_str()), "{list}");
    let info = run(&["info", "echo"]);
    assert!(info.contains("Says what it hears") && info.contains("echo.>"), "{info}");
    let stats = run(&["stats", "echo"]);
    assert!(stats.contains(id.as_str()) && stats.contains('2'), "{stats}");
    assert!(world.end().await.clean);
}

/// The NATS command line, where Go can build it. Says why when it cannot.
fn command_line() -> Option<std::path::PathBuf> {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("natscli");
    let program = folder.join("nats");
    if program.is_file() {
        return Some(program);
    }
    if Command::new("go").arg("version").output().is_err() {
        println!("SKIPPED: the NATS command line: go is not installed");
        return None;
    }
    let built = Command::new("go")
        .args(["install", "github.com/nats-io/natscli/nats@latest"])
        .env("GOBIN", &folder)
        .output()
        .unwrap();
    if !built.status.success() {
        let why = String::from_utf8_lossy(&built.stderr).into_owned();
        println!("SKIPPED: the NATS command line cannot be built: {why}");
        return None;
    }
    Some(program)
}
