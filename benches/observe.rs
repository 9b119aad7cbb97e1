//! What a request costs at its end: counted, made a line of the log, handed to the writer.
//!
//! The bounds that these are held against: `observe/record` 60 ns, `observe/json_line` 350 ns.

use criterion::{Criterion, criterion_group, criterion_main};
use sluice::observe::{Block, Format, LogTarget, LogWriter, Registry, TimeText, WorkerCells};
use std::{hint::black_box, sync::Arc, time::Duration};

#[path = "support/records.rs"]
mod records;
use records::{record, routes};

/// Over 1,024 routes in turn, so that cells come from the second cache and not the first.
fn count(c: &mut Criterion) {
    let registry = Registry::new(2);
    let routes = routes(&registry);
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
