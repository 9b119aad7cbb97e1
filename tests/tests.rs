//! The integration tests: one program, one module a subject.

mod fuzz_corpus;
mod http;
mod tidy;
mod control;
mod support;
