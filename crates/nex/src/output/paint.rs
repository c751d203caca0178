//! Colours, where they are wanted.

use std::io::IsTerminal;

/// The colours in use; names are those of the terminal's palette.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// Headings.
    Bold,
    /// What matters less.
    Dim,
    /// Failures.
    Red,
    /// Success.
    Green,
    /// What should be looked at.
    Yellow,
    /// Names.
    Cyan,
}

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Red => "31",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Cyan => "36",
        }
    }
}

/// Whether one output stream takes colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paint(bool);

impl Paint {
    /// Colours for `stream` if it is a terminal and nobody said no: `NO_COLOR`
    /// (any value that is not empty, <https://no-color.org>) and `TERM=dumb` do.
    pub(crate) fn for_stream(stream: &impl IsTerminal) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self(stream.is_terminal() && !refused)
    }

    /// Colours or none, as told.
    #[cfg(test)]
    pub(crate) fn fixed(on: bool) -> Self {
        Self(on)
    }

    /// Whether colours are on.
    pub(crate) fn is_on(self) -> bool {
        self.0
    }

    /// `text` in `colour`.
    pub(crate) fn apply(self, colour: Colour, text: &str) -> String {
        if self.0 { format!("\x1b[{}m{text}\x1b[0m", colour.code()) } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paints_only_when_on() {
        assert_eq!(Paint::fixed(false).apply(Colour::Red, "x"), "x");
        assert_eq!(Paint::fixed(true).apply(Colour::Red, "x"), "\x1b[31mx\x1b[0m");
    }
}
