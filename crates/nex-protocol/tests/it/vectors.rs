//! Access to the golden data in `tests/vectors`.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// The content of one file.
pub(crate) fn file(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The cases of one section, of which there is at least one.
pub(crate) fn section<'a>(file: &'a Value, name: &str) -> &'a [Value] {
    let cases = file[name].as_array().unwrap_or_else(|| panic!("no section {name}"));
    assert!(!cases.is_empty(), "section {name} is empty");
    cases
}

/// A text of a case.
pub(crate) fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap_or_else(|| panic!("no text {name} in {case}"))
}
