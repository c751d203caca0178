//! Rules of the house that no compiler checks, for the whole project.

use std::fs;
use std::path::{Path, PathBuf};

/// Most lines of product code in one file; its unit tests do not count.
const LONGEST_FILE: usize = 700;

/// Module names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "helpers", "helper", "common", "misc"];

/// Lints that keep panics out of product code; only tests may switch them off.
const PANIC_LINTS: [&str; 6] = [
    "clippy::unwrap_used",
    "clippy::expect_used",
    "clippy::panic",
    "clippy::indexing_slicing",
    "clippy::string_slice",
    "clippy::arithmetic_side_effects",
];

/// Hosts of package registries, in halves so that this file does not name them.
/// Packages are asked for by name, through the user's ordinary client.
const REGISTRIES: [(&str, &str); 9] = [
    ("pypi.", "org"),
    ("pythonhosted.", "org"),
    ("index.crates.", "io"),
    ("static.crates.", "io"),
    ("registry.npmjs.", "org"),
    ("proxy.golang.", "org"),
    ("deb.debian.", "org"),
    ("archive.ubuntu.", "com"),
    ("repo1.maven.", "org"),
];

/// Which crate may not depend on which, and why is in docs/ARCHITECTURE.md.
const FORBIDDEN: [(&str, &[&str]); 5] = [
    ("nex-protocol", &["tokio", "async-nats", "nex-client", "nex-node", "nex-agent"]),
    ("nex-agent", &["nex-node", "nex-client", "async-nats"]),
    ("nex-node", &["nex-agent"]),
    ("nex-client", &["nex-node", "nex-agent"]),
    ("nex-testkit", &["nex-node", "nex-client"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// All files below `folder` but build output and what git keeps.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap_or_default();
            if path.is_symlink() || ["target", ".git", "corpus", "artifacts"].contains(&name) {
                continue;
            }
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

fn members() -> Vec<PathBuf> {
    let folders = ["crates", "examples"].map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let members = folders.into_iter().flatten().map(|entry| entry.unwrap().path());
    members.filter(|path| path.join("Cargo.toml").is_file()).collect()
}

/// Rust files of the workspace that end up in a program or library.
fn product_files() -> Vec<(PathBuf, String)> {
    let sources = members().into_iter().flat_map(|member| files(&member.join("src")));
    let product = sources.filter(|path| {
        let text = path.to_str().unwrap();
        text.ends_with(".rs") && !text.ends_with("/tests.rs") && !text.contains("/tests/")
    });
    product.map(|path| (path.clone(), fs::read_to_string(&path).unwrap())).collect()
}

/// The part of a file before its unit tests.
fn product_part(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests {").next().unwrap()
}

#[track_caller]
fn assert_none(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

#[test]
fn modules_are_named_after_what_they_know() {
    let empty = |path: &PathBuf| {
        let mut parts = path.components().map(|part| Path::new(part.as_os_str()).file_stem());
        parts.any(|part| part.is_some_and(|name| EMPTY_NAMES.iter().any(|empty| name == *empty)))
    };
    let sources = members().into_iter().flat_map(|member| files(&member));
    let inside = sources.map(|path| path.strip_prefix(root()).unwrap().to_owned());
    let offenders: Vec<_> = inside.filter(empty).map(|path| path.display().to_string()).collect();
    assert_none("these names say nothing about what is inside", &offenders);
}

#[test]
fn files_hold_one_concept() {
    let long = |(path, text): (PathBuf, String)| {
        let lines = product_part(&text).lines().count();
        (lines > LONGEST_FILE).then(|| format!("{}: {lines} lines", path.display()))
    };
    let offenders: Vec<_> = product_files().into_iter().filter_map(long).collect();
    assert_none(&format!("more than {LONGEST_FILE} lines of product code"), &offenders);
}

#[test]
fn product_code_does_not_allow_panics() {
    // The test support reports by panicking: that is what it is for.
    let exempt = |path: &Path| path.starts_with(root().join("crates/nex-testkit"));
    let mut offenders = Vec::new();
    for (path, text) in product_files().iter().filter(|(path, _)| !exempt(path)) {
        let product = product_part(text);
        for attribute in ["allow(", "expect("] {
            // Attributes only: `#[allow(`, `#![allow(`, `cfg_attr(…, allow(`.
            for (at, _) in product.match_indices(attribute) {
                let before = product[..at].trim_end();
                if !(before.ends_with("#[") || before.ends_with("#![") || before.ends_with(',')) {
                    continue;
                }
                let list = product[at..].split(')').next().unwrap();
                if PANIC_LINTS.iter().any(|lint| list.contains(lint)) {
                    let line = product[..at].lines().count();
                    offenders.push(format!("{}:{line}", path.display()));
                }
            }
        }
    }
    assert_none("panics are for tests; handle the case or give the error a variant", &offenders);
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let takes = |member: &PathBuf| {
        let text = fs::read_to_string(member.join("Cargo.toml")).unwrap();
        text.contains("\n[lints]\nworkspace = true\n")
    };
    let offenders: Vec<_> =
        members().iter().filter(|m| !takes(m)).map(|m| m.display().to_string()).collect();
    assert_none("add `[lints]` with `workspace = true` to the manifest", &offenders);
}

#[test]
fn each_crate_has_one_integration_test_binary() {
    let extra = members().into_iter().filter_map(|member| fs::read_dir(member.join("tests")).ok());
    let extra = extra.flatten().map(|entry| entry.unwrap().path());
    let offenders: Vec<_> = extra
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .map(|path| path.display().to_string())
        .collect();
    assert_none("make it a module of tests/it/main.rs: each binary links everything", &offenders);
}

#[test]
fn dependencies_point_one_way() {
    let mut offenders = Vec::new();
    for (name, forbidden) in FORBIDDEN {
        let manifest = root().join("crates").join(name).join("Cargo.toml");
        let text = fs::read_to_string(manifest).unwrap();
        let product = text.split("[dev-dependencies]").next().unwrap();
        let table = product.split("[dependencies]").nth(1).unwrap_or_default();
        let wrong = forbidden.iter().filter(|wrong| {
            let used = |line: &str| {
                let rest = line.strip_prefix(**wrong);
                rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
            };
            table.lines().any(used)
        });
        offenders.extend(wrong.map(|wrong| format!("{name} depends on {wrong}")));
    }
    assert_none("the layering of docs/ARCHITECTURE.md", &offenders);
}

#[test]
fn no_package_registry_is_named() {
    let hosts = REGISTRIES.map(|(name, ending)| format!("{name}{ending}"));
    let mut offenders = Vec::new();
    for path in files(&root()) {
        let name = path.file_name().unwrap().to_str().unwrap_or_default();
        if name == "Cargo.lock" || name == "go.sum" {
            continue;
        }
        // What is not text names nothing.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let named = hosts.iter().filter(|host| text.contains(host.as_str()));
        offenders.extend(named.map(|host| format!("{}: {host}", path.display())));
    }
    assert_none("ask for packages by name, through the ordinary client", &offenders);
}
