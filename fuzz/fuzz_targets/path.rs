//! The libFuzzer entry of `targets/path.rs`, which says what must hold.
#![no_main]

#[path = "../targets/path.rs"]
mod path;

libfuzzer_sys::fuzz_target!(|input: &[u8]| path::run(input));
