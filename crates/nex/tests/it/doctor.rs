//! `nex doctor`, and the node that it speaks of.

use std::path::Path;
use std::process::Command;

use nex_testkit::{DEADLINE, TestNats, process, wait_until};
use serde_json::Value;

use crate::program::{Running, User};

/// Whether this machine lets this user make namespaces; says loudly if not.
fn has_namespaces() -> bool {
    let made = Command::new("unshare").args(["-Urmpnf", "true"]).output();
    let works = made.is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("SKIPPED: this machine does not let this user make namespaces");
    }
    works
}

#[tokio::test]
async fn the_doctor_says_what_is_there_and_what_to_do() {
    let user = User::new();
    let ended = user.nex(&["doctor", "--json"]).await;
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let subjects: Vec<&str> =
        findings.iter().map(|finding| finding["subject"].as_str().unwrap()).collect();
    for subject in [
        "kernel",
        "namespaces",
        "cgroup",
        "users",
        "seccomp",
        "kvm",
        "nats-server",
        "disk",
        "clock",
    ] {
        assert!(subjects.contains(&subject), "{subject}: {subjects:?}");
    }
    for finding in findings {
        assert_eq!(finding["verdict"] == "good", finding["remedy"].is_null(), "{finding}");
    }
    let works = report["works"].as_bool().unwrap();
    assert_eq!(ended.status.code(), Some(i32::from(!works)));
    if has_namespaces() {
        assert!(works, "{report:#}");
    }
    let text = user.nex(&["doctor"]).await;
    assert!(text.out.contains("namespaces"), "{}", text.out);
}

/// A node that was told nothing about sandboxes.
async fn node(user: &User) -> (Running, Value) {
    let mut node = user.start(&["node", "up", "--state-dir", "state", "--json"]);
    let ready = serde_json::from_str(&node.line().await).unwrap();
    (node, ready)
}

#[tokio::test]
async fn a_node_isolates_unless_told_otherwise_and_shows_it() {
    if !has_namespaces() {
        return;
    }
    let nats = TestNats::start().await;
    let user = User::at(&nats.url());
    let (node, ready) = node(&user).await;
    assert_eq!(ready["sandbox"], "namespace");
    let sleeper = sleeper(&user);
    user.ok(&["devrun", sleeper.to_str().unwrap()]).await;
    assert_eq!(user.json(&["ps"]).await[0]["sandbox"], "namespace");
    let info = user.json(&["node", "info"]).await;
    assert_eq!(info["machines"][0]["sandbox"], "namespace");
    assert!(info["tags"]["nex.unsafe"].is_null(), "{info:#}");
    node.signal("TERM");
    assert_eq!(node.end().await.0, Some(0));
}

fn sleeper(user: &User) -> std::path::PathBuf {
    let source = user.file("sleeper.c", "#include <unistd.h>\nint main(void){for(;;)pause();}");
    let program = user.home().join("sleeper");
    let built =
        Command::new("cc").args(["-static", "-o"]).args([&program, &source]).status().unwrap();
    assert!(built.success());
    program
}

fn agents(state: &Path) -> usize {
    let mark = format!("sandbox {}/", state.join("sandboxes").display());
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| process::command_line(*pid).is_some_and(|line| line.contains(&mark)))
        .count()
}

#[tokio::test]
async fn nothing_is_left_of_a_node_that_was_killed() {
    if !has_namespaces() {
        return;
    }
    let nats = TestNats::start().await;
    let user = User::at(&nats.url());
    let (killed, ready) = node(&user).await;
    let state = Path::new(ready["state_dir"].as_str().unwrap()).to_owned();
    let program = sleeper(&user);
    user.ok(&["devrun", program.to_str().unwrap()]).await;
    assert!(agents(&state) >= 2);
    killed.signal("KILL");
    killed.end().await;
    // At once: the agents may not have noticed yet.
    let (next, _) = node(&user).await;
    wait_until(DEADLINE, "one warm sandbox", || {
        let folders = std::fs::read_dir(state.join("sandboxes")).unwrap().count();
        folders == 1 && agents(&state) <= 2
    })
    .await;
    assert_eq!(user.json(&["ps"]).await.as_array().unwrap().len(), 0);
    next.signal("TERM");
    assert_eq!(next.end().await.0, Some(0));
    assert_eq!(agents(&state), 0);
    assert_eq!(std::fs::read_dir(state.join("sandboxes")).unwrap().count(), 0);
}
