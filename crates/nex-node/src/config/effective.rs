//! The configuration as it counts, for people and for editors.

use nex_protocol::config::{NodeConfigFile, PublicNatsServerFile};
use serde_json::{Map, Value, json};

use super::{Config, defaults, problem::Origin, shape, surroundings::Surroundings};

impl Config {
    /// Every key with its value; `null` for what has none. It is a configuration file itself.
    pub fn effective(&self) -> Value {
        let root = shape::node_config_schema();
        let given = serde_json::to_value(&self.file).unwrap_or_default();
        every_key(root, root, Some(&given))
    }

    /// Every key as an object of its `value`, its `origin` (`default`, `file`, `flag` or
    /// `program`) and, from a file, its `place` there.
    pub fn effective_with_origins(&self) -> Value {
        self.with_origins(self.effective(), "")
    }

    fn with_origins(&self, value: Value, path: &str) -> Value {
        match value {
            Value::Object(keys) if !keys.is_empty() => Value::Object(
                keys.into_iter()
                    .map(|(key, value)| {
                        let described = self.with_origins(value, &shape::join(path, &key));
                        (key, described)
                    })
                    .collect(),
            ),
            value => {
                let place = self.places.get(path);
                let origin = place.map_or(Origin::Default, |place| place.origin);
                match place.filter(|place| place.file.is_some()) {
                    Some(place) => json!({
                        "value": value,
                        "origin": origin.as_str(),
                        "place": place.to_string(),
                    }),
                    None => json!({ "value": value, "origin": origin.as_str() }),
                }
            }
        }
    }

    /// The JSON Schema of configuration files (draft 2020-12), for editors. Its `default`s are
    /// those that the node uses.
    pub fn schema() -> Value {
        let mut schema = shape::node_config_schema().clone();
        let file = NodeConfigFile {
            public_nats_server: Some(PublicNatsServerFile::default()),
            ..NodeConfigFile::default()
        };
        let filled = defaults::fill(file, &Surroundings::default());
        let filled = serde_json::to_value(&filled).unwrap_or_default();
        for (path, pointer) in shape::every_property(shape::node_config_schema()) {
            let at = path.iter().map(|key| format!("/{key}")).collect::<String>();
            let Some(property) = schema.pointer_mut(&pointer).and_then(Value::as_object_mut) else {
                continue;
            };
            property.remove("default");
            let default = filled.pointer(&at).filter(|value| !value.is_object() || at == "/tags");
            if let Some(default) = default
                && !property.contains_key("x-default")
            {
                property.insert("default".to_owned(), default.clone());
            }
        }
        schema
    }
}

/// The value of an object with every key of its schema, `null` where there is none.
fn every_key(root: &Value, schema: &Value, given: Option<&Value>) -> Value {
    let schema = shape::resolve(root, schema);
    let (Some(properties), Some(Value::Object(given))) =
        (schema.get("properties").and_then(Value::as_object), given)
    else {
        return given.cloned().unwrap_or_default();
    };
    let keys = properties.iter().filter(|(key, _)| !key.starts_with('$'));
    Value::Object(
        keys.map(|(key, property)| (key.clone(), every_key(root, property, given.get(key))))
            .collect::<Map<_, _>>(),
    )
}
