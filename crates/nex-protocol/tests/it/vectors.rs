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

/// The bytes of a case, which stand in a field of the same name with `_hex` if they are no text.
pub(crate) fn bytes(case: &Value, name: &str) -> Vec<u8> {
    match case[format!("{name}_hex")].as_str() {
        Some(hex) => data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap(),
        None => text(case, name).as_bytes().to_vec(),
    }
}

/// Whether Go took it.
pub(crate) fn go_ok(case: &Value, name: &str) -> bool {
    case[name]["ok"].as_bool().unwrap_or_else(|| panic!("no answer {name} in {case}"))
}

/// JSON that was written.
pub(crate) fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// Go's nil slices, which JSON shows as `null`: ours are always lists.
pub(crate) fn lists_for_null(mut value: Value, names: &[&str]) -> Value {
    for name in names {
        if let Some(list @ Value::Null) = value.get_mut(name) {
            *list = Value::Array(Vec::new());
        }
    }
    value
}
