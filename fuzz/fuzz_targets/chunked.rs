//! The libFuzzer entry of `targets/chunked.rs`, which says what must hold.
#![no_main]

#[path = "../targets/chunked.rs"]
mod chunked;

libfuzzer_sys::fuzz_target!(|input: &[u8]| chunked::run(input));
