//! Log lines and events as they come.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use nex_client::follow::{EventQuery, Following, LogQuery};
use nex_client::protocol::event::{EventKind, WorkloadStopped};
use nex_client::protocol::log::{LogLevel, LogLine};
use nex_client::{Client, ConnectOptions};
use nex_testkit::{DEADLINE, TestNats, settle};
use serde_json::Value;

const NODE: &str = "NCJELP4G66Z6RXDFXWO7JZYJLEYHJS2AR66TKRJUXBH3UANR5I56VDE7";
const ID: &str = "cohvl8bl5c0s73b2rcs0";
const OTHER_ID: &str = "dc2b59pksdubn3v8p56g";

async fn connect(nats: &TestNats) -> Client {
    let options =
        ConnectOptions::new().server(nats.url()).no_context().timeout(Duration::from_secs(20));
    Client::connect(options).await.unwrap()
}

async fn next<T>(stream: &mut Following<T>) -> T {
    tokio::time::timeout(DEADLINE, stream.next()).await.expect("a record in time").unwrap()
}

fn line(text: &str, level: LogLevel) -> Vec<u8> {
    LogLine { text: text.into(), level, id: ID.into() }.encode()
}

#[tokio::test]
async fn lines_of_both_token_orders_are_read_and_filtered() {
    let nats = TestNats::start().await;
    let client = connect(&nats).await;
    let publisher = nats.client().await;
    let queries = [
        LogQuery::all(),
        LogQuery::all().namespace("default".parse().unwrap()),
        LogQuery::all().node(NODE.parse().unwrap()),
        LogQuery::all().workload("echo".parse().unwrap()),
        LogQuery::all().id(ID.parse().unwrap()),
        LogQuery::all().workload("echo".parse().unwrap()).id(ID.parse().unwrap()),
        LogQuery::all().min_level(LogLevel::WARN),
    ];
    let mut streams = Vec::new();
    for query in queries {
        streams.push(client.logs(query).await.unwrap());
    }
    let stranger = crate::fake_node::fresh_id();
    let lines = [
        (format!("$NEX.logs.default.{NODE}.echo.{ID}"), line("a\n", LogLevel::INFO)),
        (format!("$NEX.logs.default.{NODE}.{ID}.echo"), line("b\r\n", LogLevel::ERROR)),
        (format!("$NEX.logs.other.{NODE}.{OTHER_ID}.echo"), line("c", LogLevel::from_slog(6))),
        (format!("$NEX.logs.default.{NODE}.counter.{OTHER_ID}"), line("d\n\n", LogLevel::DEBUG)),
        (format!("$NEX.logs.default.{stranger}.echo.{ID}"), line("e", LogLevel::WARN)),
        // Not lines of a log.
        (format!("$NEX.logs.default.{NODE}.echo"), line("x", LogLevel::ERROR)),
        (format!("$NEX.logs.default.NOPE.echo.{ID}"), line("x", LogLevel::ERROR)),
        (format!("$NEX.logs.default.{NODE}.echo.{ID}"), b"garbage".to_vec()),
        (format!("$NEX.logs.default.{NODE}.echo.{ID}"), b"{\"level\":8}".to_vec()),
        // The last one passes every filter.
        (format!("$NEX.logs.default.{NODE}.echo.{ID}"), line("end", LogLevel::ERROR)),
    ];
    for (subject, payload) in lines {
        publisher.publish(subject, payload.into()).await.unwrap();
        // One by one, since two subscriptions of a stream have no common order.
        settle(&publisher).await;
        settle(client.nats()).await;
    }
    let expected = ["abcd\ne", "abd\ne", "abcd\n", "abce", "abe", "abe", "bce"];
    for (stream, expected) in streams.iter_mut().zip(expected) {
        let mut texts = String::new();
        loop {
            let record = next(stream).await;
            if record.text == "end" {
                break;
            }
            texts.push_str(&record.text);
        }
        let mut letters: Vec<char> = texts.chars().collect();
        let mut wanted: Vec<char> = expected.chars().collect();
        letters.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(letters, wanted);
    }
}

#[tokio::test]
async fn every_captured_line_of_a_go_node_is_read() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../nex-protocol/tests/vectors/logs.json"))
            .unwrap();
    let nats = TestNats::start().await;
    let client = connect(&nats).await;
    let publisher = nats.client().await;
    let mut stream = client.logs(LogQuery::all()).await.unwrap();
    let mut count = 0;
    for section in ["captured", "published_by_calling_the_node"] {
        for case in vectors[section].as_array().unwrap() {
            let (subject, payload) =
                (case["subject"].as_str().unwrap(), case["payload"].as_str().unwrap());
            publisher.publish(subject.to_owned(), payload.to_owned().into()).await.unwrap();
            // Go publishes a few lines for no workload at all: no name, no id.
            if subject.split('.').any(str::is_empty) || !is_readable(subject) {
                continue;
            }
            let record = next(&mut stream).await;
            assert!(subject.contains(record.id.as_str()), "{subject}: {record:?}");
            assert!(subject.contains(record.workload.as_str()), "{subject}: {record:?}");
            let text: Value = serde_json::from_str(payload).unwrap();
            assert!(text["text"].as_str().unwrap().starts_with(&record.text), "{record:?}");
            count += 1;
        }
    }
    assert!(count > 5, "{count}");
}

fn is_readable(subject: &str) -> bool {
    subject.parse::<nex_client::protocol::subject::LogSubject>().is_ok()
}

#[tokio::test]
async fn events_are_typed_and_filtered() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../nex-protocol/tests/vectors/events.json"))
            .unwrap();
    let nats = TestNats::start().await;
    let client = connect(&nats).await;
    let publisher = nats.client().await;
    let mut all = client.events(EventQuery::all()).await.unwrap();
    let mut stops =
        client.events(EventQuery::all().kind(EventKind::WorkloadStopped)).await.unwrap();
    let mut system =
        client.events(EventQuery::all().namespace("system".parse().unwrap())).await.unwrap();
    let mut captured = 0;
    for case in vectors["captured"].as_array().unwrap() {
        let (subject, payload) =
            (case["subject"].as_str().unwrap(), case["payload"].as_str().unwrap());
        publisher.publish(subject.to_owned(), payload.to_owned().into()).await.unwrap();
        let record = next(&mut all).await;
        let kind = record.kind.expect("a known type");
        assert!(subject.ends_with(kind.as_str()), "{subject}");
        assert_eq!(record.kind_text, kind.as_str());
        if kind == EventKind::WorkloadStopped {
            let stopped = next(&mut stops).await.event.data_as::<WorkloadStopped>().unwrap();
            assert!(!stopped.workload().is_empty());
        }
        if subject.starts_with("$NEX.events.system.") {
            assert_eq!(next(&mut system).await.kind, Some(kind));
        }
        captured += 1;
    }
    assert!(captured > 3, "{captured}");
    publisher.publish("$NEX.events.default.x", "garbage".into()).await.unwrap();
    settle(&publisher).await;
    settle(client.nats()).await;
    assert!(all.next().now_or_never().is_none(), "garbage is left out");
    assert!(stops.next().now_or_never().is_none());
    assert!(system.next().now_or_never().is_none());
}

#[tokio::test]
async fn events_of_one_workload() {
    let nats = TestNats::start().await;
    let client = connect(&nats).await;
    let publisher = nats.client().await;
    let mut by_name =
        client.events(EventQuery::all().workload("echo".parse().unwrap())).await.unwrap();
    let mut by_id = client.events(EventQuery::all().id(ID.parse().unwrap())).await.unwrap();
    let mut by_node = client.events(EventQuery::all().node(NODE.parse().unwrap())).await.unwrap();
    let event = |source: &str, data: Value| {
        serde_json::json!({
            "specversion": "1.0", "id": "1", "source": source, "type": "workload_stopped",
            "time": "2024-04-26T12:00:00Z", "data": data,
        })
        .to_string()
    };
    for (source, data) in [
        (OTHER_ID, serde_json::json!({"workload_name": "counter", "code": 1, "message": ""})),
        (ID, serde_json::json!({"workload_name": "echo", "code": 2, "message": ""})),
        (NODE, serde_json::json!({"name": "echo", "reason": "", "vmid": ID, "code": 3})),
    ] {
        let subject = "$NEX.events.default.workload_stopped";
        publisher.publish(subject, event(source, data).into()).await.unwrap();
    }
    let code = async |stream: &mut Following<_>| {
        let record: nex_client::follow::EventRecord = next(stream).await;
        record.event.data_as::<WorkloadStopped>().unwrap().code
    };
    assert_eq!((code(&mut by_name).await, code(&mut by_name).await), (2, 3));
    assert_eq!((code(&mut by_id).await, code(&mut by_id).await), (2, 3));
    assert_eq!(code(&mut by_node).await, 3);
}

#[tokio::test]
async fn a_stream_outlives_an_outage_of_nats() {
    let mut nats = TestNats::start().await;
    let client = connect(&nats).await;
    let mut lines = client.logs(LogQuery::all()).await.unwrap();
    nats.restart().await;
    let publisher = nats.client().await;
    let subject = format!("$NEX.logs.default.{NODE}.echo.{ID}");
    // The client comes back in its own time: publish until a line arrives.
    let arrived = nex_testkit::wait::wait_for_async(DEADLINE, "a line after the outage", || {
        let (publisher, subject) = (publisher.clone(), subject.clone());
        publisher_round(publisher, subject, lines.next().now_or_never().flatten())
    })
    .await;
    assert_eq!(arrived, "again");
    assert!(client.counters().disconnects() >= 1);
}

async fn publisher_round(
    publisher: async_nats::Client,
    subject: String,
    arrived: Option<nex_client::follow::LogRecord>,
) -> Option<String> {
    if let Some(record) = arrived {
        return Some(record.text);
    }
    publisher.publish(subject, line("again", LogLevel::INFO).into()).await.unwrap();
    settle(&publisher).await;
    None
}
