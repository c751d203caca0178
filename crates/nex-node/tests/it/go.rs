//! A Go control client, made of the libraries that the Go implementation uses,
//! drives the node: `interop/go`.

use std::{path::Path, process::Command};

use crate::world::{World, compile};

const PROGRAM: &str = r#"
#include <stdio.h>
#include <unistd.h>
extern char **environ;
int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) printf("[%s]\n", argv[i]);
    for (char **e = environ; *e; e++) puts(*e);
    fflush(stdout);
    for (;;) pause();
}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_go_client_drives_the_node() {
    let Some(client) = build("control") else { return };
    let world = World::start().await;
    let program = compile(world.dir.path(), "echo", PROGRAM);
    let (url, dir) = (world.nats.url(), client.1);
    let run = tokio::task::spawn_blocking(move || {
        Command::new(client.0).arg(url).arg(program).output().unwrap()
    });
    let output = run.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.ends_with("all checks passed\n"), "{said}");
    drop(dir);
    assert!(world.end().await.clean);
}

/// Builds a program of `interop/go`. Says why when that is not possible.
fn build(name: &str) -> Option<(std::path::PathBuf, tempfile::TempDir)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop/go");
    if Command::new("go").arg("version").output().is_err() {
        println!("SKIPPED: Go conformance: go is not installed");
        return None;
    }
    let out = tempfile::tempdir().unwrap();
    let program = out.path().join(name);
    let built = Command::new("go")
        .current_dir(folder)
        .args(["build", "-o"])
        .arg(&program)
        .arg(format!("./{name}"))
        .output()
        .unwrap();
    if !built.status.success() {
        let why = String::from_utf8_lossy(&built.stderr).into_owned();
        // Modules that cannot be fetched are the machine's lack; code that does
        // not compile is ours.
        assert!(why.contains("dial") || why.contains("proxy"), "{why}");
        println!("SKIPPED: Go conformance: its modules cannot be fetched: {why}");
        return None;
    }
    Some((program, out))
}
