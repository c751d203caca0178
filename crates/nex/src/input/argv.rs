//! The arguments of a workload: `--argv` split as a shell would, or verbatim
//! behind `--`.

/// Why the text of `--argv` cannot be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ArgvError {
    /// A quote that is never closed.
    OpenQuote(char),
    /// A backslash with nothing behind it.
    TrailingBackslash,
    /// A NUL byte, which no program can receive.
    Nul,
}

impl std::fmt::Display for ArgvError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OpenQuote(quote) => {
                write!(
                    f,
                    "--argv opens a {quote} and never closes it; close it, or pass the arguments behind --"
                )
            }
            Self::TrailingBackslash => f.write_str(
                "--argv ends in a lone backslash; double it, or pass the arguments behind --",
            ),
            Self::Nul => f.write_str("an argument holds a NUL byte, which no program can receive"),
        }
    }
}

impl std::error::Error for ArgvError {}

/// Splits at white space; `'…'` is verbatim, `"…"` knows `\"` and `\\`, a
/// backslash elsewhere takes the next character literally.
///
/// No variable, glob or tilde is expanded. A text without quotes and
/// backslashes splits as the Go CLI splits it, without its empty arguments.
pub(crate) fn split(text: &str) -> Result<Vec<String>, ArgvError> {
    if text.contains('\0') {
        return Err(ArgvError::Nul);
    }
    let mut arguments = Vec::new();
    let mut current: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\'' => {
                let into = current.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some('\'') => break,
                        Some(inside) => into.push(inside),
                        None => return Err(ArgvError::OpenQuote('\'')),
                    }
                }
            }
            '"' => {
                let into = current.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some('"') => break,
                        Some('\\') => match characters.next() {
                            Some(escaped @ ('"' | '\\')) => into.push(escaped),
                            Some(other) => into.extend(['\\', other]),
                            None => return Err(ArgvError::OpenQuote('"')),
                        },
                        Some(inside) => into.push(inside),
                        None => return Err(ArgvError::OpenQuote('"')),
                    }
                }
            }
            '\\' => match characters.next() {
                Some(escaped) => current.get_or_insert_default().push(escaped),
                None => return Err(ArgvError::TrailingBackslash),
            },
            space if space.is_whitespace() => arguments.extend(current.take()),
            other => current.get_or_insert_default().push(other),
        }
    }
    arguments.extend(current);
    Ok(arguments)
}

/// All arguments of a workload: those of `--argv`, then those behind `--`.
pub(crate) fn collect(argv: Option<&str>, verbatim: &[String]) -> Result<Vec<String>, ArgvError> {
    let mut arguments = argv.map(split).transpose()?.unwrap_or_default();
    for argument in verbatim {
        if argument.contains('\0') {
            return Err(ArgvError::Nul);
        }
        arguments.push(argument.clone());
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_like_a_shell() {
        for (text, arguments) in [
            ("", vec![]),
            ("   ", vec![]),
            ("a b  c", vec!["a", "b", "c"]),
            ("--name 'two words' x", vec!["--name", "two words", "x"]),
            (r#"--name="two words""#, vec!["--name=two words"]),
            (r#""a \"b\" \\ \n""#, vec![r#"a "b" \ \n"#]),
            (r"a\ b", vec!["a b"]),
            ("'' x \"\"", vec!["", "x", ""]),
            ("'$HOME' ~ *", vec!["$HOME", "~", "*"]),
            ("gr\u{fc}n \u{1f600}", vec!["gr\u{fc}n", "\u{1f600}"]),
        ] {
            assert_eq!(split(text).unwrap(), arguments, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_open() {
        assert_eq!(split("'a"), Err(ArgvError::OpenQuote('\'')));
        assert_eq!(split("\"a\\"), Err(ArgvError::OpenQuote('"')));
        assert_eq!(split("a\\"), Err(ArgvError::TrailingBackslash));
        assert_eq!(split("a\0b"), Err(ArgvError::Nul));
    }

    #[test]
    fn what_stands_behind_the_dashes_stays_as_it_is() {
        let verbatim = ["two words".to_owned(), "'q'".to_owned()];
        assert_eq!(collect(Some("-v"), &verbatim).unwrap(), ["-v", "two words", "'q'"]);
        assert_eq!(collect(None, &[]).unwrap(), Vec::<String>::new());
    }
}
