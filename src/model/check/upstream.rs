//! Upstreams: addresses, weights, what goes with what.

use super::{Walk, narrow};
use crate::model::{
    checked::{
        Balance, Ejection, Endpoint, HashOn, HealthCheck, HostRule, LoadShedding, Pool, Probe,
        Resolve, Retries, Upstream, UpstreamTimeouts,
    },
    document::{self, HealthCheckType},
    mistake::Path,
    names::{self, Wrong},
    setting::{Map, Named, Placed},
};
use std::{collections::HashMap, num::NonZeroU32};

/// The path of a probe that says nothing of it.
const PROBE_PATH: &str = "/healthz";
/// The statuses that are a success for a probe that says nothing of it.
const PROBE_STATUS: &str = "200-299";

impl Walk<'_> {
    pub(super) fn upstreams(
        &mut self,
        map: Map<document::Upstream>,
        root: Path<'_>,
    ) -> Vec<Upstream> {
        let section = root.key("upstreams");
        map.0
            .into_iter()
            .filter_map(|Named { name, place, value }| {
                let written = value?;
                let path = section.key(&name);
                let checked = self.kept(place, path, names::name(&name))?;
                let mut upstream = self.upstream(written, path)?;
                (upstream.name, upstream.place) = (checked, place);
                Some(upstream)
            })
            .collect()
    }

    pub(super) fn upstream(
        &mut self,
        written: document::Upstream,
        path: Path<'_>,
    ) -> Option<Upstream> {
        let endpoints = self.endpoints(&written.endpoints.value, path.key("endpoints"));
        let balance = self.balance(&written, path);
        let health = written.health_check.value.value();
        let health_check = health.and_then(|h| self.health_check(h, path.key("health_check")));
        let resolve = self.resolve(&written.resolve.value, path.key("resolve"));
        let host = self.host(&written.host, path.key("host"));
        let shedding = written.load_shedding.value.value();
        let load_shedding = shedding.map(|s| self.load_shedding(&s, path.key("load_shedding")));
        let timeouts = &written.timeouts.value;
        let (retries, pool) = (&written.retries.value, &written.pool.value);
        Some(Upstream {
            place: written.place,
            name: String::new(),
            endpoints,
            balance: balance?,
            health_check,
            timeouts: UpstreamTimeouts {
                connect: timeouts.connect.value,
                response: timeouts.response.value,
                between_bytes: timeouts.between_bytes.value,
                total: timeouts.total.value.clone().value(),
            },
            retries: Retries {
                attempts: narrow(retries.attempts.value),
                budget: narrow(retries.budget.value),
                budget_min: narrow(retries.budget_min.value),
            },
            ejection: written.ejection.value.value().map(|ejection| Ejection {
                failures: narrow(ejection.failures.value),
                duration: ejection.duration.value,
                share_max: narrow(ejection.share_max.value),
            }),
            pool: Pool {
                idle: narrow(pool.idle.value),
                idle_timeout: pool.idle_timeout.value,
            },
            connections_max: written
                .connections_max
                .value
                .value()
                .and_then(|most| NonZeroU32::new(narrow(most))),
            pending_max: narrow(written.pending_max.value),
            pending_timeout: written.pending_timeout.value,
            concurrency: written
                .concurrency
                .value
                .value()
                .and_then(|most| NonZeroU32::new(narrow(most))),
            load_shedding,
            slow_start: written.slow_start.value.value(),
            host: host?,
            resolve,
        })
    }

    fn endpoints(
        &mut self,
        written: &[Placed<document::Endpoint>],
        list: Path<'_>,
    ) -> Vec<Endpoint> {
        let mut lines = HashMap::new();
        let mut checked = Vec::with_capacity(written.len());
        for (
            index,
            Placed {
                value: endpoint, ..
            },
        ) in written.iter().enumerate()
        {
            let (entry, place) = (list.index(index), endpoint.address.place);
            let text = endpoint.address.value.clone();
            let address = self.parsed(&endpoint.address, entry, names::endpoint);
            let Some(address) = address else { continue };
            if let Some(line) = lines.insert(address.clone(), place.line) {
                let what = format!("{text:?} stands here twice");
                let hint = format!("the first is on line {line}; a weight gives it a larger share");
                self.wrong(place, entry, what, &hint);
            }
            checked.push(Endpoint {
                place,
                text,
                address,
                weight: narrow(endpoint.weight.value),
            });
        }
        let none = |endpoint: &Placed<document::Endpoint>| endpoint.value.weight.value == 0;
        if let [first, ..] = written
            && written.iter().all(none)
        {
            let what = "every endpoint has the weight 0";
            self.wrong(
                first.place,
                list,
                what,
                "give one of them a weight of 1 or more",
            );
        }
        checked
    }

    fn balance(&mut self, written: &document::Upstream, path: Path<'_>) -> Option<Balance> {
        let hash_on = written.hash_on.value.clone();
        let (balance, place) = (written.balance.value, written.hash_on.place);
        match (balance, hash_on) {
            (document::Balance::Hash, Some(text)) => self
                .kept(place, path.key("hash_on"), self::hash_on(&text))
                .map(Balance::Hash),
            (document::Balance::Hash, None) => {
                let what = "balance: hash needs \"hash_on\"";
                let hint = "hash_on: client_address, path, header:NAME or cookie:NAME";
                self.wrong(written.balance.place, path, what, hint);
                None
            }
            (other, Some(_)) => {
                let what = format!("\"hash_on\" has no meaning with balance: {}", other.word());
                self.wrong(
                    place,
                    path.key("hash_on"),
                    what,
                    "write balance: hash, or take it out",
                );
                None
            }
            (document::Balance::RoundRobin, None) => Some(Balance::RoundRobin),
            (document::Balance::Random, None) => Some(Balance::Random),
            (document::Balance::LeastRequest, None) => Some(Balance::LeastRequest),
        }
    }

    fn health_check(
        &mut self,
        written: document::HealthCheck,
        section: Path<'_>,
    ) -> Option<HealthCheck> {
        let probe = match written.r#type.value {
            HealthCheckType::Http => self.http_probe(&written, section),
            HealthCheckType::Tcp => {
                let keys = [
                    ("path", &written.path),
                    ("host", &written.host),
                    ("status", &written.status),
                ];
                for (key, given) in keys.into_iter().filter(|(_, given)| given.value.is_some()) {
                    let what = "has no meaning with type: tcp";
                    self.wrong(given.place, section.key(key), what, "take it out");
                }
                Some(Probe::Tcp)
            }
        };
        Some(HealthCheck {
            probe: probe?,
            interval: written.interval.value,
            timeout: written.timeout.value,
            healthy: narrow(written.healthy.value),
            unhealthy: narrow(written.unhealthy.value),
        })
    }

    fn http_probe(&mut self, written: &document::HealthCheck, section: Path<'_>) -> Option<Probe> {
        let text = |given: &Placed<Option<String>>, otherwise: &str| Placed {
            value: given.value.clone().unwrap_or_else(|| otherwise.to_owned()),
            place: given.place,
        };
        let path = text(&written.path, PROBE_PATH);
        let path = self.parsed(&path, section.key("path"), probe_path);
        let statuses = text(&written.status, PROBE_STATUS);
        let statuses = self.parsed(&statuses, section.key("status"), names::statuses);
        let host = match &written.host.value {
            None => None,
            Some(host) => {
                let host = names::authority(host);
                Some(self.kept(written.host.place, section.key("host"), host)?)
            }
        };
        Some(Probe::Http {
            path: path?,
            host,
            statuses: statuses?,
        })
    }

    fn load_shedding(
        &mut self,
        written: &document::LoadShedding,
        section: Path<'_>,
    ) -> LoadShedding {
        let (min, max) = (written.min.value, written.max.value);
        if min > max {
            let what = format!("\"min\" is {min}, and \"max\" {max}");
            self.wrong(written.min.place, section, what, "");
        }
        LoadShedding {
            min: narrow(min),
            max: narrow(max),
            tolerance: narrow(written.tolerance.value),
            window: written.window.value,
        }
    }

    fn resolve(&mut self, written: &document::Resolve, section: Path<'_>) -> Resolve {
        let (ttl_min, ttl_max) = (written.ttl_min.value, written.ttl_max.value);
        if ttl_min > ttl_max {
            let what = "\"ttl_min\" is longer than \"ttl_max\"";
            self.wrong(written.ttl_min.place, section, what, "");
        }
        Resolve { ttl_min, ttl_max }
    }

    fn host(&mut self, written: &Placed<String>, path: Path<'_>) -> Option<HostRule> {
        match written.value.as_str() {
            "preserve" => Some(HostRule::Preserve),
            "endpoint" => Some(HostRule::Endpoint),
            _ => self
                .parsed(written, path, names::authority)
                .map(HostRule::Literal),
        }
    }
}

fn hash_on(text: &str) -> Result<HashOn, Wrong> {
    let cookie = |name: &str| names::field_name(name).map(|_| HashOn::Cookie(name.to_owned()));
    match text.split_once(':') {
        None if text == "client_address" => Ok(HashOn::ClientAddress),
        None if text == "path" => Ok(HashOn::Path),
        Some(("header", name)) => names::field_name(name).map(HashOn::Header),
        Some(("cookie", name)) => cookie(name),
        _ => Err(Wrong::new(
            format!("{text:?} is not known here"),
            "write client_address, path, header:NAME or cookie:NAME",
        )),
    }
}

/// The target of a probe: a path and perhaps a query, as they go on the wire.
fn probe_path(text: &str) -> Result<String, Wrong> {
    match text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true if !text.contains('#') => Ok(text.to_owned()),
        _ => Err(Wrong::new(
            format!("{text:?} is not a path"),
            "write /path, with other characters percent-encoded",
        )),
    }
}
