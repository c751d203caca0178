//! The one place that writes to standard output and standard error.

use std::io::{ErrorKind, IsTerminal, Write};

use anyhow::Context;
use serde::Serialize;

use super::Table;
use super::paint::{Colour, Paint};
use crate::exit::OutputClosed;

/// Writes data and messages.
///
/// Data that cannot be written is an error ([`OutputClosed`] when its reader
/// went away); a message that cannot be written is dropped, because there is
/// nowhere left to say so.
pub(crate) struct Printer {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    json: bool,
    /// Standard output is a terminal: fit its width, indent JSON.
    out_terminal: bool,
    err_terminal: bool,
    out_paint: Paint,
    err_paint: Paint,
}

impl Printer {
    /// A printer for this process.
    pub(crate) fn stdio(json: bool) -> Self {
        let (out, err) = (std::io::stdout(), std::io::stderr());
        Self {
            json,
            out_terminal: out.is_terminal(),
            err_terminal: err.is_terminal(),
            out_paint: Paint::for_stream(&out),
            err_paint: Paint::for_stream(&err),
            out: Box::new(out),
            err: Box::new(err),
        }
    }

    /// Whether data is wanted as JSON.
    pub(crate) fn wants_json(&self) -> bool {
        self.json
    }

    /// Whether standard output is a terminal: a person reads the data.
    pub(crate) fn data_on_terminal(&self) -> bool {
        self.out_terminal
    }

    /// Whether standard error is a terminal: only then is progress drawn.
    pub(crate) fn messages_on_terminal(&self) -> bool {
        self.err_terminal
    }

    /// Colours for data.
    pub(crate) fn paint(&self) -> Paint {
        self.out_paint
    }

    /// Writes a text of data and a new line.
    pub(crate) fn line(&mut self, text: &str) -> anyhow::Result<()> {
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.write_all(b"\n"));
        self.check(written)
    }

    /// Writes a text of data as it stands.
    pub(crate) fn raw(&mut self, text: &[u8]) -> anyhow::Result<()> {
        let written = self.out.write_all(text);
        self.check(written)
    }

    /// Writes a value as one JSON document, indented for people.
    pub(crate) fn document(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = if self.out_terminal {
            serde_json::to_string_pretty(value)
        } else {
            serde_json::to_string(value)
        };
        self.line(&text.context("cannot write the answer as JSON")?)
    }

    /// Writes a value as one line of JSON: an item of a stream.
    pub(crate) fn item(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string(value).context("cannot write the line as JSON")?;
        self.line(&text)
    }

    /// Writes a table that fits the terminal.
    pub(crate) fn table(&mut self, table: &Table) -> anyhow::Result<()> {
        let text = table.render(self.out_terminal, self.out_paint);
        self.line(&text)
    }

    /// Writes a message.
    pub(crate) fn message(&mut self, text: &str) {
        self.tell(text);
    }

    /// Writes a warning.
    pub(crate) fn warning(&mut self, text: &str) {
        let label = self.err_paint.apply(Colour::Yellow, "warning:");
        self.tell(&format!("{label} {text}"));
    }

    /// Writes what went wrong.
    pub(crate) fn error(&mut self, text: &str) {
        let label = self.err_paint.apply(Colour::Red, "error:");
        self.tell(&format!("{label} {text}"));
    }

    /// A heading within messages.
    pub(crate) fn heading(&mut self, text: &str) {
        let text = self.err_paint.apply(Colour::Bold, text);
        self.tell(&text);
    }

    fn tell(&mut self, text: &str) {
        // One write per message: lines of several processes stay whole.
        let _ = self.err.write_all(format!("{text}\n").as_bytes());
        let _ = self.err.flush();
    }

    fn check(&mut self, written: std::io::Result<()>) -> anyhow::Result<()> {
        match written.and_then(|()| self.out.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(OutputClosed.into()),
            Err(error) => Err(error).context("cannot write to standard output"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_told_apart() {
        let mut printer = Printer {
            out: Box::new(Closed),
            err: Box::new(Closed),
            json: false,
            out_terminal: false,
            err_terminal: false,
            out_paint: Paint::fixed(false),
            err_paint: Paint::fixed(false),
        };
        assert!(printer.line("x").unwrap_err().is::<OutputClosed>());
        printer.message("nobody hears this");
    }
}
