//! The configuration as it is written: every key with its meaning, type, default and bounds.
//!
//! The tables here are the one place where a key is described: the reader, the JSON Schema and the
//! tables of `docs/configuration.md` are made of them. What depends on another setting is checked
//! in `check`, and nothing beyond `model` sees these types.

mod api;
mod cluster;
mod domain;
mod plan;
mod throttle;
mod upstream;

pub use api::Compat;
pub(super) use api::{
    Allowed, Api, BasePath, HttpIntegration, Integration, Mapping, MockIntegration, OpenApi, Route,
    Stage, StageRoute,
};
pub(super) use cluster::Cluster;
pub use cluster::OnStoreFailure;
pub use domain::BasePaths;
pub(super) use domain::{Domain, Listed, Routing, Rule};
pub use plan::Period;
pub(super) use plan::{ApiKey, KeyThrottle, PlanStage, Quota, UsagePlan};
pub(super) use throttle::{Per, Throttle, Throttles};
pub(super) use upstream::{
    Balance, Endpoint, HealthCheck, HealthCheckType, LoadShedding, Resolve, Upstream,
};

use super::{
    mistake::{Mistake, Path},
    scalar::{Auto, DAY, HOUR, KIB, Off, Or, SECOND, Size, Unlimited},
    setting::{Map, Placed, Setting, settings, words},
    tree::Node,
};
use crate::bounds;
use std::time::Duration;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

settings! {
    /// The configuration of Sluice.
    struct Document {
        /// Worker threads. `auto`: one for each CPU that the process may use.
        workers: Or<Auto, u64>, default(Or::Word(Auto)), within(1..=1024);
        /// How workers wait for sockets. `auto`: io_uring where the kernel permits it, else epoll.
        driver: Driver, default(Driver::Auto);
        /// Where requests come in.
        listeners: Vec<Placed<Listener>>, needed(Vec::new()), within(1..=64);
        /// The admin API: `/metrics`, `/health`, `/ready`. Left out: there is none.
        admin: Option<Admin>, default(None);
        /// Limits that several machines share. Left out: each counts for itself.
        cluster: Option<Cluster>, default(None);
        /// A line for each request.
        access_log: Or<Off, AccessLog>, nested;
        /// The log of the process itself, on standard error.
        log: Log, nested;
        /// The folder for what must outlive the process. Relative to this file's folder.
        state_dir: String, default("./state".to_owned()), within(1..=4096);
        /// How much is taken from clients.
        limits: Limits, nested;
        /// How long clients are waited for.
        timeouts: Timeouts, nested;
        /// What origins are told about the client.
        forwarded: Forwarded, nested;
        /// The field by which responses name the deployment that served them, for debugging.
        deployment_header: Or<Off, String>, default(Or::Word(Off));
        /// How many requests the gateway takes, all APIs together: one token bucket or a list of
        /// them.
        throttle: Throttles, default(Throttles(Vec::new()));
        /// Whether responses to requests that a throttle or a quota counts say what is left, by
        /// `RateLimit` and `RateLimit-Policy`, and refusals by `Retry-After` when to come back.
        rate_limit_headers: bool, default(true);
        /// The origins, by name: letters, digits, `_`, `-` and `.`.
        upstreams: Map<Upstream>, default(Map(Vec::new()));
        /// The APIs, by name: letters, digits, `_`, `-` and `.`.
        apis: Map<Api>, needed(Map(Vec::new())), within(1..=100_000);
        /// Which API and stage answers, by host. Hosts are exact (`api.example.com`), one wildcard
        /// label in front (`*.example.com`), or `*` for all. Left out where there is one API with
        /// one stage: that one answers to everything.
        domains: Option<Map<Domain>>, default(None);
        /// What API keys are good for, by name: letters, digits, `_`, `-` and `.`. The keys
        /// themselves are made by `sluice keys` and lie in the state folder.
        usage_plans: Map<UsagePlan>, default(Map(Vec::new())), within(0..=1000);
    }

    /// One address to accept connections at.
    struct Listener {
        /// `ip:port` (`0.0.0.0:8080`, `[::]:8080`) or `unix:/path`.
        address: String, required;
        /// Connections that the kernel holds ready until a worker takes them, per worker.
        backlog: u64, default(1024), within(1..=65_535);
    }

    /// The admin API's listener.
    struct Admin {
        /// `ip:port` or `unix:/path`. Only loopback addresses, unless `allow_remote` says else.
        address: String, required;
        /// Permits an address that other machines can reach. It needs `tokens`.
        allow_remote: bool, default(false);
        /// Who may use the API at this address, by name: the SHA-256 of each one's bearer token in
        /// hexadecimal digits (`printf %s TOKEN | sha256sum`). Left out: whoever reaches it may.
        tokens: Map<String>, default(Map(Vec::new())), within(0..=1000);
    }

    /// The access log.
    struct AccessLog {
        /// The file to append to, relative to this file's folder, or `-` for standard output.
        path: String, default("-".to_owned()), within(1..=4096);
        /// `json`, or a line of text with Amazon's `$context` names in it:
        /// `$context.identity.sourceIp $context.httpMethod $context.status`.
        format: String, default("json".to_owned()), within(1..=3072);
    }

    /// The process's own log.
    struct Log {
        /// The least severe level that is written.
        level: Level, default(Level::Info);
        /// How a line looks.
        format: LogFormat, default(LogFormat::Text);
    }

    /// How much is taken from clients.
    struct Limits {
        /// Client connections of one worker. More wait in the backlog until one has ended.
        connections: u64, default(16_384), within(1..=1_000_000);
        /// Bytes of a request's head. A larger one is answered 431.
        head_bytes: Size, default(Size(bounds::HEAD_BYTES_MAX as u64)),
            within(KIB..=bounds::HEAD_BYTES_MAX as u64);
        /// Header fields of a request. More are answered 431.
        head_fields: u64, default(bounds::HEAD_FIELDS_MAX as u64),
            within(1..=bounds::HEAD_FIELDS_MAX as u64);
        /// Bytes of a request's target (path and query). A longer one is answered 414.
        target_bytes: Size, default(Size(bounds::TARGET_BYTES_MAX as u64)),
            within(64..=bounds::TARGET_BYTES_MAX as u64);
        /// Bytes of a request's body, where the route says nothing. A larger one is answered 413.
        body_bytes: Or<Unlimited, Size>, default(Or::Word(Unlimited));
    }

    /// How long clients are waited for.
    struct Timeouts {
        /// From a request's first byte to the end of its head.
        head: Duration, default(seconds(10)), within(SECOND..=HOUR);
        /// Between two pieces of a request's body.
        body: Duration, default(seconds(30)), within(SECOND..=HOUR);
        /// Between two requests on one connection, and before the first.
        idle: Duration, default(seconds(75)), within(SECOND..=DAY);
        /// How long a client may take no bytes of a response.
        send: Duration, default(seconds(30)), within(SECOND..=HOUR);
        /// How long requests in flight may go on once the process was told to stop.
        drain: Duration, default(seconds(30)), within(0..=DAY);
        /// How long a tunnel (an upgraded connection) may be silent in both directions.
        tunnel_idle: Duration, default(seconds(600)), within(SECOND..=DAY);
    }

    /// What origins are told about the client.
    struct Forwarded {
        /// Which fields name the client: `X-Forwarded-For`, `-Proto` and `-Host`, or `Forwarded`
        /// (RFC 7239).
        headers: ForwardedHeaders, default(ForwardedHeaders::XForwarded);
        /// Addresses or CIDR blocks of proxies in front. What they say of the client is believed;
        /// what anybody else says is replaced.
        trusted_proxies: Vec<Placed<String>>, default(Vec::new()), within(0..=1024);
        /// Whether messages carry `Via` (RFC 9110 section 7.6.3).
        via: bool, default(true);
        /// The field that carries the request's id to the origin and back.
        request_id: Or<Off, String>, default(Or::Value("x-request-id".to_owned())),
            within(1..=64);
    }
}

words! {
    /// How workers wait for sockets.
    pub enum Driver {
        /// The best that works here.
        Auto = "auto",
        /// io_uring, or the process does not start.
        Uring = "uring",
        /// epoll.
        Epoll = "epoll",
    }

    /// A level of the process's own log.
    pub enum Level {
        /// What must be looked at.
        Error = "error",
        /// What should be looked at.
        Warn = "warn",
        /// What happened to the process.
        Info = "info",
        /// What happened to connections.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }

    /// How a line of the process's own log looks.
    pub enum LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object.
        Json = "json",
    }

    /// Which fields tell the origin about the client.
    pub enum ForwardedHeaders {
        /// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`.
        XForwarded = "x_forwarded",
        /// `Forwarded`.
        Forwarded = "forwarded",
        /// All of them.
        Both = "both",
        /// Neither.
        None = "none",
    }
}

impl Document {
    /// The document in `root`. `None` if a key that must be there is missing or mistaken; every
    /// mistake is in `found`.
    pub(super) fn read(root: &Node<'_>, found: &mut Vec<Mistake>) -> Option<Self> {
        Self::decode(root, Path::ROOT, found)
    }
}
