//! The configuration from the outside: texts in, settings, warnings and errors out.

mod docs;
mod effective;
mod examples;
mod findings;
mod hostile;
mod rules;

use std::path::Path;

use super::{Config, ConfigError, Overrides, Warning, load::Sources, surroundings::Surroundings};

/// The same on every machine.
fn surroundings() -> Surroundings {
    Surroundings {
        home: Some("/home/ada".into()),
        search_path: vec!["/usr/bin".into(), "/bin".into()],
    }
}

/// Loads a text with flags, as from `node.json`.
fn load_with(text: &str, overrides: &Overrides) -> Result<(Config, Vec<Warning>), ConfigError> {
    Sources::of_text(Path::new("node.json"), text)?.finish(overrides, &surroundings())
}

fn load(text: &str) -> Result<(Config, Vec<Warning>), ConfigError> {
    load_with(text, &Overrides::default())
}

/// The configuration of a text that has nothing to be said against.
fn good(text: &str) -> Config {
    let (config, warnings) = load(text).unwrap();
    assert_eq!(warnings, [], "{text}");
    config
}

/// Errors, all of them, and warnings as a person sees them.
fn said(loaded: Result<(Config, Vec<Warning>), ConfigError>) -> String {
    let lines: Vec<String> = match loaded {
        Ok((_, warnings)) => warnings.iter().map(|warning| format!("warning: {warning}")).collect(),
        Err(ConfigError::Invalid(problems)) => std::iter::once(format!("error: {problems}"))
            .chain(problems.iter().skip(1).map(|problem| format!("  then: {problem}")))
            .collect(),
        Err(error) => vec![format!("error: {error}")],
    };
    for line in &lines {
        assert!(!line.contains('\n'), "more than a line: {line}");
    }
    lines.join("\n")
}

/// No file, only flags.
fn flags(overrides: &Overrides) -> Result<(Config, Vec<Warning>), ConfigError> {
    Sources::default().finish(overrides, &surroundings())
}
