//! What a pick, an outcome and a token cost: the benches that the contracts in `upstream/` and
//! `guard/` name.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sluice::{
    clock::Instant,
    guard::{Bucket, Rate, spend_all},
    upstream::{
        Address, Balance, Choice, Ejection, EndpointSettings, HashKey, HostPolicy, Local, Outcome,
        Pool, PoolSettings, Retry, RetryBudget, Settings, States, Timeouts, Tried, Upstream,
    },
};
use std::{hint::black_box, time::Duration};

const ENDPOINTS: [u16; 3] = [2, 10, 100];

fn settings(balance: Balance) -> Settings {
    let second = Duration::from_secs(1);
    Settings {
        name: "bench".into(),
        balance,
        timeouts: Timeouts {
            connect: second,
            response: second,
            between_bytes: second,
            total: None,
        },
        retry: Retry {
            attempts: 3,
            budget_percent: 20,
            budget_min_per_second: 10,
        },
        ejection: Some(Ejection {
            failures: 5,
            duration: 30 * second,
            share_max_percent: 50,
        }),
        pool: PoolSettings {
            idle_max: 64,
            idle_timeout: 60 * second,
        },
        connections_max: None,
        pending_max: 0,
        pending_timeout: second,
        slow_start: None,
        host: HostPolicy::Preserve,
        health_check: None,
    }
}

fn upstream(balance: Balance, endpoints: u16) -> Upstream {
    let endpoints = (0..endpoints)
        .map(|port| EndpointSettings {
            address: Address::Ip(([10, 0, 0, 1], 8000 + port).into()),
            authority: "origin".into(),
            weight: 1 + port % 2,
        })
        .collect();
    Upstream::new(
        settings(balance),
        endpoints,
        &mut States::default(),
        Instant::default(),
    )
    .expect("few endpoints")
}

/// Chance that costs little: a multiplicative congruential generator.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
        self.0
    }
}

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
    let empty = Bucket::new(rate(1e-3, 1));
    assert!(empty.spend(Instant::from_ns(1)).is_ok());
    criterion.bench_function("guard/spend_refused", |bencher| {
        bencher.iter(|| black_box(&empty).spend(Instant::from_ns(1)).is_err());
    });
}

criterion_group!(benches, picks, outcomes, limits);
criterion_main!(benches);
