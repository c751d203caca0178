//! A workload name from any file name.
//!
//! A name is `^[a-z][a-z0-9-]{0,62}$` (protocol page, "Workload JWT").

/// The longest workload name.
const MAX_LEN: usize = 63;

/// What a file is called after when nothing of its name can be used.
const FALLBACK: &str = "workload";

/// Extensions that say what a file is, not what it does.
const EXTENSIONS: [&str; 8] = ["js", "mjs", "wasm", "wat", "elf", "bin", "exe", "out"];

/// Makes a valid workload name from the last component of a path.
///
/// Letters become lower case, runs of anything else become one `-`, a leading
/// digit gets a `w` before it, and extensions that only say the type are
/// dropped: `Echo_Service v2.js` → `echo-service-v2`.
pub(crate) fn from_file_name(file_name: &str) -> String {
    let stem = match file_name.rsplit_once('.') {
        Some((stem, extension))
            if !stem.is_empty()
                && EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known)) =>
        {
            stem
        }
        _ => file_name,
    };
    let mut name = String::with_capacity(stem.len().min(MAX_LEN));
    for character in stem.chars() {
        let character = character.to_ascii_lowercase();
        if character.is_ascii_digit() && name.is_empty() {
            name.push('w');
        }
        if character.is_ascii_lowercase() || character.is_ascii_digit() {
            name.push(character);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
        if name.len() >= MAX_LEN {
            break;
        }
    }
    let name = name.trim_end_matches('-');
    if name.is_empty() { FALLBACK.to_owned() } else { name.to_owned() }
}

/// The key of a file in the object store `NEXCLIFILES`: its name without dots,
/// as the Go CLI has it.
pub(crate) fn object_key(file_name: &str) -> String {
    let key: String = file_name
        .chars()
        .filter(|character| *character != '.')
        .map(|character| if character == '/' || character.is_control() { '_' } else { character })
        .collect();
    if key.is_empty() { FALLBACK.to_owned() } else { key }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_names() {
        for (file, name) in [
            ("echo", "echo"),
            ("echo-service", "echo-service"),
            ("echofunction.js", "echofunction"),
            ("Echo_Service v2.JS", "echo-service-v2"),
            ("my.service", "my-service"),
            ("a.out", "a"),
            ("2048.wasm", "w2048"),
            ("..hidden", "hidden"),
            (".js", "js"),
            ("-_-", "workload"),
            ("\u{e9}t\u{e9}", "t"),
            ("\u{1f600}", "workload"),
            ("", "workload"),
            ("a---b--", "a-b"),
        ] {
            assert_eq!(from_file_name(file), name, "{file}");
        }
    }

    #[test]
    fn every_name_is_valid() {
        let long = "x9-".repeat(100);
        let odd: String = (0u8..=255).map(char::from).collect();
        for file in [long.as_str(), odd.as_str(), "9", "Z", "a.b.c.d", "\u{130}stanbul"] {
            let name = from_file_name(file);
            assert!(name.parse::<nex_protocol::name::WorkloadName>().is_ok(), "{file} → {name}");
        }
    }

    #[test]
    fn keys_are_names_without_dots() {
        assert_eq!(object_key("echofunction.js"), "echofunctionjs");
        assert_eq!(object_key("a.b.c"), "abc");
        assert_eq!(object_key("..."), "workload");
    }
}
