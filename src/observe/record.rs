//! What is known of a request when it ends.

use crate::{clock::Instant, error::Error};
use std::time::Duration;

/// One request, ended. Borrowed from the connection's buffers: it is formatted and counted before
/// the connection reads on, and never kept.
#[derive(Debug, Clone, Default)]
pub struct Record<'a> {
    /// When the request's first byte was seen.
    pub started: Instant,
    /// The same on the wall clock (time since 1970).
    pub started_wall: Duration,
    /// From `started` to the response's last byte handed to the kernel.
    pub latency: Duration,
    /// From the request's head sent to the origin, to the origin's response head; absent where no
    /// origin was asked.
    pub integration_latency: Option<Duration>,
    /// The client's address, after trusted proxies; empty on a Unix socket.
    pub source_ip: &'a [u8],
    /// The method as written: a token (RFC 9110 §5.6.2), so nothing in it needs escaping.
    pub method_token: &'a [u8],
    /// The path as the client sent it, without the query. Untrusted bytes.
    pub path: &'a [u8],
    /// The query without `?`; empty if none. Untrusted bytes.
    pub query: &'a [u8],
    /// The Host, as sent. Untrusted bytes.
    pub host: &'a [u8],
    /// `HTTP/1.1` and the like.
    pub protocol: &'static str,
    /// User-Agent, as sent; empty if none. Untrusted bytes.
    pub user_agent: &'a [u8],
    /// Referer, as sent; empty if none. Untrusted bytes.
    pub referer: &'a [u8],
    /// The request id, given by a trusted peer or made here: printable ASCII without quotes and
    /// backslashes.
    pub request_id: &'a [u8],
    /// The API's name; empty where no stage was chosen.
    pub api: &'a str,
    /// The stage's name; empty where none was chosen.
    pub stage: &'a str,
    /// The route's key as configured (`GET /orders/{id}`); empty where none matched.
    pub route: &'a str,
    /// The id of the routing rule that chose the stage: letters, digits, `_`, `-` and `.`; empty
    /// where none did.
    pub routing_rule: &'a str,
    /// The base path that the request's began with, of a mapping or a routing rule, without a slash
    /// at either end; empty where there was none to match.
    pub base_path: &'a str,
    /// What [`super::Format::of_route`] made of the three for the format of the log; empty where
    /// it made nothing, or no route matched.
    pub of_route: &'a [u8],
    /// Status sent to the client. 499 where the client left before any was sent.
    pub status: u16,
    /// Status that the origin sent; absent where none arrived.
    pub integration_status: Option<u16>,
    /// The endpoint that answered or was tried last; empty where none was.
    pub endpoint: &'a str,
    /// The upstream's name; empty where none was asked.
    pub upstream: &'a str,
    /// Attempts made at origins: 0 for mock and refusals.
    pub attempts: u8,
    /// Body bytes received from the client.
    pub request_bytes: u64,
    /// Bytes of the response, head included, sent to the client.
    pub response_bytes: u64,
    /// Body bytes among them, chunk framing not counted.
    pub response_body_bytes: u64,
    /// Why it ended without the origin's full answer, if so.
    pub error: Option<Error>,
    /// The id of the API key that it came with; empty where the route asks for none, or the key is
    /// not known.
    pub api_key_id: &'a str,
    /// The usage plan by which the key is good for the stage; empty where none is.
    pub usage_plan: &'a str,
    /// The configuration generation that served it.
    pub generation: u64,
    /// The deployment that served it; empty where the stage follows its API, or none was chosen.
    pub deployment: &'a str,
    /// Whether that was the stage's canary; absent where there is none.
    pub is_canary: Option<bool>,
}

#[cfg(test)]
impl Record<'static> {
    /// A plain request that went well: the ground of the tests' rows.
    pub(crate) fn example() -> Self {
        Self {
            started: Instant::from_ns(0),
            started_wall: Duration::from_millis(1_790_000_000_123),
            latency: Duration::from_nanos(1_234_567),
            integration_latency: Some(Duration::from_micros(987)),
            source_ip: b"192.0.2.7",
            method_token: b"GET",
            path: b"/orders/42",
            query: b"expand=items",
            host: b"api.example.com:8080",
            protocol: "HTTP/1.1",
            user_agent: b"curl/8.5.0",
            referer: b"",
            request_id: b"9b6c0f5e-0000-4000-8000-00000000002a",
            api: "orders",
            stage: "prod",
            route: "GET /orders/{id}",
            routing_rule: "",
            base_path: "shop/v1",
            of_route: b"",
            status: 200,
            integration_status: Some(200),
            endpoint: "127.0.0.1:9001",
            upstream: "users",
            attempts: 1,
            request_bytes: 10,
            response_bytes: 180,
            response_body_bytes: 13,
            error: None,
            api_key_id: "",
            usage_plan: "",
            generation: 3,
            deployment: "",
            is_canary: None,
        }
    }
}
