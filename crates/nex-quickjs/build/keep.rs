//! The user's cache of built modules: `nex/quickjs/<digest of what it is made of>.wasm`, and beside
//! each the digest of its own bytes, so that a file that was cut short or changed is not taken.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::read;

/// Endings of the files that count.
const SOURCES: [&str; 3] = ["c", "h", "js"];

/// A digest of the contents and names of all files of these folders, and of a text. Where the
/// folders lie does not count.
pub(crate) fn digest(folders: &[&Path], text: &str) -> Result<String, String> {
    let mut hash = Sha256::new();
    for folder in folders {
        let entries = fs::read_dir(folder)
            .map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| {
                path.extension().is_some_and(|ending| SOURCES.iter().any(|s| ending == *s))
            })
            .collect();
        files.sort();
        for file in files {
            let bytes = read(&file)?;
            hash.update(file.file_name().unwrap_or_default().as_encoded_bytes());
            hash.update(bytes.len().to_le_bytes());
            hash.update(&bytes);
        }
    }
    hash.update(text);
    Ok(hex(&hash.finalize()))
}

/// The module from the cache, or made and put there. Builds that want the same at the same time
/// wait for the first. Without a cache folder that can be written to, it is just made.
pub(crate) fn kept_or_made(
    digest: &str,
    make: impl FnOnce() -> Result<Vec<u8>, String>,
) -> Result<Vec<u8>, String> {
    let Some(folder) = folder() else { return make() };
    let module = folder.join(digest).with_extension("wasm");
    let sum = module.with_extension("sha256");
    if let Some(bytes) = kept(&module, &sum) {
        return Ok(bytes);
    }
    // Held until the end of this function.
    let lock = fs::create_dir_all(&folder).and_then(|()| File::create(folder.join("lock")));
    let _lock = lock.ok().filter(|lock| lock.lock().is_ok());
    if let Some(bytes) = kept(&module, &sum) {
        return Ok(bytes);
    }
    let bytes = make()?;
    // A cache that cannot be written is no reason to fail.
    let _ = put(&module, &bytes).and_then(|()| put(&sum, hex(&Sha256::digest(&bytes)).as_bytes()));
    Ok(bytes)
}

fn kept(module: &Path, sum: &Path) -> Option<Vec<u8>> {
    let bytes = fs::read(module).ok()?;
    let sum = fs::read_to_string(sum).ok()?;
    (sum == hex(&Sha256::digest(&bytes))).then_some(bytes)
}

fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let fresh = path.with_extension(format!("new-{}", std::process::id()));
    fs::write(&fresh, bytes)?;
    fs::rename(&fresh, path)
}

/// Where `scripts/setup` keeps what it fetches, too.
pub(crate) fn cache() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|text| !text.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("nex"))
}

fn folder() -> Option<PathBuf> {
    cache().map(|cache| cache.join("quickjs"))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
