//! The libFuzzer entry of `targets/openapi.rs`, which says what must hold.
#![no_main]

#[path = "../targets/openapi.rs"]
mod openapi;

libfuzzer_sys::fuzz_target!(|input: &[u8]| openapi::run(input));
