//! The libFuzzer entry of `targets/response_head.rs`, which says what must hold.
#![no_main]

#[path = "../targets/response_head.rs"]
mod response_head;

libfuzzer_sys::fuzz_target!(|input: &[u8]| response_head::run(input));
