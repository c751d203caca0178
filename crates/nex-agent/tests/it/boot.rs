//! What the agent is before and besides its workload.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::node::{ID, Node, SECRET, until};

#[test]
fn introduces_itself_as_the_protocol_says() {
    let mut node = Node::without_handshake(|_| {});
    let handshake = node.wait(|publish| publish.subject.ends_with(".handshake"));
    assert_eq!(handshake.subject.as_str(), format!("agentint.{ID}.handshake"));
    let body: Value = serde_json::from_slice(&handshake.payload).unwrap();
    assert_eq!(body["id"], ID);
    assert!(body["message"].as_str().is_some_and(|text| !text.is_empty()));
    assert!(body["start_time"].as_str().is_some_and(|text| text.ends_with('Z')));
    assert_eq!(node.connect.user.as_deref(), Some(ID));
    assert_eq!(node.connect.pass.as_deref(), Some(SECRET));
    assert!(!node.connect.echo && node.connect.headers);
    // Before the handshake, so that a deploy right after it finds a listener.
    node.deliver(&format!("agentint.{ID}.undeploy"), Some("_INBOX.early"), b"");
    node.wait(|publish| publish.subject == *"_INBOX.early");
}

#[test]
fn tells_its_version() {
    let mut node = Node::with_agent();
    assert_eq!(node.event("agent_started")["agent_version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn keeps_its_secret_and_its_memory_to_itself() {
    let node = Node::with_agent();
    let proc = std::path::PathBuf::from(format!("/proc/{}", node.agent.id()));
    // Root may read it; there must be nothing to be read.
    if let Ok(environment) = std::fs::read(proc.join("environ")) {
        assert!(environment.iter().all(|byte| *byte == 0), "the environment is still there");
    }
    let limits = std::fs::read_to_string(proc.join("limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    // A process that is not dumpable belongs to root, whoever runs it; and as it is here, its
    // memory map cannot be read by another process of the same user.
    let status = std::fs::read_to_string(proc.join("status")).unwrap();
    assert!(status.contains("Name:\tnex-agent"), "{status}");
}

#[test]
fn closes_what_it_inherited() {
    use std::os::fd::AsRawFd;
    let file = std::fs::File::open("/etc/passwd").unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let node = Node::with_agent();
    let fds = format!("/proc/{}/fd", node.agent.id());
    let Ok(entries) = std::fs::read_dir(&fds) else { return };
    let targets: Vec<_> =
        entries.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect();
    assert!(!targets.iter().any(|it| it.ends_with("passwd")), "{targets:?}");
    assert!(file.as_raw_fd() > 2);
}

#[test]
fn says_what_is_missing() {
    let output = Command::new(env!("CARGO_BIN_EXE_nex-agent")).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(words.lines().count(), 1);
    assert!(words.contains("NEX_NODE_NATS_HOST is not set"), "{words}");
}

#[test]
fn leaves_when_there_is_no_node() {
    let output = Command::new(env!("CARGO_BIN_EXE_nex-agent"))
        .env_clear()
        .env("NEX_WORKLOADID", ID)
        .env("NEX_NODE_SOCKET", "/nonexistent/bus")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("cannot connect to the node: No such file"), "{words}");
}

#[test]
fn leaves_when_the_node_goes_before_a_deploy() {
    let mut node = Node::with_agent();
    node.cut();
    assert_eq!(node.agent_exit().code(), Some(0));
    let words = node.last_words();
    assert!(words.contains("the node closed the connection"), "{words}");
}

#[test]
fn leaves_when_it_is_told_to() {
    let mut node = Node::with_agent();
    let pid = rustix::process::Pid::from_child(&node.agent);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(node.event("agent_stopped")["code"], 0);
    assert_eq!(node.agent_exit().code(), Some(0));
}

#[test]
fn serves_its_health() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _node = Node::with_agent_and(|command| {
        command.env("NEX_AGENT_HEALTH_ADDR", format!("127.0.0.1:{port}"));
    });
    let mut client = None;
    until("health is served", || {
        client = TcpStream::connect(("127.0.0.1", port)).ok();
        client.is_some()
    });
    let mut client = client.unwrap();
    client.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert!(body["started"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn a_warm_agent_is_small() {
    let node = Node::with_agent_and(|command| {
        command.stderr(Stdio::null());
    });
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.agent.id())).unwrap();
    let own = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    let kib: u64 = own.split_whitespace().nth(1).unwrap().parse().unwrap();
    // Memory of its own; this build is not optimized, the real one takes about half.
    assert!(kib < 2048, "{own}");
}
