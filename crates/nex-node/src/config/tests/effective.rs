//! What `nex node config` prints.

use serde_json::Value;

use super::{flags, good, load_with};
use crate::config::{Config, Overrides, SandboxChoice, shape};

#[test]
fn the_effective_configuration_has_every_key() {
    let config = good(r#"{"sandbox": "process", "state_dir": "/srv/nex"}"#);
    insta::assert_json_snapshot!(config.effective());
}

#[test]
fn every_value_tells_its_origin() {
    let overrides = Overrides {
        sandbox: Some(SandboxChoice::Process),
        tags: [("zone".to_owned(), "b".to_owned())].into(),
        ..Overrides::default()
    };
    let text = "{\n  \"machine_pool_size\": 3,\n  \"tags\": {\"rack\": \"4\"},\n  \"cni\": {\"subnet\": \"10.0.0.0/8\"}\n}";
    let (config, _) = load_with(text, &overrides).unwrap();
    let told = config.effective_with_origins();
    let at = |pointer: &str| told.pointer(pointer).unwrap().to_string();
    assert_eq!(at("/sandbox"), r#"{"origin":"flag","value":"process"}"#);
    assert_eq!(at("/machine_pool_size"), r#"{"origin":"file","place":"node.json:2:24","value":3}"#);
    assert_eq!(at("/tags/zone"), r#"{"origin":"flag","value":"b"}"#);
    assert_eq!(at("/tags/rack/origin"), r#""file""#);
    assert_eq!(at("/cni/subnet/value"), r#""10.0.0.0/8""#);
    assert_eq!(at("/cni/network_name"), r#"{"origin":"default","value":"fcnet"}"#);
    assert_eq!(at("/state_dir"), r#"{"origin":"default","value":null}"#);
}

#[test]
fn an_effective_configuration_is_one_that_loads() {
    for text in [
        "{}",
        r#"{"sandbox": "process", "legacy_agents": true, "public_nats_server": {}}"#,
        r#"{"no_sandbox": true, "tags": {"a b": "c"}, "limits": {"max_workloads": 3}}"#,
        r#"{"sandbox": "qemu", "cni": {"subnet": "10.0.0.0/8"}, "node_name": "x"}"#,
    ] {
        let config = good(text);
        let again = good(&config.effective().to_string());
        // Through `Deref`: what counts, not where it was read.
        assert_eq!(*config, *again, "{text}");
    }
}

#[test]
fn the_schema_is_for_editors_and_says_the_defaults() {
    insta::assert_json_snapshot!(Config::schema());
}

#[test]
fn the_schema_says_nothing_that_the_loader_does_not_understand() {
    const KNOWN: [&str; 23] = [
        "$schema",
        "$defs",
        "$ref",
        "title",
        "description",
        "type",
        "properties",
        "items",
        "anyOf",
        "oneOf",
        "const",
        "enum",
        "format",
        "minimum",
        "maximum",
        "pattern",
        "default",
        "additionalProperties",
        "x-aliases",
        "x-unit",
        "x-expected",
        "x-default",
        "required",
    ];
    fn walk(schema: &Value, is_map: bool) {
        match schema {
            Value::Object(keys) => {
                for (key, value) in keys {
                    assert!(is_map || KNOWN.contains(&key.as_str()), "{key} in {schema}");
                    if key != "default" && !key.starts_with("x-") {
                        walk(value, !is_map && matches!(key.as_str(), "properties" | "$defs"));
                    }
                }
            }
            Value::Array(elements) => elements.iter().for_each(|element| walk(element, false)),
            _ => {}
        }
    }
    let schema = Config::schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    walk(&schema, false);
}

#[test]
fn every_key_is_described() {
    let root = shape::node_config_schema();
    for (path, pointer) in shape::every_property(root) {
        let property = root.pointer(&pointer).unwrap();
        let text = property["description"].as_str().unwrap_or_default();
        assert!(text.ends_with('.'), "{path:?} says {text:?}");
    }
}

#[test]
fn without_a_file_nothing_is_from_one() {
    let (config, _) = flags(&Overrides::default()).unwrap();
    assert!(!config.effective_with_origins().to_string().contains(r#""origin":"file""#));
}
