//! Bytes and messages: heads, framing, fields, dates.

mod method;

pub use method::Method;
