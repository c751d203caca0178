//! What kind of workload a file is, by its extension and its first bytes.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use nex_protocol::control::WorkloadType;
use tempfile::NamedTempFile;

/// As many bytes as the longest magic number that is looked at.
const HEAD_BYTES: u64 = 16;

/// Largest text of WebAssembly that is assembled.
const MAX_WAT_BYTES: u64 = 16 << 20;

/// A file that can be run.
#[derive(Debug)]
pub(crate) struct Program {
    /// What kind of workload it is.
    pub(crate) workload_type: WorkloadType,
    contents: Contents,
}

#[derive(Debug)]
enum Contents {
    /// The file as it is.
    File(PathBuf),
    /// What the text of WebAssembly stands for; removed with this value.
    Assembled(NamedTempFile),
}

impl Program {
    /// The file to upload.
    pub(crate) fn file(&self) -> &Path {
        match &self.contents {
            Contents::File(path) => path,
            Contents::Assembled(file) => file.path(),
        }
    }
}

/// Why a file cannot be run.
#[derive(Debug)]
pub(crate) enum ProgramError {
    /// It cannot be opened or read.
    Unreadable(PathBuf, std::io::Error),
    /// It is a directory, a socket or another thing without contents.
    NotAFile(PathBuf),
    /// It has no contents.
    Empty(PathBuf),
    /// Its name says one kind, its contents another.
    Contradiction {
        /// The file.
        path: PathBuf,
        /// What its name says.
        named: &'static str,
        /// What its first bytes say.
        found: &'static str,
    },
    /// It starts with `#!`.
    Script(PathBuf),
    /// It is neither an ELF program nor named as a function.
    Unknown(PathBuf),
    /// It is named as the text of WebAssembly and cannot be assembled.
    NoAssembly {
        /// The file.
        path: PathBuf,
        /// What is wrong, with an excerpt: several lines.
        what: String,
    },
    /// The assembled module cannot be kept for the upload.
    NoRoom(std::io::Error),
}

impl ProgramError {
    /// What is wrong inside the file, line by line as a compiler says it.
    pub(crate) fn excerpt(&self) -> Option<&str> {
        match self {
            Self::NoAssembly { what, .. } => Some(what),
            _ => None,
        }
    }
}

impl std::fmt::Display for ProgramError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(path, _) => {
                write!(f, "cannot read {}; check the path and its permissions", path.display())
            }
            Self::NotAFile(path) => {
                write!(
                    f,
                    "{} is not a file; name a program, a .js, .wasm or .wat file",
                    path.display()
                )
            }
            Self::Empty(path) => write!(f, "{} is empty; build it first", path.display()),
            Self::Contradiction { path, named, found } => {
                write!(f, "{} is named as {named} but holds {found}; rename it", path.display())
            }
            Self::Script(path) => write!(
                f,
                "{} is a script, and a sandbox holds no interpreter for it; give an ELF program, a .js, .wasm or .wat file",
                path.display()
            ),
            Self::Unknown(path) => write!(
                f,
                "{} is neither an ELF program nor WebAssembly; name JavaScript .js, or build a Linux program",
                path.display()
            ),
            Self::NoAssembly { path, .. } => {
                write!(f, "{} is no text of WebAssembly; correct it", path.display())
            }
            Self::NoRoom(_) => f.write_str(
                "cannot keep the assembled module for the upload; set TMPDIR to a folder with room",
            ),
        }
    }
}

impl std::error::Error for ProgramError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable(_, source) | Self::NoRoom(source) => Some(source),
            _ => None,
        }
    }
}

/// What the first bytes say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Magic {
    Elf,
    Wasm,
    Script,
    Other,
}

fn magic(head: &[u8]) -> Magic {
    if head.starts_with(b"\x7fELF") {
        Magic::Elf
    } else if head.starts_with(b"\0asm") {
        Magic::Wasm
    } else if head.starts_with(b"#!") {
        Magic::Script
    } else {
        Magic::Other
    }
}

/// Decides by the extension first (as the Go CLI does), then by the contents;
/// where both speak they must agree.
pub(crate) fn workload_type(path: &Path, head: &[u8]) -> Result<WorkloadType, ProgramError> {
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .map(str::to_ascii_lowercase)
        .unwrap_or_default();
    let contradiction =
        |named, found| ProgramError::Contradiction { path: path.to_owned(), named, found };
    match (extension.as_str(), magic(head)) {
        (_, _) if head.is_empty() => Err(ProgramError::Empty(path.to_owned())),
        ("js" | "mjs", Magic::Elf) => Err(contradiction("JavaScript", "an ELF program")),
        ("js" | "mjs", Magic::Wasm) => Err(contradiction("JavaScript", "WebAssembly")),
        ("js" | "mjs", Magic::Script | Magic::Other) => Ok(WorkloadType::V8),
        ("wasm", Magic::Elf) => Err(contradiction("WebAssembly", "an ELF program")),
        ("wasm", Magic::Script | Magic::Other) => {
            Err(contradiction("WebAssembly", "something else"))
        }
        ("wat", Magic::Script | Magic::Other) => Ok(WorkloadType::Wasm),
        ("wat", Magic::Elf) => Err(contradiction("the text of WebAssembly", "an ELF program")),
        (_, Magic::Wasm) => Ok(WorkloadType::Wasm),
        (_, Magic::Elf) => Ok(WorkloadType::Elf),
        (_, Magic::Script) => Err(ProgramError::Script(path.to_owned())),
        (_, Magic::Other) => Err(ProgramError::Unknown(path.to_owned())),
    }
}

/// Looks at the file and decides; the text of WebAssembly is assembled.
pub(crate) fn inspect(path: &Path) -> Result<Program, ProgramError> {
    let unreadable = |error| ProgramError::Unreadable(path.to_owned(), error);
    // Asked before opening: opening a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(ProgramError::NotAFile(path.to_owned()));
    }
    let mut head = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(HEAD_BYTES).read_to_end(&mut head).map_err(unreadable)?;
    let workload_type = workload_type(path, &head)?;
    let is_text = workload_type == WorkloadType::Wasm && magic(&head) != Magic::Wasm;
    let contents = if is_text {
        Contents::Assembled(assemble(path)?)
    } else {
        Contents::File(path.to_owned())
    };
    Ok(Program { workload_type, contents })
}

fn assemble(path: &Path) -> Result<NamedTempFile, ProgramError> {
    let unreadable = |error| ProgramError::Unreadable(path.to_owned(), error);
    let wrong = |what| ProgramError::NoAssembly { path: path.to_owned(), what };
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_WAT_BYTES + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_WAT_BYTES {
        return Err(wrong(format!("it has more than {} MiB", MAX_WAT_BYTES >> 20)));
    }
    let module = wat::parse_bytes(&text).map_err(|mut error| {
        error.set_path(path);
        wrong(error.to_string())
    })?;
    let mut assembled = NamedTempFile::with_suffix(".wasm").map_err(ProgramError::NoRoom)?;
    assembled.write_all(&module).map_err(ProgramError::NoRoom)?;
    Ok(assembled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str, head: &[u8]) -> Result<WorkloadType, ProgramError> {
        workload_type(Path::new(name), head)
    }

    #[test]
    fn decides_by_name_and_contents() {
        assert_eq!(kind("f.js", b"(subject").unwrap(), WorkloadType::V8);
        assert_eq!(kind("f.MJS", b"#!/usr/bin/env node").unwrap(), WorkloadType::V8);
        assert_eq!(kind("f.wasm", b"\0asm\x01\0\0\0").unwrap(), WorkloadType::Wasm);
        assert_eq!(kind("f", b"\0asm\x01\0\0\0").unwrap(), WorkloadType::Wasm);
        assert_eq!(kind("f", b"\x7fELF\x02").unwrap(), WorkloadType::Elf);
        assert_eq!(kind("my.service", b"\x7fELF\x02").unwrap(), WorkloadType::Elf);
    }

    #[test]
    fn refuses_what_cannot_run() {
        assert!(matches!(kind("f", b""), Err(ProgramError::Empty(_))));
        assert!(matches!(kind("f.js", b""), Err(ProgramError::Empty(_))));
        assert!(matches!(kind("f.sh", b"#!/bin/sh"), Err(ProgramError::Script(_))));
        assert!(matches!(kind("README", b"Nex runs"), Err(ProgramError::Unknown(_))));
        assert!(matches!(kind("f.wasm", b"(module)"), Err(ProgramError::Contradiction { .. })));
        assert!(matches!(kind("f.js", b"\x7fELF"), Err(ProgramError::Contradiction { .. })));
        assert!(matches!(kind("f.wat", b"\x7fELF"), Err(ProgramError::Contradiction { .. })));
    }

    #[test]
    fn the_text_of_webassembly_is_assembled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.wat");
        std::fs::write(&path, "(module (func (export \"_start\")))").unwrap();
        let program = inspect(&path).unwrap();
        assert_eq!(program.workload_type, WorkloadType::Wasm);
        assert!(std::fs::read(program.file()).unwrap().starts_with(b"\0asm"));
        let assembled = program.file().to_owned();
        drop(program);
        assert!(!assembled.exists());
        std::fs::write(&path, "(module\n  (fun))").unwrap();
        let error = inspect(&path).unwrap_err();
        let excerpt = error.excerpt().unwrap();
        assert!(excerpt.contains("f.wat:2:4") && excerpt.contains("(fun)"), "{excerpt}");
        // A module under the wrong name is one all the same.
        std::fs::write(&path, b"\0asm\x01\0\0\0").unwrap();
        assert_eq!(inspect(&path).unwrap().file(), path);
    }

    #[test]
    fn looks_at_real_files() {
        let program = inspect(Path::new("/proc/self/exe")).unwrap();
        assert_eq!(program.workload_type, WorkloadType::Elf);
        assert_eq!(program.file(), Path::new("/proc/self/exe"));
        assert!(matches!(inspect(Path::new("/proc")), Err(ProgramError::NotAFile(_))));
        assert!(matches!(inspect(Path::new("/nowhere/x")), Err(ProgramError::Unreadable(..))));
    }
}
