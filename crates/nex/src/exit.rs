//! How the program ends: what an error looks like and which exit code it gives.

use std::process::ExitCode;

use nex_client::RequestError;
use nex_client::deploy::DeployError;
use nex_node::config::ConfigError;

use crate::input::program::ProgramError;
use crate::output::printable;

/// The exit codes of `nex`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Ok,
    /// Tried and failed; standard error says why.
    Failed,
    /// The command line is wrong; nothing was tried.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
        })
    }
}

/// An error of whoever typed the command: exit code 2.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// A usage error from anything that can be shown.
pub(crate) fn usage(text: impl std::fmt::Display) -> anyhow::Error {
    anyhow::Error::new(UsageError(text.to_string()))
}

/// Standard output was closed by its reader (`nex ps | head -1`): not an error
/// of ours, so it ends the program without a word.
#[derive(Debug)]
pub(crate) struct OutputClosed;

impl std::fmt::Display for OutputClosed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("standard output was closed")
    }
}

impl std::error::Error for OutputClosed {}

/// The exit code of a finished command, and what to print about it.
pub(crate) fn judge(result: anyhow::Result<Exit>) -> (Exit, Vec<String>) {
    match result {
        Ok(exit) => (exit, Vec::new()),
        Err(error) if error.is::<OutputClosed>() => (Exit::Ok, Vec::new()),
        Err(error) => {
            let exit = if error.is::<UsageError>() { Exit::Usage } else { Exit::Failed };
            (exit, in_words(&error))
        }
    }
}

/// What to print about an error: one line, but one for each mistake of a
/// configuration, and what a compiler says with the lines it is about.
pub(crate) fn in_words(error: &anyhow::Error) -> Vec<String> {
    if let Some(ConfigError::Invalid(problems)) = error.downcast_ref() {
        return problems.iter().map(|problem| printable(&problem.to_string())).collect();
    }
    let excerpt = excerpt_in(error);
    let lines = match excerpt.as_deref().and_then(|text| text.split_once('\n')) {
        // Its first line is part of the error's own, the others stand below it.
        Some((first, rest)) => {
            let first = first.split_whitespace().collect::<Vec<_>>().join(" ");
            let whole = one_line(error);
            let head = match whole.split_once(&first) {
                Some((before, _)) => format!("{before}{first}"),
                None => format!("{whole}: {first}"),
            };
            std::iter::once(head).chain(rest.lines().map(str::to_owned)).collect()
        }
        None => vec![one_line(error)],
    };
    let lines: Vec<String> =
        lines.iter().map(|line| printable(line).trim_end().to_owned()).collect();
    vec![lines.join("\n")]
}

/// The text in an error that has several lines on purpose, such as a syntax
/// error that shows its place in the source.
fn excerpt_in(error: &anyhow::Error) -> Option<String> {
    let refused = |request: &RequestError| match request {
        RequestError::Refused { reason, .. } => Some(reason.clone()),
        _ => None,
    };
    let of_deploy = |deploy: &DeployError| match deploy {
        DeployError::Request(request) => refused(request),
        _ => None,
    };
    let of_program = |program: &ProgramError| program.excerpt().map(str::to_owned);
    let program = error.downcast_ref::<ProgramError>().and_then(of_program);
    program.or_else(|| error.downcast_ref::<DeployError>().and_then(of_deploy))
}

/// The whole chain of an error in one line, each cause once.
fn one_line(error: &anyhow::Error) -> String {
    let mut told: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        // Some libraries repeat the text of their source in their own, or add
        // nothing to it but a prefix.
        if text.is_empty() || told.iter().any(|before| before.contains(&text)) {
            continue;
        }
        match told.last_mut() {
            Some(before) if text.contains(before.as_str()) => *before = text,
            _ => told.push(text),
        }
    }
    told.join(": ")
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_closed_pipe_is_no_error() {
        assert_eq!(judge(Err(OutputClosed.into())), (Exit::Ok, vec![]));
        assert_eq!(
            judge(Err(anyhow::Error::new(OutputClosed).context("printing"))),
            (Exit::Ok, vec![])
        );
    }

    #[test]
    fn usage_is_two_and_everything_else_is_one() {
        assert_eq!(judge(Err(usage("x"))), (Exit::Usage, vec!["x".into()]));
        assert_eq!(judge(Err(anyhow::anyhow!("x"))), (Exit::Failed, vec!["x".into()]));
    }

    #[test]
    fn a_cause_is_told_once_and_in_one_line() {
        let inner = std::io::Error::other("no\n  such thing");
        let error = Err::<Exit, _>(inner).context("cannot read: no such thing").unwrap_err();
        assert_eq!(one_line(&error), "cannot read: no such thing");
        let error = anyhow::anyhow!("refused").context("cannot connect");
        assert_eq!(one_line(&error), "cannot connect: refused");
    }

    #[test]
    fn what_a_compiler_says_keeps_its_lines() {
        let reason =
            "syntax error at 2:7: unexpected token\n  2 | let x = = 1;\n    |         ^ \x1b[31m\n";
        let refused = RequestError::Refused { node: "node N".into(), reason: reason.into() };
        let error = anyhow::Error::new(DeployError::Request(refused));
        assert_eq!(
            in_words(&error),
            [
                "node N refused: syntax error at 2:7: unexpected token\n  2 | let x = = 1;\n    |         ^"
            ]
        );
        let broken =
            ProgramError::NoAssembly { path: "f.wat".into(), what: "unknown\n --> f.wat".into() };
        assert_eq!(
            in_words(&broken.into()),
            ["f.wat is no text of WebAssembly; correct it: unknown\n --> f.wat"]
        );
        // A word of one line is not an excerpt.
        let refused = RequestError::Refused { node: "node N".into(), reason: "no\x1b[2J".into() };
        let error = anyhow::Error::new(DeployError::Request(refused));
        assert_eq!(in_words(&error), ["node N refused: no"]);
    }

    #[test]
    fn every_mistake_of_a_configuration_has_its_line() {
        let wrong = serde_json::json!({"machine_pool_size": 0, "tags": 1});
        let error = nex_node::config::from_value(&wrong, &Default::default()).unwrap_err();
        let told = in_words(&error.into());
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("machine_pool_size") && told[1].contains("tags"), "{told:?}");
    }
}
