//! Public keys, seeds, names and ids.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nex_protocol::key::{CurveKey, CurvePublicKey, PublicKey, SigningKey, read_seed_text};
use nex_protocol::name::{Namespace, NodeId, WorkloadId, WorkloadName};

fuzz_target!(|text: &str| {
    if let Ok(key) = text.parse::<PublicKey>() {
        assert_eq!(key.to_string(), text);
        assert!(key.verify(b"", &[0; 64]).is_err());
    }
    if let Ok(key) = text.parse::<CurvePublicKey>() {
        assert_eq!(key.to_string(), text);
    }
    let seed = read_seed_text(text);
    if let Ok(key) = SigningKey::from_seed(seed) {
        assert_eq!(key.seed(), seed);
    }
    if let Ok(key) = CurveKey::from_seed(seed) {
        assert_eq!(key.seed(), seed);
    }
    if let Ok(name) = text.parse::<Namespace>() {
        assert_eq!(name.as_str(), text);
    }
    if let Ok(name) = text.parse::<WorkloadName>() {
        assert_eq!(name.as_str(), text);
    }
    if let Ok(id) = text.parse::<WorkloadId>() {
        assert_eq!(id.as_str(), text);
    }
    if let Ok(id) = text.parse::<NodeId>() {
        assert_eq!(id.to_string(), text);
    }
});
