//! The upstreams whose endpoints benches pick, and chance to pick them by.

use sluice::{
    clock::Instant,
    upstream::{
        Address, Balance, Ejection, EndpointSettings, HostPolicy, PoolSettings, Retry, Settings,
        States, Timeouts, Upstream,
    },
};
use std::time::Duration;

/// What an operator writes who wants everything.
pub(crate) fn settings(balance: Balance) -> Settings {
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
        concurrency: None,
        load_shedding: None,
        slow_start: None,
        host: HostPolicy::Preserve,
        health_check: None,
    }
}

/// So many endpoints, every second of weight two.
pub(crate) fn upstream(balance: Balance, endpoints: u16) -> Upstream {
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
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
        self.0
    }
}
