//! The compiled whole: everything that a request may need to know, immutable, behind one pointer.
//!
//! This is where the planes meet. The control plane compiles a [`Snapshot`] off the workers and
//! publishes it; a worker looks for a newer one at each request's beginning and keeps the one that
//! it found until the request ends. Nothing in it is a string of the configuration that would
//! have to be understood on the way of a request.

mod limit;

pub use limit::{ClientKey, Held, Limit, Limits, address_key};

use crate::{
    guard::{Concurrency, KeyRing, Quota},
    http::HeadLimits,
    observe::{Format, RouteMetrics},
    route::{Hosts, Peculiarities, Table, Target},
    upstream::Upstream,
};
use arc_swap::ArcSwap;
use ipnet::IpNet;
use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// One state of the whole configuration, compiled. Its parts are shared with the snapshots before
/// and after it where they did not change.
#[derive(Debug)]
pub struct Snapshot {
    /// Which state of the configuration this is: 1 for the first, one more at each reload.
    pub generation: u64,
    /// Hosts, stages, routes.
    pub routing: Arc<Routing>,
    /// The upstreams, which HTTP integrations name by index.
    pub upstreams: Box<[Arc<Upstream>]>,
    /// The API keys.
    pub keys: Arc<KeyRing>,
    /// What holds for every request.
    pub settings: Arc<Settings>,
}

/// Where requests go.
#[derive(Debug)]
pub struct Routing {
    /// Host and base path to an index into `stages`.
    pub hosts: Arc<Hosts<u32>>,
    /// Every stage of every API.
    pub stages: Box<[Arc<Stage>]>,
}

/// One stage of one API.
#[derive(Debug)]
pub struct Stage {
    /// The API's name.
    pub api: Arc<str>,
    /// The stage's name.
    pub name: Arc<str>,
    /// What it serves.
    pub own: Arc<Served>,
    /// A second deployment that gets a share of the requests.
    pub canary: Option<Box<Canary>>,
    /// The usage plans whose keys are good for it, in the order of their names.
    pub plans: Box<[PlanAtStage]>,
    /// The numbers of requests that no route took.
    pub metrics: Arc<RouteMetrics>,
}

impl Stage {
    /// What the plan of this name says of the stage. Cost: a binary search among its plans.
    pub fn plan(&self, name: &str) -> Option<&PlanAtStage> {
        let found = self
            .plans
            .binary_search_by(|known| (*known.plan.name).cmp(name));
        found.ok().map(|at| &self.plans[at])
    }
}

/// A usage plan. Its rates are those of each client by itself.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name.
    pub name: Arc<str>,
    /// How many requests a key may make, of all stages of the plan together.
    pub throttle: Option<Arc<Limit>>,
    /// How many in a period.
    pub quota: Option<Quota>,
}

/// A usage plan at one of its stages.
#[derive(Clone, Debug)]
pub struct PlanAtStage {
    /// The plan.
    pub plan: Arc<Plan>,
    /// How many requests a key may make to single routes, by the routes' keys, in their order.
    pub routes: Box<[(Box<str>, Arc<Limit>)]>,
}

impl PlanAtStage {
    /// How many requests a key may make to the route. Cost: a binary search.
    pub fn of_route(&self, key: &str) -> Option<&Arc<Limit>> {
        let found = self
            .routes
            .binary_search_by(|(known, _)| (**known).cmp(key));
        found.ok().map(|at| &self.routes[at].1)
    }
}

/// Where clients put their API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The header field of this name, in lower case.
    Header(Box<str>),
    /// The parameter of the query of this name.
    Query(Box<str>),
}

/// A definition, compiled for one stage.
#[derive(Debug)]
pub struct Served {
    /// Which one it is.
    pub side: Arc<Side>,
    /// The routes.
    pub table: Table<Arc<Route>>,
    /// What is answered where no route takes a request.
    pub miss: Miss,
    /// Whether refusals name their type as an Amazon REST API does.
    pub names_errors: bool,
}

/// Which deployment served a request, and as what: all of it that outlives the request's way.
#[derive(Debug, Default)]
pub struct Side {
    /// The deployment's short name; empty where the stage follows its API.
    pub deployment: Box<str>,
    /// The field line that tells clients, with its CRLF; empty unless the configuration asks for it.
    pub field_line: Box<[u8]>,
    /// Whether it is the canary; absent where there is none.
    pub is_canary: Option<bool>,
    /// The numbers by which a canary is compared with the stage's own deployment.
    pub metrics: Option<Arc<RouteMetrics>>,
}

/// A second deployment that gets a share of a stage's requests.
#[derive(Debug)]
pub struct Canary {
    /// What it serves.
    pub served: Arc<Served>,
    /// Its share, of 2^32.
    pub share: u64,
    /// What keeps a client on its side.
    pub sticky: Option<Sticky>,
    /// The field by which a client chooses, in lower case, and the value that chooses the canary.
    pub force: Option<(Box<str>, Box<[u8]>)>,
    /// What the sticky hash begins with: another canary draws its clients anew.
    pub seed: u64,
}

/// What keeps a client on its side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sticky {
    /// The value of this cookie.
    Cookie(Box<str>),
    /// The value of this header field, in lower case.
    Header(Box<str>),
    /// The client's address.
    Address,
}

impl Canary {
    /// The share of 2^32 that `percent` is.
    pub fn share_of(percent: f64) -> u64 {
        (percent.clamp(0.0, 100.0) / 100.0 * (1_u64 << 32) as f64).round() as u64
    }

    /// Whether the canary takes a request: `forced` is the value of the field by which a client
    /// chooses, `key` what keeps it on its side, `random` 64 bits of chance for who has neither.
    ///
    /// Cost: none to speak of without a key; with one, a multiplication for each of its bytes.
    pub fn takes(&self, forced: Option<&[u8]>, key: Option<&[u8]>, random: u64) -> bool {
        if let (Some(forced), Some((_, canary))) = (forced, &self.force) {
            return forced == &**canary;
        }
        let drawn = match key {
            Some(key) => spread(self.seed, key),
            None => random,
        };
        drawn >> 32 < self.share
    }
}

/// FNV-1a with a finish that spreads its last bytes over the upper half. Whoever chooses the key
/// chooses a side, which is no secret.
fn spread(seed: u64, key: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed;
    for byte in key {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ hash >> 33
}

/// What an API answers to a request that none of its routes takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// 404, as an Amazon HTTP API does.
    NotFound,
    /// 405 with Allow if the path has routes under other methods, else 404.
    MethodNotAllowed,
    /// 403 `Missing Authentication Token`, as an Amazon REST API does.
    AuthenticationToken,
    /// 404: the stage waits for its first deployment.
    NotDeployed,
}

/// One route of one stage, and all that is done with its requests. Shared by pointer, so that a
/// response that streams for hours holds its route and not the snapshot.
#[derive(Debug)]
pub struct Route {
    /// The API's name.
    pub api: Arc<str>,
    /// The stage's name.
    pub stage: Arc<str>,
    /// Its key as written: `GET /orders/{id}`.
    pub key: Arc<str>,
    /// What of an access-log line is the same for all of its requests.
    pub log: Box<[u8]>,
    /// Which peculiar paths it takes.
    pub allowed: Peculiarities,
    /// Bytes of a request's body at most.
    pub body_bytes_max: u64,
    /// What it admits: its own limits and those of all that it belongs to.
    pub limits: Limits,
    /// Where the API key stands that it asks for; absent where it asks for none.
    pub api_key: Option<KeySource>,
    /// How many of its requests may be in flight; absent: any number.
    pub concurrency: Option<Concurrency>,
    /// What answers.
    pub integration: Integration,
    /// Its numbers.
    pub metrics: Arc<RouteMetrics>,
}

/// What answers a request.
#[derive(Debug)]
pub enum Integration {
    /// An HTTP origin.
    Http(HttpIntegration),
    /// The gateway itself.
    Mock(Mock),
    /// Nothing: the definition asks for what this build does not do.
    NotServed,
}

/// An HTTP origin.
#[derive(Debug)]
pub struct HttpIntegration {
    /// Index into [`Snapshot::upstreams`].
    pub upstream: u32,
    /// The path that the origin is asked for; absent: the request's, after the base path.
    pub target: Option<Target>,
    /// From the first attempt to the response's end; absent: the upstream's own.
    pub timeout: Option<Duration>,
}

/// A fixed answer.
#[derive(Debug)]
pub struct Mock {
    /// The status code.
    pub status: u16,
    /// Whole field lines with their CRLF.
    pub field_lines: Box<[u8]>,
    /// The body.
    pub body: Box<[u8]>,
}

/// What holds for every request.
#[derive(Debug)]
pub struct Settings {
    /// Limits on request heads.
    pub head: HeadLimits,
    /// Connections of one worker.
    pub connections_max: usize,
    /// How long things may take on the client's side.
    pub timeouts: ClientTimeouts,
    /// What origins are told of the way.
    pub forwarding: Forwarding,
    /// Whether responses say what limits leave.
    pub rate_limit_headers: bool,
    /// How a request is logged; absent: not at all.
    pub log: Option<Format>,
}

/// How long things may take on the client's side.
#[derive(Clone, Copy, Debug)]
pub struct ClientTimeouts {
    /// From a head's first byte to its last.
    pub head: Duration,
    /// Between two reads of a body.
    pub body: Duration,
    /// Between requests.
    pub idle: Duration,
    /// For the client to take what is written to it.
    pub send: Duration,
    /// Without a byte either way through a tunnel.
    pub tunnel_idle: Duration,
    /// From the signal to stop, to the end of what is in flight.
    pub drain: Duration,
}

/// What origins are told of the way that a request came, and whom we believe about it.
#[derive(Clone, Debug)]
pub struct Forwarding {
    /// X-Forwarded-For, -Proto and -Host.
    pub x_forwarded: bool,
    /// Forwarded (RFC 7239).
    pub forwarded: bool,
    /// Via.
    pub via: bool,
    /// The name of the request id's field; absent: none is sent.
    pub request_id: Option<Box<str>>,
    /// Whose word about the way is believed.
    pub trusted: Box<[IpNet]>,
}

impl Forwarding {
    /// Whether `peer` is a proxy that we trust. Cost: O(blocks).
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|block| block.contains(&peer))
    }
}

/// The snapshot that is served now, for all workers to see.
#[derive(Debug)]
pub struct Published {
    current: ArcSwap<Snapshot>,
    /// How many were published. A worker compares it with the one that it knows: a load of a word
    /// that nobody writes in between, so of its own cache.
    revision: AtomicU64,
}

impl Published {
    /// Begins with `first`.
    pub fn new(first: Arc<Snapshot>) -> Self {
        Self {
            current: ArcSwap::new(first),
            revision: AtomicU64::new(1),
        }
    }

    /// Makes `next` the one that is served; the number of this publication.
    pub fn publish(&self, next: Arc<Snapshot>) -> u64 {
        self.current.store(next);
        // Release: who sees the new number sees the new snapshot.
        self.revision.fetch_add(1, Ordering::Release) + 1
    }

    /// The number of the last publication. Cost: one load.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// The snapshot that is served now. Takes part in its reference count: not for each request.
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Precedence, TableBuilder};

    fn canary(percent: f64, force: Option<(&str, &str)>) -> Canary {
        let served = Served {
            side: Arc::default(),
            table: TableBuilder::new(Precedence::FullMatchFirst)
                .build()
                .expect("no routes"),
            miss: Miss::NotFound,
            names_errors: false,
        };
        Canary {
            served: Arc::new(served),
            share: Canary::share_of(percent),
            sticky: None,
            force: force.map(|(name, value)| (name.into(), value.as_bytes().into())),
            seed: 7,
        }
    }

    #[test]
    fn a_field_chooses_before_chance_does() {
        let canary = canary(0.0, Some(("x-canary", "1")));
        assert!(canary.takes(Some(b"1"), None, 0));
        assert!(!canary.takes(Some(b"0"), None, 0));
        assert!(!canary.takes(None, None, 0));
    }

    #[test]
    fn nothing_and_everything_are_exact() {
        for random in [0, 1, u64::MAX >> 1, u64::MAX - 1, u64::MAX] {
            assert!(!canary(0.0, None).takes(None, None, random));
            assert!(canary(100.0, None).takes(None, None, random));
        }
    }

    /// Of 100,000, the binomial 99.9 % interval of a share.
    #[track_caller]
    fn within(percent: f64, taken: usize) {
        let (n, p) = (100_000.0, percent / 100.0);
        let spread = 3.29 * f64::sqrt(n * p * (1.0 - p));
        let off = (taken as f64 - n * p).abs();
        assert!(off <= spread, "{percent}%: {taken} of {n}");
    }

    #[test]
    fn shares_hold_for_keys_and_a_key_keeps_its_side() {
        for percent in [1.0, 10.0, 50.0] {
            let canary = canary(percent, None);
            for kind in ["", "session-", "10.0.0."] {
                let taken = (0..100_000).filter(|n| {
                    let key = format!("{kind}{n}");
                    let takes = canary.takes(None, Some(key.as_bytes()), 0);
                    assert_eq!(takes, canary.takes(None, Some(key.as_bytes()), u64::MAX));
                    takes
                });
                within(percent, taken.count());
            }
        }
    }
}
