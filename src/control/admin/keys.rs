//! API keys and what they have used: told of, and orders to change them.
//!
//! A key is named by its id, or by its name where no other key has it. Its value stands in the
//! answer to the order that made it, and never again.

use super::{Api, Order, door::Caller, order, refusal, stages};
use crate::{
    clock,
    control::keys::{Answer, Ask, DayUsed, KeyRequest, Record, Row},
    deploy::By,
    guard::quota::{civil, day_of},
};
use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

/// What every order may say.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Plain {
    why: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Creation {
    key: Row,
    #[serde(default)]
    why: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Rotation {
    value: Option<String>,
    why: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InPlan {
    plan: String,
    #[serde(default)]
    why: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Import {
    keys: Vec<Row>,
    #[serde(default)]
    why: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Extended {
    key: String,
    plan: String,
    remaining: u64,
    #[serde(default)]
    why: String,
}

/// Which days of whom; dates are `YYYY-MM-DD`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wanted {
    key: Option<String>,
    plan: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

pub(super) async fn list(State(api): State<Api>, Extension(caller): Extension<Caller>) -> Response {
    give(&api, &caller, Ask::List, String::new()).await
}

pub(super) async fn show(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(key): Path<String>,
) -> Response {
    give(&api, &caller, Ask::Show(key), String::new()).await
}

pub(super) async fn create(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Response {
    let ask = stages::read(&body).map(|Creation { key, why }| (Ask::Create(key), why));
    make(&api, &caller, ask).await
}

pub(super) async fn enable(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(key): Path<String>,
    body: Bytes,
) -> Response {
    let ask = stages::read(&body).map(|Plain { why }| (Ask::Enable(key), why));
    make(&api, &caller, ask).await
}

pub(super) async fn disable(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(key): Path<String>,
    body: Bytes,
) -> Response {
    let ask = stages::read(&body).map(|Plain { why }| (Ask::Disable(key), why));
    make(&api, &caller, ask).await
}

pub(super) async fn rotate(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(key): Path<String>,
    body: Bytes,
) -> Response {
    let ask = stages::read(&body).map(|Rotation { value, why }| (Ask::Rotate(key, value), why));
    make(&api, &caller, ask).await
}

pub(super) async fn delete(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(key): Path<String>,
    body: Bytes,
) -> Response {
    let ask = stages::read(&body).map(|Plain { why }| (Ask::Delete(key), why));
    make(&api, &caller, ask).await
}

pub(super) async fn assign(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(key): Path<String>,
    body: Bytes,
) -> Response {
    let ask = stages::read(&body).map(|InPlan { plan, why }| (Ask::Assign(key, plan), why));
    make(&api, &caller, ask).await
}

pub(super) async fn unassign(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(key): Path<String>,
    body: Bytes,
) -> Response {
    let ask = stages::read(&body).map(|InPlan { plan, why }| (Ask::Unassign(key, plan), why));
    make(&api, &caller, ask).await
}

pub(super) async fn import(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Response {
    let ask = stages::read(&body).map(|Import { keys, why }| (Ask::Import(keys), why));
    make(&api, &caller, ask).await
}

pub(super) async fn usage(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let today = day_of(clock::wall());
    let day = |text: Option<String>, otherwise| match text {
        None => Ok(otherwise),
        Some(text) => day_named(&text).ok_or(text),
    };
    let (from, to) = match (day(wanted.from, today), day(wanted.to, today)) {
        (Ok(from), Ok(to)) if from <= to => (from, to),
        (Ok(_), Ok(_)) => {
            return refusal(StatusCode::BAD_REQUEST, "\"from\" lies after \"to\"");
        }
        (Err(text), _) | (_, Err(text)) => {
            let message = format!("{text:?} is no date: write YYYY-MM-DD");
            return refusal(StatusCode::BAD_REQUEST, &message);
        }
    };
    let ask = Ask::Usage {
        key: wanted.key,
        plan: wanted.plan,
        from,
        to,
    };
    give(&api, &caller, ask, String::new()).await
}

pub(super) async fn extend(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Response {
    let ask = stages::read(&body).map(|extension: Extended| {
        let Extended {
            key,
            plan,
            remaining,
            why,
        } = extension;
        let ask = Ask::Extend {
            key,
            plan,
            remaining,
        };
        (ask, why)
    });
    make(&api, &caller, ask).await
}

async fn make(api: &Api, caller: &Caller, ask: serde_json::Result<(Ask, String)>) -> Response {
    match ask {
        Ok((ask, why)) => give(api, caller, ask, why).await,
        Err(error) => stages::malformed(&error),
    }
}

/// Gives the order and says what came of it.
async fn give(api: &Api, caller: &Caller, ask: Ask, why: String) -> Response {
    let by = By {
        at_ms: clock::wall().as_millis() as u64,
        actor: caller.name(),
        why,
    };
    let request = Box::new(KeyRequest { ask, by });
    match order(api, |answer| Order::Keys(request, answer)).await {
        Ok(answer) => Json(page(answer)).into_response(),
        Err(refusal) => refusal,
    }
}

fn page(answer: Answer) -> Value {
    match answer {
        Answer::Keys(records) => records.iter().map(told).collect(),
        Answer::Key(record) => {
            let mut page = told(&record);
            page["history"] = json!(record.history);
            page["message"] = said(&record).into();
            page
        }
        Answer::Told(record, value) => {
            let mut page = told(&record);
            page["value"] = value.into();
            page["message"] = said(&record).into();
            page
        }
        Answer::Imported { made, changed } => {
            let message = format!("{made} keys made, {changed} changed");
            json!({ "message": message, "made": made, "changed": changed })
        }
        Answer::Usage { days, left } => {
            let days: Vec<Value> = days.iter().map(day).collect();
            let left = left.into_iter().map(|(key, plan, remaining)| {
                json!({ "key": key, "plan": plan, "remaining": remaining })
            });
            json!({ "days": days, "remaining": left.collect::<Vec<_>>() })
        }
        Answer::Extended(remaining) => {
            let message = format!("{remaining} requests are left in this period");
            json!({ "message": message, "remaining": remaining })
        }
    }
}

fn day(used: &DayUsed) -> Value {
    let (year, month, day) = civil(used.day);
    json!({
        "day": format!("{year:04}-{month:02}-{day:02}"),
        "key": used.key,
        "plan": used.plan,
        "count": used.count,
    })
}

/// All of a key but the hash of its value, which would let values be tried.
fn told(record: &Record) -> Value {
    json!({
        "id": record.id,
        "name": record.name,
        "description": record.description,
        "enabled": record.enabled,
        "created_ms": record.created_ms,
        "updated_ms": record.updated_ms,
        "plans": record.plans,
    })
}

fn said(record: &Record) -> String {
    let state = if record.enabled {
        "enabled"
    } else {
        "disabled"
    };
    let plans = match record.plans.is_empty() {
        true => "in no plan".to_owned(),
        false => format!("in {}", record.plans.join(", ")),
    };
    format!("{} ({}): {state}, {plans}", record.id, record.name)
}

/// The day since 1970 that `YYYY-MM-DD` names.
fn day_named(text: &str) -> Option<u64> {
    let mut parts = text.split('-');
    let mut next = |length: usize| {
        let part = parts.next().filter(|part| part.len() == length)?;
        part.parse::<u64>().ok()
    };
    let wanted = (next(4)?, next(2)?, next(2)?);
    if parts.next().is_some() || wanted.0 < 1970 {
        return None;
    }
    // The day lies within a year and a half of this one, and dates are in its order.
    let first = (wanted.0 - 1970) * 365;
    (first..first + 366 + (wanted.0 - 1970) / 4 + 1).find(|day| civil(*day) == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_names() {
        let check = |text: &str, expected| assert_eq!(day_named(text), expected, "{text}");
        check("1970-01-01", Some(0));
        check("2026-12-01", Some(20_788));
        check("2024-02-29", Some(19_782));
        check("2025-02-29", None);
        check("2025-13-01", None);
        check("2025-1-01", None);
        check("1969-12-31", None);
        check("today", None);
        check("2025-01-01-01", None);
    }
}
