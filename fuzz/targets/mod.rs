//! What must hold of every input, one module a target: run by libFuzzer, and by the tests over the
//! corpus.

pub mod chunked;
pub mod config;
pub mod path;
pub mod request_head;
pub mod response_head;
#[cfg(feature = "fuzzing")]
pub mod route;
