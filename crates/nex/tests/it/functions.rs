//! The functions of `examples/functions`, deployed and called on a real node.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nex_client::Client;
use nex_client::call::{DEFAULT_CALL_TIMEOUT, HeaderMap};
use nex_testkit::TestNats;
use serde_json::Value;

use crate::program::{Running, User};

/// A file of `examples/functions`.
fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/functions").join(file)
}

/// A user with a node.
async fn node(nats: &TestNats) -> (User, Running) {
    let user = User::at(&nats.url());
    let mut node = user.up(&["--name", "blue"]);
    node.line().await;
    (user, node)
}

/// Deploys an example; what was said about calling it.
async fn deploy(user: &User, file: &str, more: &[&str]) -> String {
    let file = example(file);
    let told = user.nex(&[&["devrun", file.to_str().unwrap()], more].concat()).await;
    assert_eq!(told.status.code(), Some(0), "{}", told.err);
    told.err
}

/// A module that answers with a text, whatever it gets.
fn says(text: &str) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "\10\00\00\00\{:02x}\00\00\00")
          (data (i32.const 16) "{text}")
          (func (export "_start")
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#,
        text.len()
    )
}

#[tokio::test]
async fn webassembly_is_deployed_from_its_text_and_called() {
    let nats = TestNats::start().await;
    let (user, _node) = node(&nats).await;
    let said = deploy(&user, "wasm/echo.wat", &["--trigger_subject", "hello"]).await;
    assert!(said.contains("to call it:  nex call hello 'hello'\n"), "{said}");
    // By the name of the function, and on its subject.
    assert_eq!(user.ok(&["call", "echo", "Ada"]).await, "Ada");
    assert_eq!(user.ok(&["call", "hello", "Ada"]).await, "Ada");
    let large: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    let file = user.file("large", &large);
    let mut command = user.command(&["call", "echo", &format!("@{}", file.display())]);
    assert!(command.output().await.unwrap().stdout == large, "every byte comes back");

    let running = user.json(&["ps"]).await;
    assert_eq!((&running[0]["name"], &running[0]["type"]), (&"echo".into(), &"wasm".into()));
    let table = user.ok(&["ps"]).await;
    assert!(table.lines().next().unwrap().contains("RUNTIME"), "{table}");

    user.ok(&["stop", "echo"]).await;
    let error = user.fails(1, &["call", "echo", "Ada"]).await;
    assert!(error.contains("no function in the namespace default is called echo"), "{error}");
}

#[tokio::test]
async fn wildcards_are_called_on_a_subject_that_they_match() {
    let nats = TestNats::start().await;
    let (user, _node) = node(&nats).await;
    let triggers = ["--trigger_subject", "images.*.resize", "--trigger_subject", "pictures.>"];
    let said = deploy(&user, "wasm/echo.wat", &triggers).await;
    for line in ["nex call images.example.resize 'hello'", "nex call pictures.example 'hello'"] {
        assert!(said.contains(line), "{said}");
    }
    assert_eq!(user.ok(&["call", "images.example.resize", "1"]).await, "1");
    let error = user.fails(1, &["call", "echo"]).await;
    assert!(error.contains("is called on images.*.resize, pictures.>; name one"), "{error}");
}

#[tokio::test]
async fn events_and_logs_tell_of_calls() {
    let nats = TestNats::start().await;
    let (user, _node) = node(&nats).await;
    let mut events = user.start(&["events", "--type", "function_exec_succeeded"]);
    events.message_with("following").await;
    deploy(&user, "wasm/echo.wat", &["--trigger_subject", "hello"]).await;
    user.ok(&["call", "hello"]).await;
    let line = events.line().await;
    assert!(line.contains(" elapsed=") && line.contains("trigger_subject=hello"), "{line}");
}

#[tokio::test]
async fn a_function_is_deployed_only_to_be_measured() {
    let nats = TestNats::start().await;
    let (user, _node) = node(&nats).await;
    let file = example("wasm/echo.wat");
    let file = file.to_str().unwrap();
    let args = ["bench", "--file", file, "--requests", "40", "--clients", "1,2", "--size", "16B"];
    let told = user.json(&args).await;
    for case in told["cases"].as_array().unwrap() {
        assert_eq!((&case["function"]["calls"], &case["function"]["errors"]), (&40.into(), &0.into()));
    }
    assert_eq!(user.json(&["ps"]).await, Value::Array(vec![]), "it is stopped at the end");
    // As it is when the measurement is interrupted.
    let mut bench = user.start(&["bench", "--file", file, "--duration", "1h"]);
    bench.message_with("measuring").await;
    bench.signal("INT");
    assert_eq!(bench.end().await.0, Some(1));
    assert_eq!(user.json(&["ps"]).await, Value::Array(vec![]));
}

#[tokio::test]
async fn no_call_is_lost_while_a_watched_function_is_replaced() {
    let nats = TestNats::start().await;
    let (user, _node) = node(&nats).await;
    let file = user.file("greet.wat", says("version 0"));
    let args = ["devrun", file.to_str().unwrap(), "--trigger_subject", "greet", "--watch"];
    let mut dev = user.start(&args);
    dev.message_with("nex call greet").await;
    dev.message_with("watching").await;

    let (calls, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let client = Client::from_nats(nats.client().await);
    let caller = tokio::spawn({
        let (calls, done) = (Arc::clone(&calls), Arc::clone(&done));
        async move {
            let subject = "greet".parse().unwrap();
            while !done.load(Ordering::Relaxed) {
                let call = client.call(&subject, "", HeaderMap::new(), DEFAULT_CALL_TIMEOUT);
                call.await.map_err(|error| error.to_string())?;
                calls.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<(), String>(())
        }
    });
    for version in 1..=4 {
        let text = format!("version {version}");
        std::fs::write(&file, says(&text)).unwrap();
        dev.message_with("stopped the running greet").await;
        dev.message_with("watching").await;
        assert_eq!(user.ok(&["call", "greet"]).await, text);
    }
    // What cannot be assembled leaves the last one as it is.
    std::fs::write(&file, "(module (func").unwrap();
    dev.message_with("is no text of WebAssembly").await;
    dev.message_with("watching").await;
    assert_eq!(user.ok(&["call", "greet"]).await, "version 4");
    // And so does what the node refuses: it asks for what there is not.
    let foreign = r#"(module (import "env" "launch" (func)) (memory (export "memory") 1) (func (export "_start")))"#;
    std::fs::write(&file, foreign).unwrap();
    dev.message_with("launch").await;
    dev.message_with("watching").await;
    assert_eq!(user.ok(&["call", "greet"]).await, "version 4");

    done.store(true, Ordering::Relaxed);
    assert_eq!(caller.await.unwrap(), Ok(()), "after {} calls", calls.load(Ordering::Relaxed));
    assert!(calls.load(Ordering::Relaxed) > 4);
    dev.signal("INT");
    assert_eq!(dev.end().await.0, Some(0));
    let error = user.fails(1, &["call", "greet"]).await;
    assert!(error.contains("nobody listens"), "{error}");
}

#[tokio::test]
async fn javascript_answers_byte_for_byte() {
    let nats = TestNats::start().await;
    let (user, _node) = node(&nats).await;
    deploy(&user, "javascript/echo.js", &["--trigger_subject", "hello"]).await;
    let bytes: Vec<u8> = (0..=255).collect();
    let file = user.file("bytes", &bytes);
    let mut command = user.command(&["call", "echo", &format!("@{}", file.display())]);
    assert_eq!(command.output().await.unwrap().stdout, bytes);
    let running = user.json(&["ps"]).await;
    assert_eq!((&running[0]["name"], &running[0]["type"]), (&"echo".into(), &"v8".into()));
}

#[tokio::test]
async fn a_counter_outlives_its_function() {
    let nats = TestNats::start().await;
    let (user, _node) = node(&nats).await;
    for round in 0..2 {
        deploy(&user, "javascript/counter.js", &["--trigger_subject", "count"]).await;
        for call in 1..=2 {
            let count = 2 * round + call;
            assert_eq!(user.ok(&["call", "count"]).await, format!("{{\"count\":{count}}}"));
        }
        user.ok(&["stop", "counter"]).await;
    }
}

#[tokio::test]
async fn a_component_counts_in_the_same_store() {
    let nats = TestNats::start().await;
    let (user, _node) = node(&nats).await;
    deploy(&user, "wasm/counter.wat", &["--trigger_subject", "count"]).await;
    for count in 1..=12 {
        assert_eq!(user.ok(&["call", "count"]).await, count.to_string());
    }
}

#[tokio::test]
async fn notes_are_kept_in_the_object_store() {
    let nats = TestNats::start().await;
    let (user, _node) = node(&nats).await;
    let said = deploy(&user, "javascript/notes.js", &["--trigger_subject", "notes.>"]).await;
    assert!(said.contains("nex call notes.example 'hello'"), "{said}");
    let call = async |subject: &str, payload: &str| user.ok(&["call", subject, payload]).await;
    assert_eq!(call("notes.put.first", "some text").await, r#"{"kept":"first","bytes":9}"#);
    assert_eq!(call("notes.put.second", "more").await, r#"{"kept":"second","bytes":4}"#);
    assert_eq!(call("notes.get.first", "").await, "some text");
    assert_eq!(call("notes.delete.second", "").await, r#"{"forgotten":"second"}"#);
    assert_eq!(call("notes.list.all", "").await, r#"["first"]"#);
    let gone = user.fails(1, &["call", "notes.get.second"]).await;
    assert!(gone.contains("error: notes.get.second failed (500): "), "{gone}");
    assert!(gone.contains("object not found"), "{gone}");
    let unknown = user.fails(1, &["call", "notes.burn.first"]).await;
    assert!(unknown.contains("cannot burn a note; there are put, get"), "{unknown}");
}

#[tokio::test]
async fn a_function_asks_another_and_publishes() {
    let nats = TestNats::start().await;
    let (user, _node) = node(&nats).await;
    let mut heard = nex_testkit::Collector::new(&nats.client().await, "relay.heard").await;
    deploy(&user, "wasm/echo.wat", &["--trigger_subject", "hello"]).await;
    deploy(&user, "javascript/relay.js", &["--trigger_subject", "relay"]).await;
    assert_eq!(user.ok(&["call", "relay", "pass it on"]).await, "pass it on");
    assert_eq!(heard.next().await.payload, "pass it on");
}

#[tokio::test]
async fn a_function_fetches_what_its_node_allows() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let nats = TestNats::start().await;
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = server.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\
                          Connection: close\r\n\r\nhello";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let user = User::at(&nats.url());
    let allowed = format!(r#"{{"host_services": {{"http": {{"allow_hosts": ["{address}"]}}}}}}"#);
    let config = user.file("node.json", allowed);
    let mut node = user.up(&["--config", config.to_str().unwrap()]);
    node.line().await;
    deploy(&user, "javascript/fetch.js", &["--trigger_subject", "fetch"]).await;
    let told = user.ok(&["call", "fetch", &format!("http://{address}/")]).await;
    assert_eq!(told, r#"{"status":200,"type":"text/plain","bytes":5}"#);
    // Another port of this machine is not what was allowed.
    let refused = user.fails(1, &["call", "fetch", &nats.url().replace("nats", "http")]).await;
    assert!(refused.contains("fetch failed (500): "), "{refused}");
}

#[tokio::test]
async fn a_syntax_error_is_shown_with_its_place() {
    let nats = TestNats::start().await;
    let (user, _node) = node(&nats).await;
    let file = user.file("broken.js", "(subject, payload) => {\n  let x = = 1;\n}\n");
    let args = ["devrun", file.to_str().unwrap(), "--trigger_subject", "x"];
    let error = user.fails(1, &args).await;
    let error = error.split_once("error: ").unwrap().1;
    assert!(error.contains("refused: "), "{error}");
    assert!(error.lines().count() > 1 && error.contains("let x = = 1;"), "{error}");
    assert_eq!(user.json(&["ps"]).await, Value::Array(vec![]));
}

#[tokio::test]
async fn an_echo_in_javascript_is_measured_without_a_word() {
    let nats = TestNats::start().await;
    let (user, _node) = node(&nats).await;
    let told = user.json(&["bench", "--requests", "40", "--clients", "2", "--size", "1KiB"]).await;
    let case = &told["cases"][0];
    assert_eq!((&case["function"]["calls"], &case["function"]["errors"]), (&40.into(), &0.into()));
    assert_eq!(user.json(&["ps"]).await, Value::Array(vec![]));
    let table = user.ok(&["bench", "--requests", "20", "--clients", "1", "--size", "1B"]).await;
    assert!(table.lines().nth(2).unwrap().contains(" JavaScript echo "), "{table}");
}

/// The Rust source is built for WASI by whoever has that target; what it does is
/// the same on this machine.
#[test]
fn the_function_in_rust_does_what_it_says() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("shout");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let source = example("wasm/shout/src/main.rs");
    let built = Command::new(rustc)
        .args(["--edition", "2024", "-o"])
        .args([&program, &source])
        .status()
        .unwrap();
    assert!(built.success());
    let mut run = Command::new(&program)
        .arg("shout.in")
        .env("GREETING", "Hey")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    run.stdin.take().unwrap().write_all("schön".as_bytes()).unwrap();
    let output = run.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "Hey SCHÖN");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "6 bytes on shout.in\n");
}
