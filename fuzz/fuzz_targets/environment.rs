//! Sealed texts, and the plain texts behind them.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nex_protocol::environment::Environment;
use nex_protocol::key::CurveKey;

const SEED: &str = "SXAMQQP3B3VVNHM7IWSYCRKUCAUZI2CAZSN5H45DINBZ4WPEBMIYX3HYH4";

static KEY: LazyLock<CurveKey> = LazyLock::new(|| CurveKey::from_seed(SEED).unwrap());

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = str::from_utf8(data) {
        let _ = Environment::open(text, &KEY, &KEY.public());
    }
    let _ = KEY.open(data, &KEY.public());
    if let Ok(environment) = Environment::from_json(data) {
        let _ = environment.for_process();
        let sealed = environment.seal(&KEY, &KEY.public()).expect("no larger than what was read");
        let opened = Environment::open(&sealed, &KEY, &KEY.public()).expect("our own box");
        assert_eq!(opened, environment);
    }
});
