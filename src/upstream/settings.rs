//! What the operator sets of an upstream, checked and in the units of the data plane.
//!
//! Plain data: made by the configuration's compiler, read by workers and the control plane.

use super::{Address, HealthCheck};
use std::time::Duration;

/// The settings of one upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Its name: its identity across reloads, and its label in metrics.
    pub name: Box<str>,
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// How long each step may take.
    pub timeouts: Timeouts,
    /// How often a request may be tried.
    pub retry: Retry,
    /// When a failing endpoint is set aside; absent: never.
    pub ejection: Option<Ejection>,
    /// How many idle connections are kept, and for how long.
    pub pool: PoolSettings,
    /// Connections to one endpoint, over all workers; absent: no limit.
    pub connections_max: Option<u32>,
    /// Requests that may wait for a connection, over all workers, while `connections_max` is
    /// reached. Zero: none waits.
    pub pending_max: u32,
    /// How long a request waits for a connection.
    pub pending_timeout: Duration,
    /// Requests in flight, over all workers; absent: no limit.
    pub concurrency: Option<u32>,
    /// A limit on them that follows the latency; absent: none.
    pub load_shedding: Option<Shedding>,
    /// How long an endpoint that came (back) takes to reach its full share; absent: no time.
    /// Without effect where `balance` hashes: a key that moves away and back would lose what the
    /// endpoint keeps for it.
    pub slow_start: Option<Duration>,
    /// The Host that the origin is sent.
    pub host: HostPolicy,
    /// The active check; absent: endpoints count as healthy.
    pub health_check: Option<HealthCheck>,
}

/// One endpoint of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSettings {
    /// Where it is.
    pub address: Address,
    /// Its name as configured, for [`HostPolicy::Endpoint`].
    pub authority: Box<str>,
    /// Its share of the requests against the others'. Zero: none.
    pub weight: u16,
}

/// How an endpoint is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Each in turn, as often as it weighs.
    RoundRobin,
    /// By chance, as likely as it weighs.
    Random,
    /// Of two drawn by chance, the one with fewer requests of this worker in flight per weight.
    LeastRequest,
    /// The same endpoint for the same key, as long as it is usable.
    Hash(HashKey),
}

/// What of a request is hashed. A request without it is balanced by chance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// The value of a header field, by its name in lower case.
    Header(Box<str>),
    /// The value of a cookie, by its name.
    Cookie(Box<str>),
    /// The client's address, after trusted proxies.
    ClientAddress,
    /// The path, without the query.
    Path,
}

/// How long each step of an exchange with the origin may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From dialling to a connection.
    pub connect: Duration,
    /// From the request's last byte written to the response's head.
    pub response: Duration,
    /// Between two reads, or two writes, of a body.
    pub between_bytes: Duration,
    /// From the first attempt to the response's end, retries included; absent: no limit.
    pub total: Option<Duration>,
}

/// How often a request may be tried, and what retries may add to the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts at one request, the first included: 1 to [`crate::bounds::ATTEMPTS_MAX`].
    pub attempts: u8,
    /// Retries allowed per hundred requests of the last [`crate::bounds::RETRY_WINDOW_SECONDS`].
    pub budget_percent: u8,
    /// Retries allowed per second besides, so that an upstream of little traffic has some.
    pub budget_min_per_second: u16,
}

/// When a failing endpoint is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// Failures in a row that eject: at least 1.
    pub failures: u16,
    /// How long the first ejection lasts. One that follows on another lasts longer by this much,
    /// up to [`crate::bounds::EJECTION_GROWTH_MAX`] times it.
    pub duration: Duration,
    /// The share of the endpoints that may be ejected at one time, in percent; see
    /// [`super::Upstream::observe`].
    pub share_max_percent: u8,
}

/// A limit on requests in flight that follows the upstream's latency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shedding {
    /// The least that it falls to: `1 <= min <= max`.
    pub min: u32,
    /// The most that it rises to.
    pub max: u32,
    /// Times the latency without a queue from which on it falls: above 1.
    pub tolerance: f64,
    /// How often it is decided anew.
    pub window: Duration,
}

/// How many idle connections a worker keeps to one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Idle connections kept, per worker and endpoint. Zero: none is reused.
    pub idle_max: u32,
    /// How long a connection may be idle before it is closed.
    pub idle_timeout: Duration,
}

/// The Host that the origin is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPolicy {
    /// As the client sent it.
    Preserve,
    /// The endpoint's name as configured.
    Endpoint,
    /// This.
    Literal(Box<str>),
}
