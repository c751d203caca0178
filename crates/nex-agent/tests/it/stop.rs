//! Every way out, for the workload and for the agent.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::node::{Node, is_alive, until};

fn signal(pid: &str, signal: Signal) {
    kill_process(Pid::from_raw(pid.trim().parse().unwrap()).unwrap(), signal).unwrap();
}

#[test]
fn exit_codes_and_signals_are_told() {
    for (script, code, message) in [
        ("exit 3", 3, "exited with code 3"),
        ("kill -SEGV $$", -1, "killed by SIGSEGV"),
        ("kill -KILL $$", -1, "killed by SIGKILL"),
    ] {
        let mut node = Node::with_agent();
        node.run(script);
        let end = node.end();
        assert_eq!((&end["code"], &end["message"]), (&json!(code), &json!(message)), "{script}");
        assert_eq!(node.agent_exit().code(), Some(0));
    }
}

#[test]
fn a_polite_service_has_its_time() {
    let mut node = Node::with_agent();
    node.run("trap 'echo bye; exit 4' TERM; echo up; while :; do sleep 0.05; done");
    node.line(|text| text == "up");
    let answer = node.request("undeploy", b"");
    assert!(answer.payload.is_empty());
    let end = node.end();
    assert_eq!(end["code"], 4);
    assert_eq!(end["message"], "stopped on request: exited with code 4");
    assert!(node.texts().contains(&"bye".to_owned()), "its last words are kept");
    assert_eq!(node.agent_exit().code(), Some(0));
}

#[test]
fn a_deaf_service_is_killed_after_its_grace() {
    let mut node = Node::with_agent();
    let script = "trap '' TERM; sleep 1000 & echo $!; echo $$; while :; do sleep 1; done";
    node.run_with(script, json!({"stop_grace_ms": 200}));
    until("two pids", || {
        node.pump();
        node.texts().len() == 2
    });
    let pids = node.texts();
    let start = Instant::now();
    node.request("undeploy", b"");
    assert!(start.elapsed() >= Duration::from_millis(200));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    for pid in pids {
        assert!(!is_alive(&pid), "{pid} is still there when undeploy is answered");
    }
    assert_eq!(node.end()["message"], "stopped on request: killed by SIGKILL");
}

#[test]
fn no_grace_is_a_kill() {
    let mut node = Node::with_agent();
    node.run_with("trap '' TERM; echo up; while :; do sleep 1; done", json!({"stop_grace_ms": 0}));
    node.line(|text| text == "up");
    node.request("undeploy", b"");
    assert_eq!(node.end()["message"], "stopped on request: killed by SIGKILL");
}

/// A daemon: a child of a child, in a session of its own, its parents gone.
const DAEMON: &str = "(setsid sh -c 'trap \"\" TERM HUP; echo $$; while :; do sleep 1; done' &) ";

#[test]
fn a_daemon_cannot_escape_an_undeploy() {
    let mut node = Node::with_agent();
    node.run_with(&format!("{DAEMON}; exec sleep 1000"), json!({"stop_grace_ms": 100}));
    let daemon = node.line(|text| text.parse::<u32>().is_ok()).text;
    assert!(is_alive(&daemon));
    node.request("undeploy", b"");
    assert!(!is_alive(&daemon));
}

#[test]
fn a_daemon_does_not_survive_its_service() {
    let mut node = Node::with_agent();
    node.run(&format!("{DAEMON}; sleep 0.2; exit 5"));
    let daemon = node.line(|text| text.parse::<u32>().is_ok()).text;
    assert_eq!(node.end()["code"], 5);
    assert!(!is_alive(&daemon));
    assert_eq!(node.agent_exit().code(), Some(0));
}

/// Processes that do nothing but start their successor and end: whoever lists them sees processes
/// that are gone by the time they get a signal. They end by themselves when their file is gone.
#[test]
fn processes_that_keep_moving_are_caught() {
    let mut node = Node::with_agent();
    std::fs::write(node.work().join("hop"), "sh hop & exit").unwrap();
    let script = "sh hop & sh hop & sh hop & echo up; exec sleep 1000";
    node.run_with(script, json!({"stop_grace_ms": 50, "environment": {"PATH": "/usr/bin:/bin"}}));
    node.line(|text| text == "up");
    std::thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    node.request("undeploy", b"");
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    let end = node.end();
    assert!(!end["message"].as_str().unwrap().contains("could not be killed"), "{end}");
}

#[test]
fn an_undeploy_without_a_workload_is_answered() {
    let mut node = Node::with_agent();
    assert!(node.request("undeploy", b"").payload.is_empty());
    assert_eq!(node.deploy("/bin/echo", &["alive"])["accepted"], true);
    node.line(|text| text == "alive");
}

#[test]
fn a_lost_node_stops_the_workload() {
    let mut node = Node::with_agent();
    node.run("echo $$; exec sleep 1000");
    let service = node.line(|text| text.parse::<u32>().is_ok()).text;
    node.cut();
    assert_eq!(node.agent_exit().code(), Some(0));
    assert!(!is_alive(&service));
    let words = node.last_words();
    assert!(words.contains("the node is gone: killed by SIGTERM"), "{words}");
}

#[test]
fn a_killed_agent_does_not_leave_its_service() {
    let mut node = Node::with_agent();
    node.run("echo $$; exec sleep 1000");
    let service = node.line(|text| text.parse::<u32>().is_ok()).text;
    node.agent.kill().unwrap();
    node.agent.wait().unwrap();
    until("the service is gone", || !is_alive(&service));
}

#[test]
fn an_agent_that_is_told_to_end_stops_its_service_first() {
    let mut node = Node::with_agent();
    node.run("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done");
    node.line(|text| text == "up");
    signal(&node.agent.id().to_string(), Signal::TERM);
    assert_eq!(node.end()["message"], "the agent was told to end: exited with code 0");
    assert_eq!(node.agent_exit().code(), Some(0));
    assert!(node.texts().contains(&"bye".to_owned()));
}

#[test]
fn a_service_that_closes_its_output_runs_on() {
    let mut node = Node::with_agent();
    node.run("echo $$; exec >&- 2>&-; sleep 0.3; exit 6");
    node.line(|text| text.parse::<u32>().is_ok());
    assert_eq!(node.end()["code"], 6);
}
