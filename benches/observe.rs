//! What a request costs at its end: counted, made a line of the log, handed to the writer.
//!
//! The bounds that these are held against: `observe/record` 60 ns, `observe/json_line` 350 ns.

use criterion::{Criterion, criterion_group, criterion_main};
use sluice::{
    clock::Instant,
    observe::{
        Block, Format, LogTarget, LogWriter, Record, Registry, RouteIdentity, TimeText, WorkerCells,
    },
};
use std::{hint::black_box, sync::Arc, time::Duration};

/// A request as a browser sends it.
fn record() -> Record<'static> {
    Record {
        started: Instant::from_ns(0),
        started_wall: Duration::from_millis(1_790_000_000_123),
        latency: Duration::from_nanos(1_234_567),
        integration_latency: Some(Duration::from_micros(987)),
        source_ip: b"192.0.2.77",
        method_token: b"GET",
        path: b"/v1/customers/8231/orders/42",
        query: b"expand=items&limit=50",
        host: b"api.example.com",
        protocol: "HTTP/1.1",
        user_agent: b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        referer: b"https://shop.example.com/account/orders",
        request_id: b"9b6c0f5e-0000-4000-8000-00000000002a",
        api: "orders",
        stage: "prod",
        route: "GET /v1/customers/{customer}/orders/{id}",
        of_route: b"",
        status: 200,
        integration_status: Some(200),
        endpoint: "10.0.3.17:9001",
        upstream: "orders",
        attempts: 1,
        request_bytes: 0,
        response_bytes: 1_337,
        response_body_bytes: 1_100,
        error: None,
        generation: 42,
    }
}

/// Over 1,024 routes in turn, so that cells come from the second cache and not the first.
fn count(c: &mut Criterion) {
    let registry = Registry::new(2);
    let routes: Vec<_> = (0..1_024)
        .map(|n| {
            registry.route(RouteIdentity {
                api: "orders".into(),
                stage: "prod".into(),
                route: format!("GET /{n}").into(),
            })
        })
        .collect();
    let mut record = record();
    let mut at = 0;
    c.bench_function("observe/record", |b| {
        b.iter(|| {
            at = (at + 1) % routes.len();
            // Latencies differ, or the histogram's branches would always be foretold.
            record.latency = Duration::from_nanos(at as u64 * 7_919 % 3_000_000);
            routes[at].observe(0, black_box(&record));
        });
    });
}

fn line(c: &mut Criterion) {
    let format = Format::json();
    let mut record = record();
    let mut time = TimeText::new();
    let mut out = Block::default();
    let of_route = format.of_route(&mut out, record.api, record.stage, record.route);
    record.of_route = &of_route;
    c.bench_function("observe/json_line", |b| {
        b.iter(|| {
            out.clear();
            format.write(&mut out, black_box(&record), &mut time);
            black_box(&out);
        });
    });
}

/// A line made and handed over, with the writer's thread beside; the target is `Off`.
fn push(c: &mut Criterion) {
    let cells = [Arc::new(WorkerCells::new())];
    let (_writer, mut senders) = LogWriter::start(LogTarget::Off, &cells).expect("the log starts");
    let record = record();
    for (name, format) in [
        (
            "observe/line_to_writer",
            Format::parse("x").expect("a format"),
        ),
        ("observe/json_line_to_writer", Format::json()),
    ] {
        c.bench_function(name, |b| {
            b.iter(|| senders[0].line(&format, black_box(&record)));
        });
    }
    println!("lines dropped: {}", cells[0].log_lines_dropped.read());
}

criterion_group!(benches, count, line, push);
criterion_main!(benches);
