//! From what a person types to the subject of a call.

use nex_client::Client;
use nex_client::discovery::FoundFunction;
use nex_protocol::name::{Namespace, WorkloadName};
use nex_protocol::subject::{Subject, SubjectPattern};

use crate::exit::usage;

/// Stands for what a wildcard covers.
const EXAMPLE_TOKEN: &str = "example";

/// Most subjects that an error lists.
const MAX_LISTED: usize = 8;

/// Where a call goes, and by which name it was found.
#[derive(Debug)]
pub(super) struct Target {
    /// The subject.
    pub(super) subject: Subject,
    /// The function it was found by, if it was one.
    pub(super) function: Option<WorkloadName>,
}

/// The subject that `text` means: that of the function of this name, else `text` itself.
///
/// Only what could be the name of a function is asked for, and a server answers at once that
/// there is none.
pub(super) async fn resolve(
    client: &Client,
    text: &str,
    namespace: &Namespace,
) -> anyhow::Result<Target> {
    let itself = subject(text)?;
    let found = match text.parse::<WorkloadName>() {
        Ok(name) => client.function(&name, namespace).await?,
        Err(_) => None,
    };
    match found {
        Some(function) => {
            let subject = choose(&function, &itself)?;
            Ok(Target { subject, function: Some(function.name) })
        }
        None => Ok(Target { subject: itself, function: None }),
    }
}

/// `text` as a subject.
pub(super) fn subject(text: &str) -> anyhow::Result<Subject> {
    text.parse().map_err(|error| usage(format!("'{text}': {error}")))
}

/// The subject to call a function on, or which there are.
fn choose(function: &FoundFunction, itself: &Subject) -> anyhow::Result<Subject> {
    if let Some(only) = function.only_subject() {
        return Ok(only);
    }
    // Both a name and one of its subjects.
    if function.subjects.iter().any(|pattern| pattern.as_str() == itself.as_str()) {
        return Ok(itself.clone());
    }
    let name = &function.name;
    let Some(first) = function.subjects.first() else {
        anyhow::bail!("the function {name} tells no subject; call it on one you know");
    };
    let mut listed: Vec<&str> =
        function.subjects.iter().take(MAX_LISTED).map(AsRef::as_ref).collect();
    if function.subjects.len() > MAX_LISTED {
        listed.push("…");
    }
    anyhow::bail!(
        "the function {name} is called on {}; name one subject, such as: nex call {}",
        listed.join(", "),
        example(first)
    )
}

/// A subject that a pattern matches; the pattern itself if it has no wildcard.
pub(super) fn example(pattern: &SubjectPattern) -> String {
    let tokens = pattern.tokens().map(|token| match token {
        "*" | ">" => EXAMPLE_TOKEN,
        token => token,
    });
    tokens.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_matched_by_its_pattern() {
        for (pattern, shown) in [
            ("orders.new", "orders.new"),
            ("orders.*", "orders.example"),
            ("images.*.resize", "images.example.resize"),
            ("orders.>", "orders.example"),
            ("a.*.b.>", "a.example.b.example"),
        ] {
            let pattern: SubjectPattern = pattern.parse().unwrap();
            assert_eq!(example(&pattern), shown);
            assert!(pattern.matches(shown));
            shown.parse::<Subject>().unwrap();
        }
    }

    #[test]
    fn wildcards_are_wrong_usage() {
        for wrong in ["", "a..b", "a.*", ">", "a b"] {
            assert!(subject(wrong).unwrap_err().is::<crate::exit::UsageError>(), "{wrong:?}");
        }
    }
}
