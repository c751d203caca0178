//! How the program ends: what an error looks like and which exit code it gives.

use std::process::ExitCode;

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
pub(crate) fn judge(result: anyhow::Result<Exit>) -> (Exit, Option<String>) {
    match result {
        Ok(exit) => (exit, None),
        Err(error) if error.is::<OutputClosed>() => (Exit::Ok, None),
        Err(error) => {
            let exit = if error.is::<UsageError>() { Exit::Usage } else { Exit::Failed };
            (exit, Some(one_line(&error)))
        }
    }
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
        assert_eq!(judge(Err(OutputClosed.into())), (Exit::Ok, None));
        assert_eq!(
            judge(Err(anyhow::Error::new(OutputClosed).context("printing"))),
            (Exit::Ok, None)
        );
    }

    #[test]
    fn usage_is_two_and_everything_else_is_one() {
        assert_eq!(judge(Err(usage("x"))), (Exit::Usage, Some("x".into())));
        assert_eq!(judge(Err(anyhow::anyhow!("x"))), (Exit::Failed, Some("x".into())));
    }

    #[test]
    fn a_cause_is_told_once_and_in_one_line() {
        let inner = std::io::Error::other("no\n  such thing");
        let error = Err::<Exit, _>(inner).context("cannot read: no such thing").unwrap_err();
        assert_eq!(one_line(&error), "cannot read: no such thing");
        let error = anyhow::anyhow!("refused").context("cannot connect");
        assert_eq!(one_line(&error), "cannot connect: refused");
    }
}
