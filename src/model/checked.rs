//! The configuration with no invalid state in it: what the compiler makes a snapshot of.
//!
//! Every name is resolved to an index, every default is filled in, every text is parsed. Places are
//! kept where the compiler can still find a conflict. Nothing here is looked up by a request.

use super::{
    Definition,
    mistake::{Place, Source},
    setting::Placed,
};
pub use super::{
    conditions::ValueGlob,
    definition::{Throttle, Throttles},
    document::{
        BasePaths, Compat, Driver, ForwardedHeaders, Level, LogFormat, OnStoreFailure, Period,
    },
    names::{Address, EndpointAddress, HostPattern},
    store::Store,
    template::{PathTemplate, Segment},
};
use ipnet::IpNet;
use std::{
    collections::HashMap,
    num::{NonZeroU16, NonZeroU32},
    ops::RangeInclusive,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

/// A whole configuration that can be compiled.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The text that it was read from: for what the compiler still refuses.
    pub source: Source,
    /// Worker threads; `None`: one for each CPU that the process may use.
    pub workers: Option<NonZeroU16>,
    /// How workers wait for sockets.
    pub driver: Driver,
    /// Where requests come in. At least one; no address stands twice.
    pub listeners: Vec<Listener>,
    /// The admin API's listener, if there is one.
    pub admin: Option<Address>,
    /// Who may use the admin API there: names, and the hashes of their tokens. Empty: everybody.
    pub admin_tokens: Vec<(String, [u8; 32])>,
    /// Limits that several machines share, if they do.
    pub cluster: Option<Cluster>,
    /// The access log, if there is one.
    pub access_log: Option<AccessLog>,
    /// The process's own log.
    pub log: Log,
    /// The folder for what must outlive the process.
    pub state_dir: PathBuf,
    /// How much is taken from clients.
    pub limits: Limits,
    /// How long clients are waited for.
    pub timeouts: Timeouts,
    /// What origins are told about the client.
    pub forwarded: Forwarded,
    /// The field by which responses name the deployment that served them, in lower case.
    pub deployment_header: Option<String>,
    /// How many requests the gateway takes, all APIs together.
    pub throttle: Throttles,
    /// Whether responses say what throttles and quotas leave.
    pub rate_limit_headers: bool,
    /// The upstreams, in the order of the text; names are unique. Behind them may stand origins
    /// that integrations name by themselves.
    pub upstreams: Vec<Upstream>,
    /// The APIs, in the order of the text; names are unique. At least one.
    pub apis: Vec<Api>,
    /// Which API and stage answers where. At least one; patterns are unique.
    pub domains: Vec<Domain>,
    /// What API keys are good for, in the order of the text; names are unique.
    pub usage_plans: Vec<UsagePlan>,
}

/// What the API keys that are in it may use, and how much.
#[derive(Clone, Debug, PartialEq)]
pub struct UsagePlan {
    /// Where its name stands.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// For people; empty if there is none.
    pub description: String,
    /// The stages that its keys are good for. None stands twice.
    pub stages: Vec<PlanStage>,
    /// How many requests each key may make.
    pub throttle: Option<Throttle>,
    /// How many in a period.
    pub quota: Option<Quota>,
}

/// A stage that a plan's keys are good for.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanStage {
    /// The index of the API in [`Checked::apis`].
    pub api: usize,
    /// The index of the stage in that API's [`Api::stages`].
    pub stage: usize,
    /// How many requests each key may make to single routes, by their keys.
    pub routes: Vec<(String, Throttle)>,
}

/// A number of requests in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests: 1 to 10^12.
    pub limit: u64,
    /// How long a period is.
    pub period: Period,
    /// The day on which it begins: 0 for a day, 0 to 6 for a week, 0 to 27 for a month.
    pub offset: u8,
}

/// One address to accept connections at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where the address stands in the text.
    pub place: Place,
    /// The address.
    pub address: Address,
    /// Connections that the kernel holds ready, per worker.
    pub backlog: u16,
}

/// Limits that several machines share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Where the tokens are counted.
    pub store: Store,
    /// What holds while it does not answer.
    pub on_store_failure: OnStoreFailure,
    /// How many nodes there are; `None`: as many as give signs of life.
    pub nodes: Option<NonZeroU32>,
    /// What the keys in the store begin with.
    pub prefix: String,
    /// Between two rounds of leasing.
    pub interval: Duration,
}

/// The access log.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog {
    /// Where the lines go.
    pub output: Output,
    /// How a line looks, and where that stands: the names in a text are `observe`'s to check.
    pub format: Placed<AccessLogFormat>,
}

/// Where access-log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Appended to this file.
    File(PathBuf),
}

/// How an access-log line looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// One JSON object.
    Json,
    /// This text, with `$context` names in it that are not checked yet.
    Text(String),
}

/// The process's own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least severe level that is written.
    pub level: Level,
    /// How a line looks.
    pub format: LogFormat,
}

/// How much is taken from clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Client connections of one worker.
    pub connections: u32,
    /// Bytes of a request's head, at most [`crate::bounds::HEAD_BYTES_MAX`].
    pub head_bytes: usize,
    /// Header fields, at most [`crate::bounds::HEAD_FIELDS_MAX`].
    pub head_fields: usize,
    /// Bytes of a request's target, at most [`crate::bounds::TARGET_BYTES_MAX`].
    pub target_bytes: usize,
    /// Bytes of a request's body where a route says nothing of it; `None`: any number.
    pub body_bytes: Option<u64>,
}

/// How long clients are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From a request's first byte to the end of its head.
    pub head: Duration,
    /// Between two pieces of a request's body.
    pub body: Duration,
    /// Between two requests on one connection, and before the first.
    pub idle: Duration,
    /// How long a client may take no bytes of a response.
    pub send: Duration,
    /// How long requests in flight may go on once the process was told to stop. May be zero.
    pub drain: Duration,
    /// How long a tunnel may be silent.
    pub tunnel_idle: Duration,
}

/// What origins are told about the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// Which fields name the client.
    pub headers: ForwardedHeaders,
    /// Blocks of proxies whose word is believed; host bits are zero.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether messages carry `Via`.
    pub via: bool,
    /// The field with the request's id, in lower case, if there is one.
    pub request_id: Option<String>,
}

/// A set of endpoints that serve the same thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// Where its name stands.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// Where it can be reached. At least one, at most [`crate::bounds::ENDPOINTS_MAX`]; no address
    /// twice, not all weights zero.
    pub endpoints: Vec<Endpoint>,
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// Probes, if there are any.
    pub health_check: Option<HealthCheck>,
    /// How long endpoints are waited for.
    pub timeouts: UpstreamTimeouts,
    /// Second attempts.
    pub retries: Retries,
    /// Setting aside failing endpoints, if that is done.
    pub ejection: Option<Ejection>,
    /// Connections kept for the next request.
    pub pool: Pool,
    /// Connections to one endpoint, of all workers together.
    pub connections_max: Option<NonZeroU32>,
    /// Requests that wait for a connection to one endpoint, of all workers together.
    pub pending_max: u32,
    /// How long such a request waits.
    pub pending_timeout: Duration,
    /// Requests in flight at once, of all workers together.
    pub concurrency: Option<NonZeroU32>,
    /// A limit on them that follows the upstream's latency, if there is one.
    pub load_shedding: Option<LoadShedding>,
    /// The time over which an endpoint that came up gets its full share.
    pub slow_start: Option<Duration>,
    /// The `Host` that endpoints see.
    pub host: HostRule,
    /// How names are looked up.
    pub resolve: Resolve,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where its address stands in the text.
    pub place: Place,
    /// The address as written: its name in logs, and the `Host` of probes and of
    /// [`HostRule::Endpoint`].
    pub text: String,
    /// The address.
    pub address: EndpointAddress,
    /// Its share against the others' weights.
    pub weight: u16,
}

/// How an endpoint is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Each in its turn, by weight.
    RoundRobin,
    /// Any, by weight.
    Random,
    /// The less busy of two that are drawn.
    LeastRequest,
    /// The same for the same value.
    Hash(HashOn),
}

/// What consistent hashing looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashOn {
    /// The client's address, after trusted proxies.
    ClientAddress,
    /// The request's path, without the query.
    Path,
    /// The value of this header field; the name is in lower case.
    Header(String),
    /// The value of this cookie; names are case-sensitive.
    Cookie(String),
}

/// Probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What a probe does.
    pub probe: Probe,
    /// From one probe to the next.
    pub interval: Duration,
    /// How long a probe may take.
    pub timeout: Duration,
    /// Successes in a row that bring an endpoint up. At least 1.
    pub healthy: u8,
    /// Failures in a row that bring it down. At least 1.
    pub unhealthy: u8,
}

/// What a probe does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A connection.
    Tcp,
    /// A GET.
    Http {
        /// The target. Begins with `/`; holds no blanks and no control characters.
        path: String,
        /// The `Host`; `None`: the endpoint's address as written.
        host: Option<String>,
        /// Statuses that are a success. At least one range.
        statuses: Vec<RangeInclusive<u16>>,
    },
}

/// How long endpoints are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// Until a connection is made.
    pub connect: Duration,
    /// From the request sent to the first byte of the response.
    pub response: Duration,
    /// Between two pieces of a response's body.
    pub between_bytes: Duration,
    /// All of an exchange where a route says nothing of it; `None`: any time.
    pub total: Option<Duration>,
}

/// Second attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Attempts, the first included: 1 to [`crate::bounds::ATTEMPTS_MAX`].
    pub attempts: u8,
    /// Percent of the requests in flight, 0 to 100.
    pub budget: u8,
    /// Retries in a second that are always permitted.
    pub budget_min: u32,
}

/// Setting aside failing endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// Failures in a row. At least 1.
    pub failures: u16,
    /// How long an endpoint stays aside.
    pub duration: Duration,
    /// Percent of the endpoints that may be aside at once, 0 to 100.
    pub share_max: u8,
}

/// A limit on requests in flight that follows the upstream's latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadShedding {
    /// The least that it falls to: 1 to `max`.
    pub min: u32,
    /// The most that it rises to.
    pub max: u32,
    /// Percent of the latency without a queue from which on it falls. At least 110.
    pub tolerance: u16,
    /// How often it is decided anew. At least a worker's tick.
    pub window: Duration,
}

/// Connections kept for the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Idle connections, for each worker and endpoint. May be 0.
    pub idle: u16,
    /// How long one is kept.
    pub idle_timeout: Duration,
}

/// The `Host` that endpoints see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRule {
    /// The client's.
    Preserve,
    /// The endpoint's address as written.
    Endpoint,
    /// This one.
    Literal(String),
}

/// How names are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolve {
    /// The least time between two look-ups. `ttl_min <= ttl_max`.
    pub ttl_min: Duration,
    /// The most.
    pub ttl_max: Duration,
}

/// An API.
#[derive(Clone, Debug, PartialEq)]
pub struct Api {
    /// Where its name stands.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// What it consists of as the text now has it.
    pub definition: Arc<Definition>,
    /// Where the keys of its routes stand, for those that stand in this text.
    pub places: Arc<HashMap<String, Place>>,
    /// How many requests it takes, all stages together.
    pub throttle: Throttles,
    /// Its stages, in the order of the text. At least one; names are unique.
    pub stages: Vec<Stage>,
}

/// A stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Where its name stands.
    pub place: Place,
    /// Its name; `$default` is one.
    pub name: String,
    /// For people; empty if there is none.
    pub description: String,
    /// Values for this stage; names are unique.
    pub variables: Vec<(String, String)>,
    /// How many requests it takes, all routes together.
    pub throttle: Throttles,
    /// Instead of what the API says of a route, by its key.
    pub routes: Vec<StageRoute>,
    /// For people and their tools; names are unique.
    pub tags: Vec<(String, String)>,
    /// When it takes up what changed in its API.
    pub follows: Follows,
}

/// What a stage says of one route.
#[derive(Clone, Debug, PartialEq)]
pub struct StageRoute {
    /// Where its key stands.
    pub place: Place,
    /// The route's key.
    pub key: String,
    /// How many requests it takes in this stage.
    pub throttle: Throttles,
    /// How many may be in flight at once in this stage.
    pub concurrency: Option<NonZeroU32>,
}

/// When a stage takes up what changed in its API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// At each reload; it cannot be deployed.
    Reload,
    /// When it is deployed; before the first time it serves nothing.
    Deployment,
    /// At each reload until it is first deployed, then when it is deployed.
    ReloadUntilDeployed,
}

/// Hosts, and what answers there. At least one mapping or rule, of those that are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Where the pattern stands.
    pub place: Place,
    /// Which hosts.
    pub pattern: HostPattern,
    /// How base paths take a path.
    pub base_paths: BasePaths,
    /// What answers at base paths, in the order of the text; base paths are unique. Empty where
    /// they are not asked.
    pub mappings: Vec<Mapping>,
    /// The routing rules, which are asked first, in the order of the text; priorities and ids are
    /// unique. Empty where they are not asked.
    pub rules: Vec<Rule>,
}

/// What answers at a base path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Where the base path stands.
    pub place: Place,
    /// `/`, or `/a/b` without a slash at the end.
    pub base_path: String,
    /// The index of the API in [`Checked::apis`].
    pub api: usize,
    /// The index of the stage in that API's [`Api::stages`].
    pub stage: usize,
}

/// A routing rule. One without conditions takes every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where its priority stands.
    pub place: Place,
    /// Its place in the order, the lowest first: 1 to 1,000,000.
    pub priority: u32,
    /// Its name in logs: letters, digits, `_`, `-` and `.`.
    pub id: String,
    /// The header fields that the request must have: at most two; names are unique.
    pub headers: Vec<HeaderCondition>,
    /// What the path must begin with: segments without a slash at either end.
    pub base_path: Option<String>,
    /// Whether the base path is taken off.
    pub strip_base_path: bool,
    /// The index of the API in [`Checked::apis`].
    pub api: usize,
    /// The index of the stage in that API's [`Api::stages`].
    pub stage: usize,
}

/// A header field that the request must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderCondition {
    /// Its name, in lower case.
    pub name: String,
    /// What its value must be.
    pub value: ValueGlob,
}
