use nex_protocol::agent::AgentLevel;
use nex_protocol::log::{LogLevel, LogLine, MAX_LOG_LINE_BYTES};
use serde_json::json;

use crate::vectors::{file, go_ok, json, section, text};

#[test]
fn levels_are_written_like_slog() {
    let file = file("logs.json");
    for case in section(&file, "level_texts") {
        let level = LogLevel::from_slog(case["slog_value"].as_i64().unwrap().try_into().unwrap());
        assert_eq!(level.to_string(), text(case, "wire"), "{case}");
        assert_eq!(text(case, "wire").parse::<LogLevel>().unwrap(), level, "{case}");
    }
}

#[test]
fn levels_are_read_like_slog() {
    let file = file("logs.json");
    for case in section(&file, "client_reads_levels") {
        let message = match text(case, "level") {
            "absent" => r#"{"text":"t","id":"i"}"#.to_owned(),
            level => format!(r#"{{"text":"t","level":{level},"id":"i"}}"#),
        };
        let line = LogLine::decode(message.as_bytes());
        assert_eq!(line.is_ok(), go_ok(case, "go"), "{case}");
        if let Ok(line) = line {
            assert_eq!(
                i64::from(line.level.slog()),
                case["slog_value"].as_i64().unwrap(),
                "{case}"
            );
            if let Some(written) = case["written_again"].as_str() {
                assert_eq!(serde_json::to_string(&line.level).unwrap(), written, "{case}");
            }
        }
    }
}

#[test]
fn lines_of_go_nodes_are_read_and_written_again() {
    let file = file("logs.json");
    for name in ["published_by_calling_the_node", "captured"] {
        for case in section(&file, name) {
            let payload = text(case, "payload");
            let line =
                LogLine::decode(payload.as_bytes()).unwrap_or_else(|e| panic!("{case}: {e}"));
            assert_eq!(json(&line.encode()), json(payload.as_bytes()), "{case}");
        }
    }
}

#[test]
fn the_agents_scale_is_mapped_not_cast() {
    let mapped = AgentLevel::ALL.map(|level| LogLevel::from(level).to_string());
    assert_eq!(mapped, ["ERROR+4", "ERROR+2", "ERROR", "WARN", "INFO", "DEBUG", "DEBUG-4"]);
    assert!(AgentLevel::ALL.map(LogLevel::from).is_sorted_by(|a, b| a > b));
}

#[test]
fn extreme_levels_do_not_overflow() {
    for value in [i32::MIN, i32::MAX] {
        let level = LogLevel::from_slog(value);
        assert_eq!(level.to_string().parse::<LogLevel>().unwrap(), level);
    }
    assert!("ERROR+2147483647".parse::<LogLevel>().is_err());
    assert!("INFO+99999999999".parse::<LogLevel>().is_err());
}

#[test]
fn lines_are_bounded() {
    let message = json!({"text": "x".repeat(MAX_LOG_LINE_BYTES)}).to_string();
    assert!(LogLine::decode(message.as_bytes()).is_err());
    for bad in ["", "[]", "\"x\"", r#"{"text":5}"#, r#"{"id":[]}"#, "{}{}"] {
        assert!(LogLine::decode(bad.as_bytes()).is_err(), "{bad}");
    }
}
