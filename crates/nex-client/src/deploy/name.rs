//! A workload name from any file name.

use std::path::Path;

use nex_protocol::name::WorkloadName;

/// Most characters of a workload name.
const MAX_CHARACTERS: usize = 63;

/// File name endings that say what a file is and not what it is called.
const DROPPED_ENDINGS: [&str; 5] = ["js", "mjs", "wasm", "wat", "elf"];

/// Name of a file whose name holds nothing usable.
const NAMELESS: &str = "workload";

/// Makes a valid workload name of a file's name: `Echo Service_v2.js` becomes
/// `echo-service-v2`, `42.wasm` becomes `w42`.
///
/// ```
/// # use std::path::Path;
/// let name = nex_client::deploy::workload_name_of(Path::new("bin/Echo_Service.wasm"));
/// assert_eq!(name.as_str(), "echo-service");
/// ```
#[must_use]
pub fn workload_name_of(file: &Path) -> WorkloadName {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let dropped = DROPPED_ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known));
    let stem = if dropped { file.file_stem() } else { file.file_name() };
    let stem = stem.unwrap_or_default().to_string_lossy();

    let mut name = String::new();
    for character in stem.chars().map(|character| character.to_ascii_lowercase()) {
        if character.is_ascii_lowercase() || character.is_ascii_digit() {
            name.push(character);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        name.insert(0, 'w');
    }
    // All ASCII by now, so every index is a boundary.
    name.truncate(MAX_CHARACTERS);
    let name = name.trim_end_matches('-');
    name.parse().unwrap_or_else(|_| fallback())
}

#[allow(clippy::unreachable, reason = "a constant; tested")]
fn fallback() -> WorkloadName {
    match NAMELESS.parse() {
        Ok(name) => name,
        Err(_) => unreachable!("{NAMELESS:?} is a workload name"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_name_gives_a_valid_name() {
        for (file, expected) in [
            ("echo", "echo"),
            ("target/release/echo-service", "echo-service"),
            ("Echo Service_v2.js", "echo-service-v2"),
            ("hello.WASM", "hello"),
            ("hello.wat", "hello"),
            ("my.app", "my-app"),
            ("..hidden..", "hidden"),
            ("42.wasm", "w42"),
            ("été", "t"),
            ("日本", "workload"),
            ("", "workload"),
            ("/", "workload"),
            ("---", "workload"),
            ("a__b--c", "a-b-c"),
        ] {
            assert_eq!(workload_name_of(Path::new(file)).as_str(), expected, "{file:?}");
        }
        let long = "x".repeat(62) + "_yz";
        assert_eq!(workload_name_of(Path::new(&long)).as_str(), "x".repeat(62));
        assert_eq!(workload_name_of(Path::new(&"9".repeat(300))).as_str().len(), 63);
    }
}
