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
pub const BUFFERS_KEPT_MAX: usize = 96;

/// Bytes of a message head, start line included. A larger request head is answered 431 (or 414
/// where the target alone is too long). Amazon allows 10,240; browsers and SSO cookies need more.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// One buffer must hold a whole head, or the parser could never finish.
const _: () = assert!(HEAD_BYTES_MAX <= BUFFER_BYTES);

/// Header fields of one message. nginx has no count, Envoy 100, Amazon a total of bytes.
pub const HEAD_FIELDS_MAX: usize = 100;

/// Fields that a head's table has room for from the beginning; one with more makes it grow once.
pub const HEAD_FIELDS_USUAL: usize = 32;
const _: () = assert!(HEAD_FIELDS_USUAL <= HEAD_FIELDS_MAX);

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

/// Endpoints of one upstream after names are resolved.
pub const ENDPOINTS_MAX: usize = 1024;

/// Sequences and rings name an endpoint by 16 bits.
const _: () = assert!(ENDPOINTS_MAX <= u16::MAX as usize);

/// Turns in one cycle of weighted round robin, before rounding: 16 KiB at most per upstream, and
/// with the most endpoints still four turns each. Weights whose sum is larger are scaled down.
pub const SEQUENCE_TURNS_MAX: u32 = 4 * 1024;
const _: () = assert!(SEQUENCE_TURNS_MAX as usize >= ENDPOINTS_MAX);

/// Sum of the weights on one consistent-hash ring, before rounding. A unit of weight is 160 points
/// of 8 bytes (nginx's number), so a ring takes 5 MiB at most. Larger sums are scaled down.
pub const RING_WEIGHT_MAX: u32 = 4 * 1024;
const _: () = assert!(RING_WEIGHT_MAX as usize >= ENDPOINTS_MAX);

/// How many times its base length an ejection grows to while an endpoint keeps failing.
pub const EJECTION_GROWTH_MAX: u32 = 10;

/// Seconds over which a retry budget compares retries with requests.
pub const RETRY_WINDOW_SECONDS: u32 = 10;

/// Attempts at one request, the first included. A request may not multiply by more than that.
pub const ATTEMPTS_MAX: u8 = 5;

/// Nanoseconds that one token of a rate limit may take to come: 11.6 days. A rate below one in
/// that time is refused as a mistake.
pub const TOKEN_INTERVAL_NS_MAX: u64 = 1_000_000_000_000_000;

/// Nanoseconds that a whole burst may take to come: 146 years. A larger burst is cut to it, so that
/// no sum of a limiter's word overflows.
pub const BURST_NS_MAX: u64 = 1 << 62;
const _: () = assert!(TOKEN_INTERVAL_NS_MAX < BURST_NS_MAX);

/// Nanoseconds by which the times of two workers may differ: about a tick, or as long as one of
/// them was not run between reading the clock and using it. A limiter's word that lies further
/// ahead can only come from a clock that stepped back.
pub const CLOCK_SKEW_NS_MAX: u64 = 10_000_000_000;
const _: () = assert!(CLOCK_SKEW_NS_MAX > TICK_MS * 1_000_000);

/// Bytes of one block of access-log lines: what is written at once. Two or three of them are in use
/// while the writer keeps up, and stay in the CPU's second cache.
pub const LOG_BLOCK_BYTES: usize = 64 * 1024;

/// Blocks of access-log lines per worker: 2 MiB wait while the disk does not take them. A line that
/// finds no room after that is dropped and counted.
pub const LOG_BLOCKS_MAX: usize = 32;

/// Bytes of one access-log line; what does not fit is cut at a field's border.
pub const LOG_LINE_BYTES_MAX: usize = 16 * 1024;
const _: () = assert!(LOG_LINE_BYTES_MAX < LOG_BLOCK_BYTES);

/// Bytes of an access-log format. Amazon's number.
pub const LOG_FORMAT_BYTES_MAX: usize = 3 * 1024;

/// Variables of one access-log format. Amazon has about 110 names.
pub const LOG_FORMAT_FIELDS_MAX: usize = 128;

/// Bytes that every variable of a line is sure of, however long those before it are: the longest
/// value of fixed length (an IPv6 endpoint in quotes) fits.
pub const LOG_VALUE_BYTES_MIN: usize = 64;
const _: () = assert!(
    LOG_FORMAT_BYTES_MAX + LOG_FORMAT_FIELDS_MAX * LOG_VALUE_BYTES_MIN < LOG_LINE_BYTES_MAX
);

/// Routes that have metric series of their own; the rest share one a stage. A route has about 45
/// lines of 130 bytes, so a scrape stays near 12 MB.
pub const METRIC_ROUTES_MAX: usize = 2_000;

/// Stages that went whose sums are kept apart; the rest share one.
pub const METRIC_STAGES_MAX: usize = 1_024;

/// Bytes of the configuration file.
pub const CONFIG_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How often a worker looks at what can wait: deadlines, idle connections, its view of the
/// snapshot.
pub const TICK_MS: u64 = 100;

/// How long a connection that has served a request waits for the next one with its buffers in
/// hand. After that it sleeps: it holds none, and waits for readiness.
pub const AWAKE_IDLE_MS: u64 = 1_000;

/// An origin's connection that was idle for longer is looked at before it carries a request: one
/// system call, 0.6 us of the 11 that a request costs a busy worker. See [`BUSY_REQUESTS_MIN`].
pub const ORIGIN_TRUSTED_IDLE_US: u64 = 1_000;

/// Requests in flight on a worker from which on connections that were used a moment ago are used
/// without a look. A look finds what an origin sent unasked between two requests. The more requests
/// there are, the shorter that time is, and the less a look can find: what comes under the next
/// request nobody can tell from its answer.
pub const BUSY_REQUESTS_MIN: u64 = 8;

/// Bytes of a body after which it is relayed through large buffers.
pub const LONG_BODY_BYTES: u64 = 128 * 1024;

/// How often a request that waits for a place among an endpoint's connections looks again.
pub const PENDING_RETRY_MS: u64 = 5;

/// Token buckets that stand in one place of the configuration.
pub const THROTTLES_MAX: usize = 8;

/// Token buckets that one request must pass: those of the gateway, the API, the stage and the route,
/// and three of a usage plan.
pub const LIMITS_MAX: usize = 4 * THROTTLES_MAX + 3;

/// Clients that a throttle tells apart at once, where the configuration says nothing: 2 MiB.
pub const CLIENTS_KEPT: u32 = 65_536;

/// API keys that each throttle of a usage plan tells apart at once: 512 KiB.
pub const PLAN_KEYS_KEPT: u32 = 16_384;

/// The same at most: 512 MiB.
pub const CLIENTS_KEPT_MAX: u32 = 16 * 1024 * 1024;

/// Bytes of a token's claims, in Base64, that are looked into.
pub const CLAIMS_BYTES_MAX: usize = 8 * 1024;

/// Limits and clients of them that a worker remembers as the ones that it refuses most.
pub const LIMITED_KEPT_MAX: usize = 128;

/// Bytes of a client's key that are remembered for people.
pub const LIMITED_KEY_BYTES_MAX: usize = 64;

/// Ticks after which the counts of who is refused most are halved: ten seconds.
pub const LIMITED_FADE_TICKS: u64 = 10_000 / TICK_MS;

/// Values in the configuration after its aliases are followed: about half a million routes. More
/// is a file that multiplies itself.
pub const CONFIG_NODES_MAX: usize = 8_000_000;

/// Nesting of the configuration. Its deepest key stands eight levels down.
pub const CONFIG_DEPTH_MAX: usize = 32;

/// Parts of the configuration that its aliases may repeat: enough for one setting shared by ten
/// thousand routes.
pub const CONFIG_ALIASED_MAX: usize = 200_000;

/// Bytes of a deployment: a hundred thousand routes take about 30 MB.
pub const DEPLOYMENT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Changes of a stage that its history remembers: a deploy a day for most of a year.
pub const HISTORY_MAX: usize = 256;

/// Bytes of a stage's state: its history, each entry with a reason, and a canary's variables.
pub const STAGE_STATE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of the reason that is given for a change.
pub const REASON_BYTES_MAX: usize = 1024;
const _: () = assert!(HISTORY_MAX * 4 * REASON_BYTES_MAX < STAGE_STATE_BYTES_MAX);

/// API keys of one process. Amazon's accounts have 10,000.
pub const KEYS_MAX: usize = 1_000_000;

/// Plans that one key is in: Amazon's number.
pub const KEY_PLANS_MAX: usize = 10;

/// What is remembered of the changes of a key.
pub const KEY_HISTORY_MAX: usize = 16;

/// Bytes of a key's name, and of its description.
pub const KEY_NAME_BYTES_MAX: usize = 1024;

/// Days for which it is remembered how often a key was used.
pub const USAGE_DAYS_KEPT: u64 = 400;

/// Deployments of an API that are kept whether or not a stage points at them, the newest first.
pub const DEPLOYMENTS_KEPT: usize = 20;

/// Deployments of an API on the disk: once there are more, the oldest that nothing points at go by
/// themselves. At one deploy an hour they reach back three weeks.
pub const DEPLOYMENTS_MAX: usize = 500;
const _: () = assert!(DEPLOYMENTS_KEPT < DEPLOYMENTS_MAX);

/// Changes of a stage between two looks at how many deployments there are.
pub const DEPLOYMENTS_COUNTED_EVERY: u64 = 32;

/// Requests to a canary before it is judged: of fewer, one error would be too large a share.
pub const CANARY_REQUESTS_MIN: u64 = 20;

/// Requests that a canary's condition remembers: one sample a second, over an hour at most.
pub const CANARY_WINDOW_SECONDS_MAX: u64 = 3600;

/// Bytes of an OpenAPI document. Amazon's number.
pub const OPENAPI_BYTES_MAX: usize = 6 * 1024 * 1024;

/// Nesting of an OpenAPI document in JSON. A schema stands ten levels down and takes two for each
/// property in a property. In YAML it is [`CONFIG_DEPTH_MAX`], whose parser needs more of the stack.
pub const OPENAPI_DEPTH_MAX: usize = 64;
