//! Limits: one that a core has to itself, one that two are hot on, and a million clients.
#![allow(missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use sluice::{
    clock::{self, Instant},
    guard::{Bucket, ClientTable, KeyHasher, Limit, Rate, Reservoir, admit},
};
use std::{hint::black_box, sync::Barrier, time::Duration};

fn rate(per_second: f64, burst: u32) -> Rate {
    Rate::new(per_second, burst).expect("a rate")
}

fn buckets(criterion: &mut Criterion) {
    // Ten nanoseconds a token and time to match: it is always had.
    let (one, other) = (Bucket::new(rate(1e8, 1000)), Bucket::new(rate(1e8, 1000)));
    let mut ns = 0;
    criterion.bench_function("guard/spend", |bencher| {
        bencher.iter(|| {
            ns += 10;
            black_box(&one).spend(0, Instant::from_ns(ns)).is_ok()
        });
    });
    criterion.bench_function("guard/admit_2", |bencher| {
        bencher.iter(|| {
            ns += 10;
            let limits = [Limit::Bucket(&one), Limit::Bucket(&other)];
            admit(black_box(&limits), 0, Instant::from_ns(ns)).is_ok()
        });
    });
    let reservoir = Reservoir::default();
    reservoir.add(1 << 60);
    criterion.bench_function("guard/spend_leased", |bencher| {
        bencher.iter(|| black_box(&reservoir).spend());
    });
    let empty = Bucket::new(rate(1e-3, 1));
    assert!(empty.spend(0, Instant::from_ns(1)).is_ok());
    criterion.bench_function("guard/spend_refused", |bencher| {
        bencher.iter(|| black_box(&empty).spend(0, Instant::from_ns(1)).is_err());
    });
}

/// How long each of two threads takes for `turns` requests, on the bucket that `of` gives it.
fn two_threads<'b>(turns: u64, of: impl Fn(usize) -> &'b Bucket) -> Duration {
    let begin = Barrier::new(2);
    std::thread::scope(|scope| {
        let threads = [0, 1].map(|worker| {
            let (bucket, begin) = (of(worker), &begin);
            scope.spawn(move || {
                begin.wait();
                let begun = clock::now();
                for turn in 0..turns {
                    // As many tokens come as two threads take.
                    let now = Instant::from_ns(turn * 20);
                    let _ = black_box(black_box(bucket).spend(worker, now));
                }
                clock::now().since(begun)
            })
        });
        let took = threads.map(|thread| thread.join().expect("a bench's thread"));
        (took[0] + took[1]) / 2
    })
}

/// Two threads on one bucket, beside two on a bucket each: with leases, and without.
fn hot(criterion: &mut Criterion) {
    // More than both want, so that every token is had. A bucket is new for each sample, as each
    // begins at the beginning of time.
    let rate = rate(1e9, 1_000_000);
    let mut group = criterion.benchmark_group("guard/two_threads");
    group.bench_function("own_buckets", |bencher| {
        bencher.iter_custom(|turns| {
            let own = [Bucket::new(rate), Bucket::new(rate)];
            two_threads(turns, |worker| &own[worker])
        });
    });
    group.bench_function("one_bucket", |bencher| {
        bencher.iter_custom(|turns| {
            let shared = Bucket::for_workers(rate, 2);
            two_threads(turns, |_| &shared)
        });
    });
    group.bench_function("one_bucket_without_leases", |bencher| {
        bencher.iter_custom(|turns| {
            let without = Bucket::new(rate);
            two_threads(turns, |_| &without)
        });
    });
    group.finish();
}

fn clients(criterion: &mut Criterion) {
    const CLIENTS: u64 = 1_000_000;
    let table = ClientTable::new(rate(1e-3, 1000), CLIENTS as u32);
    let hasher = KeyHasher::default();
    let keys: Vec<u64> = (0..CLIENTS)
        .map(|client| hasher.hash(&client.to_le_bytes()))
        .collect();
    let now = Instant::from_ns(1);
    for &key in &keys {
        assert!(table.spend(key, now).is_ok());
    }
    eprintln!(
        "{} bytes, {} live, {} without a place",
        table.bytes(),
        table.live(now),
        table.overflowed()
    );
    let mut all = keys.iter().cycle();
    criterion.bench_function("guard/table_check", |bencher| {
        bencher.iter(|| table.check(*all.next().expect("it cycles"), now).is_ok());
    });
    criterion.bench_function("guard/table_spend", |bencher| {
        bencher.iter(|| table.spend(*all.next().expect("it cycles"), now).is_ok());
    });
}

criterion_group!(benches, buckets, hot, clients);
criterion_main!(benches);
