//! What the admin API shows: metrics, health, readiness, what is served. Only reads.

use super::{Api, process, refusal};
use crate::{
    clock,
    control::status::Phase,
    observe::{
        most_refused,
        prometheus::{self, EndpointLine, Exposition, LimitLine},
    },
};
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// What there is, for whoever looks around.
pub(super) async fn index() -> &'static str {
    "GET  /metrics       numbers, in Prometheus' text format\n\
     GET  /health        200 while the process lives\n\
     GET  /ready         200 while it takes requests\n\
     GET  /generation    what is served, and where it listens\n\
     GET  /config        the configuration's file\n\
     GET  /upstreams     endpoints: health, ejections, connections\n\
     GET  /stages        every stage, and what it serves\n\
     GET  /limits        who is limited most just now\n\
     GET  /keys          the API keys, without their values\n\
     GET  /usage         how often they were used today, and what is left\n\
     GET  /openapi.json  all of this, and the orders for deployments and keys, as an OpenAPI document\n\
     POST /reload        take up the configuration as it now stands\n\
     POST /logs/reopen   open the access log's file again\n"
}

/// The API's description.
/// Entries of the page that tells who is limited.
const LIMITED_SHOWN: usize = 100;

/// Who is limited most just now, over all workers.
pub(super) async fn limits(State(api): State<Api>) -> Json<Value> {
    let cells = api.shared.cells.iter();
    let most = most_refused(cells.map(|cells| &cells.most_limited), LIMITED_SHOWN);
    let shown = most.into_iter().map(|entry| {
        json!({
            "scope": entry.scope.name(),
            "limit": entry.name,
            "of": entry.of,
            "client": entry.key,
            "refused": entry.count,
        })
    });
    Json(Value::Array(shown.collect()))
}

const DESCRIPTION: &str = include_str!("openapi.json");

pub(super) async fn description() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION).into_response()
}

pub(super) async fn metrics(State(api): State<Api>) -> Response {
    let shared = Arc::clone(&api.shared);
    // Adding up 100,000 routes takes milliseconds, which the loop has better uses for.
    let page = tokio::task::spawn_blocking(move || {
        let (snapshot, now) = (shared.published.load(), clock::now());
        let addresses: Vec<(&str, String)> = snapshot
            .upstreams
            .iter()
            .flat_map(|upstream| {
                let name = &*upstream.settings.name;
                let endpoints = upstream.endpoints.iter();
                endpoints.map(move |endpoint| (name, endpoint.address.to_string()))
            })
            .collect();
        let states = snapshot.upstreams.iter().flat_map(|u| u.endpoints.iter());
        let endpoints: Vec<EndpointLine<'_>> = states
            .zip(&addresses)
            .map(|(endpoint, (upstream, address))| EndpointLine {
                upstream,
                address,
                healthy: endpoint.state.is_healthy(),
                falls: endpoint.state.falls(),
                ejected: endpoint.state.is_ejected(now),
                open_connections: endpoint.state.open().into(),
                failures: endpoint.state.failures(),
                ejections: endpoint.state.ejections(),
            })
            .collect();
        let limits: Vec<LimitLine<'_>> = snapshot
            .upstreams
            .iter()
            .filter_map(|upstream| {
                Some(LimitLine {
                    upstream: &upstream.settings.name,
                    limit: upstream.limit()?.into(),
                    in_flight: upstream.state.gate.inside().into(),
                    shed: upstream.state.overload.shed(),
                })
            })
            .collect();
        let log = shared.log().counts();
        prometheus::render(&Exposition {
            workers: &shared.cells,
            routes: &shared.metrics,
            endpoints: &endpoints,
            limits: &limits,
            log,
            generation: snapshot.generation,
            keys: snapshot.keys.len(),
            version: env!("CARGO_PKG_VERSION"),
            process: process::facts(),
            cluster: shared.cluster.as_ref().map(|cells| cells.facts()),
        })
    });
    match page.await {
        Ok(page) => ([(header::CONTENT_TYPE, prometheus::CONTENT_TYPE)], page).into_response(),
        Err(_) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "the scrape failed"),
    }
}

pub(super) async fn health() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

pub(super) async fn ready(State(api): State<Api>) -> Response {
    let phase = api.shared.status().phase;
    let status = match phase {
        Phase::Serving => StatusCode::OK,
        Phase::Starting | Phase::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(json!({ "status": phase }))).into_response()
}

pub(super) async fn generation(State(api): State<Api>) -> Json<Value> {
    let status = api.shared.status();
    let served: Vec<u64> = api
        .shared
        .cells
        .iter()
        .map(|c| c.generation.read())
        .collect();
    let live = served
        .iter()
        .filter(|served| **served >= status.live.generation)
        .count();
    Json(json!({
        "generation": status.live.generation,
        "message": status.live.to_string(),
        "workers": status.live.workers,
        "workers_live": live,
        "worker_generations": served,
        "took_ms": status.live.took_ms,
        "needs_restart": status.live.needs_restart,
        "live_since": status.live_since_wall.as_secs(),
        "phase": status.phase,
        "listeners": status.listeners,
        "admin": status.admin,
        "driver": status.driver,
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

pub(super) async fn config(State(api): State<Api>) -> Json<Value> {
    let status = api.shared.status();
    Json(json!({ "file": status.config, "generation": status.live.generation }))
}

pub(super) async fn upstreams(State(api): State<Api>) -> Json<Value> {
    let (snapshot, now) = (api.shared.published.load(), clock::now());
    let upstreams = snapshot.upstreams.iter().map(|upstream| {
        let endpoints = upstream.endpoints.iter().map(|endpoint| {
            json!({
                "address": endpoint.address.to_string(),
                "name": endpoint.authority,
                "weight": endpoint.weight,
                "healthy": endpoint.state.is_healthy(),
                "falls": endpoint.state.falls(),
                "ejected": endpoint.state.is_ejected(now),
                "open_connections": endpoint.state.open(),
                "failures": endpoint.state.failures(),
                "ejections": endpoint.state.ejections(),
            })
        });
        json!({
            "name": upstream.settings.name,
            "checked": upstream.settings.health_check.is_some(),
            "pending": upstream.state.pending(),
            "endpoints": endpoints.collect::<Vec<_>>(),
        })
    });
    Json(Value::Array(upstreams.collect()))
}
