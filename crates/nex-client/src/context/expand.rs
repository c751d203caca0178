//! `~`, `$NAME` and `${NAME}` in the file names of a context.

use std::fmt;
use std::sync::Arc;

type Variables = dyn Fn(&str) -> Option<String> + Send + Sync;

/// What `~` and environment variables stand for.
///
/// The rules are those of Go's `os.ExpandEnv`: a variable that is not set
/// becomes the empty text, and a `$` that starts no name stays. Only a `~` at
/// the very start is replaced.
#[derive(Clone)]
pub struct Expansion {
    home: Option<String>,
    variables: Arc<Variables>,
}

impl Expansion {
    /// Expansion from a home folder and a look-up of variables.
    pub fn new(
        home: Option<String>,
        variables: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self { home, variables: Arc::new(variables) }
    }

    /// Expansion from the environment of this process.
    #[must_use]
    pub fn from_process() -> Self {
        let home = std::env::home_dir().and_then(|home| home.into_os_string().into_string().ok());
        Self::new(home, |name| std::env::var(name).ok())
    }

    /// The home folder, if there is one.
    #[must_use]
    pub fn home(&self) -> Option<&str> {
        self.home.as_deref()
    }

    /// The value of an environment variable.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        (self.variables)(name)
    }

    /// `text` with its `~` and variables replaced.
    #[must_use]
    pub fn expand(&self, text: &str) -> String {
        match (text.strip_prefix('~'), &self.home) {
            (Some(rest), Some(home)) => format!("{home}{}", self.expand_variables(rest)),
            _ => self.expand_variables(text),
        }
    }

    fn expand_variables(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            let (reference, tail) = Reference::split(after);
            match reference {
                Reference::Name(name) => out.push_str(&self.variable(name).unwrap_or_default()),
                Reference::Malformed => {}
                Reference::NotAName => out.push('$'),
            }
            rest = tail;
        }
        out.push_str(rest);
        out
    }
}

impl fmt::Debug for Expansion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expansion").field("home", &self.home).finish_non_exhaustive()
    }
}

/// What stands behind a `$`.
enum Reference<'a> {
    Name(&'a str),
    /// `${}` or a `${` that nothing closes: left out.
    Malformed,
    /// The `$` stands for itself.
    NotAName,
}

impl<'a> Reference<'a> {
    /// Splits `after`, the text behind a `$`, into the reference and the rest.
    fn split(after: &'a str) -> (Self, &'a str) {
        if let Some(braced) = after.strip_prefix('{') {
            return match braced.split_once('}') {
                Some(("", tail)) => (Self::Malformed, tail),
                Some((name, tail)) => (Self::Name(name), tail),
                None => (Self::Malformed, braced),
            };
        }
        let end = match after.chars().next() {
            Some('*' | '#' | '$' | '@' | '!' | '?' | '-' | '0'..='9') => 1,
            _ => after
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(after.len()),
        };
        match after.split_at_checked(end) {
            Some((name, tail)) if !name.is_empty() => (Self::Name(name), tail),
            _ => (Self::NotAName, after),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Expansion;

    #[test]
    fn follows_go_expandenv() {
        let expansion = Expansion::new(Some("/home/me".into()), |name| match name {
            "A" => Some("1".into()),
            "A_B" => Some("2".into()),
            _ => None,
        });
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("$A", "1"),
            ("$A_B/x", "2/x"),
            ("${A}_B", "1_B"),
            ("$A$A", "11"),
            ("x$NOPE/y", "x/y"),
            ("100$", "100$"),
            ("a$/b", "a$/b"),
            ("${}x", "x"),
            ("${A", "A"),
            ("$1x", "x"),
            ("é$Aé", "é1é"),
            ("~", "/home/me"),
            ("~/k", "/home/me/k"),
            ("~me/k", "/home/meme/k"),
            ("/x/~/k", "/x/~/k"),
        ] {
            assert_eq!(expansion.expand(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_tilde_without_a_home_stays() {
        assert_eq!(Expansion::new(None, |_| None).expand("~/k"), "~/k");
    }
}
