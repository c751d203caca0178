//! The arguments of the `compile` command.

use std::path::PathBuf;

/// What is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A module or component, on standard input.
    Module,
    /// The JavaScript engine that this program carries.
    JavaScriptEngine,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) source: Source,
    /// Where the machine code is written.
    pub(super) output: PathBuf,
    /// Most address space of the process.
    pub(super) memory_bytes: u64,
    /// Most processor time of the process.
    pub(super) seconds: u64,
    /// End when the thread that started this process ends.
    pub(super) with_parent: bool,
}

/// The arguments make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Usage {
    #[error("what is to be compiled is neither \"wasm\" nor \"javascript-engine\"; {USAGE}")]
    Source,
    #[error("{0} is missing; {USAGE}")]
    Missing(&'static str),
    #[error("{0} is no positive number; {USAGE}")]
    Number(&'static str),
    #[error("unknown argument {0:?}; {USAGE}")]
    Unknown(String),
}

const USAGE: &str = "usage: nex-agent compile wasm|javascript-engine --output PATH \
                     --memory-bytes N --seconds N";

impl Request {
    pub(super) fn read(arguments: &[String]) -> Result<Self, Usage> {
        let mut arguments = arguments.iter();
        let source = match arguments.next().map(String::as_str) {
            Some("wasm") => Source::Module,
            Some("javascript-engine") => Source::JavaScriptEngine,
            _ => return Err(Usage::Source),
        };
        let (mut output, mut memory_bytes, mut seconds) = (None, None, None);
        let mut with_parent = false;
        while let Some(argument) = arguments.next() {
            let mut value = |name| arguments.next().ok_or(Usage::Missing(name));
            match argument.as_str() {
                "--output" => output = Some(PathBuf::from(value("--output")?)),
                "--memory-bytes" => {
                    memory_bytes = Some(number("--memory-bytes", value("--memory-bytes")?)?);
                }
                "--seconds" => seconds = Some(number("--seconds", value("--seconds")?)?),
                "--with-parent" => with_parent = true,
                other => return Err(Usage::Unknown(other.chars().take(100).collect())),
            }
        }
        Ok(Self {
            source,
            output: output.ok_or(Usage::Missing("--output"))?,
            memory_bytes: memory_bytes.ok_or(Usage::Missing("--memory-bytes"))?,
            seconds: seconds.ok_or(Usage::Missing("--seconds"))?,
            with_parent,
        })
    }
}

fn number(name: &'static str, text: &str) -> Result<u64, Usage> {
    match text.parse() {
        Ok(0) | Err(_) => Err(Usage::Number(name)),
        Ok(number) => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Request, Usage> {
        Request::read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn every_argument_is_needed_and_checked() {
        let request = read("wasm --seconds 3 --output /a/b --memory-bytes 1024").unwrap();
        assert_eq!((request.source, request.seconds), (Source::Module, 3));
        assert_eq!((request.output, request.memory_bytes), ("/a/b".into(), 1024));
        for (line, said) in [
            ("", "neither"),
            ("elf", "neither"),
            ("wasm --seconds 3 --output /a", "--memory-bytes is missing"),
            ("wasm --seconds", "--seconds is missing"),
            ("wasm --seconds 0", "--seconds is no positive number"),
            ("wasm --seconds -1", "--seconds is no positive number"),
            ("wasm /a/b", "unknown argument \"/a/b\""),
        ] {
            let usage = read(line).unwrap_err().to_string();
            assert!(usage.contains(said) && usage.contains("usage:"), "{usage}");
        }
    }
}
