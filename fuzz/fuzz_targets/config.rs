//! The libFuzzer entry of `targets/config.rs`, which says what must hold.
#![no_main]

#[path = "../targets/config.rs"]
mod config;

libfuzzer_sys::fuzz_target!(|input: &[u8]| config::run(input));
