//! Lines, pieces of lines, too many lines.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::node::{Node, is_alive};

#[test]
fn both_streams_line_by_line() {
    let mut node = Node::with_agent();
    node.run(
        "printf 'one\\r\\ntwo\\n\\nlast'; printf 'problem\\n' >&2; printf 'nul\\0in\\377\\n' >&2",
    );
    node.end();
    let of = |level| -> Vec<String> {
        node.lines().into_iter().filter(|it| it.level == level).map(|it| it.text).collect()
    };
    assert_eq!(of(4), ["one", "two", "", "last"]);
    assert_eq!(of(2), ["problem", "nul\0in\u{fffd}"]);
}

#[test]
fn the_start_of_a_line_is_shown_before_its_end() {
    let mut node = Node::with_agent();
    node.run("printf 'password: '; exec sleep 100");
    node.line(|text| text == "password: ");
}

#[test]
fn a_long_line_comes_in_marked_pieces() {
    let mut node = Node::with_agent();
    node.run("head -c 40000 /dev/zero | tr '\\0' x; echo; echo short");
    node.end();
    let texts = node.texts();
    assert_eq!(texts.len(), 4, "{:?}", texts.iter().map(String::len).collect::<Vec<_>>());
    assert!(texts[0].ends_with("x…") && texts[1].starts_with("…x") && texts[1].ends_with("x…"));
    assert!(texts[2].starts_with("…x") && texts[2].ends_with('x'));
    let letters: usize = texts[..3].iter().map(|it| it.matches('x').count()).sum();
    assert_eq!(letters, 40_000);
    assert_eq!(texts[3], "short");
}

#[test]
fn nothing_is_lost_at_the_end() {
    let mut node = Node::with_agent();
    node.run("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; exit 7");
    assert_eq!(node.end()["code"], 7);
    let texts = node.texts();
    assert_eq!(texts.len(), 3000);
    assert_eq!(texts[2999], "line 2999");
}

#[test]
fn a_flood_is_limited_counted_and_reported() {
    let mut node = Node::with_agent();
    let limits = json!({"log_lines_per_second": 200, "stop_grace_ms": 2000});
    let start = Instant::now();
    let answer = node.deploy_with("/usr/bin/yes", &["a line of the flood"], limits);
    assert_eq!(answer["accepted"], true, "{answer}");
    let warning = node.line(|text| text.starts_with("dropped"));
    assert_eq!(warning.level, 3);
    assert!(warning.text.contains("over the limit of 200 lines/s"), "{}", warning.text);
    let pid = node.agent.id();
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    assert!(resident() < 4096, "the agent grew to {} KiB", resident());
    // Still answers at once.
    let asked = Instant::now();
    assert_eq!(node.deploy("/bin/echo", &[])["accepted"], false);
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    node.request("undeploy", b"");
    let seconds = start.elapsed().as_secs() + 1;
    let passed = node.texts().iter().filter(|text| *text == "a line of the flood").count() as u64;
    assert!(passed <= 200 * (seconds + 1), "{passed} lines in {seconds} s");
    let reports = node.texts().iter().filter(|text| text.starts_with("dropped")).count() as u64;
    assert!(reports <= seconds + 1, "{reports} reports in {seconds} s");
}

#[test]
fn a_node_that_does_not_read_holds_nobody_up_for_ever() {
    let mut node = Node::with_agent();
    let limits = json!({"log_lines_per_second": 100_000_000, "log_bytes_per_second": 1_u64 << 40});
    let marker = node.work().join("done");
    // 16 MiB (twice that with the letters), far more than every buffer on the way.
    let script =
        "head -c 16777216 /dev/zero | tr '\\0' '\\n' | sed 's/^/x/'; touch done; sleep 100";
    node.run_with(script, limits);
    crate::node::until("the service gets through", || marker.exists());
    let warning = node.line(|text| text.starts_with("dropped"));
    assert!(warning.text.contains("the node did not take them in time"), "{}", warning.text);
    assert!(is_alive(&node.agent.id().to_string()));
}
