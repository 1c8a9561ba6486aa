//! One binary for all targets: REELCORE_FUZZ says which.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

static NAME: OnceLock<String> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let name = NAME.get_or_init(|| {
        std::env::var("REELCORE_FUZZ").expect("REELCORE_FUZZ names a target of crates/fuzzing")
    });
    reelcore_fuzzing::run(name, data);
});
