//! The headers of a file that a tenant says is a program.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use nex_agent::provider::elf::{Linkage, Program};

fuzz_target!(|data: &[u8]| {
    match Program::read(data) {
        Ok(program) => {
            if let Linkage::Dynamic { loader } = &program.linkage {
                assert!((1..4096).contains(&loader.as_os_str().len()));
            }
            let _ = program.check_loader(Path::new("/nonexistent"));
        }
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains('\n') && text.len() < 4400);
        }
    }
});
