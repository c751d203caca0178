//! A Go control client, made of the libraries that the Go implementation uses,
//! drives the node: `interop/go`.

use std::{path::Path, process::Command};

use nex_client::deploy::Workload;
use nex_protocol::{
    control::WorkloadType,
    log::{LogLevel, LogLine},
};
use nex_testkit::Collector;

use crate::world::{World, compile};

const PROGRAM: &str = r#"
#include <stdio.h>
#include <unistd.h>
extern char **environ;
int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) printf("[%s]\n", argv[i]);
    for (char **e = environ; *e; e++) puts(*e);
    fflush(stdout);
    for (;;) pause();
}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_go_client_drives_the_node() {
    let Some(client) = build("control") else { return };
    let world = World::start().await;
    let program = compile(world.dir.path(), "echo", PROGRAM);
    let (url, dir) = (world.nats.url(), client.1);
    let run = tokio::task::spawn_blocking(move || {
        Command::new(client.0).arg(url).arg(program).output().unwrap()
    });
    let output = run.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.ends_with("all checks passed\n"), "{said}");
    drop(dir);
    assert!(world.end().await.clean);
}

/// Ends by itself, after it was told to.
const SERVICE: &str = r#"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void end(int signal) { (void)signal; _exit(7); }
int main(int argc, char **argv) {
    signal(SIGTERM, end);
    printf("hello %s %s %d\n", getenv("GREETING"), argv[1], argc);
    fflush(stdout);
    fprintf(stderr, "problem\n");
    for (;;) pause();
}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_go_agent_of_the_old_protocol_is_hosted() {
    let Some((agent, _dir)) = build("legacy-agent") else { return };
    let world = World::with(|config| config.legacy_agent(&agent).internal_node_port(0)).await;
    let program = compile(world.dir.path(), "service", SERVICE);
    // Many chunks, more than a window of flow control: a program may have a tail.
    let mut bytes = std::fs::read(&program).unwrap();
    bytes.resize(bytes.len() + 6_000_000, 7);
    let artifact = world.upload_bytes("service", &bytes).await;
    let nats = world.nats.client().await;
    let mut logs = Collector::new(&nats, "$NEX.logs.>").await;
    let mut events = Collector::new(&nats, "$NEX.events.default.>").await;
    let service = Workload::builder("service".parse().unwrap(), WorkloadType::Elf, artifact)
        .arguments(["two words"])
        .variable("greeting", "world");
    let id = world.run(service).await;
    let line = |message: &async_nats::Message| LogLine::decode(&message.payload).unwrap();
    logs.find("its output", |message| line(message).text.trim() == "hello world two words 2").await;
    events.find("its start", |message| message.subject.ends_with("workload_started")).await;
    world.stop_workload(id, "service").await;
    events.find("its end", |message| message.subject.ends_with("workload_stopped")).await;
    let is_problem = |message: &async_nats::Message| line(message).text.trim() == "problem";
    if !logs.seen().iter().any(is_problem) {
        logs.find("its complaint", is_problem).await;
    }
    let problem = logs.seen().iter().find(|message| is_problem(message)).map(line);
    assert_eq!(problem.map(|line| line.level), Some(LogLevel::ERROR));
    // The next one of the pool takes its place.
    let again = world.service("again", &program).await.arguments(["x"]).variable("greeting", "you");
    world.run(again).await;
    logs.find("its output", |message| line(message).text.trim() == "hello you x 2").await;
    assert!(world.end().await.clean);
}

/// Builds a program of `interop/go`. Says why when that is not possible.
fn build(name: &str) -> Option<(std::path::PathBuf, tempfile::TempDir)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop/go");
    if Command::new("go").arg("version").output().is_err() {
        println!("SKIPPED: Go conformance: go is not installed");
        return None;
    }
    let out = tempfile::tempdir().unwrap();
    let program = out.path().join(name);
    let built = Command::new("go")
        .current_dir(folder)
        .args(["build", "-o"])
        .arg(&program)
        .arg(format!("./{name}"))
        .output()
        .unwrap();
    if !built.status.success() {
        let why = String::from_utf8_lossy(&built.stderr).into_owned();
        // Modules that cannot be fetched are the machine's lack; code that does
        // not compile is ours.
        assert!(why.contains("dial") || why.contains("proxy"), "{why}");
        println!("SKIPPED: Go conformance: its modules cannot be fetched: {why}");
        return None;
    }
    Some((program, out))
}
