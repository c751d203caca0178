//! The two words that a node calls itself when its operator gives it no name.

use std::path::Path;

use rand::seq::IndexedRandom as _;

use super::{StateError, files};

const FIRST: &[&str] = &[
    "amber", "ancient", "autumn", "bold", "brave", "bright", "calm", "clear", "clever", "cool",
    "crimson", "crisp", "early", "eager", "fair", "fast", "gentle", "golden", "grand", "green",
    "happy", "hidden", "icy", "keen", "kind", "late", "light", "lively", "lucky", "mellow",
    "misty", "noble", "patient", "plain", "proud", "quick", "quiet", "rapid", "royal", "sharp",
    "shy", "silent", "silver", "solid", "steady", "still", "sunny", "swift", "warm", "wise",
];

const SECOND: &[&str] = &[
    "badger", "bay", "birch", "brook", "canyon", "cedar", "cliff", "cloud", "comet", "coral",
    "crane", "creek", "dawn", "delta", "dune", "eagle", "ember", "falcon", "fern", "field",
    "forest", "fox", "glade", "harbor", "hawk", "heron", "hill", "island", "lake", "lark", "maple",
    "meadow", "moon", "moss", "oak", "otter", "peak", "pine", "pond", "rain", "reef", "ridge",
    "river", "robin", "shore", "sparrow", "spring", "star", "stone", "valley", "wave", "willow",
    "wind", "wolf",
];

/// Longest name that is believed, bytes.
const MAX_BYTES: usize = 64;

pub(super) fn load_or_create(dir: &Path) -> Result<String, StateError> {
    let path = dir.join("node.name");
    if let Some(text) = files::read_text(&path)? {
        let name = text.trim();
        let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !name.is_empty() && name.len() <= MAX_BYTES && name.chars().all(harmless) {
            return Ok(name.to_owned());
        }
        return Err(StateError::Corrupt { path, what: "a name of letters, digits, - _ ." });
    }
    let mut rng = rand::rng();
    let word = |words: &[&'static str], rng: &mut _| words.choose(rng).copied().unwrap_or("node");
    let name = format!("{}-{}", word(FIRST, &mut rng), word(SECOND, &mut rng));
    files::write(&path, &name)?;
    Ok(name)
}
