//! Locations of artifacts against Go's URLs.

use nex_protocol::location::{ArtifactLocation, LocationError, MAX_KEY_BYTES};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::vectors::{file, section, text};

/// What a Go node reads, if it can be an object of a bucket at all.
fn wanted(case: &Value) -> Option<ArtifactLocation> {
    let read = &case["node_reads"];
    ArtifactLocation::new(text(read, "bucket"), text(read, "key")).ok()
}

#[test]
fn urls_are_read_as_go_reads_them() {
    let file = file("control.json");
    let mut usable = 0;
    for case in section(&file, "locations") {
        let wanted = wanted(case);
        usable += usize::from(wanted.is_some());
        for form in ["wire", "wire_older_go"] {
            let read = serde_json::from_str::<ArtifactLocation>(text(case, form));
            assert_eq!(read.ok(), wanted, "{form} of {}", case["given"]);
        }
        // The text that was given means the same.
        let given = text(case, "given");
        if case["url_parse_error"].is_string() {
            assert!(given.parse::<ArtifactLocation>().is_err(), "{given}");
        } else {
            assert_eq!(given.parse().ok(), wanted, "{given}");
            let read = serde_json::from_value::<ArtifactLocation>(case["given"].clone());
            assert_eq!(read.ok(), wanted, "{given}");
        }
    }
    assert!(usable > 10, "{usable}");
}

#[test]
fn urls_are_written_as_go_writes_them() {
    let file = file("control.json");
    let case = section(&file, "locations")
        .iter()
        .find(|case| case["given"] == "nats://BUCKET/dir/sub/key.js")
        .unwrap();
    let location = ArtifactLocation::new("BUCKET", "dir/sub/key.js").unwrap();
    assert_eq!(serde_json::to_string(&location).unwrap(), text(case, "wire"));
}

#[test]
fn refusals_name_their_cause() {
    for (text, cause) in [
        ("", LocationError::BucketMissing),
        ("key", LocationError::BucketMissing),
        ("/key", LocationError::BucketMissing),
        ("nats:///key", LocationError::BucketMissing),
        ("nats://BUCKET", LocationError::KeyMissing),
        ("nats://BUCKET//", LocationError::KeyMissing),
        ("nats://BU CKET/key", LocationError::Bucket),
        ("nats://BU.CKET/key", LocationError::Bucket),
        ("nats://BUCKET:4222/key", LocationError::Bucket),
        ("https://BUCKET/key", LocationError::Scheme),
        ("file:///key", LocationError::Scheme),
        ("nats://BUCKET/%zz", LocationError::Escape),
        ("nats://BUCKET/%", LocationError::Escape),
        ("nats://BUCKET/%f", LocationError::Escape),
        ("nats://BUCKET/%ff", LocationError::Escape),
        ("nats://BUCKET/a%00b", LocationError::KeyCharacter),
        ("nats://BUCKET/a\nb", LocationError::KeyCharacter),
    ] {
        assert_eq!(text.parse::<ArtifactLocation>(), Err(cause), "{text:?}");
    }
    let long = "k".repeat(MAX_KEY_BYTES);
    assert!(ArtifactLocation::new("b", &long).is_ok());
    assert_eq!(ArtifactLocation::new("b", &(long + "k")), Err(LocationError::KeyTooLong));
    assert_eq!(ArtifactLocation::new(&"b".repeat(300), "k"), Err(LocationError::Bucket));
}

#[test]
fn other_json_is_refused() {
    let url = |field: &str, value: Value| {
        let mut url = json!({"Scheme": "nats", "Host": "BUCKET", "Path": "/key"});
        url[field] = value;
        serde_json::from_value::<ArtifactLocation>(url)
    };
    url("Unknown", json!({"a": [1, null]})).unwrap();
    for field in ["Scheme", "Host", "Path"] {
        for value in [json!(1), json!(["x"]), json!({}), json!(true)] {
            assert!(url(field, value.clone()).is_err(), "{field}: {value}");
        }
    }
    for other in ["null", "1", "[]", "{}", "true", r#"["nats","","","BUCKET","/key"]"#] {
        assert!(serde_json::from_str::<ArtifactLocation>(other).is_err(), "{other}");
    }
    let twice = r#"{"Scheme":"nats","Host":"A","Host":"B","Path":"/key"}"#;
    // As in Go, the last of several fields of one name is the one that counts.
    assert_eq!(serde_json::from_str::<ArtifactLocation>(twice).unwrap().bucket(), "B");
    let tower = format!("{{\"User\":{}", "[".repeat(200_000));
    assert!(serde_json::from_str::<ArtifactLocation>(&tower).is_err());
}

proptest! {
    #[test]
    fn locations_survive_their_texts(
        bucket in "[A-Za-z0-9_-]{1,40}",
        key in "[^/\\pC\\p{Cc}]([^\\p{Cc}]{0,40}[^/\\pC\\p{Cc}])?",
    ) {
        let location = ArtifactLocation::new(&bucket, &key).unwrap();
        prop_assert_eq!(location.bucket(), bucket.as_str());
        prop_assert_eq!(location.key(), key.as_str());
        prop_assert_eq!(&location.to_string().parse::<ArtifactLocation>().unwrap(), &location);
        let json = serde_json::to_string(&location).unwrap();
        prop_assert_eq!(&serde_json::from_str::<ArtifactLocation>(&json).unwrap(), &location);
        let json = serde_json::to_string(&location.to_string()).unwrap();
        prop_assert_eq!(&serde_json::from_str::<ArtifactLocation>(&json).unwrap(), &location);
    }

    #[test]
    fn no_text_is_too_odd(text in "(nats://)?.{0,60}") {
        if let Ok(location) = text.parse::<ArtifactLocation>() {
            prop_assert_eq!(location.to_string().parse::<ArtifactLocation>().unwrap(), location);
        }
        let _ = serde_json::from_str::<ArtifactLocation>(&text);
    }
}
