//! What the program writes about itself, and what `docs/CLI.md` says of it.

use crate::help::commands;
use crate::program::User;

#[tokio::test]
async fn the_reference_lists_every_command_and_every_option() {
    let reference = include_str!("../../../../docs/CLI.md");
    let user = User::new();
    for words in commands().await {
        let command =
            ["nex"].into_iter().chain(words.iter().map(String::as_str)).collect::<Vec<_>>();
        let command = command.join(" ");
        assert!(
            reference.contains(&format!("`{command}")),
            "docs/CLI.md does not have `{command}`"
        );
        let args: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        for option in options(&user.ok(&args).await) {
            assert!(
                reference.contains(&option),
                "docs/CLI.md does not have {option} of `{command}`"
            );
        }
    }
}

fn options(help: &str) -> Vec<String> {
    let starts = help.lines().filter(|line| line.trim_start().starts_with('-'));
    let words = starts.flat_map(|line| line.split([' ', ',', '=', '[']));
    words.filter(|word| word.starts_with("--") && word.len() > 2).map(str::to_owned).collect()
}

#[tokio::test]
async fn manual_pages_are_written_for_every_command() {
    let user = User::new();
    assert!(user.ok(&["man"]).await.contains(".TH nex 1"));
    let folder = user.home().join("man1");
    user.ok(&["man", "--out", folder.to_str().unwrap()]).await;
    for words in commands().await {
        let name = ["nex"].into_iter().chain(words.iter().map(String::as_str)).collect::<Vec<_>>();
        let page = folder.join(format!("{}.1", name.join("-")));
        assert!(page.is_file(), "{}", page.display());
    }
    let error = user.fails(1, &["man", "--out", "/proc/man1"]).await;
    assert!(error.contains("cannot write manual pages into /proc/man1"), "{error}");
}

#[tokio::test]
async fn completions_know_the_commands() {
    let user = User::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = user.ok(&["completions", shell]).await;
        for command in ["devrun", "call", "bench"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}

#[tokio::test]
async fn the_version_is_told() {
    let user = User::new();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(user.ok(&["version"]).await, format!("nex {version}\n"));
    assert_eq!(user.ok(&["--version"]).await, format!("nex {version}\n"));
    assert_eq!(user.json(&["version"]).await["version"], version);
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_the_program_quietly() {
    let user = User::new();
    let mut command = user.command(&["node", "config", "--schema"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer);
    let output = command.spawn().unwrap().wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
