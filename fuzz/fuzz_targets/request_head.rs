//! The libFuzzer entry of `targets/request_head.rs`, which says what must hold.
#![no_main]

#[path = "../targets/request_head.rs"]
mod request_head;

libfuzzer_sys::fuzz_target!(|input: &[u8]| request_head::run(input));
