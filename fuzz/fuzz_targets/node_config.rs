//! The node's configuration file.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use nex_node::config::{Overrides, from_text, from_value};

fuzz_target!(|text: &str| {
    let flags = Overrides::default();
    match from_text(Path::new("node.json"), text, &flags) {
        Ok((config, warnings)) => {
            for warning in warnings {
                assert!(!warning.to_string().contains('\n'));
            }
            // What counts is a configuration that says the same.
            let effective = config.effective();
            let again = from_value(&effective, &flags);
            let (again, _) = again.unwrap_or_else(|error| panic!("{effective}: {error}"));
            assert_eq!(again.effective(), effective);
            let _ = config.effective_with_origins();
        }
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
});
