//! One binary for all targets: REELCORE_FUZZ says which.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

static NAME: OnceLock<String> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let name = NAME.get_or_init(|| {
        // libfuzzer-sys aborts at every panic, also at those that a decoder catches and turns into an error. One that
        // nobody catches still ends the run; the smoke test of the input then tells where it was.
        std::panic::set_hook(Box::new(|_| {}));
        std::env::var("REELCORE_FUZZ").expect("REELCORE_FUZZ names a target of crates/fuzzing")
    });
    reelcore_fuzzing::run(name, data);
});
