//! What a scrape reads: every number of the process, in Prometheus' text format 0.0.4.
//!
//! Pure: the numbers are arguments, the answer is a string. Made on the control plane, at a
//! scrape's pace; workers are not stopped, so numbers of one scrape may be a moment apart. Label
//! values of clients never come in here: labels are names of the configuration and of this program.

use super::{
    cells::{BUCKET_BOUNDS, Closed, HistogramTotals, WorkerCells},
    routes::{Registry, RouteIdentity, RouteLine, RouteTotals},
    writer::LogCounts,
};
use crate::{error::Error, scope::Scope};
use std::{
    fmt::{Display, Write as _},
    sync::Arc,
    time::Duration,
};

/// The `Content-Type` of [`render`]'s answer.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All that a scrape tells.
#[derive(Debug, Clone, Copy)]
pub struct Exposition<'a> {
    /// The workers' cells, in the order of their numbers.
    pub workers: &'a [Arc<WorkerCells>],
    /// The routes' numbers.
    pub routes: &'a Registry,
    /// One line for each endpoint of each upstream.
    pub endpoints: &'a [EndpointLine<'a>],
    /// One line for each upstream that limits its requests in flight.
    pub limits: &'a [LimitLine<'a>],
    /// The access log's numbers.
    pub log: LogCounts,
    /// The newest generation that was published.
    pub generation: u64,
    /// API keys that there are.
    pub keys: usize,
    /// The program's version.
    pub version: &'a str,
    /// The process, as the system sees it.
    pub process: ProcessFacts,
    /// Limits that are shared by several machines; absent: none are.
    pub cluster: Option<ClusterFacts>,
}

/// Limits that are shared by several machines.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClusterFacts {
    /// Whether the store answered the last time it was asked.
    pub store_up: bool,
    /// Nodes, as last heard of.
    pub nodes: u64,
    /// Rounds of asking.
    pub rounds: u64,
    /// Those without an answer.
    pub rounds_failed: u64,
    /// Tokens leased from the store.
    pub leased: u64,
    /// Tokens taken from the node's own share while the store was gone.
    pub leased_alone: u64,
    /// Tokens given back.
    pub returned: u64,
}

/// One endpoint, as `upstream` counts it.
#[derive(Debug, Clone, Copy)]
pub struct EndpointLine<'a> {
    /// The upstream's name.
    pub upstream: &'a str,
    /// The endpoint's address, in words: `127.0.0.1:80`, `unix:/run/origin.sock`.
    pub address: &'a str,
    /// The health checks' word; true where there are none.
    pub healthy: bool,
    /// How often health checks found it ill.
    pub falls: u64,
    /// Whether it is ejected now for what it did to requests.
    pub ejected: bool,
    /// Connections to it, all workers together.
    pub open_connections: u64,
    /// Attempts at it that failed.
    pub failures: u64,
    /// Times it was ejected.
    pub ejections: u64,
}

/// One upstream's requests in flight and their limit.
#[derive(Debug, Clone, Copy)]
pub struct LimitLine<'a> {
    /// The upstream's name.
    pub upstream: &'a str,
    /// How many may be in flight now.
    pub limit: u64,
    /// How many are.
    pub in_flight: u64,
    /// Requests turned away.
    pub shed: u64,
}

/// What the system says of the process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessFacts {
    /// When it began, since 1970.
    pub started_wall: Duration,
    /// CPU time used, user and system.
    pub cpu: Duration,
    /// Bytes of memory in use.
    pub resident_bytes: u64,
    /// Open file descriptors.
    pub descriptors_open: u64,
    /// How many may be open.
    pub descriptors_max: u64,
}

/// The whole text. Cost: a walk over all routes and about 45 lines for each route shown, of which
/// there are at most [`crate::bounds::METRIC_ROUTES_MAX`].
pub fn render(exposition: &Exposition<'_>) -> String {
    let mut page = Page(String::with_capacity(64 * 1024));
    page.build(exposition);
    page.workers(exposition.workers);
    page.refusals(exposition.workers);
    page.log(exposition);
    page.endpoints(exposition.endpoints);
    page.limits(exposition.limits);
    page.routes(&exposition.routes.read());
    page.process(&exposition.process);
    if let Some(facts) = &exposition.cluster {
        page.cluster(facts);
    }
    page.0
}

const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";
const HISTOGRAM: &str = "histogram";

type WorkerRow = (
    &'static str,
    &'static str,
    &'static str,
    fn(&WorkerCells) -> u64,
);

/// The families that are one number, added up over the workers.
#[rustfmt::skip]
const WORKER_ROWS: &[WorkerRow] = &[
    ("sluice_connections_accepted_total", COUNTER, "Client connections accepted.", |c| c.connections_accepted.read()),
    ("sluice_connections_open", GAUGE, "Client connections open now.", |c| c.connections_open.read()),
    ("sluice_connections_idle", GAUGE, "Open client connections that wait for a request.", |c| c.connections_idle.read()),
    ("sluice_connections_asleep", GAUGE, "Idle client connections that have let go of their buffers.", |c| c.connections_asleep.read()),
    ("sluice_accept_errors_total", COUNTER, "Accepts that failed.", |c| c.accept_errors.read()),
    ("sluice_heads_total", COUNTER, "Request heads read, those of refused requests included.", |c| c.requests_total.read()),
    ("sluice_requests_in_flight", GAUGE, "Requests begun and not ended.", |c| c.requests_in_flight.read()),
    ("sluice_client_read_bytes_total", COUNTER, "Bytes read from clients.", |c| c.client_bytes_read.read()),
    ("sluice_client_written_bytes_total", COUNTER, "Bytes written to clients.", |c| c.client_bytes_written.read()),
    ("sluice_upstream_connections_opened_total", COUNTER, "Origin connections made.", |c| c.upstream_opened.read()),
    ("sluice_upstream_connections_reused_total", COUNTER, "Exchanges over a pooled origin connection.", |c| c.upstream_reused.read()),
    ("sluice_upstream_connections_failed_total", COUNTER, "Origin connections that could not be made.", |c| c.upstream_failed.read()),
    ("sluice_upstream_connections_closed_total", COUNTER, "Origin connections closed.", |c| c.upstream_closed.read()),
    ("sluice_upstream_connections_idle", GAUGE, "Origin connections that wait in pools.", |c| c.pool_idle.read()),
    ("sluice_upstream_pending", GAUGE, "Requests that wait for an origin connection.", |c| c.pending.read()),
    ("sluice_upstream_retries_total", COUNTER, "Attempts after a request's first.", |c| c.retries.read()),
    ("sluice_upstream_retries_denied_total", COUNTER, "Retries that the budget did not allow.", |c| c.retries_denied.read()),
    ("sluice_panics_total", COUNTER, "Panics caught: bugs.", |c| c.panics.read()),
];

type EndpointRow = (
    &'static str,
    &'static str,
    &'static str,
    fn(&EndpointLine<'_>) -> u64,
);

/// The families of an endpoint.
#[rustfmt::skip]
const ENDPOINT_ROWS: &[EndpointRow] = &[
    ("sluice_upstream_healthy", GAUGE, "1 if health checks pass or there are none.", |e| u64::from(e.healthy)),
    ("sluice_upstream_falls_total", COUNTER, "Times that health checks found the endpoint ill.", |e| e.falls),
    ("sluice_upstream_ejected", GAUGE, "1 while the endpoint is ejected.", |e| u64::from(e.ejected)),
    ("sluice_upstream_connections_open", GAUGE, "Connections to the endpoint.", |e| e.open_connections),
    ("sluice_upstream_failures_total", COUNTER, "Attempts at the endpoint that failed.", |e| e.failures),
    ("sluice_upstream_ejections_total", COUNTER, "Times the endpoint was ejected.", |e| e.ejections),
];

type LimitRow = (
    &'static str,
    &'static str,
    &'static str,
    fn(&LimitLine<'_>) -> u64,
);

/// The families of an upstream that limits its requests in flight.
#[rustfmt::skip]
const LIMIT_ROWS: &[LimitRow] = &[
    ("sluice_upstream_requests_limit", GAUGE, "Requests that may be in flight, where they are limited.", |l| l.limit),
    ("sluice_upstream_requests_in_flight", GAUGE, "Requests in flight, where they are limited.", |l| l.in_flight),
    ("sluice_upstream_shed_total", COUNTER, "Requests turned away because too many were in flight.", |l| l.shed),
];

type ClusterRow = (
    &'static str,
    &'static str,
    &'static str,
    fn(&ClusterFacts) -> u64,
);

/// The families of limits that are shared by several machines.
#[rustfmt::skip]
const CLUSTER_ROWS: &[ClusterRow] = &[
    ("sluice_cluster_store_up", GAUGE, "1 while the store of shared limits answers.", |c| u64::from(c.store_up)),
    ("sluice_cluster_nodes", GAUGE, "Nodes that share the limits, as last heard of.", |c| c.nodes),
    ("sluice_cluster_rounds_total", COUNTER, "Times that the store was asked for leases.", |c| c.rounds),
    ("sluice_cluster_rounds_failed_total", COUNTER, "Those without an answer.", |c| c.rounds_failed),
    ("sluice_cluster_leased_tokens_total", COUNTER, "Tokens leased from the store.", |c| c.leased),
    ("sluice_cluster_alone_tokens_total", COUNTER, "Tokens of the node's own share, taken while the store was gone.", |c| c.leased_alone),
    ("sluice_cluster_returned_tokens_total", COUNTER, "Tokens given back to the store.", |c| c.returned),
];

struct Page(String);

impl Page {
    fn build(&mut self, exposition: &Exposition<'_>) {
        self.family("sluice_build_info", GAUGE, "1; the label says the version.");
        let version = [("version", exposition.version)];
        self.sample("sluice_build_info", &version, 1);
        self.family(
            "sluice_generation",
            GAUGE,
            "The newest configuration generation published.",
        );
        self.sample("sluice_generation", &[], exposition.generation);
        self.family(
            "sluice_api_keys",
            GAUGE,
            "API keys, disabled ones included.",
        );
        self.sample("sluice_api_keys", &[], exposition.keys as u64);
    }

    fn workers(&mut self, workers: &[Arc<WorkerCells>]) {
        const GENERATION: &str = "sluice_worker_generation";
        self.family(GENERATION, GAUGE, "The generation that the worker serves.");
        for (number, cells) in workers.iter().enumerate() {
            let worker = number.to_string();
            self.sample(GENERATION, &[("worker", &worker)], cells.generation.read());
        }
        const DRIVER: &str = "sluice_driver_info";
        self.family(DRIVER, GAUGE, "1; the label says the worker's I/O driver.");
        for (number, cells) in workers.iter().enumerate() {
            let worker = number.to_string();
            // A worker that has not built its runtime yet has no driver.
            if let Some(driver) = cells.driver.get() {
                self.sample(DRIVER, &[("worker", &worker), ("driver", driver)], 1);
            }
        }
        for (name, kind, help, read) in WORKER_ROWS {
            self.family(name, kind, help);
            self.sample(name, &[], sum(workers, read));
        }
        const CLOSED: &str = "sluice_connections_closed_total";
        self.family(CLOSED, COUNTER, "Client connections closed, by reason.");
        for reason in Closed::ALL {
            let n = sum(workers, |c| c.connections_closed[reason as usize].read());
            self.sample(CLOSED, &[("reason", reason.name())], n);
        }
    }

    fn refusals(&mut self, workers: &[Arc<WorkerCells>]) {
        const NAME: &str = "sluice_refusals_total";
        let help = "Requests that ended without the origin's whole answer, by error.";
        self.family(NAME, COUNTER, help);
        for error in Error::ALL {
            let n = sum(workers, |c| c.refusals[error as usize].read());
            self.sample(NAME, &[("error", error.name())], n);
        }
        const LIMITED: &str = "sluice_limit_refusals_total";
        let help = "Requests that a token bucket refused, by what its limit holds for.";
        self.family(LIMITED, COUNTER, help);
        for scope in Scope::ALL {
            let n = sum(workers, |c| c.limited[scope as usize].read());
            self.sample(LIMITED, &[("scope", scope.name())], n);
        }
    }

    fn log(&mut self, exposition: &Exposition<'_>) {
        const DROPPED: &str = "sluice_access_log_dropped_total";
        let help =
            "Access-log lines not written: too many wait for the disk, or the target failed.";
        self.family(DROPPED, COUNTER, help);
        let full = sum(exposition.workers, |c| c.log_lines_dropped.read());
        self.sample(DROPPED, &[("reason", "backlog_full")], full);
        let lost = exposition.log.lines_lost;
        self.sample(DROPPED, &[("reason", "write_error")], lost);
        const WRITTEN: &str = "sluice_access_log_written_bytes_total";
        self.family(WRITTEN, COUNTER, "Bytes of access log written.");
        self.sample(WRITTEN, &[], exposition.log.bytes_written);
        const ERRORS: &str = "sluice_access_log_write_errors_total";
        self.family(ERRORS, COUNTER, "Writes of the access log that failed.");
        self.sample(ERRORS, &[], exposition.log.write_errors);
    }

    fn endpoints(&mut self, endpoints: &[EndpointLine<'_>]) {
        for (name, kind, help, read) in ENDPOINT_ROWS {
            self.family(name, kind, help);
            for endpoint in endpoints {
                let labels = [
                    ("upstream", endpoint.upstream),
                    ("endpoint", endpoint.address),
                ];
                self.sample(name, &labels, read(endpoint));
            }
        }
    }

    fn limits(&mut self, limits: &[LimitLine<'_>]) {
        for (name, kind, help, read) in LIMIT_ROWS {
            self.family(name, kind, help);
            for limit in limits {
                self.sample(name, &[("upstream", limit.upstream)], read(limit));
            }
        }
    }

    fn routes(&mut self, lines: &[RouteLine]) {
        const REQUESTS: &str = "sluice_requests_total";
        self.family(REQUESTS, COUNTER, "Requests ended, by class of status.");
        for line in lines {
            let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
            for (class, n) in classes.into_iter().zip(line.totals.status) {
                let [api, stage, route] = labels(&line.identity);
                self.sample(REQUESTS, &[api, stage, route, ("status_class", class)], n);
            }
        }
        const ERRORS: &str = "sluice_route_errors_total";
        self.family(
            ERRORS,
            COUNTER,
            "Requests of the route that ended in an error.",
        );
        for line in lines {
            for (error, n) in Error::ALL.into_iter().zip(line.totals.errors) {
                if n > 0 {
                    let [api, stage, route] = labels(&line.identity);
                    self.sample(ERRORS, &[api, stage, route, ("error", error.name())], n);
                }
            }
        }
        self.route_bytes(lines);
        self.route_times(lines);
    }

    fn route_bytes(&mut self, lines: &[RouteLine]) {
        const REQUEST: &str = "sluice_request_body_bytes_total";
        self.family(REQUEST, COUNTER, "Body bytes received from clients.");
        for line in lines {
            self.sample(REQUEST, &labels(&line.identity), line.totals.request_bytes);
        }
        const RESPONSE: &str = "sluice_response_bytes_total";
        self.family(
            RESPONSE,
            COUNTER,
            "Bytes of responses sent, heads included.",
        );
        for line in lines {
            let n = line.totals.response_bytes;
            self.sample(RESPONSE, &labels(&line.identity), n);
        }
    }

    fn route_times(&mut self, lines: &[RouteLine]) {
        let latency: fn(&RouteTotals) -> &HistogramTotals = |totals| &totals.latency;
        let integration: fn(&RouteTotals) -> &HistogramTotals = |t| &t.integration_latency;
        for (name, help, histogram) in [
            (
                "sluice_request_duration_seconds",
                "From a request's first byte to its response's last.",
                latency,
            ),
            (
                "sluice_integration_duration_seconds",
                "From a request's head sent to the origin to the response's head.",
                integration,
            ),
        ] {
            self.family(name, HISTOGRAM, help);
            let names = ["bucket", "sum", "count"].map(|part| format!("{name}_{part}"));
            for line in lines {
                self.histogram(&names, &line.identity, histogram(&line.totals));
            }
        }
    }

    fn histogram(
        &mut self,
        [bucket, sum, count]: &[String; 3],
        identity: &RouteIdentity,
        totals: &HistogramTotals,
    ) {
        let [api, stage, route] = labels(identity);
        let bounds = BUCKET_BOUNDS.iter().map(|(seconds, _)| *seconds);
        let mut so_far = 0;
        for (bound, n) in bounds.chain(["+Inf"]).zip(totals.buckets) {
            so_far += n;
            self.sample(bucket, &[api, stage, route, ("le", bound)], so_far);
        }
        let seconds = Duration::from_nanos(totals.sum_ns).as_secs_f64();
        self.sample(sum, &[api, stage, route], seconds);
        self.sample(count, &[api, stage, route], so_far);
    }

    fn process(&mut self, facts: &ProcessFacts) {
        const START: &str = "process_start_time_seconds";
        self.family(START, GAUGE, "When the process began, since 1970.");
        self.sample(START, &[], facts.started_wall.as_secs_f64());
        const CPU: &str = "process_cpu_seconds_total";
        self.family(CPU, COUNTER, "CPU time used, user and system.");
        self.sample(CPU, &[], facts.cpu.as_secs_f64());
        const MEMORY: &str = "process_resident_memory_bytes";
        self.family(MEMORY, GAUGE, "Memory in use.");
        self.sample(MEMORY, &[], facts.resident_bytes);
        const OPEN: &str = "process_open_fds";
        self.family(OPEN, GAUGE, "Open file descriptors.");
        self.sample(OPEN, &[], facts.descriptors_open);
        const MAX: &str = "process_max_fds";
        self.family(MAX, GAUGE, "How many file descriptors may be open.");
        self.sample(MAX, &[], facts.descriptors_max);
    }

    fn cluster(&mut self, facts: &ClusterFacts) {
        for (name, kind, help, read) in CLUSTER_ROWS {
            self.family(name, kind, help);
            self.sample(name, &[], read(facts));
        }
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        let mut before = '{';
        for (label, text) in labels {
            self.0.push(before);
            before = ',';
            self.0.push_str(label);
            self.0.push_str("=\"");
            self.label_text(text);
            self.0.push('"');
        }
        if before == ',' {
            self.0.push('}');
        }
        self.put(format_args!(" {value}\n"));
    }

    /// The format knows three escapes.
    fn label_text(&mut self, text: &str) {
        for part in text.split_inclusive(['"', '\\', '\n']) {
            let plain = part.trim_end_matches(['"', '\\', '\n']);
            self.0.push_str(plain);
            self.0.push_str(match &part[plain.len()..] {
                "\"" => "\\\"",
                "\\" => "\\\\",
                "\n" => "\\n",
                _ => "",
            });
        }
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a String takes all");
    }
}

fn sum(workers: &[Arc<WorkerCells>], read: impl Fn(&WorkerCells) -> u64) -> u64 {
    workers.iter().map(|cells| read(cells)).sum()
}

fn labels(identity: &RouteIdentity) -> [(&'static str, &str); 3] {
    [
        ("api", &identity.api),
        ("stage", &identity.stage),
        ("route", &identity.route),
    ]
}

#[cfg(test)]
mod tests;
