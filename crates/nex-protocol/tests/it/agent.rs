use nex_protocol::agent::{
    AgentDeployRequest, AgentLevel, AgentLog, CACHE_BUCKET, DeployExtensions, DeployResponse,
    HANDSHAKE_RESPONSE, Handshake, MAX_AGENT_LOG_BYTES, MachineMetadata, header,
};
use nex_protocol::control::RequestError;
use nex_protocol::timestamp;
use serde_json::{Value, json};

use crate::vectors::{file, go_ok, json, lists_for_null, section, text};

fn good() -> Value {
    let file = file("agent.json");
    json(text(&section(&file, "deploy_requests")[0], "wire").as_bytes())
}

fn with(name: &str, value: Value) -> Result<AgentDeployRequest, RequestError> {
    let mut request = good();
    request[name] = value;
    AgentDeployRequest::decode(request.to_string().as_bytes())
}

#[test]
fn names_are_the_same() {
    let file = file("agent.json");
    let constants = &file["constants"];
    for (name, ours) in [
        ("trigger_subject_header", header::TRIGGER_SUBJECT),
        ("runtime_header", header::RUNTIME_NANOSECONDS),
        ("http_url_header", header::HTTP_URL),
        ("key_value_key_header", header::KEY_VALUE_KEY),
        ("messaging_subject_header", header::MESSAGING_SUBJECT),
        ("object_name_header", header::OBJECT_NAME),
        ("cache_bucket", CACHE_BUCKET),
    ] {
        assert_eq!(constants[name], ours);
    }
}

/// What of a request is written differently by us: no argument where Go has an empty one, lists
/// and texts where Go has nothing.
fn as_we_write_it(wire: &str) -> Value {
    let mut wire = lists_for_null(json(wire.as_bytes()), &["trigger_subjects"]);
    if wire["argv"] == json!([""]) {
        wire.as_object_mut().unwrap().remove("argv");
    }
    for (name, nothing) in
        [("description", json!("")), ("environment", json!({})), ("essential", json!(false))]
    {
        if wire[name].is_null() {
            wire[name] = nothing;
        }
    }
    let kind: nex_protocol::control::WorkloadType = text(&wire, "workload_type").parse().unwrap();
    wire["workload_type"] = json!(kind);
    wire
}

#[test]
fn deploy_requests_are_judged_like_a_go_agent_does() {
    let file = file("agent.json");
    for case in section(&file, "deploy_requests") {
        let name = text(case, "name");
        let request = AgentDeployRequest::decode(text(case, "wire").as_bytes());
        let stricter = match name {
            "empty namespace: valid" => Some("namespace"),
            "total bytes negative: valid" => Some("total_bytes"),
            _ => None,
        };
        if let Some(field) = stricter {
            assert_eq!(request.unwrap_err().field(), Some(field), "{name}");
            continue;
        }
        assert_eq!(request.is_ok(), go_ok(case, "validate"), "{name}: {request:?}");
        match request {
            Ok(request) => {
                let meaning = &case["meaning"];
                assert_eq!(request.namespace.to_string(), text(meaning, "namespace"), "{name}");
                assert_eq!(
                    request.workload_name.to_string(),
                    text(meaning, "workload_name"),
                    "{name}"
                );
                assert_eq!(request.hash, text(meaning, "hash"), "{name}");
                assert_eq!(json!(request.total_bytes), meaning["total_bytes"], "{name}");
                assert_eq!(
                    request.retried_at,
                    meaning["retried_at"].as_str().map(|at| timestamp::parse(at).unwrap()),
                    "{name}"
                );
                assert_eq!(json(&request.encode()), as_we_write_it(text(case, "wire")), "{name}");
                assert_eq!(
                    AgentDeployRequest::decode(&request.encode()).unwrap(),
                    request,
                    "{name}"
                );
            }
            Err(error) => assert!(error.field().is_some(), "{name}: {error}"),
        }
    }
}

#[test]
fn our_extensions_are_optional_and_checked() {
    let request = with("artifact_path", json!("/var/lib/nex/a")).unwrap();
    assert_eq!(request.extensions.artifact_path.as_deref(), Some("/var/lib/nex/a"));
    for field in ["artifact_path", "compiled_path"] {
        for path in ["", "relative", "/a\0b"] {
            assert_eq!(with(field, json!(path)).unwrap_err().field(), Some(field));
        }
    }
    let mut request = with("stop_grace_ms", json!(null)).unwrap();
    assert_eq!(request.extensions, DeployExtensions::default());
    request.extensions = DeployExtensions {
        artifact_path: Some("/a".to_owned()),
        argv0: Some("echo".to_owned()),
        log_lines_per_second: Some(100),
        log_bytes_per_second: Some(1 << 20),
        stop_grace_ms: Some(5000),
        compiled_path: Some("/b".to_owned()),
        call_timeout_ms: Some(5000),
        max_concurrent_calls: Some(16),
        max_memory_bytes: Some(64 << 20),
        max_output_bytes: Some(1 << 20),
        max_script_bytes: Some(1 << 20),
    };
    assert_eq!(AgentDeployRequest::decode(&request.encode()).unwrap(), request);
}

#[test]
fn values_of_the_environment_are_not_shown() {
    let request = with("environment", json!({"KEY": "hidden-value"})).unwrap();
    let shown = format!("{request:?}");
    assert!(shown.contains("KEY") && !shown.contains("hidden-value"), "{shown}");
}

#[test]
fn handshakes_are_read_and_written_like_go() {
    let file = file("agent.json");
    for case in section(&file, "handshakes") {
        let (name, wire) = (text(case, "name"), text(case, "wire"));
        let handshake = Handshake::decode(wire.as_bytes());
        match name {
            "response" => assert_eq!(json(HANDSHAKE_RESPONSE), json(wire.as_bytes())),
            "request, nothing set" => assert_eq!(handshake.unwrap_err().field(), Some("id")),
            _ => {
                let handshake = handshake.unwrap();
                // Always a message, without which a Go node crashes.
                let mut expected = json(wire.as_bytes());
                if expected.get("message").is_none() {
                    expected["message"] = json!("");
                }
                assert_eq!(json(&handshake.encode()), expected, "{name}");
            }
        }
    }
}

#[test]
fn handshakes_are_judged_like_a_go_node_does() {
    let file = file("agent.json");
    for case in section(&file, "node_reads_handshakes") {
        let why = text(case, "why");
        let handshake = Handshake::decode(text(case, "body").as_bytes());
        match why {
            // Go reads these and crashes when it logs them.
            "no id: Go's node crashes" | "null" => {
                assert_eq!(handshake.unwrap_err().field(), Some("id"), "{why}");
            }
            _ => assert_eq!(handshake.is_ok(), go_ok(case, "parses"), "{why}: {handshake:?}"),
        }
    }
}

#[test]
fn deploy_responses_are_read_and_written_like_go() {
    let file = file("agent.json");
    for case in section(&file, "deploy_responses") {
        let wire = text(case, "wire");
        let response = DeployResponse::decode(wire.as_bytes()).unwrap();
        assert_eq!(json!(response.accepted), json(wire.as_bytes())["accepted"], "{case}");
        assert_eq!(response.refusal().is_some(), !response.accepted, "{case}");
        let written = json(&response.encode());
        if text(case, "name").contains("Go's node crashes") {
            assert!(written["message"].is_string(), "{case}");
        } else {
            assert_eq!(written, json(wire.as_bytes()), "{case}");
        }
    }
    assert!(DeployResponse::decode(b"").is_err());
    // An agent that says nothing has not accepted anything.
    assert!(DeployResponse::decode(b"{}").unwrap().refusal().is_some());
}

#[test]
fn log_entries_are_written_like_go() {
    let file = file("agent.json");
    for case in section(&file, "log_entries") {
        let wire = text(case, "wire");
        let entry = AgentLog::decode(wire.as_bytes()).unwrap();
        assert_eq!(json!(entry.level.wire()), case["level"], "{case}");
        assert_eq!(json(&entry.encode()), json(wire.as_bytes()), "{case}");
    }
}

#[test]
fn log_entries_are_read_like_go() {
    let file = file("agent.json");
    for case in section(&file, "node_reads_log_entries") {
        let entry = AgentLog::decode(text(case, "body").as_bytes());
        assert_eq!(entry.is_ok(), go_ok(case, "go"), "{case}: {entry:?}");
        if let Ok(entry) = entry {
            let level = case["value"]["level"].as_i64().unwrap().try_into().unwrap();
            assert_eq!(entry.level, AgentLevel::from_wire(level), "{case}");
            assert_eq!(entry.source, text(&case["value"], "source"), "{case}");
            assert_eq!(entry.text, text(&case["value"], "text"), "{case}");
        }
    }
    let long = json!({"text": "x".repeat(MAX_AGENT_LOG_BYTES)}).to_string();
    assert!(AgentLog::decode(long.as_bytes()).is_err());
}

#[test]
fn metadata_are_judged_like_a_go_agent_does() {
    let file = file("agent.json");
    for case in section(&file, "metadata") {
        let (name, wire) = (text(case, "name"), text(case, "wire"));
        let metadata = MachineMetadata::decode(wire.as_bytes());
        // Go's check only asks whether the fields are there; nobody can connect with these.
        let valid = case["valid"] == true && name != "empty texts, port 0: valid";
        assert_eq!(metadata.is_ok(), valid, "{name}: {metadata:?}");
        if let Ok(metadata) = metadata {
            assert_eq!(json(&metadata.encode()), json(wire.as_bytes()), "{name}");
        }
    }
    let secret = r#"{"vmid":"cohvl8bl5c0s73b2rcs0","node_nats_host":"h","node_nats_port":1,"agent_secret":"hidden-value"}"#;
    let metadata = MachineMetadata::decode(secret.as_bytes()).unwrap();
    assert_eq!(MachineMetadata::decode(&metadata.encode()).unwrap(), metadata);
    assert!(!format!("{metadata:?}").contains("hidden-value"));
}

#[test]
fn a_whole_run_is_read() {
    let file = file("agent.json");
    let mut read = 0;
    for step in section(&file, "captured") {
        for frame in step["frames"].as_array().unwrap() {
            let name = text(step, "step");
            let subject = frame["subject"].as_str();
            let payload = text(frame, "payload");
            let Some(subject) = subject.or(frame["reply_to"].as_str()) else { panic!("{step}") };
            let is_reply = frame["subject"].is_null();
            match (subject.splitn(3, '.').nth(2).unwrap(), is_reply) {
                ("handshake", false) => {
                    let handshake = Handshake::decode(payload.as_bytes()).unwrap();
                    assert_eq!(json(&handshake.encode()), json(payload.as_bytes()), "{name}");
                }
                ("deploy", false) => match AgentDeployRequest::decode(payload.as_bytes()) {
                    Ok(request) => {
                        assert_eq!(json(&request.encode()), as_we_write_it(payload), "{name}");
                    }
                    Err(error) => {
                        let field = error.field();
                        let expected = match name {
                            "deploy of a function without a trigger subject" => "trigger_subjects",
                            "deploy of an essential function" => "essential",
                            _ => panic!("{name}: {error}"),
                        };
                        assert_eq!(field, Some(expected), "{name}");
                    }
                },
                ("deploy", true) => {
                    let response = DeployResponse::decode(payload.as_bytes()).unwrap();
                    assert_eq!(json(&response.encode()), json(payload.as_bytes()), "{name}");
                }
                ("logs", false) => {
                    let entry = AgentLog::decode(payload.as_bytes()).unwrap();
                    assert_eq!(json(&entry.encode()), json(payload.as_bytes()), "{name}");
                }
                (rest, false) if rest.starts_with("events.") => {
                    let event = nex_protocol::event::RawEvent::decode(payload.as_bytes()).unwrap();
                    assert_eq!(rest, format!("events.{}", event.kind_text), "{name}");
                    assert!(event.kind().unwrap().comes_from_agents(), "{name}");
                }
                _ => continue,
            }
            read += 1;
        }
    }
    assert!(read > 40, "{read}");
}
