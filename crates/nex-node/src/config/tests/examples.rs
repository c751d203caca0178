//! The examples of the repository are configurations without fault.

use std::path::{Path, PathBuf};

use crate::config::{Overrides, SandboxChoice, load};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn every_example_loads_without_a_word() {
    let folder = repository().join("examples/config");
    let mut loaded = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let (_, warnings) = load(Some(&path), &Overrides::default())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(warnings, [], "{}", path.display());
        loaded += 1;
    }
    assert!(loaded >= 4);
}

#[test]
fn the_file_of_a_go_node_still_means_firecracker() {
    let path = repository().join("examples/config/go-node.json");
    let (config, _) = load(Some(&path), &Overrides::default()).unwrap();
    assert_eq!(config.sandbox, SandboxChoice::Firecracker);
}
