//! Where tests find `nats-server`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};

/// Oldest server the tests accept: older ones cannot create key-value buckets
/// for async-nats 0.51.
const OLDEST: (u64, u64) = (2, 12);

/// The pinned server that `scripts/setup` puts into the cache.
const CACHED: &str = "nex/nats-server/2.15.1/nats-server";

/// The `nats-server` that tests run: `NEX_TEST_NATS_SERVER`, else one on
/// `PATH` that is new enough, else the pinned one in the cache folder.
///
/// # Panics
/// When there is none, with what to do about it.
#[must_use]
pub fn nats_server_binary() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| match locate() {
        Some(path) => path,
        None => panic!(
            "tests need nats-server {}.{} or newer: run scripts/setup once, put one on PATH, \
             or set NEX_TEST_NATS_SERVER to its path",
            OLDEST.0, OLDEST.1
        ),
    })
}

fn locate() -> Option<PathBuf> {
    if let Some(named) = env::var_os("NEX_TEST_NATS_SERVER") {
        let named = PathBuf::from(named);
        assert!(named.is_file(), "NEX_TEST_NATS_SERVER names {}: no such file", named.display());
        return Some(named);
    }
    let on_path = env::var_os("PATH").and_then(|path| {
        env::split_paths(&path)
            .map(|folder| folder.join("nats-server"))
            .find(|file| file.is_file() && version_of(file).is_some_and(|found| found >= OLDEST))
    });
    on_path.or_else(|| cache_folders().map(|folder| folder.join(CACHED)).find(|f| is_program(f)))
}

fn cache_folders() -> impl Iterator<Item = PathBuf> {
    let named = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let home = env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    [named, home, Some(PathBuf::from("/var/cache"))].into_iter().flatten()
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// `nats-server: v2.15.1` → (2, 15).
fn version_of(file: &Path) -> Option<(u64, u64)> {
    let output = Command::new(file).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.trim().rsplit_once('v')?.1.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
