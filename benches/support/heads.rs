//! The heads that benches read and write: two requests' and a response's.

use sluice::http::Provenance;

/// What is said of the way that a request came.
pub(crate) const WAY: Provenance<'static> = Provenance {
    x_forwarded: true,
    forwarded: false,
    via: true,
    trusted: false,
    peer: b"192.0.2.77",
    scheme: "http",
    request_id_name: Some("x-request-id"),
    request_id: b"9b6c0f5e-0000-4000-8000-00000000002a",
};

/// What the origin is asked for.
pub(crate) const TARGET: &[u8] = b"/v1/orders/42";

/// The origin's Host.
pub(crate) const ENDPOINT: &[u8] = b"10.0.0.1:9001";

/// What curl and load generators send.
pub(crate) const CURL: &[u8] = b"GET /v1/orders/42?expand=items HTTP/1.1\r\n\
    Host: api.example.com\r\n\
    User-Agent: curl/8.5.0\r\n\
    Accept: */*\r\n\
    \r\n";

/// What a browser sends to an API of its own site: fifteen fields.
pub(crate) const BROWSER: &[u8] =
    b"GET /v1/customers/8231/orders?expand=items&limit=50 HTTP/1.1\r\n\
    Host: api.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: application/json, text/plain, */*\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: https://shop.example.com/account/orders\r\n\
    Authorization: Bearer eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI4MjMxIn0.c2lnbmF0dXJl\r\n\
    Origin: https://shop.example.com\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; region=eu-central-1\r\n\
    Sec-Fetch-Dest: empty\r\n\
    Sec-Fetch-Mode: cors\r\n\
    Sec-Fetch-Site: same-site\r\n\
    If-None-Match: \"33a64df551425fcc55e4d42a148795d9f25f89d4\"\r\n\
    Cache-Control: no-cache\r\n\
    \r\n";

/// What an origin of JSON answers.
pub(crate) const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: origin\r\n\
    Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Content-Type: application/json; charset=utf-8\r\n\
    Content-Length: 13\r\n\
    Connection: keep-alive\r\n\
    Cache-Control: private, max-age=0\r\n\
    ETag: \"33a64df551425fcc55e4d42a148795d9f25f89d4\"\r\n\
    \r\n";
