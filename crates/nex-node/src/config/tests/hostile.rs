//! Whatever the input: an answer, and no panic.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{load, said, surroundings};
use crate::config::{Config, Overrides, load::Sources, shape};

/// Any JSON at all.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        "[0-9]{1,22} ?[KMGT]?i?B?".prop_map(Value::from),
        "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}(/[0-9]{1,3})?".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".{0,8}", inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// A few of the real keys, at their places, with any value.
fn near_configuration() -> impl Strategy<Value = Value> {
    let paths: Vec<Vec<String>> = shape::every_property(shape::node_config_schema())
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    prop::collection::vec((prop::sample::select(paths), any_json()), 0..12).prop_map(|pairs| {
        let mut root = Value::Object(Map::new());
        for (path, value) in pairs {
            let mut at = &mut root;
            for key in path {
                if !at.is_object() {
                    *at = json!({});
                }
                at = &mut at[key.as_str()];
            }
            *at = value;
        }
        root
    })
}

fn check(value: &Value) -> Option<Config> {
    let loaded = Sources::of_value(value).finish(&Overrides::default(), &surroundings());
    let config = loaded.as_ref().ok().map(|(config, _)| config.clone());
    said(loaded);
    config
}

proptest! {
    #[test]
    fn any_value_is_answered(value in any_json()) {
        check(&value);
    }

    #[test]
    fn any_text_is_answered(text in ".{0,200}") {
        said(load(&text));
    }

    /// What the schema takes, serde takes; what counts can be loaded again and counts the same.
    #[test]
    fn near_configurations_are_answered_and_effective_ones_are_stable(value in near_configuration()) {
        if let Some(config) = check(&value) {
            prop_assert!(config.pool_size >= 1);
            let again = check(&config.effective());
            prop_assert!(again.is_some(), "{}", said(
                Sources::of_value(&config.effective()).finish(&Overrides::default(), &surroundings())
            ));
            prop_assert_eq!(config.effective(), again.unwrap().effective());
        }
    }

    /// Texts and values take the same way.
    #[test]
    fn a_text_says_what_its_value_says(value in near_configuration()) {
        let from_text = load(&value.to_string());
        let from_value = Sources::of_value(&value).finish(&Overrides::default(), &surroundings());
        match (from_text, from_value) {
            (Ok((one, _)), Ok((other, _))) => prop_assert_eq!(one.effective(), other.effective()),
            (Err(_), Err(_)) => {}
            (one, other) => prop_assert!(false, "{} / {}", said(one), said(other)),
        }
    }
}

#[test]
fn deep_and_wide_documents_are_refused_in_time() {
    for text in [
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        format!("{}{}", "[".repeat(400), "]".repeat(400)),
    ] {
        assert!(load(&text).is_err());
    }
    let wide: Vec<String> = (0..50_000).map(|n| format!("\"key{n}\": {n}")).collect();
    let (_, warnings) = load(&format!("{{{}}}", wide.join(","))).unwrap();
    assert!(warnings.len() <= 100);
    let wrong = vec!["0"; 50_000].join(",");
    assert!(said(load(&format!("{{\"bin_path\": [{wrong}]}}"))).len() < 20_000);
}

#[test]
fn a_value_nested_beyond_all_reason_is_answered() {
    let mut value = json!(1);
    for _ in 0..2_000 {
        value = json!([value]);
    }
    check(&json!({ "tags": value.clone(), "unknown": value }));
}
