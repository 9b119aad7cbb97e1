//! What a pick and an outcome cost: the benches that the contracts in `upstream/` name.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sluice::{
    clock::Instant,
    guard::{Gate, Key, KeyRing, Period, Quota, Remembered, Usage, key::hash_of},
    upstream::{
        Balance, Choice, HashKey, Limiter, Local, Outcome, Pool, RetryBudget, Samples, Shedding,
        Tried,
    },
};
use std::{hint::black_box, sync::Arc, time::Duration};

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

fn shedding() -> Shedding {
    Shedding {
        min: 8,
        max: 1000,
        tolerance: 2.0,
        window: Duration::from_millis(100),
    }
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
    let mut limiter = Limiter::default();
    let (shedding, mut now) = (shedding(), Instant::from_ns(1));
    let samples = Samples {
        count: 1000,
        sum_ns: 1_000_000,
    };
    criterion.bench_function("upstream/overload", |bencher| {
        bencher.iter(|| {
            now = now.after(shedding.window);
            limiter.report(black_box(samples), 10, &shedding, now);
            limiter.allowed(&shedding)
        });
    });
    criterion.bench_function("upstream/pool_take_put", |bencher| {
        bencher.iter(|| {
            let taken = pool.take(black_box(Instant::from_ns(2)));
            taken.and_then(|(connection, _)| pool.put(connection, Instant::from_ns(2)))
        });
    });
}

fn limits(criterion: &mut Criterion) {
    let gate = Arc::new(Gate::default());
    criterion.bench_function("guard/enter", |bencher| {
        bencher.iter(|| black_box(&gate).enter(10).is_some());
    });
}

fn keys(criterion: &mut Criterion) {
    let quota = Quota {
        limit: 1 << 40,
        period: Period::Month,
        offset: 0,
    };
    let (usage, wall) = (Usage::default(), Duration::from_secs(1_800_000_000));
    criterion.bench_function("guard/quota", |bencher| {
        bencher.iter(|| black_box(&usage).take(Some(&quota), wall).is_ok());
    });
    let value = |n: u32| format!("{n:040}").into_bytes();
    let key = |n: u32| {
        Arc::new(Key {
            id: n.to_string().into(),
            hash: hash_of(&value(n)),
            enabled: true,
            plans: Box::default(),
        })
    };
    let ring = KeyRing::of((0..10_000).map(key));
    let (one, other) = (value(1), value(2));
    let mut remembered = Remembered::default();
    criterion.bench_function("guard/key_remembered", |bencher| {
        bencher.iter(|| remembered.find(&ring, black_box(&one)).is_some());
    });
    let mut turn = 0;
    criterion.bench_function("guard/key_found", |bencher| {
        bencher.iter(|| {
            turn ^= 1;
            let value = if turn == 0 { &one } else { &other };
            remembered.find(&ring, black_box(value)).is_some()
        });
    });
}

criterion_group!(benches, picks, outcomes, limits, keys);
criterion_main!(benches);
