//! The libFuzzer entry of `targets/route.rs`, which says what must hold.
#![no_main]

#[path = "../targets/route.rs"]
mod route;

libfuzzer_sys::fuzz_target!(|input: &[u8]| route::run(input));
