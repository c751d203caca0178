//! From a request to a running program, and every refusal on the way.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::node::{Node, SHELL, request};

#[test]
fn a_program_runs_and_is_accepted_before_its_events() {
    let mut node = Node::with_agent();
    let answer = node.deploy("/bin/echo", &["hello", "two words", ""]);
    assert_eq!(answer["accepted"], true, "{answer}");
    let line = node.line(|text| text.starts_with("hello"));
    assert_eq!(line.text, "hello two words ");
    assert_eq!((line.level, line.source.as_str()), (4, "probe"));
    assert_eq!(node.event("workload_started"), json!({"workload_name": "probe", "code": 0}));
    let end = node.end();
    assert_eq!(end["workload_name"], "probe");
    assert_eq!((&end["code"], &end["message"]), (&json!(0), &json!("exited with code 0")));
    assert_eq!(node.event("agent_stopped")["code"], 0);
    assert_eq!(node.agent_exit().code(), Some(0));
    let order: Vec<_> = node
        .published
        .iter()
        .filter_map(|publish| publish.subject.rsplit('.').next())
        .filter(|last| *last != "handshake" && *last != "agent_started")
        .map(str::to_owned)
        .collect();
    assert_eq!(order[0], "1", "the answer is first: {order:?}");
    let place = |what: &str| order.iter().position(|it| it == what).unwrap();
    assert!(place("workload_started") < place("workload_stopped"));
    assert!(place("logs") < place("workload_stopped"), "{order:?}");
    assert!(place("workload_stopped") < place("agent_stopped"));
}

#[test]
fn the_environment_is_exactly_what_was_deployed() {
    let mut node = Node::with_agent();
    let environment = json!({"greeting": "hello world", "Path": "/nowhere", "EMPTY": ""});
    node.deploy_with("/usr/bin/env", &[], json!({"environment": environment}));
    node.end();
    let mut lines = node.texts();
    lines.sort();
    assert_eq!(lines, ["EMPTY=", "GREETING=hello world", "PATH=/nowhere"]);
}

#[test]
fn only_the_standard_descriptors_are_open() {
    let mut node = Node::with_agent();
    node.run("ls -l /proc/self/fd | sed 's/.* \\([0-9]\\+ -> \\)/\\1/' >&2; ls /proc/$$/fd");
    node.end();
    let open: Vec<_> = node.lines().into_iter().filter(|line| line.level == 4).collect();
    let open: Vec<_> = open.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(open, ["0", "1", "2"], "{:?}", node.texts());
    let shown = node.texts().join("\n");
    assert!(shown.contains("0 -> /dev/null"), "{shown}");
}

#[test]
fn it_has_a_session_default_signals_and_its_own_name() {
    let mut node = Node::with_agent();
    let script = "cut -d' ' -f1,5,6 /proc/$$/stat; grep -E '^Sig(Blk|Ign)' /proc/self/status; \
                  tr '\\0' '|' < /proc/$$/cmdline; echo; pwd; ulimit -c; ls -A";
    node.run_with(script, json!({"argv0": "my service"}));
    node.end();
    let lines = node.texts();
    let ids: Vec<_> = lines[0].split(' ').collect();
    assert!(ids[0] == ids[1] && ids[1] == ids[2], "pid, group and session: {lines:?}");
    for line in &lines[1..3] {
        assert!(line.ends_with("0000000000000000"), "{line}");
    }
    assert!(lines[3].starts_with("my service|-c|"), "{lines:?}");
    assert_eq!(lines[4], node.work().to_str().unwrap());
    assert_eq!(lines[5], "0");
    assert_eq!(lines.len(), 6, "the working directory is empty: {lines:?}");
}

#[test]
fn without_a_given_directory_it_makes_one_and_removes_it() {
    let mut node = Node::with_agent_and(|command| {
        command.env_remove("NEX_AGENT_WORKDIR");
    });
    node.run("pwd; mkdir -p a/b; touch a/b/c");
    node.end();
    let directory = node.texts()[0].clone();
    assert_eq!(node.agent_exit().code(), Some(0));
    assert!(!std::path::Path::new(&directory).exists(), "{directory}");
}

/// Everything that is refused leaves the agent ready for the next deploy.
#[test]
fn mistakes_are_refused_with_their_cause_and_poison_nothing() {
    let mut node = Node::with_agent();
    let script = node.dir.path().join("script");
    std::fs::write(&script, "#!/bin/sh\necho hi\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let script = script.to_str().unwrap().to_owned();
    let plain = node.dir.path().join("plain");
    std::fs::copy("/bin/echo", &plain).unwrap();
    std::fs::set_permissions(&plain, std::fs::Permissions::from_mode(0o644)).unwrap();
    let plain = plain.to_str().unwrap().to_owned();
    let cut = node.dir.path().join("cut");
    std::fs::write(&cut, &std::fs::read("/bin/echo").unwrap()[..80]).unwrap();
    let cut = cut.to_str().unwrap().to_owned();
    let cases = [
        (request(&script, &[], &json!({})), "not an ELF file: starts with \"#!\" (a script)"),
        (request(&plain, &[], &json!({})), "may not be executed here"),
        (request(&cut, &[], &json!({})), "cut off"),
        (request("/nonexistent/program", &[], &json!({})), "cannot be opened"),
        (request("/bin/echo", &[], &json!({"total_bytes": 7})), "instead of 7"),
        (request("/tmp", &[], &json!({})), "cannot read the program"),
        (request("/bin/echo", &["a\0b"], &json!({})), "argument 0"),
        (request("/bin/echo", &[], &json!({"environment": {"A=B": "c"}})), "\"A=B\""),
        (request("/bin/echo", &[], &json!({"environment": {"A": "\0"}})), "holds a NUL"),
        (request("/bin/echo", &[], &json!({"workload_type": "oci"})), "of type oci"),
        (request("/bin/echo", &[], &json!({"workload_type": "cobol"})), "workload_type"),
        (request("/bin/echo", &[], &json!({"workload_name": null})), "workload_name"),
        (request("/bin/echo", &[], &json!({"artifact_path": "bin/echo"})), "artifact_path"),
        (json!({}), "namespace"),
        (json!(null), "cannot read the deploy request"),
        (json!([1, 2]), "cannot read the deploy request"),
    ];
    for (request, cause) in cases {
        let answer = node.request("deploy", &serde_json::to_vec(&request).unwrap());
        let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
        assert_eq!(answer["accepted"], false, "{request}");
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(cause), "{message:?} lacks {cause:?}");
        assert!(!message.contains('\n'));
    }
    for garbage in [&b""[..], b"{", b"\xff\xfe", &[b'['; 100_000]] {
        let answer = node.request("deploy", garbage);
        assert!(answer.payload.starts_with(b"{\"accepted\":false"), "{answer:?}");
    }
    assert_eq!(node.deploy("/bin/echo", &["still here"])["accepted"], true);
    node.line(|text| text == "still here");
}

#[test]
fn a_running_agent_takes_no_second_workload() {
    let mut node = Node::with_agent();
    node.run("echo up; exec sleep 100");
    node.line(|text| text == "up");
    let answer = node.deploy("/bin/echo", &[]);
    assert_eq!(answer["accepted"], false);
    assert!(answer["message"].as_str().unwrap().contains("already runs \"probe\""), "{answer}");
}

#[test]
fn a_file_that_is_still_being_written_is_waited_for() {
    let mut node = Node::with_agent();
    let program = node.dir.path().join("program");
    std::fs::copy("/bin/echo", &program).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let writer = std::fs::OpenOptions::new().append(true).open(&program).unwrap();
    let deploy = request(program.to_str().unwrap(), &["finally"], &json!({}));
    let inbox = node.ask("deploy", &serde_json::to_vec(&deploy).unwrap());
    for _ in 0..3 {
        node.pump();
    }
    assert!(!node.published.iter().any(|it| it.subject == *inbox), "it cannot run yet");
    drop(writer);
    node.line(|text| text == "finally");
    let answer = node.wait(|publish| publish.subject == *inbox);
    assert!(answer.payload.starts_with(b"{\"accepted\":true"), "{answer:?}");
}

#[test]
fn an_answer_takes_no_longer_than_a_fork() {
    let mut took = Vec::new();
    for _ in 0..5 {
        let mut node = Node::with_agent();
        let start = std::time::Instant::now();
        node.deploy(SHELL, &["-c", "exec sleep 100"]);
        took.push(start.elapsed());
    }
    took.sort();
    // A generous bound for a busy machine and an unoptimized agent; it finds sleeps and polls.
    assert!(took[0] < std::time::Duration::from_millis(20), "{took:?}");
}
