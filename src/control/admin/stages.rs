//! What is deployed, and orders to change it.
//!
//! `GET` tells what the gateway's loop has shown; `POST` gives an order and waits until all
//! workers serve what came of it. Bodies are JSON with no unknown keys.

use super::{Api, Order, door::Caller, order, refusal};
use crate::{
    bounds::DEPLOYMENTS_KEPT,
    clock,
    control::deployments::{Change, ChangeRequest, StageKey},
    deploy::{By, CanaryPlan, Condition, Force, StageState, Sticky, Store},
};
use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What every order may say.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Plain {
    why: String,
    sequence: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Promotion {
    from: String,
    #[serde(default)]
    why: String,
    sequence: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Rollback {
    to: Option<String>,
    why: String,
    sequence: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CanaryOrder {
    percent: f64,
    deployment: Option<String>,
    variables: BTreeMap<String, String>,
    sticky: Option<Sticky>,
    force: Option<Force>,
    abort_when: Option<Condition>,
    why: String,
    sequence: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Collection {
    keep: Option<usize>,
}

/// The body of an order; an empty one is an order that says nothing more.
pub(super) fn read<T: for<'de> Deserialize<'de>>(body: &Bytes) -> serde_json::Result<T> {
    serde_json::from_slice(if body.is_empty() { b"{}" } else { body })
}

pub(super) fn malformed(error: &serde_json::Error) -> Response {
    refusal(StatusCode::BAD_REQUEST, &format!("the body: {error}"))
}

pub(super) async fn list(State(api): State<Api>) -> Json<Value> {
    let states = api.shared.stages();
    let snapshot = api.shared.published.load();
    let stages = snapshot.routing.stages.iter().map(|stage| {
        let key = (stage.api.to_string(), stage.name.to_string());
        let mut page = states.get(&key).map_or_else(|| json!({}), summary);
        page["api"] = json!(&*stage.api);
        page["stage"] = json!(&*stage.name);
        page["serves"] = match (&*stage.own.side.deployment, stage.own.miss) {
            ("", crate::snapshot::Miss::NotDeployed) => json!("nothing"),
            ("", _) => json!("the API as the configuration has it"),
            _ => json!("its deployment"),
        };
        page["routes"] = json!(stage.own.table.len());
        page
    });
    Json(Value::Array(stages.collect()))
}

pub(super) async fn show(State(api): State<Api>, Path(key): Path<StageKey>) -> Response {
    let states = api.shared.stages();
    match states.get(&key) {
        Some(state) => {
            let mut page = summary(state);
            page["history"] = json!(state.history);
            Json(page).into_response()
        }
        None => refusal(
            StatusCode::NOT_FOUND,
            &format!(
                "nothing has been deployed to the stage {:?} of the API {:?}",
                key.1, key.0
            ),
        ),
    }
}

fn summary(state: &StageState) -> Value {
    json!({
        "sequence": state.sequence,
        "deployment": state.deployment,
        "canary": state.canary,
        "variables": state.variables,
    })
}

pub(super) async fn deployments(State(api): State<Api>, Path(name): Path<String>) -> Response {
    let store = Store::beside(api.shared.state_dir());
    let states = api.shared.stages();
    let read = tokio::task::spawn_blocking(move || {
        let all = store.deployments(&name)?;
        let page = all.into_iter().map(|stored| {
            let points = |(key, state): (&StageKey, &StageState)| {
                let is_it = key.0 == name && state.referenced().any(|id| id == stored.id);
                is_it.then(|| key.1.clone())
            };
            let since = stored
                .at
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap_or_default();
            json!({
                "deployment": stored.id,
                "at_ms": since.as_millis() as u64,
                "bytes": stored.bytes,
                "stages": states.iter().filter_map(points).collect::<Vec<_>>(),
            })
        });
        Ok::<_, crate::deploy::StoreError>(Value::Array(page.collect()))
    });
    match read.await {
        Ok(Ok(page)) => Json(page).into_response(),
        Ok(Err(error)) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(_) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "the look failed"),
    }
}

pub(super) async fn diff(State(api): State<Api>, Path(key): Path<StageKey>) -> Response {
    match order(&api, |answer| Order::Differences(key, answer)).await {
        Ok(differences) => {
            let message = match differences.len() {
                0 => "a deploy would change nothing".to_owned(),
                1 => "a deploy would change one thing".to_owned(),
                count => format!("a deploy would change {count} things"),
            };
            let lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
            let page = json!({ "message": message, "lines": lines, "differences": differences });
            Json(page).into_response()
        }
        Err(refusal) => refusal,
    }
}

pub(super) async fn gc(State(api): State<Api>, Path(name): Path<String>, body: Bytes) -> Response {
    let keep = match read::<Collection>(&body) {
        Ok(collection) => collection.keep.unwrap_or(DEPLOYMENTS_KEPT),
        Err(error) => return malformed(&error),
    };
    match order(&api, |answer| Order::Collect(name, keep, answer)).await {
        Ok(removed) => {
            let message = format!("{removed} deployments removed");
            Json(json!({ "message": message, "removed": removed })).into_response()
        }
        Err(refusal) => refusal,
    }
}

pub(super) async fn deploy(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(key): Path<StageKey>,
    body: Bytes,
) -> Response {
    plain(&api, &caller, key, &body, Change::Deploy).await
}

pub(super) async fn promote(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(key): Path<StageKey>,
    body: Bytes,
) -> Response {
    let change = read(&body).map(|promotion: Promotion| {
        let Promotion {
            from,
            why,
            sequence,
        } = promotion;
        (Change::Promote { from }, why, sequence)
    });
    make(&api, &caller, key, change).await
}

pub(super) async fn rollback(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(key): Path<StageKey>,
    body: Bytes,
) -> Response {
    let change =
        read(&body).map(|Rollback { to, why, sequence }| (Change::Rollback { to }, why, sequence));
    make(&api, &caller, key, change).await
}

pub(super) async fn canary(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(key): Path<StageKey>,
    body: Bytes,
) -> Response {
    let change = read(&body).map(|order: CanaryOrder| {
        let plan = CanaryPlan {
            percent: order.percent,
            variables: order.variables,
            sticky: order.sticky.map(lower_case),
            force: order.force.map(|force| Force {
                header: force.header.to_ascii_lowercase(),
                ..force
            }),
            abort_when: order.abort_when,
        };
        let deployment = order.deployment;
        (
            Change::Canary { deployment, plan },
            order.why,
            order.sequence,
        )
    });
    make(&api, &caller, key, change).await
}

fn lower_case(sticky: Sticky) -> Sticky {
    match sticky {
        Sticky::Header(name) => Sticky::Header(name.to_ascii_lowercase()),
        Sticky::Cookie(_) | Sticky::Address => sticky,
    }
}

pub(super) async fn canary_promote(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(key): Path<StageKey>,
    body: Bytes,
) -> Response {
    plain(&api, &caller, key, &body, Change::CanaryPromote).await
}

pub(super) async fn canary_abort(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(key): Path<StageKey>,
    body: Bytes,
) -> Response {
    plain(&api, &caller, key, &body, Change::CanaryAbort).await
}

/// Gives an order that says nothing but what it is.
async fn plain(
    api: &Api,
    caller: &Caller,
    key: StageKey,
    body: &Bytes,
    change: Change,
) -> Response {
    let change = read(body).map(|Plain { why, sequence }| (change, why, sequence));
    make(api, caller, key, change).await
}

/// Gives the order and says what came of it.
async fn make(
    api: &Api,
    caller: &Caller,
    (name, stage): StageKey,
    change: serde_json::Result<(Change, String, Option<u64>)>,
) -> Response {
    let (change, why, sequence) = match change {
        Ok(change) => change,
        Err(error) => return malformed(&error),
    };
    let request = ChangeRequest {
        api: name.clone(),
        stage: stage.clone(),
        change,
        sequence,
        by: By {
            at_ms: clock::wall().as_millis() as u64,
            actor: caller.name(),
            why,
        },
    };
    match order(api, |answer| Order::Change(Box::new(request), answer)).await {
        Ok(changed) => {
            let mut page = summary(&changed.state);
            page["message"] = said(&name, &stage, &changed.state, &changed.live.to_string()).into();
            page["generation"] = changed.live.generation.into();
            Json(page).into_response()
        }
        Err(refusal) => refusal,
    }
}

fn said(api: &str, stage: &str, state: &StageState, live: &str) -> String {
    let own = state.deployment.map(|id| id.short()).unwrap_or_default();
    let canary = state.canary.as_ref().map(|canary| {
        let its = canary.deployment.short();
        format!(", {}% of it {its}", canary.plan.percent)
    });
    format!(
        "{api}/{stage} serves {own}{}: {live}",
        canary.unwrap_or_default()
    )
}
