//! What a reload costs off the workers: the compilation of a large configuration.

use criterion::{Criterion, criterion_group, criterion_main};
use sluice::{
    clock,
    control::compile::{Addresses, Canaries, Kept, Sources, compile},
    guard,
    model::{self, Checked},
    observe::Registry,
    upstream::States,
};
use std::{fmt::Write, hint::black_box, path::Path};

const ROUTES: usize = 100_000;

/// A hundred APIs of a thousand routes each, every tenth with a throttle.
fn configuration() -> String {
    let mut text = "listeners: [{ address: '127.0.0.1:0' }]\n\
                    upstreams: { u: { endpoints: ['127.0.0.1:1', '127.0.0.1:2'] } }\napis:\n"
        .to_owned();
    let mut domains = "domains:\n  '*':\n".to_owned();
    for api in 0..100 {
        let _ = write!(
            text,
            "  api{api}:\n    stages: {{ prod: {{}} }}\n    routes:\n"
        );
        let _ = writeln!(domains, "    /api{api}: {{ api: api{api} }}");
        for route in 0..ROUTES / 100 {
            let throttle = match route % 10 {
                0 => ", throttle: { rate: 100, burst: 200 }",
                _ => "",
            };
            let _ = writeln!(
                text,
                "      GET /v1/things{route}/{{id}}/parts/{{part}}: {{ integration: \
                 {{ type: http, upstream: u, path: '/x/{{id}}/{{part}}' }}{throttle} }}"
            );
        }
    }
    text + &domains
}

fn read(text: &str) -> Checked {
    let checked = model::read("bench.yaml", text, Path::new("/"));
    checked.unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn benches(c: &mut Criterion) {
    let text = configuration();
    let mut group = c.benchmark_group("snapshot");
    group.sample_size(10);
    group.bench_function("read_100000", |b| b.iter(|| black_box(read(&text))));
    let checked = read(&text);
    let (metrics, mut states) = (Registry::new(2), States::default());
    let (mut buckets, mut canaries) = (guard::Buckets::default(), Canaries::new());
    let (addresses, sources) = (Addresses::new(), Sources::new());
    group.bench_function("compile_100000", |b| {
        b.iter_with_large_drop(|| {
            let mut kept = Kept {
                buckets: &mut buckets.draft(),
                metrics: &metrics,
                gates: &mut guard::Gates::default(),
                states: &mut states,
                canaries: &mut canaries,
                keys: &Default::default(),
                now: clock::now(),
            };
            let compiled = compile(&checked, &sources, &addresses, 1, &mut kept);
            compiled.unwrap_or_else(|mistakes| panic!("{mistakes}"))
        });
    });
    group.finish();
}

criterion_group!(compile_benches, benches);
criterion_main!(compile_benches);
