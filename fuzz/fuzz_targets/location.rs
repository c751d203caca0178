//! Locations of artifacts, as JSON and as text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nex_protocol::location::ArtifactLocation;

fuzz_target!(|data: &[u8]| {
    let from_json = serde_json::from_slice::<ArtifactLocation>(data).ok();
    let from_text = str::from_utf8(data).ok().and_then(|text| text.parse().ok());
    for location in [from_json, from_text].into_iter().flatten() {
        let json = serde_json::to_vec(&location).expect("a location is JSON");
        assert_eq!(serde_json::from_slice::<ArtifactLocation>(&json).expect("ours"), location);
        assert_eq!(location.to_string().parse::<ArtifactLocation>().as_ref(), Ok(&location));
    }
});
