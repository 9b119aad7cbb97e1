//! What a pick, an outcome and a token cost: the benches that the contracts in `upstream/` and
//! `guard/` name.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sluice::{
    clock::Instant,
    guard::{Bucket, Rate, Reservoir, spend_all},
    upstream::{Balance, Choice, HashKey, Local, Outcome, Pool, RetryBudget, Tried},
};
use std::{hint::black_box, sync::Arc};

#[path = "support/upstreams.rs"]
mod upstreams;
use upstreams::{Chance, settings, upstream};

const ENDPOINTS: [u16; 3] = [2, 10, 100];

fn pick(criterion: &mut Criterion, name: &str, balance: Balance, key: Option<&[u8]>) {
    let mut group = criterion.benchmark_group(name);
    for count in ENDPOINTS {
        let upstream = upstream(balance.clone(), count);
        let local = Local::new(&upstream, 0, 1);
        let (tried, mut chance) = (Tried::default(), Chance(1));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                upstream.pick(black_box(&Choice {
                    cursor: &local.cursor,
                    in_flight: &local.in_flight,
                    key,
                    random: chance.next(),
                    now: Instant::from_ns(1),
                    tried: &tried,
                }))
            });
        });
    }
    group.finish();
}

fn picks(criterion: &mut Criterion) {
    let hash = Balance::Hash(HashKey::Path);
    pick(
        criterion,
        "upstream/pick_round_robin",
        Balance::RoundRobin,
        None,
    );
    pick(criterion, "upstream/pick_random", Balance::Random, None);
    pick(
        criterion,
        "upstream/pick_least_request",
        Balance::LeastRequest,
        None,
    );
    pick(
        criterion,
        "upstream/pick_hash",
        hash,
        Some(b"/v1/orders/12345678"),
    );
}

fn outcomes(criterion: &mut Criterion) {
    let upstream = upstream(Balance::RoundRobin, 10);
    criterion.bench_function("upstream/observe_success", |bencher| {
        bencher.iter(|| upstream.observe(black_box(3), Outcome::Success, Instant::from_ns(1)));
    });
    let (budget, retry) = (RetryBudget::default(), settings(Balance::Random).retry);
    budget.report(1_000_000, Instant::from_ns(1));
    criterion.bench_function("upstream/budget_spend", |bencher| {
        bencher.iter(|| budget.spend(black_box(&retry), Instant::from_ns(1)));
    });
    let mut pool = Pool::new(settings(Balance::Random).pool);
    for connection in 0..32_u64 {
        assert_eq!(pool.put(connection, Instant::from_ns(1)), None);
    }
    criterion.bench_function("upstream/pool_take_put", |bencher| {
        bencher.iter(|| {
            let taken = pool.take(black_box(Instant::from_ns(2)));
            taken.and_then(|(connection, _)| pool.put(connection, Instant::from_ns(2)))
        });
    });
}

fn limits(criterion: &mut Criterion) {
    let rate = |per_second, burst| Rate::new(per_second, burst).expect("a rate");
    // Ten nanoseconds a token and time to match: it is always had.
    let (one, other) = (Bucket::new(rate(1e8, 1000)), Bucket::new(rate(1e8, 1000)));
    let mut ns = 0;
    criterion.bench_function("guard/spend", |bencher| {
        bencher.iter(|| {
            ns += 10;
            black_box(&one).spend(Instant::from_ns(ns)).is_ok()
        });
    });
    criterion.bench_function("guard/spend_all_2", |bencher| {
        bencher.iter(|| {
            ns += 10;
            spend_all(black_box(&[&one, &other]), Instant::from_ns(ns)).is_ok()
        });
    });
    // More than a bench can spend.
    let reservoir = Arc::new(Reservoir::default());
    reservoir.add(u64::MAX >> 1);
    let leased = Bucket::leased(rate(1e8, 1000), reservoir);
    criterion.bench_function("guard/spend_leased", |bencher| {
        bencher.iter(|| black_box(&leased).spend(Instant::from_ns(1)).is_ok());
    });
    let empty = Bucket::new(rate(1e-3, 1));
    assert!(empty.spend(Instant::from_ns(1)).is_ok());
    criterion.bench_function("guard/spend_refused", |bencher| {
        bencher.iter(|| black_box(&empty).spend(Instant::from_ns(1)).is_err());
    });
}

criterion_group!(benches, picks, outcomes, limits);
criterion_main!(benches);
