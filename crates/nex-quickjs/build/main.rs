//! Builds the engine: QuickJS-NG's C sources and the shim in `c/`, to one WebAssembly module.
//!
//! It takes half a minute, so the module is kept in the user's cache under a digest of everything
//! it is made of (sources, flags, compiler, C library), and every build on this machine takes it
//! from there. Nothing of the engine is compiled into a program for this machine but a small tool
//! that makes the prelude bytecode.
//!
//! * `NEX_QUICKJS_WASM=/path` embeds that module instead (for packagers).
//! * `DOCS_RS` embeds nothing.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "how a build script talks to cargo")]

mod compiler;
mod keep;
mod prelude;
mod source;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use compiler::Compiler;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("nex-quickjs: {text}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    for path in ["build", "c", "js", "source"] {
        println!("cargo::rerun-if-changed={path}");
    }
    for name in ["NEX_QUICKJS_WASM", "DOCS_RS", "XDG_CACHE_HOME", "HOME"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let out = path_from_env("OUT_DIR")?;
    let module = out.join("quickjs.wasm");
    if let Some(given) = env::var_os("NEX_QUICKJS_WASM").filter(|text| !text.is_empty()) {
        let given = PathBuf::from(given);
        println!("cargo::rerun-if-changed={}", given.display());
        say_version("given by NEX_QUICKJS_WASM");
        return write(&module, &read(&given)?);
    }
    if env::var_os("DOCS_RS").is_some() {
        say_version("unknown");
        return write(&module, &[]);
    }
    let here = path_from_env("CARGO_MANIFEST_DIR")?;
    let engine = source::find(&here, &out)?;
    say_version(&source::version(&engine)?);
    println!("cargo::rustc-env=NEX_QUICKJS_SOURCE={}", engine.display());
    let shim = here.join("c");
    let generated = out.join("generated");
    fs::create_dir_all(&generated)
        .map_err(|error| format!("cannot make {}: {error}", generated.display()))?;
    write(&generated.join("prelude.js"), prelude::script(&here.join("js"))?.as_bytes())?;
    let compiler = Compiler::find()?;
    let inputs = [engine.as_path(), shim.as_path(), generated.as_path()];
    let digest = keep::digest(&inputs, &compiler.identity()?)?;
    let bytes = keep::kept_or_made(&digest, || {
        compiler.compile(&engine, &shim, &generated, &out.join("objects"))
    })?;
    write(&module, &bytes)
}

fn say_version(version: &str) {
    println!("cargo::rustc-env=NEX_QUICKJS_VERSION={version}");
}

fn path_from_env(name: &str) -> Result<PathBuf, String> {
    env::var_os(name).map(PathBuf::from).ok_or_else(|| format!("cargo did not set {name}"))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
