//! `docs/CONFIGURATION.md` says what the schema says.
//!
//! The table between its two markers is made here. `UPDATE_DOCS=1 cargo test -p nex-node docs`
//! writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::config::{Config, shape};

const START: &str =
    "<!-- keys: made from the schema, see crates/nex-node/src/config/tests/docs.rs -->\n";
const END: &str = "<!-- end of keys -->\n";

fn table() -> String {
    let schema = Config::schema();
    let mut table = String::from("| key | value | default | meaning |\n|---|---|---|---|\n");
    for (path, pointer) in shape::every_property(&schema) {
        let property = schema.pointer(&pointer).unwrap();
        let resolved = shape::resolve(&schema, property);
        let mut key = format!("`{}`", path.join("."));
        for alias in shape::aliases(property) {
            write!(key, " (or `{alias}`)").unwrap();
        }
        let default = match (property["x-default"].as_str(), &property["default"]) {
            (Some(words), _) => words.to_owned(),
            (None, Value::Null) => String::new(),
            (None, value) => format!("`{}`", value.to_string().replace("\",\"", "\", \"")),
        };
        let meaning = property["description"].as_str().unwrap();
        writeln!(table, "| {key} | {} | {default} | {meaning} |", value_of(resolved)).unwrap();
    }
    table
}

/// What a key takes, briefly.
fn value_of(schema: &Value) -> String {
    let choices = shape::choices(schema);
    if !choices.is_empty() {
        let quoted: Vec<_> = choices.iter().map(|choice| format!("`{choice}`")).collect();
        return quoted.join(", ");
    }
    let unit = schema["x-unit"].as_str().map(|unit| format!(", {unit}")).unwrap_or_default();
    let is = |name: &str| shape::allows(schema, name);
    if schema["format"] == "byte-size" {
        let unit = schema["x-unit"].as_str().unwrap();
        return format!("size, {unit}: number or text as `\"512MiB\"`");
    }
    if is("boolean") {
        "`true` or `false`".to_owned()
    } else if is("integer") {
        let bounds = match (schema["minimum"].as_i64(), schema["maximum"].as_i64()) {
            (Some(least), Some(greatest)) => format!("{least} to {greatest}"),
            (least, _) => format!("number from {}", least.unwrap_or(0)),
        };
        format!("{bounds}{unit}")
    } else if is("array") {
        let items = value_of(&schema["items"]);
        if items == "text" { "list of texts".to_owned() } else { format!("list of {items}") }
    } else if is("string") {
        "text".to_owned()
    } else if schema["additionalProperties"].is_object() {
        "object of texts".to_owned()
    } else {
        "object".to_owned()
    }
}

#[test]
fn the_page_lists_every_key_as_the_schema_has_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/CONFIGURATION.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(START).expect("the page has its first marker");
    let (listed, after) = rest.split_once(END).expect("the page has its second marker");
    let table = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{START}{table}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(listed, table, "run UPDATE_DOCS=1 cargo test -p nex-node docs");
}
