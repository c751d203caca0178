//! `nex call`, against functions that are no more than their wire.

use std::process::Stdio;

use async_nats::HeaderMap;
use nex_testkit::TestNats;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::fake_function::{Failure, FakeFunction, echo};
use crate::program::{User, end_of, steady};

async fn functions(nats: &TestNats) {
    let function = |name, namespace, subjects| FakeFunction { name, namespace, subjects };
    function("echo", "default", &["echo.in"]).start(nats, echo).await;
    function("echo", "dev", &["dev.echo.in"])
        .start(nats, |_| Ok((HeaderMap::new(), b"from dev".to_vec())))
        .await;
    function("resize", "default", &["images.*.resize"])
        .start(nats, |call| Ok((HeaderMap::new(), call.subject.to_string().into_bytes())))
        .await;
    function("several", "default", &["several", "more.of.it", "and.>"]).start(nats, echo).await;
    function("broken", "default", &["broken.in"])
        .start(nats, |_| Err(Failure("500", "TypeError: x is not a function\x1b[31m")))
        .await;
    function("bytes", "default", &["bytes.in"])
        .start(nats, |_| Ok((HeaderMap::new(), vec![0, 255, 10])))
        .await;
}

#[tokio::test]
async fn a_function_is_called_by_its_name_and_by_its_subject() {
    let nats = TestNats::start().await;
    functions(&nats).await;
    let user = User::at(&nats.url());
    for target in ["echo", "echo.in"] {
        let told = user.nex(&["call", target, "Ada", "--header", "Trace=1"]).await;
        assert_eq!((told.status.code(), told.out.as_str()), (Some(0), "Ada"), "{}", told.err);
        assert!(told.err.contains("Trace: 1\necho.in answered in "), "{}", told.err);
    }
    assert_eq!(user.ok(&["call", "echo", "--namespace", "dev"]).await, "from dev");
    assert_eq!(user.ok(&["call", "images.cat.resize"]).await, "images.cat.resize");
    // A name that is also one of its subjects.
    assert_eq!(user.ok(&["call", "several", "-1"]).await, "-1");
    let error = user.fails(1, &["call", "resize"]).await;
    insta::assert_snapshot!("call_wildcard", error);
    let error = user.fails(1, &["call", "echo", "--subject"]).await;
    insta::assert_snapshot!("call_nobody", error);
    let error = user.fails(1, &["call", "ehco"]).await;
    insta::assert_snapshot!("call_no_function", steady(&error, &[(&nats.url(), "URL")]));
    let function =
        FakeFunction { name: "many", namespace: "default", subjects: &["a.b", "c.*", "d.>"] };
    function.start(&nats, echo).await;
    let error = user.fails(1, &["call", "many"]).await;
    insta::assert_snapshot!("call_several", error);
}

#[tokio::test]
async fn payloads_come_from_files_and_from_standard_input() {
    let nats = TestNats::start().await;
    functions(&nats).await;
    let user = User::at(&nats.url());
    let file = user.file("order.json", "{\"n\": 1}\n");
    let at_file = format!("@{}", file.display());
    assert_eq!(user.ok(&["call", "echo", &at_file]).await, "{\"n\": 1}\n");
    assert_eq!(user.ok(&["call", "echo", "@@all"]).await, "@all");
    assert_eq!(user.ok(&["call", "echo"]).await, "");

    let mut command = user.command(&["call", "echo", "-"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"from a pipe\0\xff").await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.stdout, b"from a pipe\0\xff", "bytes as they are, and no new line");
}

#[tokio::test]
async fn a_failure_is_exit_code_one_with_its_text() {
    let nats = TestNats::start().await;
    functions(&nats).await;
    let user = User::at(&nats.url());
    let error = user.fails(1, &["call", "broken", "x"]).await;
    let (time, error) = error.split_once('\n').unwrap();
    assert!(time.starts_with("broken.in answered in "), "{time}");
    assert_eq!(error, "error: broken.in failed (500): TypeError: x is not a function\n");
    let client = nats.client().await;
    let _silent = client.subscribe("silent").await.unwrap();
    nex_testkit::settle(&client).await;
    let error = user.fails(1, &["call", "silent", "--timeout", "200ms"]).await;
    insta::assert_snapshot!("call_timeout", error);
    let large = user.file("large", vec![b'x'; 2 << 20]);
    let error = user.fails(1, &["call", "echo.in", &format!("@{}", large.display())]).await;
    insta::assert_snapshot!("call_too_large", error);
}

#[tokio::test]
async fn the_answer_as_json() {
    let nats = TestNats::start().await;
    functions(&nats).await;
    let user = User::at(&nats.url());
    let mut told = user.json(&["call", "echo", "Ada", "-H", "A=1", "-H", "A=2"]).await;
    assert!(told["elapsed_ms"].take().as_f64().unwrap() > 0.0);
    assert_eq!(
        told,
        json!({"subject": "echo.in", "reply": "Ada", "headers": {"A": ["1", "2"]},
            "error": null, "elapsed_ms": null})
    );
    let told = user.json(&["call", "bytes"]).await;
    assert_eq!((&told["reply"], &told["reply_base64"]), (&json!(null), &json!("AP8K")));
    let failed = end_of(user.command(&["call", "broken", "--json"])).await;
    assert_eq!((failed.status.code(), failed.err.as_str()), (Some(1), ""));
    let told: serde_json::Value = serde_json::from_str(&failed.out).unwrap();
    assert_eq!(told["error"]["code"], 500);
    assert_eq!(told["reply"], json!(null));
}
