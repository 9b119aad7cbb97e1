//! Upstreams: settings in the data plane's units, endpoints out of looked-up names, kept states.

use super::Addresses;
use crate::{
    bounds::ENDPOINTS_MAX,
    clock::Instant,
    model::{
        Checked,
        checked::{self, EndpointAddress, HashOn, HostRule},
    },
    upstream::{
        Address, Balance, Ejection, EndpointSettings, HashKey, HealthCheck, HostPolicy,
        PoolSettings, Probe, Retry, Settings, Shedding, States, Timeouts, Upstream,
    },
};
use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    sync::Arc,
};

pub(super) fn upstreams(
    checked: &Checked,
    addresses: &Addresses,
    states: &mut States,
    now: Instant,
) -> Box<[Arc<Upstream>]> {
    checked
        .upstreams
        .iter()
        .map(|written| Arc::new(upstream(written, addresses, states, now)))
        .collect()
}

/// The upstreams of `before`, which stand first in `checked`, and those that follow there.
pub(super) fn and_new(
    before: &[Arc<Upstream>],
    checked: &Checked,
    addresses: &Addresses,
    states: &mut States,
    now: Instant,
) -> Box<[Arc<Upstream>]> {
    let new = checked.upstreams.iter().skip(before.len());
    let new = new.map(|written| Arc::new(upstream(written, addresses, states, now)));
    before.iter().map(Arc::clone).chain(new).collect()
}

/// The upstreams of `checked` at new addresses. Those whose endpoints did not change are the ones
/// of `before`, which are the upstreams of the same `checked`.
pub fn recompile_upstreams(
    checked: &Checked,
    before: &[Arc<Upstream>],
    addresses: &Addresses,
    states: &mut States,
    now: Instant,
) -> Box<[Arc<Upstream>]> {
    checked
        .upstreams
        .iter()
        .zip(before)
        .map(|(written, before)| {
            let next = endpoints(written, addresses);
            let next = next.iter().map(|endpoint| &endpoint.address);
            match next.eq(before.endpoints.iter().map(|endpoint| &endpoint.address)) {
                true => Arc::clone(before),
                false => Arc::new(upstream(written, addresses, states, now)),
            }
        })
        .collect()
}

fn upstream(
    written: &checked::Upstream,
    addresses: &Addresses,
    states: &mut States,
    now: Instant,
) -> Upstream {
    let endpoints = endpoints(written, addresses);
    Upstream::new(settings(written), endpoints, states, now)
        .expect("the endpoints were cut to what an upstream holds")
}

/// The endpoints at their addresses. A name stands for each of its addresses, with its weight. An
/// address that two names share is one endpoint, the first's; more than [`ENDPOINTS_MAX`] are cut.
fn endpoints(written: &checked::Upstream, addresses: &Addresses) -> Vec<EndpointSettings> {
    let mut seen = HashSet::new();
    let mut all = Vec::with_capacity(written.endpoints.len());
    for endpoint in &written.endpoints {
        let at = match &endpoint.address {
            EndpointAddress::Tcp(address) => vec![Address::Ip(*address)],
            EndpointAddress::Unix(path) => vec![Address::Unix(path.as_path().into())],
            EndpointAddress::Name(name, port) => {
                let known = addresses.get(name).map_or(&[][..], Vec::as_slice);
                let at = |ip: &IpAddr| Address::Ip(SocketAddr::new(*ip, *port));
                known.iter().map(at).collect()
            }
        };
        for address in at {
            if all.len() < ENDPOINTS_MAX && seen.insert(address.clone()) {
                all.push(EndpointSettings {
                    address,
                    authority: endpoint.text.as_str().into(),
                    weight: endpoint.weight,
                });
            }
        }
    }
    all
}

fn settings(written: &checked::Upstream) -> Settings {
    Settings {
        name: written.name.as_str().into(),
        balance: balance(&written.balance),
        timeouts: Timeouts {
            connect: written.timeouts.connect,
            response: written.timeouts.response,
            between_bytes: written.timeouts.between_bytes,
            // The model has put it into the routes, where it may be set otherwise.
            total: None,
        },
        retry: Retry {
            attempts: written.retries.attempts,
            budget_percent: written.retries.budget,
            budget_min_per_second: u16::try_from(written.retries.budget_min).unwrap_or(u16::MAX),
        },
        ejection: written.ejection.map(|ejection| Ejection {
            failures: ejection.failures,
            duration: ejection.duration,
            share_max_percent: ejection.share_max,
        }),
        pool: PoolSettings {
            idle_max: written.pool.idle.into(),
            idle_timeout: written.pool.idle_timeout,
        },
        connections_max: written.connections_max.map(NonZeroU32::get),
        pending_max: written.pending_max,
        pending_timeout: written.pending_timeout,
        concurrency: written.concurrency.map(NonZeroU32::get),
        load_shedding: written.load_shedding.map(|shedding| Shedding {
            min: shedding.min,
            max: shedding.max,
            tolerance: f64::from(shedding.tolerance) / 100.0,
            window: shedding.window,
        }),
        slow_start: written.slow_start,
        host: match &written.host {
            HostRule::Preserve => HostPolicy::Preserve,
            HostRule::Endpoint => HostPolicy::Endpoint,
            HostRule::Literal(host) => HostPolicy::Literal(host.as_str().into()),
        },
        health_check: written.health_check.as_ref().map(health_check),
    }
}

fn balance(written: &checked::Balance) -> Balance {
    match written {
        checked::Balance::RoundRobin => Balance::RoundRobin,
        checked::Balance::Random => Balance::Random,
        checked::Balance::LeastRequest => Balance::LeastRequest,
        checked::Balance::Hash(on) => Balance::Hash(match on {
            HashOn::ClientAddress => HashKey::ClientAddress,
            HashOn::Path => HashKey::Path,
            HashOn::Header(name) => HashKey::Header(name.as_str().into()),
            HashOn::Cookie(name) => HashKey::Cookie(name.as_str().into()),
        }),
    }
}

fn health_check(written: &checked::HealthCheck) -> HealthCheck {
    HealthCheck {
        probe: match &written.probe {
            checked::Probe::Tcp => Probe::Tcp,
            checked::Probe::Http {
                path,
                host,
                statuses,
            } => Probe::Http {
                path: path.as_str().into(),
                host: host.as_deref().map(Into::into),
                statuses: statuses.clone().into(),
            },
        },
        interval: written.interval,
        timeout: written.timeout,
        healthy: written.healthy.into(),
        unhealthy: written.unhealthy.into(),
    }
}
