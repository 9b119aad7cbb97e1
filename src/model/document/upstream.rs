//! An upstream as it is written.

use super::seconds;
use crate::{
    bounds,
    model::{
        mistake::{Mistake, Path},
        scalar::{DAY, HOUR, MINUTE, Off, Or, SECOND, Unlimited},
        setting::{Placed, Setting, settings, words},
        tree::{Node, Value},
    },
};
use schemars::{Schema, SchemaGenerator, json_schema};
use std::time::Duration;

settings! {
    /// A set of endpoints that serve the same thing.
    struct Upstream {
        /// Where it can be reached.
        endpoints: Vec<Placed<Endpoint>>, needed(Vec::new()), within(1..=bounds::ENDPOINTS_MAX as u64);
        /// How an endpoint is chosen for a request.
        balance: Balance, default(Balance::RoundRobin);
        /// What `hash` looks at: `client_address`, `path`, `header:NAME` or `cookie:NAME`.
        hash_on: Option<String>, default(None);
        /// Probes that find out which endpoints are up.
        health_check: Or<Off, HealthCheck>, default(Or::Word(Off));
        /// How long the endpoints are waited for.
        timeouts: UpstreamTimeouts, nested;
        /// Second attempts at requests that failed and can be repeated without harm.
        retries: Retries, nested;
        /// Setting aside endpoints whose answers fail.
        ejection: Or<Off, Ejection>, nested;
        /// Connections kept for the next request.
        pool: Pool, nested;
        /// Connections to one endpoint, of all workers together.
        connections_max: Or<Unlimited, u64>, default(Or::Word(Unlimited)), within(1..=1_000_000);
        /// Requests that wait for a connection to one endpoint, of all workers together. More are
        /// answered 503.
        pending_max: u64, default(128), within(0..=1_000_000);
        /// How long such a request waits before it is answered 503.
        pending_timeout: Duration, default(seconds(1)), within(1..=HOUR);
        /// Requests in flight at once, of all workers together. One more is answered 503 at once.
        concurrency: Or<Unlimited, u64>, default(Or::Word(Unlimited)), within(1..=1_000_000);
        /// A limit on requests in flight that is found out from how long the upstream takes:
        /// what would only queue is answered 503 at once, with `Retry-After`.
        load_shedding: Or<Off, LoadShedding>, default(Or::Word(Off));
        /// The time over which an endpoint that came up gets its full share.
        slow_start: Or<Off, Duration>, default(Or::Word(Off)), within(SECOND..=HOUR);
        /// The `Host` that endpoints see: `preserve` (the client's), `endpoint` (the address as
        /// written), or a fixed name.
        host: String, default("preserve".to_owned()), within(1..=255);
        /// How names of endpoints are looked up.
        resolve: Resolve, nested;
    }

    /// Probes that find out which endpoints are up.
    struct HealthCheck {
        /// `http`: a GET whose status counts. `tcp`: a connection is enough.
        r#type: HealthCheckType, default(HealthCheckType::Http);
        /// The path that an `http` probe asks for. Left out: `/healthz`.
        path: Option<String>, default(None), within(1..=2048);
        /// The `Host` of an `http` probe. Left out: the endpoint's address.
        host: Option<String>, default(None), within(1..=255);
        /// From one probe to the next, of each endpoint.
        interval: Duration, default(seconds(5)), within(100..=DAY);
        /// How long a probe may take.
        timeout: Duration, default(seconds(2)), within(10..=HOUR);
        /// Probes in a row that must succeed before an endpoint that was down is up.
        healthy: u64, default(2), within(1..=100);
        /// Probes in a row that must fail before an endpoint that was up is down.
        unhealthy: u64, default(3), within(1..=100);
        /// Statuses that are a success: `200-299` or `200,204,301-302`. Left out: `200-299`.
        status: Option<String>, default(None), within(3..=256);
    }

    /// How long endpoints are waited for.
    struct UpstreamTimeouts {
        /// Until a connection is made.
        connect: Duration, default(seconds(1)), within(1..=MINUTE);
        /// From the request sent to the first byte of the response.
        response: Duration, default(seconds(10)), within(1..=DAY);
        /// Between two pieces of a response's body.
        between_bytes: Duration, default(seconds(30)), within(1..=DAY);
        /// All of an exchange, attempts and body included.
        total: Or<Unlimited, Duration>, default(Or::Word(Unlimited)), within(1..=DAY);
    }

    /// Second attempts.
    struct Retries {
        /// Attempts at one request, the first included. 1: none is repeated.
        attempts: u64, default(2), within(1..=bounds::ATTEMPTS_MAX as u64);
        /// Retries as a share of the requests in flight, in percent, so that retries cannot keep
        /// an origin down.
        budget: u64, default(20), within(0..=100);
        /// Retries in a second that are permitted whatever the budget says.
        budget_min: u64, default(10), within(0..=1_000_000);
    }

    /// Setting aside endpoints whose answers fail.
    struct Ejection {
        /// Failures in a row (no connection, no response, 502, 503, 504) that set an endpoint
        /// aside.
        failures: u64, default(5), within(1..=1000);
        /// How long it stays aside.
        duration: Duration, default(seconds(30)), within(SECOND..=DAY);
        /// The share of an upstream's endpoints that may be aside at once, in percent.
        share_max: u64, default(50), within(0..=100);
    }

    /// A limit on requests in flight that is found out from how long the upstream takes.
    struct LoadShedding {
        /// The least that the limit falls to, but for moments in which the upstream's latency
        /// without a queue is measured.
        min: u64, default(8), within(1..=1_000_000);
        /// The most that it rises to.
        max: u64, default(1000), within(1..=1_000_000);
        /// How long the upstream may take, in percent of what it takes without a queue, before the
        /// limit falls.
        tolerance: u64, default(200), within(110..=1000);
        /// How often the limit is decided anew.
        window: Duration, default(Duration::from_millis(bounds::TICK_MS)), within(bounds::TICK_MS..=MINUTE);
    }

    /// Connections kept for the next request.
    struct Pool {
        /// Idle connections kept, for each worker and endpoint.
        idle: u64, default(128), within(0..=65_535);
        /// How long an idle connection is kept. Keep it below the origin's own idle time.
        idle_timeout: Duration, default(seconds(60)), within(SECOND..=DAY);
    }

    /// How names of endpoints are looked up.
    struct Resolve {
        /// The least time between two look-ups of a name, whatever its record says.
        ttl_min: Duration, default(seconds(1)), within(SECOND..=DAY);
        /// The most.
        ttl_max: Duration, default(seconds(300)), within(SECOND..=DAY);
    }

    /// One endpoint with its weight.
    struct WeightedEndpoint {
        /// `ip:port`, `name:port` or `unix:/path`.
        address: String, required, within(1..=300);
        /// Its share against the others' weights. 0: none, but it stays known.
        weight: u64, default(1), within(0..=65_535);
    }
}

words! {
    /// How an endpoint is chosen.
    pub(in crate::model) enum Balance {
        /// Each in its turn, by weight.
        RoundRobin = "round_robin",
        /// Any, by weight.
        Random = "random",
        /// The less busy of two that are drawn.
        LeastRequest = "least_request",
        /// The same for the same `hash_on`.
        Hash = "hash",
    }

    /// What a probe does.
    pub(in crate::model) enum HealthCheckType {
        /// A GET.
        Http = "http",
        /// A connection.
        Tcp = "tcp",
    }
}

/// One endpoint: its address alone, or a mapping with the weight.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::model) struct Endpoint {
    /// `ip:port`, `name:port` or `unix:/path`.
    pub(in crate::model) address: Placed<String>,
    /// Its share against the others' weights.
    pub(in crate::model) weight: Placed<u64>,
}

impl Setting for Endpoint {
    fn decode(node: &Node<'_>, path: Path<'_>, found: &mut Vec<Mistake>) -> Option<Self> {
        let place = node.place;
        if let Value::String(text) = &node.value {
            let address = Placed {
                value: text.clone().into_owned(),
                place,
            };
            return Some(Self {
                address,
                weight: Placed { value: 1, place },
            });
        }
        let WeightedEndpoint {
            address, weight, ..
        } = WeightedEndpoint::decode(node, path, found)?;
        Some(Self { address, weight })
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let weighted = WeightedEndpoint::schema(generator);
        json_schema!({ "anyOf": [{ "type": "string" }, weighted] })
    }
}
