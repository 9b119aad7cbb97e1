//! What reading and writing heads and chunks costs: the contracts of `http/`.
//!
//! The bounds that these are held against: `http/request_head/curl` 200 ns,
//! `http/request_head/browser` 600 ns.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sluice::http::{
    After, ChunkedDecoder, Framing, HeadLimits, RequestHead, ResponseHead, write_request,
    write_response,
};
use std::hint::black_box;

#[path = "support/heads.rs"]
mod heads;
use heads::{BROWSER, CURL, ENDPOINT, RESPONSE, TARGET, WAY};

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
                let bytes = black_box(bytes);
                write_request(&mut out, &head, bytes, TARGET, ENDPOINT, &WAY);
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
