//! The integration tests: one program, one module a subject.

mod control;
mod support;
