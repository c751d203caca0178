use nex_protocol::event::{
    AgentStarted, AgentStopped, CloudEvent, EnteredLameDuck, EventBody, EventData, EventKind,
    FunctionFailed, FunctionSucceeded, Heartbeat, MAX_EVENT_BYTES, NodeStarted, NodeStopped,
    RawEvent, WorkloadStarted, WorkloadStopped,
};
use nex_protocol::timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::vectors::{file, go_ok, json, section, text};

fn read(payload: &str) -> RawEvent {
    RawEvent::decode(payload.as_bytes()).unwrap_or_else(|error| panic!("{payload}: {error}"))
}

/// The event as one of ours, written again.
fn rewritten(event: &RawEvent) -> Value {
    fn typed<T: EventBody + DeserializeOwned>(event: &RawEvent) -> Value {
        let event = CloudEvent::<T> {
            id: event.id.parse().unwrap(),
            source: event.source.clone(),
            time: event.time.unwrap(),
            data: event.data_as().unwrap(),
        };
        assert_eq!(event.kind(), T::KIND);
        json(&event.encode())
    }
    match event.kind().unwrap() {
        EventKind::NodeStarted => typed::<NodeStarted>(event),
        EventKind::NodeStopped => typed::<NodeStopped>(event),
        EventKind::EnteredLameDuck => typed::<EnteredLameDuck>(event),
        EventKind::Heartbeat => typed::<Heartbeat>(event),
        EventKind::AgentStarted => typed::<AgentStarted>(event),
        EventKind::AgentStopped => typed::<AgentStopped>(event),
        EventKind::WorkloadStarted => typed::<WorkloadStarted>(event),
        EventKind::WorkloadStopped => typed::<WorkloadStopped>(event),
        EventKind::FunctionSucceeded => typed::<FunctionSucceeded>(event),
        EventKind::FunctionFailed => typed::<FunctionFailed>(event),
    }
}

/// What of Go's event ours says in the same words. Ours adds to the node's form of
/// `workload_stopped` what the agent's form has, and knows nothing of a form that nobody sends.
fn assert_says_the_same(ours: &Value, go: &Value, case: &Value) {
    let without_data = |event: &Value| {
        let mut event = event.as_object().unwrap().clone();
        event.remove("data");
        event
    };
    assert_eq!(without_data(ours), without_data(go), "{case}");
    for (name, value) in go["data"].as_object().unwrap() {
        if name != "total_bytes" {
            assert_eq!(&ours["data"][name], value, "{name} in {case}");
        }
    }
    for name in ours["data"].as_object().unwrap().keys() {
        let added = ["code", "message"].contains(&name.as_str());
        assert!(added || go["data"].get(name).is_some(), "{name} in {case}");
    }
}

#[test]
fn every_type_is_read_and_written_again() {
    let file = file("events.json");
    let mut seen = Vec::new();
    for case in section(&file, "types") {
        let event = read(text(case, "wire"));
        assert_eq!(event.kind().unwrap().as_str(), text(case, "type"), "{case}");
        assert_eq!(json(&event.encode()), json(text(case, "wire").as_bytes()), "{case}");
        assert_says_the_same(&rewritten(&event), &json(text(case, "wire").as_bytes()), case);
        seen.push(event.kind().unwrap());
    }
    for kind in EventKind::ALL {
        let functions = [EventKind::FunctionSucceeded, EventKind::FunctionFailed];
        assert!(seen.contains(&kind) || functions.contains(&kind), "{kind} is not among the types");
    }
}

#[test]
fn events_of_a_go_node_are_read_and_written_again() {
    let file = file("events.json");
    for name in ["published_by_calling_the_node", "captured"] {
        for case in section(&file, name) {
            let event = read(text(case, "payload"));
            assert!(text(case, "subject").ends_with(event.kind().unwrap().as_str()), "{case}");
            let go = json(text(case, "payload").as_bytes());
            assert_eq!(json(&event.encode()), go, "{case}");
            assert_says_the_same(&rewritten(&event), &go, case);
        }
    }
    let event = read(text(&file, "agent_event_wire"));
    assert_eq!(event.data_as::<WorkloadStopped>().unwrap().workload(), "e<&>é");
}

#[test]
fn times_are_written_like_go() {
    let file = file("events.json");
    for case in section(&file, "times") {
        let event = read(text(case, "wire"));
        assert_eq!(json(&event.encode()), json(text(case, "wire").as_bytes()), "{case}");
    }
    let mut event = CloudEvent::now("N", NodeStarted::default());
    event.time = timestamp::parse("2024-04-26T14:00:00.5+02:00").unwrap();
    assert_eq!(json(&event.encode())["time"], "2024-04-26T12:00:00.5Z");
}

#[test]
fn hostile_events_are_read_like_go_publishes_them() {
    let file = file("events.json");
    for case in section(&file, "go_reads") {
        // What Go reads and then cannot publish is of no use, so it is refused at once.
        let publishable = go_ok(case, "go") && case["node_writes"]["ok"] == true;
        let event = RawEvent::decode(text(case, "body").as_bytes());
        assert_eq!(event.is_ok(), publishable, "{case}: {event:?}");
        if let Ok(event) = event {
            assert_eq!(event.kind_text, text(case, "type"), "{case}");
            assert_eq!(event.source, text(case, "source"), "{case}");
            let written = json(text(&case["node_writes"], "wire").as_bytes());
            assert_eq!(json(&event.encode()), written, "{case}");
            // JSON under another content type is bytes from then on.
            assert_eq!(RawEvent::decode(&event.encode()).unwrap(), event, "{case}");
        }
    }
}

#[test]
fn events_are_bounded() {
    let with = |name: &str, value: Value| {
        let mut event = json!({"specversion": "1.0", "id": "1", "source": "s", "type": "a"});
        event[name] = value;
        event.to_string()
    };
    let long = "x".repeat(2000);
    for message in [
        with("data", json!("x".repeat(MAX_EVENT_BYTES))),
        with("id", json!(long)),
        with("source", json!(" ".repeat(1000))),
        with("type", json!(long)),
        with("type", json!("a b")),
        with("type", json!("a\n")),
        with("ext", json!(long)),
        with("ext", json!(1e99)),
        with("ext", json!(2_147_483_648_i64)),
        with("ID", json!("2")),
        with("", json!("2")),
        with("id", json!(5)),
        with("data_base64", json!("?")),
        with("data_base64", json!(5)),
        "[".repeat(100_000),
        format!("{{\"data\":{}", "[".repeat(100_000)),
    ] {
        assert!(RawEvent::decode(message.as_bytes()).is_err(), "{:.80}", message);
    }
    let mut many = json!({"specversion": "1.0", "id": "1", "source": "s", "type": "a"});
    for number in 0..33 {
        many[format!("x{number}")] = json!(1);
    }
    assert!(RawEvent::decode(many.to_string().as_bytes()).is_err());
}

#[test]
fn data_without_an_event_body_is_an_error_or_nothing() {
    let event = read(r#"{"specversion":"1.0","id":"1","source":"s","type":"a","data":[1]}"#);
    assert!(event.data_as::<NodeStarted>().is_err());
    assert_eq!(event.kind(), None);
    let event = read(r#"{"specversion":"1.0","id":"1","source":"s","type":"a"}"#);
    assert_eq!(event.data, EventData::None);
    assert_eq!(event.data_as::<NodeStarted>().unwrap(), NodeStarted::default());
}
