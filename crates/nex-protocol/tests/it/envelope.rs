use nex_protocol::control::{
    InfoResponse, LameDuckResponse, PingResponse, RunResponse, StopResponse, WorkloadPingResponse,
};
use nex_protocol::envelope::{Envelope, EnvelopeError, MAX_ENVELOPE_BYTES, MessageType};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::vectors::{file, go_ok, json, lists_for_null, section, text};

const LISTS: [&str; 2] = ["machines", "running_machines"];

fn message_type(text: &str) -> MessageType {
    MessageType::ALL
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .unwrap_or_else(|| panic!("no message type {text}"))
}

/// Reads a payload bare and in its envelope, and writes both again.
fn round_trip<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(case: &Value) {
    let bare: T = serde_json::from_str(text(case, "wire")).unwrap();
    let kind = message_type(text(case, "type"));
    let enveloped: T = Envelope::decode(text(case, "envelope").as_bytes()).unwrap();
    assert_eq!(enveloped, bare, "{case}");
    let mut expected = json(text(case, "envelope").as_bytes());
    // A nil map or slice of Go.
    expected["data"] = lists_for_null(expected["data"].take(), &LISTS);
    assert_eq!(json(&Envelope::encode_success(kind, &bare)), expected, "{case}");
}

#[test]
fn every_payload_is_read_and_written_again() {
    let file = file("control.json");
    for case in section(&file, "payloads") {
        let name = text(case, "name");
        match name.split(',').next().unwrap() {
            "ping" => round_trip::<PingResponse>(case),
            "workload ping" => round_trip::<WorkloadPingResponse>(case),
            "info" => round_trip::<InfoResponse>(case),
            "run" => round_trip::<RunResponse>(case),
            "stop" => round_trip::<StopResponse>(case),
            "lame duck" => round_trip::<LameDuckResponse>(case),
            other => panic!("an unknown payload: {other}"),
        }
    }
}

#[test]
fn types_are_the_same() {
    let file = file("control.json");
    let types = &file["constants"]["types"];
    for (name, kind) in ["run", "stop", "ping", "info", "lameduck"].iter().zip(MessageType::ALL) {
        assert_eq!(types[name], kind.as_str());
    }
}

#[test]
fn failures_are_written_and_read_like_go() {
    let file = file("control.json");
    for case in section(&file, "failure_envelopes") {
        let written =
            Envelope::encode_failure(message_type(text(case, "type")), text(case, "error"));
        assert_eq!(json(&written), json(text(case, "wire").as_bytes()), "{case}");
        match Envelope::decode::<RunResponse>(text(case, "wire").as_bytes()) {
            Err(EnvelopeError::Refused(error)) => assert_eq!(error, text(case, "error"), "{case}"),
            other => panic!("{case}: {other:?}"),
        }
    }
}

fn judge_client_read<T: DeserializeOwned + Serialize + std::fmt::Debug>(case: &Value) {
    let reply = text(case, "reply");
    let read = Envelope::decode::<T>(reply.as_bytes());
    assert_eq!(read.is_ok(), go_ok(case, "go"), "{case}: {read:?}");
    match read {
        Ok(value) => {
            let mut expected = lists_for_null(case["go"]["value"].clone(), &LISTS);
            if text(case, "why") == "memory above 32 bits" {
                // The tool that wrote the vectors rounded what Go had read exactly.
                expected["memory"]["total"] = Value::from(9_007_199_254_740_993_u64);
            }
            assert_eq!(serde_json::to_value(value).unwrap(), expected, "{case}");
        }
        Err(EnvelopeError::Refused(error)) => {
            let peer_says = &json(reply.as_bytes())["error"];
            match peer_says.as_str() {
                Some(text) => assert_eq!(error, text, "{case}"),
                None => assert_eq!(&json(error.as_bytes()), peer_says, "{case}"),
            }
        }
        Err(_) => {}
    }
}

#[test]
fn replies_are_read_like_a_go_client_reads_them() {
    let file = file("control.json");
    for case in section(&file, "client_reads") {
        match text(case, "call") {
            "NodeInfo" => judge_client_read::<InfoResponse>(case),
            "StartWorkload" => judge_client_read::<RunResponse>(case),
            "StopWorkload" => judge_client_read::<StopResponse>(case),
            "EnterLameDuck" => judge_client_read::<LameDuckResponse>(case),
            other => panic!("an unknown call: {other}"),
        }
    }
}

#[test]
fn replies_to_pings_are_left_out_when_unreadable() {
    let file = file("control.json");
    for case in section(&file, "client_reads_lists") {
        let reply = text(case, "reply").as_bytes();
        let why = text(case, "why");
        let ping = Envelope::decode::<PingResponse>(reply);
        let workloads = Envelope::decode::<WorkloadPingResponse>(reply);
        if why.contains("does not look at error") {
            // A failure is one, wherever it is asked for.
            assert!(matches!(ping, Err(EnvelopeError::Refused(_))), "{case}");
            assert!(matches!(workloads, Err(EnvelopeError::Refused(_))), "{case}");
            continue;
        }
        let list = |name: &str| case[name]["value"].as_array().unwrap().clone();
        let ping: Vec<Value> =
            ping.iter().map(|ping| serde_json::to_value(ping).unwrap()).collect();
        assert_eq!(ping, list("list_all_nodes"), "{case}");
        let workloads: Vec<Value> =
            workloads.iter().map(|reply| serde_json::to_value(reply).unwrap()).collect();
        let expected: Vec<Value> = list("list_workloads")
            .into_iter()
            .map(|value| lists_for_null(value, &["running_machines"]))
            .collect();
        assert_eq!(workloads, expected, "{case}");
    }
}

#[test]
fn replies_of_a_whole_run_are_read() {
    let file = file("control.json");
    let mut replies = 0;
    for step in section(&file, "captured") {
        for frame in step["frames"].as_array().unwrap() {
            let Some(request) = frame["reply_to"].as_str() else { continue };
            let reply = text(frame, "payload").as_bytes();
            let (ok, refused) = match request.split('.').nth(1).unwrap() {
                "PING" => outcome::<PingResponse>(reply),
                "WPING" => outcome::<WorkloadPingResponse>(reply),
                "INFO" => outcome::<InfoResponse>(reply),
                "DEPLOY" => outcome::<RunResponse>(reply),
                "STOP" => outcome::<StopResponse>(reply),
                "LAMEDUCK" => outcome::<LameDuckResponse>(reply),
                other => panic!("a reply to {other}"),
            };
            assert!(ok || refused, "{step}");
            replies += 1;
        }
    }
    assert!(replies > 40);
}

/// Whether a reply holds what was asked for, and whether it is a refusal. What was read has to
/// give the same JSON again.
fn outcome<T: DeserializeOwned + Serialize>(reply: &[u8]) -> (bool, bool) {
    match Envelope::decode::<T>(reply) {
        Ok(value) => {
            assert_eq!(serde_json::to_value(value).unwrap(), json(reply)["data"]);
            (true, false)
        }
        Err(error) => (false, matches!(error, EnvelopeError::Refused(_))),
    }
}

#[test]
fn data_that_cannot_be_written_is_a_failure() {
    let no_text_keys = std::collections::BTreeMap::from([((1, 2), 3)]);
    let written = Envelope::encode_success(MessageType::Info, &no_text_keys);
    let read = Envelope::decode::<InfoResponse>(&written);
    assert!(matches!(read, Err(EnvelopeError::Refused(_))));
}

#[test]
fn envelopes_are_bounded() {
    let large = vec![b' '; MAX_ENVELOPE_BYTES + 1];
    assert!(matches!(Envelope::decode::<RunResponse>(&large), Err(EnvelopeError::Malformed(_))));
    for prefix in ["", "{\"data\":", "{\"error\":", "{\"x\":", "{\"data\":{\"x\":"] {
        let tower = format!("{prefix}{}", "[".repeat(100_000));
        assert!(Envelope::decode::<RunResponse>(tower.as_bytes()).is_err(), "{prefix}");
    }
}
