//! Where an upload goes in the object store `NEXCLIFILES`.

use std::path::Path;

/// What a file without a usable name is stored under.
const NAMELESS: &str = "workload";

/// The key of a file: its name without dots, as the Go CLI has it.
pub(crate) fn object_key(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let key: String = name
        .chars()
        .filter(|character| *character != '.')
        .map(|character| if character.is_control() { '_' } else { character })
        .collect();
    if key.is_empty() { NAMELESS.to_owned() } else { key }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_names_without_dots() {
        for (file, key) in [
            ("dir.d/echofunction.js", "echofunctionjs"),
            ("a.b.c", "abc"),
            ("...", "workload"),
            ("..", "workload"),
            ("a\nb", "a_b"),
        ] {
            assert_eq!(object_key(Path::new(file)), key, "{file}");
        }
    }
}
