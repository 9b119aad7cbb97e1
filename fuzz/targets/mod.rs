//! What must hold of every input, one module a target: run by libFuzzer, and by the tests over the
//! corpus.
//!
//! `cargo +nightly fuzz run request_head -- -max_total_time=600` fuzzes one (cargo-fuzz is needed);
//! what it finds becomes a row of a table of tests, and its input a file of `fuzz/corpus/`.

pub(crate) mod chunked;
pub(crate) mod config;
pub(crate) mod openapi;
pub(crate) mod path;
pub(crate) mod request_head;
pub(crate) mod response_head;
#[cfg(feature = "fuzzing")]
pub(crate) mod route;
