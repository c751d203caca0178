//! Where the engine's C sources are: in the crate `rquickjs-sys`, where cargo keeps crates.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{read, write};

const CRATE: &str = "rquickjs-sys";

/// Variables of the outer cargo that would mislead an inner one.
const FOREIGN: [&str; 6] = [
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
];

/// The folder of the engine's sources. Cargo downloads the crate when it has to and checks it
/// against the lock file in `source/`; vendored and offline builds work as for any dependency.
pub(crate) fn find(here: &Path, out: &Path) -> Result<PathBuf, String> {
    let package = out.join("engine-source");
    fs::create_dir_all(&package)
        .map_err(|error| format!("cannot make {}: {error}", package.display()))?;
    for (from, to) in [("manifest.toml", "Cargo.toml"), ("lock.toml", "Cargo.lock")] {
        write(&package.join(to), &read(&here.join("source").join(from))?)?;
    }
    write(&package.join("lib.rs"), b"")?;
    let mut cargo =
        Command::new(env::var_os("CARGO").unwrap_or_else(|| OsStr::new("cargo").into()));
    for name in FOREIGN {
        cargo.env_remove(name);
    }
    let answer = cargo
        .args(["metadata", "--format-version", "1", "--locked", "--manifest-path"])
        .arg(package.join("Cargo.toml"))
        // Configuration of the workspace, such as vendored sources, is found from here.
        .current_dir(here)
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !answer.status.success() {
        let text = String::from_utf8_lossy(&answer.stderr);
        return Err(format!("cargo cannot get the crate {CRATE}: {}", text.trim()));
    }
    let metadata: serde_json::Value = serde_json::from_slice(&answer.stdout)
        .map_err(|error| format!("cargo metadata cannot be read: {error}"))?;
    let packages = metadata.get("packages").and_then(serde_json::Value::as_array);
    let text = |value: &serde_json::Value, key| -> Option<String> {
        value.get(key).and_then(serde_json::Value::as_str).map(str::to_owned)
    };
    let manifest = packages
        .into_iter()
        .flatten()
        .find(|package| text(package, "name").as_deref() == Some(CRATE))
        .and_then(|package| text(package, "manifest_path"))
        .ok_or_else(|| format!("cargo metadata does not name the crate {CRATE}"))?;
    let folder = Path::new(&manifest).with_file_name("quickjs");
    if folder.join("quickjs.c").is_file() {
        Ok(folder)
    } else {
        Err(format!("{} holds no engine", folder.display()))
    }
}

/// The engine's own version, from its header.
pub(crate) fn version(engine: &Path) -> Result<String, String> {
    let header = engine.join("quickjs.h");
    let text = String::from_utf8_lossy(&read(&header)?).into_owned();
    let number = |part: &str| {
        let start = format!("#define QJS_VERSION_{part} ");
        text.lines().find_map(|line| line.strip_prefix(&start)).map(str::trim)
    };
    match (number("MAJOR"), number("MINOR"), number("PATCH")) {
        (Some(major), Some(minor), Some(patch)) => Ok(format!("{major}.{minor}.{patch}")),
        _ => Err(format!("{} names no version", header.display())),
    }
}
