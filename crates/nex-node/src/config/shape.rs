//! Reads a document by its schema: known keys under their names, everything else as findings.
//!
//! The schema is the one that editors get (`nex node config --schema`), so what the loader takes
//! and what the schema says cannot drift apart. Only the keywords that our own types produce are
//! understood; a test holds that against the schema.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use nex_protocol::config::{ByteSize, NodeConfigFile};
use serde_json::{Map, Value};

use super::document::{Member, Node, NodeValue, describe_text};
use super::problem::{Origin, Place, Problem, ProblemKind, Warning, WarningKind};

/// How many problems, and how many warnings, one document can have.
const MAX_FINDINGS: usize = 100;

/// How many references are followed from one schema to the next; ours need one.
const MAX_REFERENCES: usize = 8;

/// The schema of the node configuration, as made from its types.
pub(super) fn node_config_schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| schemars::schema_for!(NodeConfigFile).to_value())
}

/// What was read from one source.
pub(super) struct Layer {
    /// Keys under their proper names, nothing unknown, no `null`; only those without a problem.
    pub(super) keys: Map<String, Value>,
    /// Where each value is, by the path of its key.
    pub(super) places: Vec<(String, Place)>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Warning>,
}

/// Reads a document of the node configuration.
pub(super) fn read(document: &Node, origin: Origin, file: Option<&Arc<PathBuf>>) -> Layer {
    let root = node_config_schema();
    let mut reader = Reader {
        root,
        origin,
        file,
        places: Vec::new(),
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    let keys = match reader.value(document, root, "") {
        Some(Value::Object(keys)) => keys,
        _ => Map::new(),
    };
    let Reader { places, problems, warnings, .. } = reader;
    Layer { keys, places, problems, warnings }
}

struct Reader<'a> {
    root: &'a Value,
    origin: Origin,
    file: Option<&'a Arc<PathBuf>>,
    places: Vec<(String, Place)>,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

impl<'a> Reader<'a> {
    /// Reads one value; `None` if it cannot be used, which is then among the problems.
    fn value(&mut self, node: &Node, schema: &'a Value, path: &str) -> Option<Value> {
        let place = self.place(node.at);
        self.places.push((path.to_owned(), place));
        let kind = resolve(self.root, schema);
        match &node.value {
            NodeValue::Object(members) if allows(kind, "object") => {
                Some(Value::Object(self.object(members, kind, path)))
            }
            NodeValue::List(elements) if allows(kind, "array") => {
                let items = kind.get("items").unwrap_or(&Value::Null);
                let mut values = Vec::with_capacity(elements.len());
                for (index, element) in elements.iter().enumerate() {
                    values.extend(self.value(element, items, &format!("{path}[{index}]")));
                }
                Some(Value::Array(values))
            }
            NodeValue::Bool(value) if allows(kind, "boolean") => Some(Value::Bool(*value)),
            NodeValue::Number(number)
                if allows(kind, "integer")
                    && number.as_i128().is_some_and(|number| in_range(kind, number)) =>
            {
                Some(Value::Number(number.clone()))
            }
            NodeValue::Text(text) if allows(kind, "string") => match accepts_text(kind, text) {
                Ok(()) => Some(Value::String(text.clone())),
                Err(expected) => {
                    self.refuse(node, path, expected);
                    None
                }
            },
            _ => {
                self.refuse(node, path, expected(kind));
                None
            }
        }
    }

    fn object(&mut self, members: &[Member], schema: &'a Value, path: &str) -> Map<String, Value> {
        let mut map = Map::new();
        for member in members {
            let Some((name, schema)) = self.find_key(member, schema, path) else { continue };
            let path = join(path, &name);
            if is_absent(&member.value, resolve(self.root, schema)) {
                continue;
            }
            if let Some(value) = self.value(&member.value, schema, &path)
                && map.insert(name, value).is_some()
            {
                self.warn(member, path, WarningKind::Repeated);
            }
        }
        map
    }

    /// The proper name of a key and the schema of its value; `None`, with a warning, if unknown.
    fn find_key(
        &mut self,
        member: &Member,
        schema: &'a Value,
        path: &str,
    ) -> Option<(String, &'a Value)> {
        let written = member.key.as_str();
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            if name == written || aliases(property).any(|alias| alias == written) {
                return Some((name.clone(), property));
            }
        }
        // Go reads keys in any capitals, so files with others exist.
        for (name, property) in properties.into_iter().flatten() {
            let mut spellings = std::iter::once(name.as_str()).chain(aliases(property));
            if let Some(spelling) = spellings.find(|key| key.eq_ignore_ascii_case(written)) {
                let spelling = spelling.to_owned();
                self.warn(member, join(path, written), WarningKind::Capitals { spelling });
                return Some((name.clone(), property));
            }
        }
        if let Some(values) = schema.get("additionalProperties").filter(|s| s.is_object()) {
            return Some((written.to_owned(), values));
        }
        if self.warnings.len() >= MAX_FINDINGS {
            return None;
        }
        let suggestion = suggest(self.root, schema, path, written);
        self.warn(member, join(path, written), WarningKind::UnknownKey { suggestion });
        None
    }

    fn place(&self, position: Option<super::problem::Position>) -> Place {
        Place { origin: self.origin, file: self.file.cloned(), position }
    }

    fn refuse(&mut self, node: &Node, path: &str, expected: String) {
        let kind = match self.problems.len() {
            0..MAX_FINDINGS => ProblemKind::Unexpected { found: node.describe(), expected },
            MAX_FINDINGS => ProblemKind::TooMany,
            _ => return,
        };
        let place = self.place(node.at);
        self.problems.push(Problem { place, key: path.to_owned(), kind });
    }

    fn warn(&mut self, member: &Member, key: String, kind: WarningKind) {
        if self.warnings.len() < MAX_FINDINGS {
            let place = self.place(member.at);
            self.warnings.push(Warning { place, key, kind });
        }
    }
}

/// Go writes a pointer that is not set as `null`, and a text that is not set as an empty one: the
/// same as no key at all. A listed text or a size is never empty, and a tag may be.
fn is_absent(node: &Node, schema: &Value) -> bool {
    match &node.value {
        NodeValue::Null => true,
        NodeValue::Text(text) => {
            text.is_empty()
                && schema.get("format").is_none()
                && choices(schema).is_empty()
                && allows(schema, "null")
        }
        _ => false,
    }
}

/// The path of a key inside another: dotted, in quotes if it would not be readable so.
pub(super) fn join(path: &str, key: &str) -> String {
    let plain = !key.is_empty()
        && key.len() <= 64
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'$'));
    match (path.is_empty(), plain) {
        (true, true) => key.to_owned(),
        (false, true) => format!("{path}.{key}"),
        (_, false) => format!("{path}[{}]", describe_text(key)),
    }
}

/// Follows references, and takes the one branch of "this or null" that is not null.
pub(super) fn resolve<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    for _ in 0..MAX_REFERENCES {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let Some(target) = reference.strip_prefix('#').and_then(|at| root.pointer(at)) else {
                return schema;
            };
            schema = target;
        } else if let Some(branches) = schema.get("anyOf").and_then(Value::as_array) {
            let is_null =
                |branch: &&Value| branch.get("type").and_then(Value::as_str) != Some("null");
            let Some(branch) = branches.iter().find(is_null) else { return schema };
            schema = branch;
        } else {
            return schema;
        }
    }
    schema
}

/// The older spellings of a key.
pub(super) fn aliases(property: &Value) -> impl Iterator<Item = &str> {
    property
        .get("x-aliases")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// The types that a schema names.
fn types(schema: &Value) -> impl Iterator<Item = &str> {
    let (one, many) = match schema.get("type") {
        Some(Value::String(name)) => (Some(name.as_str()), None),
        Some(Value::Array(names)) => (None, Some(names)),
        // Enumerations with a description for each value.
        _ if schema.get("oneOf").is_some() => (Some("string"), None),
        _ => (None, None),
    };
    one.into_iter().chain(many.into_iter().flatten().filter_map(Value::as_str))
}

pub(super) fn allows(schema: &Value, wanted: &str) -> bool {
    types(schema).any(|name| name == wanted)
}

/// The least and the greatest whole number that a schema takes.
fn range(schema: &Value) -> (i128, i128) {
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_number)?.as_i128();
    let (least, greatest) = match schema.get("format").and_then(Value::as_str) {
        Some("uint16") => (0, i128::from(u16::MAX)),
        Some("uint32") => (0, i128::from(u32::MAX)),
        Some("int32") => (i128::from(i32::MIN), i128::from(i32::MAX)),
        Some("uint64" | "byte-size") => (0, i128::from(u64::MAX)),
        _ => (i128::MIN, i128::MAX),
    };
    (
        bound("minimum").unwrap_or(least).max(least),
        bound("maximum").unwrap_or(greatest).min(greatest),
    )
}

fn in_range(schema: &Value, number: i128) -> bool {
    let (least, greatest) = range(schema);
    (least..=greatest).contains(&number)
}

/// The texts that a schema lists, if it lists them.
pub(super) fn choices(schema: &Value) -> Vec<&str> {
    let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    let described = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    listed
        .chain(described.flat_map(|branch| {
            let grouped = branch.get("enum").and_then(Value::as_array).into_iter().flatten();
            branch.get("const").into_iter().chain(grouped)
        }))
        .filter_map(Value::as_str)
        .collect()
}

/// `Err` with what is expected if a schema does not take this text.
fn accepts_text(schema: &Value, text: &str) -> Result<(), String> {
    if schema.get("format").and_then(Value::as_str) == Some("byte-size") {
        return match text.parse::<ByteSize>() {
            Ok(size) if in_range(schema, i128::from(size.as_u64())) => Ok(()),
            _ => Err(expected(schema)),
        };
    }
    let choices = choices(schema);
    if choices.is_empty() || choices.contains(&text) { Ok(()) } else { Err(expected(schema)) }
}

/// What a schema takes, in words.
fn expected(schema: &Value) -> String {
    if let Some(words) = schema.get("x-expected").and_then(Value::as_str) {
        let (least, _) = range(schema);
        return if least > 0 { format!("{words}, at least {least}") } else { words.to_owned() };
    }
    let choices = choices(schema);
    if !choices.is_empty() {
        let quoted: Vec<_> = choices.iter().map(|choice| format!("{choice:?}")).collect();
        return format!("one of {}", quoted.join(", "));
    }
    match types(schema).find(|name| *name != "null") {
        Some("boolean") => "true or false".to_owned(),
        Some("integer") => expected_number(schema),
        Some("string") => "a text".to_owned(),
        Some("array") => "a list".to_owned(),
        _ => "an object".to_owned(),
    }
}

fn expected_number(schema: &Value) -> String {
    let unit = match schema.get("x-unit").and_then(Value::as_str) {
        Some(unit) => format!(" ({unit})"),
        None => String::new(),
    };
    match range(schema) {
        (least, greatest) if greatest >= i128::from(u64::MAX) => {
            format!("a whole number, at least {least}{unit}")
        }
        (least, greatest) => format!("a whole number from {least} to {greatest}{unit}"),
    }
}

/// How alike two keys are before one is suggested for the other (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.84;

/// The key that was probably meant: one of this object, or the same key in another place.
fn suggest(root: &Value, schema: &Value, path: &str, written: &str) -> Option<String> {
    if written.len() > 64 {
        return None;
    }
    let lower = written.to_ascii_lowercase().replace('-', "_");
    let mut best: Option<(f64, String)> = None;
    let mut offer = |score: f64, key: String| {
        if best.as_ref().is_none_or(|(so_far, _)| score > *so_far) {
            best = Some((score, key));
        }
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        for key in std::iter::once(name.as_str()).chain(aliases(property)) {
            let mut score = strsim::jaro_winkler(&lower, key);
            // `pool_size` for `machine_pool_size`.
            if lower.len() >= 4 && key.contains(&lower) {
                score = score.max(0.9);
            }
            if score >= ALIKE {
                offer(score, join(path, name));
            }
        }
    }
    // The right key in the wrong object.
    for (object, name) in every_key(root) {
        if object != path && name == lower {
            offer(0.99, join(&object, &name));
        }
    }
    best.map(|(_, key)| key)
}

/// Every key of the configuration with the path of the object that it is in.
fn every_key(root: &Value) -> Vec<(String, String)> {
    every_property(root)
        .into_iter()
        .filter_map(|(mut path, _)| {
            let key = path.pop()?;
            Some((path.iter().fold(String::new(), |path, key| join(&path, key)), key))
        })
        .collect()
}

/// The path of every key, and where its schema is (a JSON pointer into the root schema), in the
/// order of the schema; keys of objects follow the object's own.
pub(super) fn every_property(root: &Value) -> Vec<(Vec<String>, String)> {
    let mut found = Vec::new();
    // Our objects are nested three deep; the bound only keeps a recursive type from going on.
    properties_at(root, "", &[], 4, &mut found);
    found
}

fn properties_at(
    root: &Value,
    pointer: &str,
    path: &[String],
    depth: usize,
    found: &mut Vec<(Vec<String>, String)>,
) {
    let target = resolve_pointer(root, pointer);
    let properties = root.pointer(&format!("{target}/properties")).and_then(Value::as_object);
    for name in properties.into_iter().flat_map(Map::keys).take_while(|_| depth > 0) {
        let mut path = path.to_vec();
        path.push(name.clone());
        let pointer = format!("{target}/properties/{name}");
        found.push((path.clone(), pointer.clone()));
        properties_at(root, &pointer, &path, depth - 1, found);
    }
}

/// Like [`resolve`], for a pointer to a schema.
fn resolve_pointer(root: &Value, pointer: &str) -> String {
    let schema = root.pointer(pointer).unwrap_or(&Value::Null);
    let branches = schema.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    std::iter::once(schema)
        .chain(branches)
        .find_map(|branch| branch.get("$ref")?.as_str()?.strip_prefix('#'))
        .unwrap_or(pointer)
        .to_owned()
}
