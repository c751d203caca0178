//! Calling functions and finding them, against responders that behave as a node does.

use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use futures_util::StreamExt;
use nex_client::call::{CallError, DEFAULT_CALL_TIMEOUT, ERROR_CODE_HEADER, ERROR_HEADER};
use nex_client::protocol::agent::CallFailure;
use nex_client::protocol::subject::Subject;
use nex_client::{Client, ConnectOptions};
use nex_testkit::{TestNats, settle};
use serde_json::{Value, json};

/// What "does not wait for the timeout" means on a busy machine.
const SOON: Duration = Duration::from_secs(8);

async fn connect(nats: &TestNats) -> Client {
    let options =
        ConnectOptions::new().server(nats.url()).no_context().timeout(Duration::from_secs(20));
    Client::connect(options).await.unwrap()
}

fn subject(text: &str) -> Subject {
    text.parse().unwrap()
}

/// Answers as its subject says, until the test ends.
async fn responder(nats: &TestNats) {
    let client = nats.client().await;
    let mut requests = client.subscribe("functions.>").await.unwrap();
    settle(&client).await;
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let reply = request.reply.unwrap();
            let mut headers = request.headers.unwrap_or_default();
            let payload = match request.subject.as_str() {
                "functions.echo" => request.payload,
                "functions.nothing" => "".into(),
                "functions.busy" => {
                    headers.insert(ERROR_CODE_HEADER, "429");
                    headers.insert(ERROR_HEADER, "all 64 places of the function are taken");
                    "".into()
                }
                "functions.silent" => continue,
                other => panic!("{other}"),
            };
            client.publish_with_headers(reply, headers, payload).await.unwrap();
        }
    });
}

#[tokio::test]
async fn a_reply_is_what_the_function_answered() {
    let nats = TestNats::start().await;
    responder(&nats).await;
    let client = connect(&nats).await;
    let mut headers = HeaderMap::new();
    headers.append("Tag", "one");
    headers.append("Tag", "two");
    let bytes = [0, 255, b'\n', 0xc3, 0x28].as_slice();
    let reply = client
        .call(&subject("functions.echo"), bytes, headers, DEFAULT_CALL_TIMEOUT)
        .await
        .unwrap();
    assert_eq!(reply.payload, bytes);
    let tags: Vec<_> = reply.headers.get_all("Tag").map(ToString::to_string).collect();
    assert_eq!(tags, ["one", "two"]);
    assert!(reply.elapsed > Duration::ZERO);
    let nothing = subject("functions.nothing");
    let call = client.call(&nothing, "x", HeaderMap::new(), DEFAULT_CALL_TIMEOUT);
    assert!(call.await.unwrap().payload.is_empty());
}

#[tokio::test]
async fn failures_are_told_apart() {
    let nats = TestNats::start().await;
    responder(&nats).await;
    let client = connect(&nats).await;
    let call = async |text: &str, payload: Vec<u8>, timeout| {
        client.call(&subject(text), payload, HeaderMap::new(), timeout).await.unwrap_err()
    };
    let start = Instant::now();
    let nobody = call("nobody.home", vec![], Duration::from_secs(60)).await;
    assert!(matches!(nobody, CallError::NoResponders { .. }), "{nobody}");
    assert!(start.elapsed() < SOON);

    let busy = call("functions.busy", vec![], DEFAULT_CALL_TIMEOUT).await;
    assert_eq!(
        busy.to_string(),
        "functions.busy failed (429): all 64 places of the function are taken"
    );
    let CallError::Failed { error, .. } = busy else { panic!("{busy}") };
    assert_eq!(error.kind(), Some(CallFailure::Busy));

    let late = call("functions.silent", vec![], Duration::from_millis(200)).await;
    assert!(matches!(late, CallError::Timeout { .. }), "{late}");
    assert!(late.to_string().contains("within 0.2 s"), "{late}");

    let large = call("functions.echo", vec![0; 2 << 20], DEFAULT_CALL_TIMEOUT).await;
    assert!(matches!(large, CallError::TooLarge { limit: 1_048_576, .. }), "{large}");
}

/// A service of NATS micro that only says what it is.
async fn service(nats: &TestNats, info: Value) {
    let client = nats.client().await;
    let name = info["name"].as_str().unwrap();
    let mut questions = futures_util::stream::select(
        client.subscribe("$SRV.INFO").await.unwrap(),
        client.subscribe(format!("$SRV.INFO.{name}")).await.unwrap(),
    );
    settle(&client).await;
    tokio::spawn(async move {
        while let Some(question) = questions.next().await {
            let answer = info.to_string().into();
            client.publish(question.reply.unwrap(), answer).await.unwrap();
        }
    });
}

fn function(name: &str, id: &str, namespace: &str, subjects: &[&str]) -> Value {
    let endpoints: Vec<Value> = subjects
        .iter()
        .map(|subject| {
            json!({"name": "trigger", "subject": subject, "queue_group": "q", "metadata": {}})
        })
        .collect();
    json!({
        "type": "io.nats.micro.v1.info_response",
        "name": name,
        "id": id,
        "version": "0.0.1",
        "description": "Says what it hears",
        "metadata": {"nex.namespace": namespace, "nex.node": "NODE"},
        "endpoints": endpoints,
    })
}

#[tokio::test]
async fn functions_are_found_by_namespace_and_name() {
    let nats = TestNats::start().await;
    let client = connect(&nats).await;
    let (default, dev) = ("default".parse().unwrap(), "dev".parse().unwrap());
    let echo = "echo".parse().unwrap();
    let start = Instant::now();
    assert_eq!(client.functions(None).await.unwrap(), []);
    assert_eq!(client.function(&echo, &default).await.unwrap(), None);
    assert!(start.elapsed() < SOON, "nobody there is known at once");

    service(&nats, function("echo", "b", "default", &["echo.in"])).await;
    service(&nats, function("echo", "a", "default", &["echo.in"])).await;
    service(&nats, function("echo", "c", "dev", &["dev.echo", "dev.more.>"])).await;
    service(&nats, function("resize", "d", "default", &["images.*.resize"])).await;
    let stranger = json!({"type": "io.nats.micro.v1.info_response", "name": "echo", "id": "e",
        "metadata": {}, "endpoints": [{"name": "x", "subject": "stranger"}]});
    service(&nats, stranger).await;

    let names: Vec<String> = client
        .functions(None)
        .await
        .unwrap()
        .iter()
        .map(|found| format!("{}/{}", found.namespace, found.name))
        .collect();
    assert_eq!(names, ["default/echo", "default/resize", "dev/echo"]);
    assert_eq!(client.functions(Some(&dev)).await.unwrap().len(), 1);

    let found = client.function(&echo, &default).await.unwrap().unwrap();
    assert_eq!(found.only_subject().unwrap().as_str(), "echo.in");
    assert_eq!(found.description, "Says what it hears");
    let ids: Vec<_> = found.instances.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    assert_eq!(found.instances[0].node_id.as_deref(), Some("NODE"));

    let found = client.function(&echo, &dev).await.unwrap().unwrap();
    assert_eq!(found.subjects.len(), 2);
    assert_eq!(found.only_subject(), None);
    let found = client.function(&"resize".parse().unwrap(), &default).await.unwrap().unwrap();
    assert_eq!(found.only_subject(), None);
    assert_eq!(client.function(&"resize".parse().unwrap(), &dev).await.unwrap(), None);
}
