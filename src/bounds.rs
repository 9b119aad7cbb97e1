//! Every limit of the program that is not a setting, with its reason.
//!
//! A full thing refuses; it does not grow. Limits that belong to the operator are keys of the
//! configuration, whose defaults and ranges stand here too, so that `model` and the data plane
//! cannot disagree. Nothing here is read from a file or the environment.

/// Bytes of a rented buffer. One buffer holds a whole head or one step of a streamed body.
pub const BUFFER_BYTES: usize = 16 * 1024;

/// Bytes of a buffer for a long body: fewer system calls a gigabyte, rented only once a body has
/// shown that it is long.
pub const BUFFER_LARGE_BYTES: usize = 64 * 1024;

/// Buffers that a worker keeps for the next request; the rest go back to the allocator, so that
/// memory falls again after a burst.
pub const BUFFERS_KEPT_MAX: usize = 128;

/// Bytes of a message head, start line included. A larger request head is answered 431 (or 414
/// where the target alone is too long). Amazon allows 10,240; browsers and SSO cookies need more.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// One buffer must hold a whole head, or the parser could never finish.
const _: () = assert!(HEAD_BYTES_MAX <= BUFFER_BYTES);

/// Header fields of one message. nginx has no count, Envoy 100, Amazon a total of bytes.
pub const HEAD_FIELDS_MAX: usize = 100;

/// Bytes of a request target. RFC 9112 §3 asks for at least 8,000.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;
const _: () = assert!(TARGET_BYTES_MAX < HEAD_BYTES_MAX);

/// Bytes of a method token. The longest registered one has 17.
pub const METHOD_BYTES_MAX: usize = 32;

/// Bytes of one chunk-size line, extensions included. Extensions are read over, never forwarded.
pub const CHUNK_LINE_BYTES_MAX: usize = 256;

/// Bytes of a trailer section.
pub const TRAILER_BYTES_MAX: usize = 4 * 1024;

/// Fields of a trailer section.
pub const TRAILER_FIELDS_MAX: usize = 32;

/// Interim (1xx) responses forwarded for one request; an origin that sends more is broken.
pub const INTERIM_RESPONSES_MAX: usize = 16;

/// Bytes read and thrown away from a client after a refusal, so that closing does not reset the
/// connection before the answer has been read (RFC 9112 §9.6).
pub const LINGER_BYTES_MAX: usize = 256 * 1024;

/// Path parameters of one route. Also the length of the array that holds their values.
pub const PATH_PARAMETERS_MAX: usize = 16;

/// Segments of a route's path: the depth of the walk that matches it.
pub const PATH_SEGMENTS_MAX: usize = 64;

/// Nodes of the route tree that one look-up may visit. Routes that could need more are refused
/// when they are compiled. Ordinary ones need under twenty; this many take about 0.1 ms.
pub const ROUTE_NODES_VISITED_MAX: usize = 4096;

/// Endpoints of one upstream after names are resolved. Tried endpoints are one bit each in a word.
pub const ENDPOINTS_MAX: usize = 1024;

/// Attempts at one request, the first included. A request may not multiply by more than that.
pub const ATTEMPTS_MAX: u8 = 5;

/// Bytes of access-log lines that wait for the writer, per worker. A line that finds no room is
/// dropped and counted.
pub const LOG_RING_BYTES: usize = 1024 * 1024;

/// Bytes of one access-log line; what does not fit is cut at a field's border.
pub const LOG_LINE_BYTES_MAX: usize = 16 * 1024;
const _: () = assert!(LOG_LINE_BYTES_MAX < LOG_RING_BYTES);

/// Bytes of the configuration file.
pub const CONFIG_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How often a worker looks at what can wait: deadlines, idle connections, its view of the
/// snapshot.
pub const TICK_MS: u64 = 100;
