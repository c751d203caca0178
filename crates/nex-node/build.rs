//! Builds the agent and hands its bytes to `src/sandbox/agent_image.rs`.
//!
//! The agent is a program of its own (static, small, another profile), so a second cargo builds
//! it. That cargo works in a target folder of its own beside the outer one, because the outer
//! cargo holds the lock of its folder while this script runs.
//!
//! * `NEX_AGENT_BINARY=/path` embeds that file instead (for packagers).
//! * `NEX_SKIP_AGENT_BUILD=1` and `DOCS_RS` embed nothing; a node then refuses to start.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "how a build script talks to cargo")]

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What of the environment's `CARGO_*` the inner cargo needs: where the registry lives, how it is
/// reached, and the job server. Everything else describes *this* package and would mislead it.
const KEPT: [&str; 6] = [
    "CARGO_HOME",
    "CARGO_MAKEFLAGS",
    "CARGO_NET_",
    "CARGO_HTTP_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
];

/// Wrappers that the outer cargo sets (clippy, coverage); with one of them the inner build would
/// check or instrument the agent instead of making the program.
const WRAPPERS: [&str; 6] =
    ["RUSTC", "RUSTDOC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS", "CLIPPY_ARGS"];

/// Static; and random numbers from the system call: in a static program the `getrandom` crate does
/// not find the C library's function and falls back to `/dev/urandom`, which a sandbox may lack.
const AGENT_FLAGS: [&str; 2] =
    ["-Ctarget-feature=+crt-static", "--cfg=getrandom_backend=\"linux_getrandom\""];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("nex-node: {text}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build.rs");
    for name in ["NEX_AGENT_BINARY", "NEX_SKIP_AGENT_BUILD", "DOCS_RS"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let out = path_from_env("OUT_DIR")?;
    let image = out.join("nex-agent");
    if let Some(given) = env::var_os("NEX_AGENT_BINARY").filter(|text| !text.is_empty()) {
        let given = PathBuf::from(given);
        println!("cargo::rerun-if-changed={}", given.display());
        return embed(&given, &image);
    }
    if is_set("NEX_SKIP_AGENT_BUILD") || is_set("DOCS_RS") {
        return write_nothing(&image);
    }
    let here = path_from_env("CARGO_MANIFEST_DIR")?;
    let agent = here.join("../nex-agent");
    if !agent.join("Cargo.toml").is_file() {
        println!(
            "cargo::warning=the agent's sources are not beside nex-node; \
             set NEX_AGENT_BINARY to a nex-agent program to embed one"
        );
        return write_nothing(&image);
    }
    let built = build(&here, &agent, &out)?;
    embed(&built, &image)
}

/// Builds the agent and returns the program's path.
fn build(here: &Path, agent: &Path, out: &Path) -> Result<PathBuf, String> {
    let root = here.join("../..");
    let lock = root.join("Cargo.lock");
    for path in [
        agent.join("src"),
        agent.join("Cargo.toml"),
        here.join("../nex-protocol/src"),
        here.join("../nex-protocol/Cargo.toml"),
        here.join("../nex-quickjs"),
        root.join("Cargo.toml"),
        lock.clone(),
    ] {
        // A file that does not exist would make cargo run this script every time.
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    let target = env::var("TARGET").map_err(|_| "cargo did not set TARGET".to_owned())?;
    let folder = target_folder(out)?.join("agent-build");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        if is_foreign(&name) {
            cargo.env_remove(name);
        }
    }
    cargo
        .env("CARGO_ENCODED_RUSTFLAGS", AGENT_FLAGS.join("\u{1f}"))
        .args(["build", "--package", "nex-agent", "--bin", "nex-agent", "--profile", "agent"])
        .arg("--target")
        .arg(&target)
        .arg("--target-dir")
        .arg(&folder)
        .arg("--manifest-path")
        .arg(agent.join("Cargo.toml"))
        .current_dir(&root);
    if lock.is_file() {
        cargo.arg("--locked");
    }
    let status = cargo.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err(format!(
            "building the agent for {target} failed ({status}); its messages are above. \
             NEX_AGENT_BINARY=/path embeds a program built elsewhere"
        ));
    }
    Ok(folder.join(&target).join("agent").join("nex-agent"))
}

/// The target folder of the outer build: `OUT_DIR` is
/// `<target>[/<triple>]/<profile>/build/<package>/out`.
fn target_folder(out: &Path) -> Result<PathBuf, String> {
    let profile = out
        .ancestors()
        .find(|path| path.file_name() == Some(OsStr::new("build")))
        .and_then(Path::parent);
    match profile.and_then(Path::parent) {
        Some(folder) => Ok(folder.to_path_buf()),
        None => Err(format!("OUT_DIR is not inside a target folder: {}", out.display())),
    }
}

fn is_foreign(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    if WRAPPERS.contains(&name) {
        return true;
    }
    name.starts_with("CARGO_") && !KEPT.iter().any(|kept| name.starts_with(kept))
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0")
}

fn path_from_env(name: &str) -> Result<PathBuf, String> {
    env::var_os(name).map(PathBuf::from).ok_or_else(|| format!("cargo did not set {name}"))
}

fn embed(program: &Path, image: &Path) -> Result<(), String> {
    let bytes = fs::read(program)
        .map_err(|error| format!("cannot read the agent {}: {error}", program.display()))?;
    if !bytes.starts_with(b"\x7fELF") {
        return Err(format!("{} is not a Linux program", program.display()));
    }
    write(image, &bytes)
}

fn write_nothing(image: &Path) -> Result<(), String> {
    write(image, &[])
}

fn write(image: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(image, bytes).map_err(|error| format!("cannot write {}: {error}", image.display()))
}
