//! Bytes and messages: heads, framing, fields, dates. HTTP/1.1 as RFC 9110 and RFC 9112 have it,
//! read strictly. Pure: it never waits, never asks the clock, and never sees a socket.

mod chunked;
mod date;
mod field;
mod fields;
mod method;
mod request;
mod response;
pub mod scan;
mod write;

pub use chunked::{ChunkedDecoder, Decoded};
pub use date::{DATE_BYTES, DateCache, civil_date, two_digits};
pub use field::{FieldId, FieldSet, HOP_BY_HOP, NOT_IN_TRAILERS};
pub use fields::{ConnectionOptions, Declared, Field, FieldLines, Fields, Span, tokens};
pub use method::Method;
pub use request::{HeadLimits, Parsed, RequestHead, Version, check_authority};
pub use response::{ResponseBody, ResponseHead};
pub use write::{
    After, CHUNK_SIZE_ROOM, Framing, OwnResponse, Provenance, add_lines, reason, write_chunk_size,
    write_own, write_request, write_response,
};
