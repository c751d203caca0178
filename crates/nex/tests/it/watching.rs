//! `nex devrun --watch` with a real node: of a service, which every node runs.

use std::path::Path;

use nex_testkit::TestNats;
use serde_json::Value;

use crate::program::User;

/// A program that says `text` and waits.
fn program(folder: &Path, text: &str) -> Vec<u8> {
    let source = folder.join("says.c");
    let built = folder.join("says");
    let code = format!(
        "#include <stdio.h>\n#include <unistd.h>\n\
         int main(void) {{ puts(\"{text}\"); fflush(stdout); for (;;) pause(); }}"
    );
    std::fs::write(&source, code).unwrap();
    let status = std::process::Command::new("cc").arg("-o").args([&built, &source]).status();
    assert!(status.unwrap().success());
    std::fs::read(built).unwrap()
}

/// As a linker does it: another file under the same name.
fn save(path: &Path, bytes: &[u8]) {
    let new = path.with_extension("new");
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(new, path).unwrap();
}

#[tokio::test]
async fn a_saved_program_takes_the_place_of_the_last_one() {
    let nats = TestNats::start().await;
    let user = User::at(&nats.url());
    let mut node = user.up(&[]);
    node.line().await;
    let [one, two] = ["one", "two"].map(|text| program(user.home(), text));
    let file = user.file("greeter", one);
    let mut logs = user.start(&["logs"]);
    logs.message_with("following").await;

    let mut dev = user.start(&["devrun", file.to_str().unwrap(), "--watch", "--json"]);
    let first: Value = serde_json::from_str(&dev.line().await).unwrap();
    logs.line_with("one").await;
    dev.message_with("save it to deploy again; Ctrl-C stops greeter").await;

    // What cannot run leaves the last one as it is.
    save(&file, b"not a program");
    dev.message_with("neither an ELF program nor WebAssembly").await;
    dev.message_with("watching").await;
    assert_eq!(user.json(&["ps"]).await[0]["id"], first["id"]);

    save(&file, &two);
    let second: Value = serde_json::from_str(&dev.line().await).unwrap();
    assert_ne!(first["id"], second["id"]);
    logs.line_with("two").await;
    dev.message_with("watching").await;
    let running = user.json(&["ps"]).await;
    assert_eq!(running.as_array().unwrap().len(), 1, "{running}");
    assert_eq!(running[0]["id"], second["id"]);

    // The same bytes again are nothing new.
    save(&file, &two);
    dev.message_with("nothing has changed").await;
    dev.message_with("watching").await;

    dev.signal("INT");
    let (code, said) = dev.end().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("stopped the running greeter"), "{said}");
    assert_eq!(user.json(&["ps"]).await, serde_json::json!([]));

    // With --keep it stays.
    let mut dev = user.start(&["devrun", file.to_str().unwrap(), "--watch", "--keep"]);
    dev.message_with("Ctrl-C ends").await;
    dev.signal("TERM");
    assert_eq!(dev.end().await, (Some(0), "greeter runs on\n".to_owned()));
    assert_eq!(user.json(&["ps"]).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_cannot_run_yet_is_waited_for() {
    let nats = TestNats::start().await;
    let user = User::at(&nats.url());
    let mut node = user.up(&[]);
    node.line().await;
    let good = program(user.home(), "good");
    // Built for another machine: the node refuses it.
    let mut foreign = good.clone();
    foreign[18] = 0xf7;
    let file = user.file("greeter", foreign);
    let mut dev = user.start(&["devrun", file.to_str().unwrap(), "--watch"]);
    dev.message_with("error: ").await;
    dev.message_with("correct and save it; Ctrl-C ends").await;
    save(&file, &good);
    assert!(dev.line().await.starts_with("greeter runs on "));
    dev.message_with("watching").await;
    dev.signal("INT");
    assert_eq!(dev.end().await.0, Some(0));
}
