//! What is said when something is wrong: one line, with what to do next.

use nex_testkit::TestNats;

use crate::program::{User, steady};

/// A loopback port on which nothing listens.
async fn dead_url() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("nats://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn wrong_usage_is_exit_code_two() {
    let user = User::new();
    let elf = "/proc/self/exe";
    for args in [
        &["nodes"][..],
        &["node", "ls", "--no-such-flag"],
        &["node", "ls", "--timeout", "2"],
        &["node", "ls", "--timeout", "-2s"],
        &["node", "ls", "--namespace", "a.b"],
        &["node", "up", "--sandbox", "jail"],
        &["node", "up", "--tag", "novalue"],
        &["node", "up", "--nats-port", "4222"],
        &["run"],
        &["run", "file:///etc/passwd", "--name", "x"],
        &["run", "nats://B/k", "--name", "Not.A.Name"],
        &["devrun", elf, "NOPAIR"],
        &["devrun", elf, "A=@-", "B=@-"],
        &["devrun", elf, "--argv", "'open"],
        &["devrun", elf, "--trigger_subject", "a..b"],
        &["devrun", elf, "--call_timeout", "5"],
        &["devrun", elf, "--keep"],
        &["call"],
        &["call", "a..b"],
        &["call", "orders.*"],
        &["call", "a", "--header", "novalue"],
        &["call", "a", "--header", "a b=c"],
        &["bench", "a", "--file", "f.js"],
        &["bench", "a", "--clients", "0"],
        &["bench", "a", "--size", "big"],
        &["bench", "a", "--size", "1GiB"],
        &["bench", "a", "--duration", "0s"],
        &["bench", "a", "--requests", "5", "--duration", "5s"],
        &["stop"],
        &["stop", "a", "b", "c"],
        &["logs", "--level", "loud"],
        &["logs", "--workload_name", "Not.A.Name"],
        &["events", "--type", "nonsense"],
        &["completions", "tcsh"],
    ] {
        let error = user.fails(2, args).await;
        assert!(error.starts_with("error: "), "nex {args:?}: {error}");
        let name = format!("usage_{}", args.join("_").replace(['/', ':', '\''], ""));
        insta::assert_snapshot!(name, error);
    }
}

#[tokio::test]
async fn nothing_that_answers_is_one_line_with_the_next_step() {
    let url = dead_url().await;
    let user = User::at(&url);
    let program = user.file("program", b"\x7fELF");
    let program = program.to_str().unwrap();
    for args in [
        &["node", "ls"][..],
        &["node", "info"],
        &["node", "probe"],
        &["ps"],
        &["logs"],
        &["events"],
        &["lameduck"],
        &["call", "echo"],
        &["call", "a.b", "--subject"],
        &["bench", "echo"],
        &["bench"],
        &["devrun", program],
        &["run", "nats://B/k", "--name", "x"],
        &["stop", "echo"],
        &["node", "up", "--sandbox", "process", "--state-dir", "state"],
    ] {
        let error = user.fails(1, args).await;
        let error = error.lines().last().unwrap();
        assert_eq!(
            error.split(": start one with").next().unwrap(),
            format!("error: nothing answers at {url}"),
            "nex {args:?}"
        );
    }
}

#[tokio::test]
async fn the_cause_of_a_connection_that_fails_is_named() {
    let user = User::new();
    for (name, args) in [
        ("bad_url", &["node", "ls", "-s", "http://example"][..]),
        ("bad_port", &["node", "ls", "-s", "nats://localhost:99999"]),
        ("no_creds_file", &["node", "ls", "--creds", "none.creds"]),
        ("no_context", &["node", "ls", "--context", "nowhere"]),
    ] {
        let error = user.fails(1, args).await;
        assert_eq!(error.lines().count(), 1, "{error}");
        insta::assert_snapshot!(
            format!("connection_{name}"),
            steady(&error, &[(user.home().to_str().unwrap(), "HOME")])
        );
    }
    let nats = TestNats::options().password("anna", "secret").start().await;
    let url = nats.url();
    let user = User::at(&url);
    let error = user.fails(1, &["node", "ls", "--user", "anna", "--password", "wrong"]).await;
    insta::assert_snapshot!("connection_refused", steady(&error, &[(&url, "URL")]));
    assert!(!error.contains("wrong"));
    assert_eq!(user.ok(&["node", "ls", "--user", "anna", "--password", "secret"]).await, "");
    let mut command = user.command(&["node", "ls", "--json"]);
    command.env("NATS_USER", "anna").env("NATS_PASSWORD", "secret");
    assert_eq!(crate::program::end_of(command).await.out, "[]\n");
}

#[tokio::test]
async fn what_cannot_run_is_refused_before_anything_is_sent() {
    // No NATS here: none of these get that far.
    let user = User::at("nats://127.0.0.1:1");
    for (name, contents) in [
        ("script.sh", &b"#!/bin/sh\n"[..]),
        ("README", b"Nex runs programs"),
        ("empty", b""),
        ("module.wasm", b"(module)"),
        ("elf.js", b"\x7fELF"),
        ("broken.wat", b"(module\n  (fun))\n"),
    ] {
        let path = user.file(name, contents);
        let error = user.fails(1, &["devrun", path.to_str().unwrap()]).await;
        let error = steady(&error, &[(user.home().to_str().unwrap(), "HOME")]);
        insta::assert_snapshot!(format!("devrun_{name}"), error);
    }
    let function = user.file("f.js", "() => 1");
    let error = user.fails(1, &["devrun", function.to_str().unwrap()]).await;
    assert!(error.contains("--trigger_subject"), "{error}");
    let program = user.file("p", b"\x7fELF");
    let timed = ["devrun", program.to_str().unwrap(), "--call_timeout", "1s"];
    assert!(user.fails(1, &timed).await.contains("leave --call_timeout out"));
    let unread = user.fails(1, &["call", "a.b", "@missing"]).await;
    assert!(unread.contains("cannot read the payload from missing"), "{unread}");
    let missing = user.fails(1, &["devrun", program.to_str().unwrap(), "A=@missing"]).await;
    assert!(missing.contains("cannot read the value of A from missing"), "{missing}");
    let gone = user.fails(1, &["devrun", "gone"]).await;
    assert!(gone.contains("cannot read gone"), "{gone}");
    assert!(!user.home().join(".nex").exists());
}
