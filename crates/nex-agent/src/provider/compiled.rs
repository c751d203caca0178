//! Takes machine code that the agent's own `compile` command made.
//!
//! The one place where code from a file becomes code that runs: see [`Trusted`].

use std::path::Path;

use wasmtime::component::Component;
use wasmtime::{Engine, Module, Precompiled};

/// Something that was compiled.
#[derive(Debug)]
pub enum Compiled {
    /// A core module.
    Module(Module),
    /// A component.
    Component(Component),
}

/// A path whose file was written by `nex-agent compile`, and which nobody but the node (or this
/// agent) can write. Wasmtime checks that the file fits engine and machine; that its code is
/// harmless it cannot check.
#[derive(Debug, Clone, Copy)]
pub struct Trusted<'a>(&'a Path);

impl<'a> Trusted<'a> {
    /// Vouches for a file: the node named it in a deploy message as the output of `compile`, or
    /// this agent has just had it made.
    #[must_use]
    pub fn vouch(path: &'a Path) -> Self {
        Self(path)
    }

    /// Maps the file.
    ///
    /// # Errors
    /// It cannot be read, or was made by another version, for other settings or another machine.
    pub fn load(self, engine: &Engine) -> wasmtime::Result<Compiled> {
        match Engine::detect_precompiled_file(self.0)? {
            Some(Precompiled::Component) => self.component(engine).map(Compiled::Component),
            // Anything else is refused with a reason.
            Some(Precompiled::Module) | None => self.module(engine).map(Compiled::Module),
        }
    }

    /// Maps the file of a module.
    ///
    /// # Errors
    /// As [`Trusted::load`].
    #[allow(unsafe_code)]
    pub fn module(self, engine: &Engine) -> wasmtime::Result<Module> {
        // SAFETY: the file is what `compile` wrote, and nobody writes it any more: that is what
        // the caller of `vouch` says.
        let mapped = unsafe { Module::deserialize_file(engine, self.0) };
        match mapped {
            Ok(module) => Ok(module),
            Err(refused) => match self.bytes_where_nothing_may_be_mapped() {
                // SAFETY: as above.
                Some(bytes) => unsafe { Module::deserialize(engine, bytes) },
                None => Err(refused),
            },
        }
    }

    #[allow(unsafe_code)]
    fn component(self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: as in `module`.
        let mapped = unsafe { Component::deserialize_file(engine, self.0) };
        match mapped {
            Ok(component) => Ok(component),
            Err(refused) => match self.bytes_where_nothing_may_be_mapped() {
                // SAFETY: as above.
                Some(bytes) => unsafe { Component::deserialize(engine, bytes) },
                None => Err(refused),
            },
        }
    }

    /// A file on a file system that is mounted `noexec` cannot be mapped as code, but read.
    fn bytes_where_nothing_may_be_mapped(self) -> Option<Vec<u8>> {
        let facts = rustix::fs::statvfs(self.0).ok()?;
        facts.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC).then_some(())?;
        std::fs::read(self.0).ok()
    }
}

/// Code that never left this process.
#[cfg(test)]
#[allow(unsafe_code)]
pub(crate) fn module_from_bytes(engine: &Engine, code: &[u8]) -> wasmtime::Result<Module> {
    // SAFETY: tests compile it a line earlier.
    unsafe { Module::deserialize(engine, code) }
}
