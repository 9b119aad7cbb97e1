//! What reading and writing heads and chunks costs: the contracts of `http/`.
//!
//! The bounds that these are held against: `http/request_head/curl` 200 ns,
//! `http/request_head/browser` 600 ns.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sluice::http::{
    After, ChunkedDecoder, Framing, HeadLimits, Provenance, RequestHead, ResponseHead,
    write_request, write_response,
};
use std::hint::black_box;

/// What curl and load generators send.
const CURL: &[u8] = b"GET /v1/orders/42?expand=items HTTP/1.1\r\n\
    Host: api.example.com\r\n\
    User-Agent: curl/8.5.0\r\n\
    Accept: */*\r\n\
    \r\n";

/// What a browser sends to an API of its own site: fifteen fields.
const BROWSER: &[u8] = b"GET /v1/customers/8231/orders?expand=items&limit=50 HTTP/1.1\r\n\
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

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: origin\r\n\
    Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Content-Type: application/json; charset=utf-8\r\n\
    Content-Length: 13\r\n\
    Connection: keep-alive\r\n\
    Cache-Control: private, max-age=0\r\n\
    ETag: \"33a64df551425fcc55e4d42a148795d9f25f89d4\"\r\n\
    \r\n";

const WAY: Provenance<'static> = Provenance {
    x_forwarded: true,
    forwarded: false,
    via: true,
    trusted: false,
    peer: b"192.0.2.77",
    scheme: "http",
    request_id_name: Some("x-request-id"),
    request_id: b"9b6c0f5e-0000-4000-8000-00000000002a",
};

fn request_head(c: &mut Criterion) {
    let mut group = c.benchmark_group("http/request_head");
    for (name, bytes) in [("curl", CURL), ("browser", BROWSER)] {
        group.bench_function(name, |b| {
            let mut head = RequestHead::default();
            b.iter(|| {
                head.reset();
                head.parse(black_box(bytes), HeadLimits::default())
            });
        });
    }
    group.finish();
}

fn response_head(c: &mut Criterion) {
    c.bench_function("http/response_head", |b| {
        let mut head = ResponseHead::default();
        b.iter(|| {
            head.reset();
            head.parse(black_box(RESPONSE))
        });
    });
}

fn write_requests(c: &mut Criterion) {
    let mut group = c.benchmark_group("http/write_request");
    for (name, bytes) in [("curl", CURL), ("browser", BROWSER)] {
        let mut head = RequestHead::default();
        head.parse(bytes, HeadLimits::default())
            .expect("a well-formed head");
        let mut out = Vec::with_capacity(16 * 1024);
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                let target = |out: &mut Vec<u8>| out.extend_from_slice(b"/v1/orders/42");
                let bytes = black_box(bytes);
                write_request(&mut out, &head, bytes, target, b"10.0.0.1:9001", &WAY);
                out.len()
            });
        });
    }
    group.finish();
}

fn write_responses(c: &mut Criterion) {
    c.bench_function("http/write_response", |b| {
        let mut head = ResponseHead::default();
        head.parse(RESPONSE).expect("a well-formed head");
        let mut out = Vec::with_capacity(16 * 1024);
        b.iter(|| {
            out.clear();
            let (bytes, framing) = (black_box(RESPONSE), Framing::Length(13));
            let id = Some(("x-request-id", WAY.request_id));
            write_response(&mut out, &head, bytes, framing, After::KeepAlive, b"", id);
            out.len()
        });
    });
}

fn chunked(c: &mut Criterion) {
    let mut group = c.benchmark_group("http/chunked");
    for chunk_bytes in [16, 1024, 8192] {
        let mut body = Vec::new();
        while body.len() < 15_000 - chunk_bytes {
            body.extend_from_slice(format!("{chunk_bytes:x}\r\n").as_bytes());
            body.resize(body.len() + chunk_bytes, b'x');
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"0\r\n\r\n");
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(chunk_bytes), |b| {
            let mut decoder = ChunkedDecoder::default();
            b.iter_batched_ref(
                || body.clone(),
                |window| {
                    decoder.reset();
                    decoder.decode(window)
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(
    benches,
    request_head,
    response_head,
    chunked,
    write_requests,
    write_responses
);
criterion_main!(benches);
