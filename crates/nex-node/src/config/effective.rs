//! The configuration as it counts, for people and for editors.

use serde_json::{Map, Value, json};

use super::{Config, problem::Origin, shape};

impl Config {
    /// Every key with its value.
    pub fn effective(&self) -> Value {
        serde_json::to_value(&self.file).unwrap_or_default()
    }

    /// Every key with its value and where that comes from: `default`, `file`,
    /// `flag` or `program`.
    pub fn effective_with_origins(&self) -> Value {
        let Value::Object(keys) = self.effective() else { return Value::Null };
        let described = keys.into_iter().map(|(key, value)| {
            let origin = self.origins.get(&key).copied().unwrap_or(Origin::Default);
            (key, json!({ "value": value, "origin": origin.as_str() }))
        });
        Value::Object(described.collect::<Map<_, _>>())
    }

    /// The JSON Schema of configuration files (draft 2020-12), for editors.
    pub fn schema() -> Value {
        shape::node_config_schema().clone()
    }
}
