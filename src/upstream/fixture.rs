//! Settings and endpoints for the tests of this module.

use super::{
    Address, Balance, Ejection, EndpointSettings, HostPolicy, PoolSettings, Retry, Settings,
    Timeouts,
};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

pub(super) fn settings(balance: Balance) -> Settings {
    Settings {
        name: "users".into(),
        balance,
        timeouts: Timeouts {
            connect: SECOND,
            response: SECOND,
            between_bytes: SECOND,
            total: None,
        },
        retry: Retry {
            attempts: 3,
            budget_percent: 20,
            budget_min_per_second: 10,
        },
        ejection: Some(Ejection {
            failures: 1,
            duration: SECOND,
            share_max_percent: 100,
        }),
        pool: PoolSettings {
            idle_max: 8,
            idle_timeout: SECOND,
        },
        connections_max: None,
        pending_max: 0,
        pending_timeout: SECOND,
        concurrency: None,
        load_shedding: None,
        slow_start: None,
        host: HostPolicy::Preserve,
        health_check: None,
    }
}

pub(super) fn endpoints(weights: &[u16]) -> Vec<EndpointSettings> {
    weights
        .iter()
        .zip(1..)
        .map(|(&weight, port)| EndpointSettings {
            address: Address::Ip(([10, 0, 0, 1], port).into()),
            authority: "origin".into(),
            weight,
        })
        .collect()
}
