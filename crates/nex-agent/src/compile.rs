//! The `compile` command: WebAssembly to machine code, in a process that limits itself first.
//!
//! ```text
//! nex-agent compile wasm --output PATH --memory-bytes N --seconds N < module
//! nex-agent compile javascript-engine --output PATH --memory-bytes N --seconds N
//! ```
//!
//! A compiler given a hostile module may want any amount of time and memory, so it does not run in
//! a process that anybody needs. Exit codes: 0, the file is written; 1, it is not, and standard
//! error says why; 2, wrong usage. Where the system ends the process because a limit is reached
//! there is no such text, but for the signals that can be caught.

mod confinement;
mod landlock;
mod request;

use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use wasmtime::Module;

use crate::provider::function::PrepareError;
use crate::provider::{engine, wasm};
use request::{Request, Source};

/// Longest text about a failure, in bytes.
const MAX_REASON: usize = 4096;
/// Limits of a compilation that the agent has made by itself.
const OWN_MEMORY_BYTES: u64 = 1 << 30;
const OWN_SECONDS: u64 = 30;

/// Runs the command; `arguments` are those after `compile`.
#[must_use]
pub fn run(arguments: &[String]) -> ExitCode {
    let request = match Request::read(arguments) {
        Ok(request) => request,
        Err(usage) => return fail(2, &usage.to_string()),
    };
    match compile(&request) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => fail(1, &reason),
    }
}

/// Prints the key of machine code that this program makes and takes.
#[must_use]
pub fn print_key() -> ExitCode {
    match engine::key() {
        Ok(key) => match writeln!(io::stdout(), "{key}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => fail(1, &format!("there is no compiler for this machine: {error:#}")),
    }
}

fn fail(code: u8, reason: &str) -> ExitCode {
    let mut text = reason.trim_end().to_owned();
    if text.len() > MAX_REASON - 1 {
        let cut =
            text.char_indices().map(|(at, _)| at).take_while(|at| *at < MAX_REASON - 8).last();
        text.truncate(cut.unwrap_or_default());
        text.push('…');
    }
    text.push('\n');
    // One that nobody reads is no reason to fail in another way.
    let _ = io::stderr().write_all(text.as_bytes());
    ExitCode::from(code)
}

fn compile(request: &Request) -> Result<(), String> {
    confinement::enter(request).map_err(|error| format!("cannot limit myself: {error}"))?;
    let engine = engine::compiler()
        .map_err(|error| format!("there is no compiler for this machine: {error:#}"))?;
    let code = match request.source {
        Source::Module => {
            let artifact = read_artifact(request.memory_bytes)
                .map_err(|error| format!("cannot read the module: {error}"))?;
            wasm::compile(&engine, &artifact).map_err(|error| error.to_string())?
        }
        Source::JavaScriptEngine => Module::new(&engine, nex_quickjs::module())
            .and_then(|module| module.serialize())
            .map_err(|error| format!("the JavaScript engine cannot be compiled: {error:#}"))?,
    };
    write(&request.output, &code)
        .map_err(|error| format!("cannot write {}: {error}", request.output.display()))
}

fn read_artifact(limit: u64) -> io::Result<Vec<u8>> {
    let mut artifact = Vec::new();
    let mut input = io::stdin().lock().take(limit);
    input.read_to_end(&mut artifact)?;
    Ok(artifact)
}

/// Writes beside the file and renames: there is all of it, or nothing.
fn write(path: &Path, code: &[u8]) -> io::Result<()> {
    let temporary = beside(path);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(&temporary)
        .and_then(|mut file| file.write_all(code))
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    path.with_file_name(name)
}

/// Compiles an artifact, or the JavaScript engine, by running this program once more: for nodes
/// that do not know how.
///
/// # Errors
/// What the compiler says.
pub async fn by_another_process(
    artifact: Option<&Path>,
    target: &Path,
) -> Result<(), PrepareError> {
    let (source, input) = match artifact {
        Some(artifact) => {
            let file = std::fs::File::open(artifact)
                .map_err(|error| PrepareError(format!("the artifact cannot be opened: {error}")))?;
            ("wasm", Stdio::from(file))
        }
        None => ("javascript-engine", Stdio::null()),
    };
    let mut command = Command::new("/proc/self/exe");
    command
        .args(["compile", source, "--with-parent", "--output"])
        .arg(target)
        .args(["--memory-bytes", &OWN_MEMORY_BYTES.to_string()])
        .args(["--seconds", &OWN_SECONDS.to_string()])
        .env_clear()
        .stdin(input)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    // Its thread waits: the child ends with the thread that made it.
    let ran = tokio::task::spawn_blocking(move || command.output()).await;
    let output = match ran {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => {
            return Err(PrepareError(format!("the compiler cannot be started: {error}")));
        }
        Err(_) => return Err(PrepareError("the compiler was broken off".to_owned())),
    };
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(PrepareError(if said.is_empty() {
        format!(
            "compiling took more than {OWN_SECONDS} s or {OWN_MEMORY_BYTES} bytes of memory \
             ({}); make the module smaller",
            output.status
        )
    } else {
        said
    }))
}
