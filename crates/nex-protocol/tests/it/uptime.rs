use std::time::Duration;

use nex_protocol::control::WorkloadType;
use nex_protocol::uptime::{UNKNOWN, format_runtime, format_uptime};

use crate::vectors::{file, section, text};

#[test]
fn uptimes_are_written_like_go() {
    let file = file("uptime.json");
    let mut judged = 0;
    for case in section(&file, "uptime") {
        // Our durations cannot be negative.
        let Some(nanoseconds) = case["nanoseconds"].as_u64() else { continue };
        let written = format_uptime(Duration::from_nanos(nanoseconds));
        assert_eq!(written, text(case, "text"), "{case}");
        judged += 1;
    }
    assert!(judged > 200);
}

#[test]
fn run_times_are_written_like_go() {
    let file = file("uptime.json");
    let mut judged = 0;
    for case in section(&file, "function_runtime") {
        let workload_type: WorkloadType = text(case, "workload_type").parse().unwrap();
        assert!(workload_type.is_function());
        let Some(nanoseconds) = case["execution_nanoseconds"].as_u64() else { continue };
        let written = format_runtime(Duration::from_nanos(nanoseconds));
        assert_eq!(written, text(case, "text"), "{case}");
        judged += 1;
    }
    assert!(judged > 20);
    for workload in file["agent_not_active"].as_object().unwrap().values() {
        assert_eq!(text(workload, "uptime"), UNKNOWN);
        assert_eq!(text(workload, "runtime"), UNKNOWN);
    }
}

#[test]
fn the_longest_duration_can_be_written() {
    assert_eq!(format_uptime(Duration::MAX), "584942417355y26d7h0m15s");
}
