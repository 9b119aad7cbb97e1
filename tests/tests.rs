//! The integration tests: one program, one module a subject.

// In their support, too: a test that cannot go on fails where it stands.
#![allow(clippy::unwrap_used)]

mod control;
mod fuzz_corpus;
mod http;
mod proxy;
mod support;
mod tidy;
