//! What benches count and log: one record, and routes with counters.

use sluice::{
    clock::Instant,
    observe::{Record, Registry, RouteIdentity, RouteMetrics},
};
use std::{sync::Arc, time::Duration};

/// A request as a browser sends it.
pub(crate) fn record() -> Record<'static> {
    Record {
        started: Instant::from_ns(0),
        started_wall: Duration::from_millis(1_790_000_000_123),
        latency: Duration::from_nanos(1_234_567),
        integration_latency: Some(Duration::from_micros(987)),
        source_ip: b"192.0.2.77",
        method_token: b"GET",
        path: b"/v1/customers/8231/orders/42",
        query: b"expand=items&limit=50",
        host: b"api.example.com",
        protocol: "HTTP/1.1",
        user_agent: b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        referer: b"https://shop.example.com/account/orders",
        request_id: b"9b6c0f5e-0000-4000-8000-00000000002a",
        api: "orders",
        stage: "prod",
        route: "GET /v1/customers/{customer}/orders/{id}",
        routing_rule: "",
        base_path: "",
        of_route: b"",
        status: 200,
        integration_status: Some(200),
        endpoint: "10.0.3.17:9001",
        upstream: "orders",
        attempts: 1,
        request_bytes: 0,
        response_bytes: 1_337,
        response_body_bytes: 1_100,
        error: None,
        generation: 42,
        api_key_id: "",
        usage_plan: "",
        deployment: "",
        is_canary: None,
    }
}

/// So many routes that a worker's cells of all of them do not fit the first cache.
pub(crate) fn routes(registry: &Registry) -> Vec<Arc<RouteMetrics>> {
    (0..1_024)
        .map(|n| {
            registry.route(RouteIdentity {
                api: "orders".into(),
                stage: "prod".into(),
                route: format!("GET /{n}").into(),
            })
        })
        .collect()
}
