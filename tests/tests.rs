//! The integration tests: one program, one module a subject.

mod control;
mod fuzz_corpus;
mod http;
mod proxy;
mod support;
mod tidy;
