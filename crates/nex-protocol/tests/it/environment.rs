//! Sealed environments against Go's.

use std::collections::BTreeMap;

use nex_protocol::environment::{
    Environment, EnvironmentError, MAX_ENVIRONMENT_BYTES, MAX_SEALED_CHARACTERS, MAX_VARIABLES,
    VariableError,
};
use nex_protocol::key::{CurveKey, CurvePublicKey};
use proptest::prelude::*;
use serde_json::Value;

use crate::vectors::{file, section, text};

fn key(file: &Value, name: &Value) -> CurveKey {
    let key = section(file, "keys").iter().find(|key| key["name"] == *name).unwrap();
    CurveKey::from_seed(text(key, "seed")).unwrap()
}

fn map(environment: Environment) -> BTreeMap<String, String> {
    environment.into()
}

#[test]
fn boxes_that_go_made_open() {
    let file = file("xkey.json");
    for case in section(&file, "boxes") {
        let (from, to) = (key(&file, &case["from"]), key(&file, &case["to"]));
        let sealed = text(case, "environment");
        let opened = Environment::open(sealed, &to, &from.public()).unwrap();
        // The largest one stands in the file once only, as the plain text.
        let go: Option<BTreeMap<String, String>> = match case["go"].get("map") {
            Some(map) => serde_json::from_value(map.clone()).unwrap(),
            None => serde_json::from_str(text(case, "plaintext")).unwrap(),
        };
        assert_eq!(map(opened.clone()), go.unwrap_or_default(), "{}", case["name"]);
        let again = opened.seal(&from, &to.public()).unwrap();
        let opened_again = Environment::open(&again, &to, &from.public()).unwrap();
        assert_eq!(opened_again, opened, "{}", case["name"]);
    }
}

#[test]
fn contents_are_judged_as_expected() {
    let file = file("xkey.json");
    for case in section(&file, "plaintexts") {
        let (from, to) = (key(&file, &case["from"]), key(&file, &case["to"]));
        let opened = Environment::open(text(case, "environment"), &to, &from.public());
        match text(case, "expected") {
            "valid" => assert!(opened.is_ok(), "{}: {opened:?}", case["why"]),
            "invalid" => assert!(
                matches!(opened, Err(EnvironmentError::Content { .. })),
                "{}: {opened:?}",
                case["why"]
            ),
            _ => {}
        }
        if let Ok(opened) = opened {
            let go: Option<BTreeMap<String, String>> =
                serde_json::from_value(case["go"]["map"].clone()).unwrap();
            assert_eq!(map(opened), go.unwrap_or_default(), "{}", case["why"]);
        }
    }
}

#[test]
fn broken_boxes_are_judged_as_expected() {
    let file = file("xkey.json");
    for case in section(&file, "broken_boxes") {
        let to = key(&file, &case["to"]);
        let opened = text(case, "sender_public_key")
            .parse::<CurvePublicKey>()
            .map_err(|error| error.to_string())
            .and_then(|sender| {
                Environment::open(text(case, "environment"), &to, &sender)
                    .map_err(|error| error.to_string())
            });
        match text(case, "expected") {
            "valid" => assert!(opened.is_ok(), "{}: {opened:?}", case["why"]),
            "invalid" => assert!(opened.is_err(), "{}: {opened:?}", case["why"]),
            _ => {}
        }
    }
}

#[test]
fn receivers_that_go_seals_nothing_for_are_refused() {
    let file = file("xkey.json");
    for case in section(&file, "sealing") {
        let receiver = text(case, "receiver_public_key").parse::<CurvePublicKey>();
        if case["go_seal"]["ok"] == false {
            assert!(receiver.is_err(), "{}", case["why"]);
        }
    }
}

#[test]
fn values_never_appear_in_debug_output_or_errors() {
    let mut environment = Environment::new();
    environment.insert("TOKEN", "hunter2").unwrap();
    let shown = format!("{environment:#?}");
    assert!(shown.contains("TOKEN") && !shown.contains("hunter2"), "{shown}");
    for plain in [r#"{"A":"x","B":["hunter2"]}"#, r#""hunter2""#, r#"{"A":"hunter2","A":"y"}"#] {
        let error = Environment::from_json(plain.as_bytes()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
    environment.insert("A", "hunter2\0").unwrap();
    let error = environment.for_process().unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
}

#[test]
fn sizes_are_bounded() {
    let (from, to) = (CurveKey::generate(), CurveKey::generate());
    let error = Environment::open(&"A".repeat(MAX_SEALED_CHARACTERS + 1), &to, &from.public());
    assert!(matches!(error, Err(EnvironmentError::TooLarge)));
    let mut environment = Environment::new();
    environment.insert("A", "x".repeat(MAX_ENVIRONMENT_BYTES)).unwrap();
    let error = environment.seal(&from, &to.public());
    assert!(matches!(error, Err(EnvironmentError::TooLarge)));
    let full = MAX_ENVIRONMENT_BYTES - r#"{"A":""}"#.len();
    environment.insert("A", "x".repeat(full)).unwrap();
    let sealed = environment.seal(&from, &to.public()).unwrap();
    assert!(sealed.len() <= MAX_SEALED_CHARACTERS);
    assert_eq!(Environment::open(&sealed, &to, &from.public()).unwrap(), environment);
    let mut many = Environment::new();
    for at in 0..MAX_VARIABLES {
        many.insert(format!("V{at}"), "").unwrap();
    }
    assert_eq!(many.insert("W", ""), Err(VariableError::TooMany));
    assert_eq!(many.insert("V0", "again"), Ok(Some(String::new())));
}

#[test]
fn deep_contents_do_not_overflow_the_stack() {
    let tower = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    for plain in [format!("{{\"A\":{tower}}}"), tower.clone(), "{\"A\":".repeat(80_000)] {
        let error = Environment::from_json(plain.as_bytes()).unwrap_err();
        assert!(matches!(error, EnvironmentError::Content { .. }), "{error}");
    }
}

#[test]
fn variables_that_no_process_can_have_are_refused() {
    let refusal = |name: &str, value: &str| {
        let mut environment = Environment::new();
        environment.insert(name, value).unwrap();
        environment.for_process()
    };
    assert_eq!(refusal("", "x"), Err(VariableError::NameEmpty));
    for name in ["A=B", "A\0"] {
        let error = VariableError::NameCharacter { name: name.to_owned() };
        assert_eq!(refusal(name, "x"), Err(error));
    }
    let error = VariableError::ValueCharacter { name: "A".to_owned() };
    assert_eq!(refusal("A", "\0"), Err(error));
    assert!(refusal("A", "=").is_ok());
}

#[test]
fn names_become_upper_case() {
    let pairs = [("a", "1"), ("A", "2"), ("bC", "3"), ("Bc", "4"), ("d", "5"), ("é", "6")];
    let environment = Environment::try_from(BTreeMap::from(
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())),
    ))
    .unwrap();
    let upper = environment.for_process().unwrap();
    assert_eq!(upper.iter().collect::<Vec<_>>(), [("A", "2"), ("BC", "3"), ("D", "5"), ("É", "6")]);
}

proptest! {
    #[test]
    fn environments_survive_sealing(
        variables in prop::collection::btree_map(".{0,20}", "(?s).{0,50}", 0..20),
    ) {
        let (from, to) = (CurveKey::generate(), CurveKey::generate());
        let environment = Environment::try_from(variables.clone()).unwrap();
        let sealed = environment.seal(&from, &to.public()).unwrap();
        let opened = Environment::open(&sealed, &to, &from.public()).unwrap();
        prop_assert_eq!(map(opened), variables);
        let json = serde_json::to_vec(&environment).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Environment>(&json).unwrap(), environment);
    }

    #[test]
    fn no_content_is_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Environment::from_json(&bytes);
        let key = CurveKey::generate();
        let _ = Environment::open(&String::from_utf8_lossy(&bytes), &key, &key.public());
    }
}
