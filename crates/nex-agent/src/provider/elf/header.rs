//! Reads as much of an ELF file as is needed to say whether it can run here.
//!
//! The kernel's own answer to a wrong file is `ENOEXEC` or, for a missing dynamic loader, a
//! misleading "no such file"; a tenant deserves better. Nothing here is trusted: every offset and
//! size is checked, and at most a few kilobytes are read however large the file is.
//!
//! Source: System V ABI, chapter 4 ("Object Files") and 5 ("Program Header"); `elf(5)`.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The first bytes of every ELF file.
const MAGIC: [u8; 4] = *b"\x7fELF";
/// Size of a 64-bit file header; the 32-bit one is smaller.
const HEADER: usize = 64;
/// Most program headers that are looked at. Linkers write about a dozen.
const MAX_PROGRAM_HEADERS: u16 = 512;
/// Longest interpreter path, the kernel's own limit (`PATH_MAX`).
const MAX_INTERPRETER: u64 = 4096;

const PT_INTERP: u32 = 3;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const EM_386: u16 = 3;
const EM_ARM: u16 = 40;
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;
const EM_RISCV: u16 = 243;

/// A program that can run on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Whether it needs a loader.
    pub linkage: Linkage,
}

/// How a program finds its libraries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Linkage {
    /// It needs nothing from the sandbox's file system.
    Static,
    /// It needs this dynamic loader (and what the loader needs).
    Dynamic {
        /// The path that the program names.
        loader: PathBuf,
    },
}

/// Why a file cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// The file cannot be read.
    #[error("cannot read the program")]
    Read(#[source] io::Error),
    /// Something else than a program: a script, an archive, a picture.
    #[error("not an ELF file: starts with {0}")]
    NotElf(FirstBytes),
    /// It ends before its header does.
    #[error("the ELF file is cut off: {length} bytes is less than its headers take")]
    Truncated {
        /// Size of the file in bytes.
        length: u64,
    },
    /// A header field makes no sense.
    #[error("the ELF header is damaged: {0}")]
    Damaged(&'static str),
    /// An object file, a core dump or a library.
    #[error("the ELF file is no program but {0}; deploy the linked executable")]
    NotExecutable(&'static str),
    /// Built for another processor.
    #[error("the program is for {found}, this machine is {here}; build it for {here}")]
    Machine {
        /// What the file is for.
        found: Machine,
        /// What this agent runs on.
        here: Machine,
    },
    /// Dynamically linked, and its loader is not here.
    #[error(
        "the program is dynamically linked and needs {}, which is not in this sandbox; \
         link it statically, or give the node a `namespace.rootfs` that has it",
        .0.display()
    )]
    NoLoader(PathBuf),
}

/// A processor architecture by its ELF number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    number: u16,
    is_64_bit: bool,
}

impl Machine {
    /// What this agent was built for.
    pub const HERE: Self = if cfg!(target_arch = "x86_64") {
        Self { number: EM_X86_64, is_64_bit: true }
    } else if cfg!(target_arch = "aarch64") {
        Self { number: EM_AARCH64, is_64_bit: true }
    } else if cfg!(target_arch = "riscv64") {
        Self { number: EM_RISCV, is_64_bit: true }
    } else {
        Self { number: 0, is_64_bit: cfg!(target_pointer_width = "64") }
    };

    /// Whether programs for it may run here. 32-bit programs of the same family may: whether this
    /// kernel really takes them is for `execve` to say.
    fn runs_here(self) -> bool {
        let here = Self::HERE;
        self.number == here.number
            || here.number == 0
            || matches!((here.number, self.number), (EM_X86_64, EM_386) | (EM_AARCH64, EM_ARM))
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.number, self.is_64_bit) {
            (EM_386, _) => f.write_str("x86 (32 bit)"),
            (EM_X86_64, true) => f.write_str("x86_64"),
            (EM_X86_64, false) => f.write_str("x32"),
            (EM_ARM, _) => f.write_str("arm (32 bit)"),
            (EM_AARCH64, _) => f.write_str("aarch64"),
            (EM_RISCV, true) => f.write_str("riscv64"),
            (EM_RISCV, false) => f.write_str("riscv32"),
            (other, _) => write!(f, "ELF machine {other}"),
        }
    }
}

/// The start of a file that is no program, printed so that a person recognizes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstBytes {
    bytes: [u8; 8],
    length: usize,
}

impl FirstBytes {
    fn of(bytes: &[u8]) -> Self {
        let mut first = Self { bytes: [0; 8], length: bytes.len().min(8) };
        for (to, from) in first.bytes.iter_mut().zip(bytes) {
            *to = *from;
        }
        first
    }
}

impl fmt::Display for FirstBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        match bytes {
            [] => return f.write_str("nothing (it is empty)"),
            [b'#', b'!', ..] => return f.write_str("\"#!\" (a script)"),
            [0, b'a', b's', b'm', ..] => return f.write_str("\"\\0asm\" (a WebAssembly module)"),
            [0x1f, 0x8b, ..] => return f.write_str("1f 8b (a gzip archive)"),
            [b'P', b'K', 3, 4, ..] => return f.write_str("\"PK\" (a zip archive)"),
            [b'M', b'Z', ..] => return f.write_str("\"MZ\" (a Windows program)"),
            _ => {}
        }
        if bytes.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
            return write!(f, "\"{}\"", bytes.escape_ascii());
        }
        for (index, byte) in bytes.iter().enumerate() {
            let blank = if index == 0 { "" } else { " " };
            write!(f, "{blank}{byte:02x}")?;
        }
        Ok(())
    }
}

/// Something that can be read at an offset. Files, and byte slices in tests and fuzzing.
pub trait ReadAt {
    /// Reads at `offset` until `buffer` is full or the end is reached; returns how much it read.
    ///
    /// # Errors
    /// What the system says.
    fn read_some_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Size in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn length(&self) -> io::Result<u64>;
}

impl ReadAt for File {
    fn read_some_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl ReadAt for [u8] {
    fn read_some_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        Ok(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

impl Program {
    /// Reads the headers of `file` and says whether it is a program for this machine. Does not
    /// look for the loader: see [`Program::check_loader`].
    ///
    /// # Errors
    /// Any [`ElfError`] but [`ElfError::NoLoader`].
    pub fn read(file: &(impl ReadAt + ?Sized)) -> Result<Self, ElfError> {
        let length = file.length().map_err(ElfError::Read)?;
        let mut start = [0; HEADER];
        let read = file.read_some_at(&mut start, 0).map_err(ElfError::Read)?;
        let start = start.get(..read).unwrap_or_default();
        if !start.starts_with(&MAGIC) {
            return Err(ElfError::NotElf(FirstBytes::of(start)));
        }
        let header = Header::parse(start, length)?;
        header.check_kind()?;
        let machine = Machine { number: header.machine, is_64_bit: header.layout.is_64_bit };
        if !machine.runs_here() {
            return Err(ElfError::Machine { found: machine, here: Machine::HERE });
        }
        match header.interpreter(file, length)? {
            Some(loader) => Ok(Self { linkage: Linkage::Dynamic { loader } }),
            None if header.entry == 0 => Err(ElfError::NotExecutable("a shared library")),
            None => Ok(Self { linkage: Linkage::Static }),
        }
    }

    /// Checks that the dynamic loader, if one is needed, exists below `root` (`/` for a process
    /// that sees the agent's own file system).
    ///
    /// # Errors
    /// [`ElfError::NoLoader`].
    pub fn check_loader(&self, root: &Path) -> Result<(), ElfError> {
        let Linkage::Dynamic { loader } = &self.linkage else { return Ok(()) };
        let inside = loader.strip_prefix("/").unwrap_or(loader);
        // `exists` follows links, which is what the kernel will do.
        if root.join(inside).exists() { Ok(()) } else { Err(ElfError::NoLoader(loader.clone())) }
    }
}

/// Byte order and word size: what decides where a field is.
#[derive(Clone, Copy)]
struct Layout {
    is_64_bit: bool,
    is_little_endian: bool,
}

impl Layout {
    fn half(self, bytes: &[u8], at: usize) -> Option<u16> {
        let raw = *bytes.get(at..)?.first_chunk::<2>()?;
        Some(if self.is_little_endian { u16::from_le_bytes(raw) } else { u16::from_be_bytes(raw) })
    }

    fn word(self, bytes: &[u8], at: usize) -> Option<u32> {
        let raw = *bytes.get(at..)?.first_chunk::<4>()?;
        Some(if self.is_little_endian { u32::from_le_bytes(raw) } else { u32::from_be_bytes(raw) })
    }

    /// A field that is 4 bytes at `at_32` in a 32-bit file and 8 bytes at `at_64` in a 64-bit one.
    fn address(self, bytes: &[u8], at_32: usize, at_64: usize) -> Option<u64> {
        if !self.is_64_bit {
            return self.word(bytes, at_32).map(u64::from);
        }
        let raw = *bytes.get(at_64..)?.first_chunk::<8>()?;
        Some(if self.is_little_endian { u64::from_le_bytes(raw) } else { u64::from_be_bytes(raw) })
    }

    /// Size of one program header.
    fn program_header(self) -> u16 {
        if self.is_64_bit { 56 } else { 32 }
    }
}

struct Header {
    layout: Layout,
    kind: u16,
    machine: u16,
    entry: u64,
    program_headers_at: u64,
    program_headers: u16,
}

impl Header {
    fn parse(start: &[u8], length: u64) -> Result<Self, ElfError> {
        let cut = || ElfError::Truncated { length };
        let is_64_bit = match start.get(4).ok_or_else(cut)? {
            1 => false,
            2 => true,
            _ => return Err(ElfError::Damaged("neither 32 nor 64 bit")),
        };
        let is_little_endian = match start.get(5).ok_or_else(cut)? {
            1 => true,
            2 => false,
            _ => return Err(ElfError::Damaged("unknown byte order")),
        };
        let layout = Layout { is_64_bit, is_little_endian };
        let half = |at_32, at_64| layout.half(start, if is_64_bit { at_64 } else { at_32 });
        let header = Self {
            layout,
            kind: half(16, 16).ok_or_else(cut)?,
            machine: half(18, 18).ok_or_else(cut)?,
            entry: layout.address(start, 24, 24).ok_or_else(cut)?,
            program_headers_at: layout.address(start, 28, 32).ok_or_else(cut)?,
            program_headers: half(44, 56).ok_or_else(cut)?,
        };
        let entry_size = half(42, 54).ok_or_else(cut)?;
        if header.program_headers > 0 && entry_size != layout.program_header() {
            return Err(ElfError::Damaged("program headers of an unknown size"));
        }
        if header.program_headers > MAX_PROGRAM_HEADERS {
            return Err(ElfError::Damaged("too many program headers"));
        }
        Ok(header)
    }

    fn check_kind(&self) -> Result<(), ElfError> {
        match self.kind {
            ET_EXEC | ET_DYN if self.program_headers > 0 => Ok(()),
            ET_EXEC | ET_DYN => Err(ElfError::Damaged("no program headers")),
            1 => Err(ElfError::NotExecutable("an object file")),
            4 => Err(ElfError::NotExecutable("a core dump")),
            _ => Err(ElfError::Damaged("unknown file type")),
        }
    }

    /// The path in the `PT_INTERP` segment, if there is one.
    fn interpreter(
        &self,
        file: &(impl ReadAt + ?Sized),
        length: u64,
    ) -> Result<Option<PathBuf>, ElfError> {
        let cut = || ElfError::Truncated { length };
        let size = usize::from(self.layout.program_header());
        let mut table = vec![0; size * usize::from(self.program_headers)];
        let read =
            file.read_some_at(&mut table, self.program_headers_at).map_err(ElfError::Read)?;
        if read < table.len() {
            return Err(cut());
        }
        for entry in table.chunks_exact(size) {
            if self.layout.word(entry, 0) != Some(PT_INTERP) {
                continue;
            }
            let at = self.layout.address(entry, 4, 8).ok_or_else(cut)?;
            let bytes = self.layout.address(entry, 16, 32).ok_or_else(cut)?;
            return read_interpreter(file, at, bytes, length).map(Some);
        }
        Ok(None)
    }
}

fn read_interpreter(
    file: &(impl ReadAt + ?Sized),
    at: u64,
    bytes: u64,
    length: u64,
) -> Result<PathBuf, ElfError> {
    use std::os::unix::ffi::OsStringExt;

    // The kernel asks for at least one character and a NUL.
    if !(2..=MAX_INTERPRETER).contains(&bytes) {
        return Err(ElfError::Damaged("the loader's path has an impossible length"));
    }
    let mut path = vec![0; usize::try_from(bytes).unwrap_or_default()];
    let read = file.read_some_at(&mut path, at).map_err(ElfError::Read)?;
    if read < path.len() {
        return Err(ElfError::Truncated { length });
    }
    if path.pop() != Some(0) || path.contains(&0) {
        return Err(ElfError::Damaged("the loader's path is not one text"));
    }
    Ok(PathBuf::from(std::ffi::OsString::from_vec(path)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A minimal 64-bit program with the given interpreter.
    fn program(interpreter: Option<&[u8]>) -> Vec<u8> {
        let mut file = vec![0_u8; 64 + 56 * 2];
        file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        file[16..18].copy_from_slice(&ET_DYN.to_le_bytes());
        file[18..20].copy_from_slice(&Machine::HERE.number.to_le_bytes());
        file[24..32].copy_from_slice(&0x1000_u64.to_le_bytes());
        file[32..40].copy_from_slice(&64_u64.to_le_bytes());
        file[54..56].copy_from_slice(&56_u16.to_le_bytes());
        file[56..58].copy_from_slice(&2_u16.to_le_bytes());
        file[64..68].copy_from_slice(&1_u32.to_le_bytes());
        if let Some(text) = interpreter {
            let at = file.len() as u64;
            file[120..124].copy_from_slice(&PT_INTERP.to_le_bytes());
            file[128..136].copy_from_slice(&at.to_le_bytes());
            file[152..160].copy_from_slice(&(text.len() as u64).to_le_bytes());
            file.extend_from_slice(text);
        }
        file
    }

    fn said(file: &[u8]) -> String {
        Program::read(file).unwrap_err().to_string()
    }

    #[test]
    fn a_static_and_a_dynamic_program_are_told_apart() {
        assert_eq!(Program::read(&program(None)[..]).unwrap().linkage, Linkage::Static);
        let dynamic = Program::read(&program(Some(b"/lib64/ld.so\0"))[..]).unwrap();
        assert_eq!(dynamic.linkage, Linkage::Dynamic { loader: "/lib64/ld.so".into() });
        let error = dynamic.check_loader(Path::new("/nonexistent")).unwrap_err();
        assert!(error.to_string().contains("/lib64/ld.so"), "{error}");
    }

    #[test]
    fn this_test_program_runs_here() {
        let file = File::open("/proc/self/exe").unwrap();
        let program = Program::read(&file).unwrap();
        program.check_loader(Path::new("/")).unwrap();
    }

    #[test]
    fn what_is_no_program_is_named() {
        assert_eq!(said(b"#!/bin/sh\necho hi"), "not an ELF file: starts with \"#!\" (a script)");
        assert_eq!(said(b""), "not an ELF file: starts with nothing (it is empty)");
        assert_eq!(said(b"hello world"), "not an ELF file: starts with \"hello wo\"");
        assert_eq!(said(b"\x01\x02"), "not an ELF file: starts with 01 02");
        assert!(said(b"\0asm\x01\0\0\0").contains("WebAssembly"));
        assert!(said(b"\x7fELF").contains("cut off: 4 bytes"));
    }

    #[test]
    fn other_machines_and_kinds_are_refused_by_name() {
        let mut other = program(None);
        other[18..20].copy_from_slice(&8_u16.to_le_bytes());
        assert!(said(&other).contains("ELF machine 8"), "{}", said(&other));
        let mut object = program(None);
        object[16..18].copy_from_slice(&1_u16.to_le_bytes());
        assert!(said(&object).contains("an object file"));
        let mut library = program(None);
        library[24..32].copy_from_slice(&0_u64.to_le_bytes());
        assert!(said(&library).contains("a shared library"));
    }

    #[test]
    fn lies_in_the_header_are_found() {
        let mut many = program(None);
        many[56..58].copy_from_slice(&u16::MAX.to_le_bytes());
        assert!(said(&many).contains("too many program headers"));
        let mut far = program(None);
        far[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(said(&far).contains("cut off"));
        let mut long = program(Some(b"/lib64/ld.so\0"));
        long[152..160].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(said(&long).contains("impossible length"));
        assert!(said(&program(Some(b"/lib64/ld.so"))).contains("not one text"));
        assert!(said(&program(Some(b"/a\0b\0"))).contains("not one text"));
    }

    proptest! {
        #[test]
        fn any_bytes_get_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Program::read(&bytes[..]);
        }

        #[test]
        fn any_change_of_a_program_gets_an_answer(
            changes in proptest::collection::vec((0_usize..190, any::<u8>()), 1..12),
            length in 0_usize..190,
        ) {
            let mut file = program(Some(b"/lib64/ld.so\0"));
            for (at, byte) in changes {
                if let Some(place) = file.get_mut(at) { *place = byte; }
            }
            let _ = Program::read(&file[..]);
            file.truncate(length);
            let _ = Program::read(&file[..]);
        }
    }
}
