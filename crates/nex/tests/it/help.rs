//! The help of every command, frozen.

use crate::program::User;

/// All commands by their words, the program itself first, as the help lists them.
pub(crate) async fn commands() -> Vec<Vec<String>> {
    let user = User::new();
    let mut known: Vec<Vec<String>> = vec![Vec::new()];
    let mut next = 0;
    while let Some(words) = known.get(next).cloned() {
        next += 1;
        for name in subcommands(&help(&user, &words).await) {
            let mut longer = words.clone();
            longer.push(name);
            known.push(longer);
        }
    }
    assert!(known.len() > 15, "{known:?}");
    known
}

async fn help(user: &User, words: &[String]) -> String {
    let args: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
    user.ok(&args).await
}

fn subcommands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    lines
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .filter(|name| name != "help")
        .collect()
}

#[tokio::test]
async fn every_help_is_as_it_was() {
    let user = User::new();
    for words in commands().await {
        let name = ["nex"].into_iter().chain(words.iter().map(String::as_str)).collect::<Vec<_>>();
        let args: Vec<&str> = words.iter().map(String::as_str).chain(["-h"]).collect();
        insta::assert_snapshot!(name.join("_"), user.ok(&args).await);
    }
}

#[tokio::test]
async fn the_long_help_has_every_global_option() {
    let user = User::new();
    insta::assert_snapshot!("long_help", help(&user, &[]).await);
    // The defaults of a secret's variable are never shown.
    let mut command = user.command(&["--help"]);
    command.env("NATS_PASSWORD", "hunter2").env("NATS_USER", "hunter2");
    let shown = crate::program::end_of(command).await;
    assert!(!shown.out.contains("hunter2"));
}

#[tokio::test]
async fn without_arguments_the_help_is_shown_and_it_is_wrong_usage() {
    let shown = User::new().nex(&[]).await;
    assert_eq!(shown.status.code(), Some(2));
    assert!(shown.err.contains("Usage: nex"), "{}", shown.err);
}
