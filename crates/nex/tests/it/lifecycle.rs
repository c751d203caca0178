//! From a program on disk to a running workload and back, with a real node.

use std::path::PathBuf;
use std::process::Command;

use nex_testkit::{DEADLINE, TestNats, process, wait_until};
use serde_json::Value;

use crate::program::{Running, User};

/// A node of the user, ready.
async fn node(user: &User) -> (Running, Value) {
    let mut node = user.up(&["--name", "blue"]);
    let ready = serde_json::from_str(&node.line().await).unwrap();
    (node, ready)
}

/// A program that says its arguments and its environment, then waits.
fn talker(user: &User) -> PathBuf {
    let source = user.file(
        "talker.rs",
        r#"fn main() {
            let arguments: Vec<String> = std::env::args().skip(1).collect();
            let secret = std::env::var("SECRET").unwrap_or_default();
            println!("arguments {arguments:?} secret {secret:?}");
            std::thread::sleep(std::time::Duration::from_secs(3600));
        }"#,
    );
    let program = user.home().join("My_Talker");
    compile(&source, &program);
    program
}

fn compile(source: &std::path::Path, program: &std::path::Path) {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let built = Command::new(rustc)
        .args(["--edition", "2024", "-o"])
        .args([program, source])
        .status()
        .unwrap();
    assert!(built.success());
}

#[tokio::test]
async fn a_program_is_deployed_watched_replaced_and_stopped() {
    let nats = TestNats::start().await;
    let user = User::at(&nats.url());
    let (node, ready) = node(&user).await;
    let program = talker(&user);
    let program = program.to_str().unwrap();
    user.file("token.txt", "s3cret\n");
    let mut logs = user.start(&["logs", "--workload_name", "my-talker", "--json"]);
    logs.message_with("following").await;
    let mut events = user.start(&["events", "--json", "--namespace", "default"]);
    events.message_with("following").await;

    let args = ["devrun", program, "SECRET=@token.txt", "--argv", "-v 'two words'", "--", "a  b"];
    let told = user.nex(&args).await;
    assert_eq!(told.status.code(), Some(0), "{}", told.err);
    assert!(told.out.starts_with("my-talker runs on blue as "), "{}", told.out);
    for said in ["issuer.nk", "publisher.xk", "NEXCLIFILES", "nex stop my-talker"] {
        assert!(told.err.contains(said), "{said}: {}", told.err);
    }
    let line: Value = serde_json::from_str(&logs.line_with("arguments").await).unwrap();
    assert_eq!(line["text"], r#"arguments ["-v", "two words", "a  b"] secret "s3cret""#);
    events.line_with("workload_started").await;

    let first = user.json(&["ps"]).await;
    assert_eq!(first.as_array().unwrap().len(), 1, "{first}");
    assert_eq!(first[0]["name"], "my-talker");
    assert_eq!(first[0]["node_id"], ready["node_id"]);
    assert_eq!(first[0]["healthy"], true);
    // The hash that was signed is that of the file.
    let digest = nex_protocol::digest::Digest::of(&std::fs::read(program).unwrap()).to_string();
    assert_eq!(first[0]["hash"], digest);

    // The same once more: the old one makes room.
    let again = user.nex(&["devrun", program]).await;
    assert_eq!(again.status.code(), Some(0), "{}", again.err);
    assert!(again.err.contains("already uploaded"), "{}", again.err);
    assert!(again.err.contains("stopped the running my-talker"), "{}", again.err);
    events.line_with("workload_stopped").await;
    let second = user.json(&["ps"]).await;
    assert_eq!(second.as_array().unwrap().len(), 1, "{second}");
    assert_ne!(first[0]["id"], second[0]["id"]);

    // Beside it, when asked to; then the name alone does not say which.
    user.ok(&["run", "nats://NEXCLIFILES/My_Talker", "blue", "A=b", "--name", "my-talker"]).await;
    let error = user.fails(1, &["stop", "my-talker"]).await;
    assert!(error.contains("could be several workloads"), "{error}");
    let told = user.ok(&["stop", "my-talker", "--all"]).await;
    assert_eq!(told.lines().count(), 2, "{told}");
    assert_eq!(user.json(&["ps"]).await, serde_json::json!([]));

    // Another user may not stop what this one started.
    user.ok(&["devrun", program, "--name", "guarded"]).await;
    let other = User::at(&nats.url());
    let program = other.file("p", b"\x7fELF");
    other.nex(&["devrun", program.to_str().unwrap(), "--name", "other"]).await;
    let error = other.fails(1, &["stop", "guarded"]).await;
    assert!(error.contains("refused"), "{error}");

    // A node that ends takes its workloads with it.
    let tree = process::tree(node.pid());
    node.signal("INT");
    let (code, said) = node.end().await;
    assert_eq!(code, Some(0), "{said}");
    wait_until(DEADLINE, "all processes to be gone", || {
        !tree.iter().any(|pid| process::is_running(*pid))
    })
    .await;
}

#[tokio::test]
async fn a_second_signal_ends_a_node_at_once() {
    let nats = TestNats::start().await;
    let user = User::at(&nats.url());
    let source = user.file(
        "stubborn.c",
        "#include <signal.h>\n#include <unistd.h>\n#include <stdio.h>\n\
         int main(void) { signal(SIGTERM, SIG_IGN); puts(\"deaf\"); fflush(stdout); for (;;) pause(); }",
    );
    let program = user.home().join("stubborn");
    let built = Command::new("cc").arg("-o").args([&program, &source]).status().unwrap();
    assert!(built.success());
    let (mut node, _) = node(&user).await;
    let mut logs = user.start(&["logs"]);
    logs.message_with("following").await;
    user.ok(&["devrun", program.to_str().unwrap()]).await;
    logs.line_with("deaf").await;
    let tree = process::tree(node.pid());
    node.signal("TERM");
    node.message_with("stopping: 1 workload").await;
    node.signal("TERM");
    let (code, said) = node.end().await;
    assert_eq!(code, Some(1), "{said}");
    wait_until(DEADLINE, "all processes to be gone", || {
        !tree.iter().any(|pid| process::is_running(*pid))
    })
    .await;
}

#[tokio::test]
async fn the_demo_runs_from_nothing_to_nothing() {
    let user = User::new();
    let program = user.home().join("echo-service");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/echo-service/src/main.rs");
    compile(source.as_ref(), &program);
    let told = user.ok(&["demo", "--service", program.to_str().unwrap()]).await;
    for step in [
        "$ nex node up --with-nats",
        "$ nex devrun",
        "listening on http://127.0.0.1:",
        "\"greeting\":\"Hello from the demo\"",
        "GET / 200 OK",
        "counter.js --trigger_subject count",
        "$ nex call counter\n  count answered in ",
        "\n  {\"count\":1}\n",
        "$ nex call count\n  count answered in ",
        "\n  {\"count\":2}\n",
        "$ nex stop echo-service",
        "$ nex stop counter",
        "Done. Nothing is left running.",
    ] {
        assert!(told.contains(step), "no {step:?} in:\n{told}");
    }
    // Keys and data were in a temporary folder.
    assert!(!user.home().join(".nex").exists());
    let error = user.fails(1, &["demo", "--service", "nowhere"]).await;
    assert_eq!(error, "error: there is no service at nowhere; correct --service\n");
}

#[tokio::test]
async fn the_demo_stays_up_when_asked_to() {
    let user = User::new();
    let program = user.home().join("echo-service");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/echo-service/src/main.rs");
    compile(source.as_ref(), &program);
    let mut demo = user.start(&["demo", "--keep", "--service", program.to_str().unwrap()]);
    let exports = demo.message_with("export NATS_URL=").await;
    let url = exports.split(['=', ' ']).find(|word| word.starts_with("nats://")).unwrap();
    let names: Vec<String> = User::at(url)
        .json(&["ps"])
        .await
        .as_array()
        .unwrap()
        .iter()
        .map(|workload| workload["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["counter", "echo-service"]);
    assert_eq!(User::at(url).ok(&["call", "counter"]).await, "{\"count\":3}");
    let tree = process::tree(demo.pid());
    demo.signal("INT");
    let (code, said) = demo.end().await;
    assert_eq!(code, Some(0), "{said}");
    wait_until(DEADLINE, "all processes to be gone", || {
        !tree.iter().any(|pid| process::is_running(*pid))
    })
    .await;
}
