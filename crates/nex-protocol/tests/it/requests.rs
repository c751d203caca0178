//! Deploy and stop requests.

use nex_protocol::control::{
    DeployRequest, MAX_ARGUMENTS, MAX_DESCRIPTION_BYTES, MAX_REQUEST_BYTES, MAX_TRIGGER_SUBJECTS,
    RequestError, StopRequest,
};
use nex_protocol::timestamp;
use serde_json::{Value, json};

use crate::vectors::{bytes, file, go_ok, json, section, text};

fn good() -> Value {
    let file = file("control.json");
    json(text(&section(&file, "deploy_requests")[0], "wire").as_bytes())
}

fn decode(request: &Value) -> Result<DeployRequest, RequestError> {
    DeployRequest::decode(request.to_string().as_bytes())
}

fn with(name: &str, value: Value) -> Result<DeployRequest, RequestError> {
    let mut request = good();
    request[name] = value;
    decode(&request)
}

fn field_of<T>(result: Result<T, RequestError>) -> Option<&'static str> {
    result.err().expect("a refusal").field()
}

/// The field at fault in a request that Go can read and that we refuse, by what it means.
fn refused_for(meaning: &Value) -> Option<&'static str> {
    let is = |name: &str, value: Value| meaning[name] == value;
    let no_triggers = meaning["trigger_subjects"].as_array().is_none_or(Vec::is_empty);
    match meaning["type"].as_str() {
        // The location is judged while it is read.
        Some("") if meaning["location"]["bucket"] == "" => Some("location"),
        None | Some("") => Some("type"),
        Some("v8" | "wasm") if no_triggers => Some("trigger_subjects"),
        Some("v8" | "wasm") if is("essential", json!(true)) => Some("essential"),
        Some("v8" | "wasm") => None,
        Some(_) if !no_triggers => Some("trigger_subjects"),
        Some(_) => None,
    }
}

#[test]
fn deploy_requests_mean_what_they_mean_to_go() {
    let file = file("control.json");
    let mut accepted = 0;
    for case in section(&file, "deploy_requests") {
        let meaning = &case["meaning"];
        let wire = text(case, "wire");
        let request = DeployRequest::decode(wire.as_bytes());
        let name = text(case, "name");
        if meaning["environment_error"].is_string() && json(wire.as_bytes())["environment"] == "" {
            assert_eq!(field_of(request), Some("environment"), "{name}");
            continue;
        }
        if let Some(field) = refused_for(meaning) {
            assert_eq!(field_of(request), Some(field), "{name}");
            continue;
        }
        let request = request.unwrap_or_else(|error| panic!("{name}: {error}"));
        accepted += 1;
        let argv = match &meaning["argv"] {
            Value::Null => json!([]),
            only if *only == json!([""]) => json!([]),
            argv => argv.clone(),
        };
        assert_eq!(json!(request.argv), argv, "{name}");
        assert_eq!(request.description, text(meaning, "description"), "{name}");
        assert_eq!(request.workload_type, text(meaning, "type").parse().unwrap(), "{name}");
        assert_eq!(json!(request.essential), meaning["essential"], "{name}");
        assert_eq!(
            json!(request.jsdomain.clone().unwrap_or_default()),
            meaning["jsdomain"],
            "{name}"
        );
        assert_eq!(request.sender.to_string(), text(meaning, "sender_public_key"), "{name}");
        assert_eq!(request.target_node.to_string(), text(meaning, "target_node"), "{name}");
        let triggers: Vec<String> =
            request.trigger_subjects.iter().map(ToString::to_string).collect();
        let expected = meaning["trigger_subjects"].as_array().cloned().unwrap_or_default();
        assert_eq!(json!(triggers), json!(expected), "{name}");
        assert_eq!(json!(request.retry_count), meaning["retry_count"], "{name}");
        assert_eq!(
            request.retried_at,
            meaning["retried_at"].as_str().map(|text| timestamp::parse(text).unwrap()),
            "{name}"
        );
        assert_eq!(request.location.bucket(), text(&meaning["location"], "bucket"), "{name}");
        assert_eq!(request.location.key(), text(&meaning["location"], "key"), "{name}");

        // Written again it is what Go wrote, but for the argument that is none and for aliases.
        let mut go = json(wire.as_bytes());
        go["type"] = json!(request.workload_type);
        if go["argv"] == json!([""]) {
            go.as_object_mut().unwrap().remove("argv");
        }
        assert_eq!(json(&request.encode()), go, "{name}");
        assert_eq!(DeployRequest::decode(&request.encode()).unwrap(), request, "{name}");
    }
    assert!(accepted > 30, "only {accepted} accepted");
}

#[test]
fn deploy_requests_of_a_whole_run_are_read() {
    let file = file("control.json");
    let mut read = 0;
    for step in section(&file, "captured") {
        for frame in step["frames"].as_array().unwrap() {
            let Some(subject) = frame["subject"].as_str() else { continue };
            let body = text(frame, "payload").as_bytes();
            let name = text(step, "step");
            if subject.contains(".DEPLOY.") {
                let refused = match name {
                    "deploy with a body that is no JSON" | "deploy with an empty body" => {
                        Some(None)
                    }
                    "deploy of a service with a trigger subject"
                    | "deploy of a function without a trigger subject" => {
                        Some(Some("trigger_subjects"))
                    }
                    "deploy of an essential function" => Some(Some("essential")),
                    // Ours reads the location, and nothing else is there.
                    "deploy with a location as a text" => Some(Some("type")),
                    _ => None,
                };
                match (DeployRequest::decode(body), refused) {
                    (Ok(request), None) => {
                        assert_eq!(DeployRequest::decode(&request.encode()).unwrap(), request);
                    }
                    (Err(error), Some(field)) => assert_eq!(error.field(), field, "{name}"),
                    // Whether a bucket's name is one is the location's affair.
                    (Err(error), None) if name == "deploy from a bad bucket name" => {
                        assert_eq!(error.field(), Some("location"), "{name}");
                    }
                    (other, _) => panic!("{name}: {other:?}"),
                }
                read += 1;
            } else if subject.contains(".STOP.") {
                let refused = ["no JSON", "an empty token", "without a workload id"]
                    .iter()
                    .any(|why| name.contains(why));
                assert_eq!(StopRequest::decode(body).is_err(), refused, "{name}");
                read += 1;
            }
        }
    }
    assert!(read > 20);
}

#[test]
fn stop_requests_mean_what_they_mean_to_go() {
    let file = file("control.json");
    for case in section(&file, "stop_requests") {
        let meaning = &case["meaning"];
        let request = StopRequest::decode(text(case, "wire").as_bytes()).unwrap();
        assert_eq!(request.workload_id, text(meaning, "workload_id"), "{case}");
        assert_eq!(request.workload_jwt, text(meaning, "workload_jwt"), "{case}");
        assert_eq!(request.target_node.to_string(), text(meaning, "target_node"), "{case}");
        assert_eq!(json(&request.encode()), json(text(case, "wire").as_bytes()), "{case}");
        assert_eq!(request.id().is_some(), request.workload_id.len() == 20, "{case}");
    }
}

#[test]
fn stop_requests_name_what_is_missing() {
    let file = file("control.json");
    let good = json(text(&section(&file, "stop_requests")[0], "wire").as_bytes());
    for field in ["workload_id", "workload_jwt", "target_node"] {
        for value in [None, Some(json!(null)), Some(json!(5))] {
            let mut request = good.clone();
            match value {
                None => drop(request.as_object_mut().unwrap().remove(field)),
                Some(value) => request[field] = value,
            }
            let refused = StopRequest::decode(request.to_string().as_bytes());
            assert_eq!(field_of(refused), Some(field), "{request}");
        }
    }
    for body in ["", "x", "[]", "null", "{}", "5"] {
        assert!(StopRequest::decode(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn forms_of_requests_are_read_like_go() {
    let file = file("control.json");
    for case in section(&file, "node_reads") {
        let why = text(case, "why");
        let request = DeployRequest::decode(&bytes(case, "body"));
        // Read by Go, and then a crash or a failure.
        let refused_later = match why {
            "location null" | "location empty object" => Some(Some("location")),
            "environment null" => Some(Some("environment")),
            "null" => Some(Some("type")),
            // Both say `wasm` in the end, and have no trigger.
            "type twice" | "type twice in different case: the last one wins" => {
                Some(Some("trigger_subjects"))
            }
            _ => None,
        };
        if why == "location as a plain text" {
            assert_eq!(request.unwrap().location.key(), "key");
        } else if let Some(field) = refused_later {
            assert!(go_ok(case, "go"), "{why}");
            assert_eq!(field_of(request), field, "{why}");
        } else {
            assert_eq!(request.is_ok(), go_ok(case, "go"), "{why}: {request:?}");
            if let Ok(request) = request {
                let value = &case["go"]["value"];
                assert_eq!(json!(request.workload_type), value["type"], "{why}");
                assert_eq!(json!(request.retry_count), value["retry_count"], "{why}");
                let argv = value["argv"].as_array().cloned().unwrap_or_default();
                assert_eq!(json!(request.argv), json!(argv), "{why}");
                let description = value["description"].as_str().unwrap_or_default();
                assert_eq!(request.description, description, "{why}");
            }
        }
    }
}

#[test]
fn what_crashes_a_go_node_is_answered_by_the_name_of_the_field() {
    let file = file("control.json");
    for case in section(&file, "go_node_crashes") {
        let why = text(case, "why");
        let Some(body) = case["body"].as_str() else {
            // "description absent or null": the next test has the request to it.
            continue;
        };
        let request = DeployRequest::decode(body.as_bytes());
        let words: Vec<&str> = why.split_whitespace().collect();
        match words.as_slice() {
            // These are optional in the protocol; Go nodes crash all the same.
            ["no", "essential" | "jsdomain"] | ["essential" | "jsdomain", "null"] => {
                let request = request.unwrap_or_else(|error| panic!("{why}: {error}"));
                assert!(!request.essential && request.jsdomain.is_none(), "{why}");
            }
            ["no", field] | [field, "null"] if *field != "body" => {
                assert_eq!(field_of(request), Some(*field), "{why}");
            }
            ["body", _] => assert_eq!(field_of(request), Some("type"), "{why}"),
            ["sender_public_key", ..] => {
                assert_eq!(field_of(request), Some("sender_public_key"), "{why}");
            }
            // The object store and the claims are judged later.
            _ => assert!(why.starts_with("good") || why.starts_with("V1 token"), "{why}"),
        }
    }
}

#[test]
fn a_request_without_description_has_an_empty_one_and_ours_always_has_one() {
    for value in [json!(null), json!("")] {
        let request = with("description", value).unwrap();
        assert_eq!(json(&request.encode())["description"], "");
    }
}

#[test]
fn requests_are_bounded() {
    let texts = |count: usize| json!(vec!["a"; count]);
    assert!(with("argv", texts(MAX_ARGUMENTS)).is_ok());
    assert_eq!(field_of(with("argv", texts(MAX_ARGUMENTS + 1))), Some("argv"));
    assert_eq!(field_of(with("argv", json!(["x".repeat(200_000)]))), Some("argv"));
    assert_eq!(field_of(with("argv", json!(["a", "b\0"]))), Some("argv"));
    assert!(with("description", json!("x".repeat(MAX_DESCRIPTION_BYTES))).is_ok());
    let long = json!("x".repeat(MAX_DESCRIPTION_BYTES + 1));
    assert_eq!(field_of(with("description", long)), Some("description"));
    for domain in ["a.b", "a b", "*", ">", "é", "a\n", &"x".repeat(65)] {
        assert_eq!(field_of(with("jsdomain", json!(domain))), Some("jsdomain"), "{domain}");
    }
    assert_eq!(field_of(with("environment", json!("x".repeat(800_000)))), Some("environment"));
    assert_eq!(field_of(with("workload_jwt", json!("x".repeat(20_000)))), Some("workload_jwt"));
    assert_eq!(field_of(with("workload_jwt", json!(""))), Some("workload_jwt"));
    assert_eq!(field_of(with("target_node", json!("N"))), Some("target_node"));
    assert_eq!(field_of(with("type", json!("exe"))), Some("type"));

    let mut function = good();
    function["type"] = json!("wasm");
    function["trigger_subjects"] = texts(MAX_TRIGGER_SUBJECTS);
    assert!(decode(&function).is_ok());
    function["trigger_subjects"] = texts(MAX_TRIGGER_SUBJECTS + 1);
    assert_eq!(field_of(decode(&function)), Some("trigger_subjects"));
    for subject in ["", ">", "$JS.API.>", "$NEX.x", "a b", "a..b"] {
        function["trigger_subjects"] = json!([subject]);
        assert_eq!(field_of(decode(&function)), Some("trigger_subjects"), "{subject}");
    }

    let garbage = vec![b'x'; 500_000];
    assert!(DeployRequest::decode(&garbage).is_err());
    let large = vec![b' '; MAX_REQUEST_BYTES + 1];
    assert!(matches!(
        DeployRequest::decode(&large),
        Err(RequestError::Field(nex_protocol::json::FieldError::TooLarge { .. }))
    ));
    for prefix in ["", "{\"x\":", "{\"argv\":", "{\"location\":", "{\"location\":{\"User\":"] {
        for bracket in ["[", "{\"a\":"] {
            let tower = format!("{prefix}{}", bracket.repeat(100_000));
            assert!(DeployRequest::decode(tower.as_bytes()).is_err(), "{prefix}");
        }
    }
}

#[test]
fn refusals_are_one_line_that_names_the_field() {
    for (name, value) in [
        ("type", json!(null)),
        ("type", json!("exe")),
        ("argv", json!("x")),
        ("environment", json!("")),
        ("sender_public_key", json!("XX")),
        ("target_node", json!("XX")),
        ("jsdomain", json!("a.b")),
        ("retried_at", json!("yesterday")),
        ("trigger_subjects", json!(["a"])),
    ] {
        let error = with(name, value).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("`{name}`")) && !text.contains('\n'), "{text}");
        assert_eq!(error.field(), Some(name));
    }
}
