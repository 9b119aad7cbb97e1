//! What two definitions differ in, route by route: what a deploy would change.

use crate::model::Definition;
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum Difference {
    /// A route that is new.
    Added {
        /// Its key.
        route: String,
    },
    /// A route that is no more.
    Removed {
        /// Its key.
        route: String,
    },
    /// A setting that differs.
    Changed {
        /// The route's key; empty for what holds for the whole API.
        route: String,
        /// Which setting, as a path of keys.
        setting: String,
        /// What it was; null if it was not there.
        before: Value,
        /// What it is; null if it is not there.
        after: Value,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { route } => write!(f, "+ {route}"),
            Self::Removed { route } => write!(f, "- {route}"),
            Self::Changed {
                route,
                setting,
                before,
                after,
            } => {
                let what = if route.is_empty() { "(API)" } else { route };
                write!(f, "~ {what}: {setting}: {before} -> {after}")
            }
        }
    }
}

/// What `after` differs in from `before`: what holds for the whole API, then the routes in the
/// order of their keys. Cost: linear in both.
pub fn diff(before: &Definition, after: &Definition) -> Vec<Difference> {
    let mut found = Vec::new();
    let whole = |definition: &Definition| {
        value(&Definition {
            description: definition.description.clone(),
            compat: definition.compat,
            method_miss: definition.method_miss,
            api_key: definition.api_key.clone(),
            routes: BTreeMap::new(),
            openapi: definition.openapi.clone(),
        })
    };
    compare(
        "",
        &mut String::new(),
        &whole(before),
        &whole(after),
        &mut found,
    );
    let keys: BTreeSet<&String> = before.routes.keys().chain(after.routes.keys()).collect();
    for key in keys {
        match (before.routes.get(key), after.routes.get(key)) {
            (Some(one), Some(other)) if one == other => {}
            (Some(one), Some(other)) => {
                compare(
                    key,
                    &mut String::new(),
                    &value(one),
                    &value(other),
                    &mut found,
                );
            }
            (None, _) => found.push(Difference::Added { route: key.clone() }),
            (_, None) => found.push(Difference::Removed { route: key.clone() }),
        }
    }
    found
}

fn value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).expect("a definition's keys are all strings")
}

/// Goes down both values as long as both are objects.
fn compare(
    route: &str,
    setting: &mut String,
    before: &Value,
    after: &Value,
    found: &mut Vec<Difference>,
) {
    if before == after {
        return;
    }
    let (Value::Object(one), Value::Object(other)) = (before, after) else {
        found.push(Difference::Changed {
            route: route.to_owned(),
            setting: setting.clone(),
            before: before.clone(),
            after: after.clone(),
        });
        return;
    };
    let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    for key in keys {
        let length = setting.len();
        if !setting.is_empty() {
            setting.push('.');
        }
        setting.push_str(key);
        let null = Value::Null;
        let (one, other) = (one.get(key), other.get(key));
        compare(
            route,
            setting,
            one.unwrap_or(&null),
            other.unwrap_or(&null),
            found,
        );
        setting.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &str, after: &str, expected: &[&str]) {
        let read = |json: &str| serde_json::from_str::<Definition>(json).expect("a definition");
        let found = diff(&read(before), &read(after));
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn route_by_route() {
        let mock = r#"{"integration":{"type":"mock","status":200}}"#;
        let tea =
            r#"{"integration":{"type":"mock","status":418},"throttle":{"rate":1.0,"burst":2}}"#;
        let of = |routes: &[(&str, &str)]| {
            let routes: Vec<_> = routes
                .iter()
                .map(|(key, route)| format!("{key:?}:{route}"))
                .collect();
            format!("{{\"routes\":{{{}}}}}", routes.join(","))
        };
        let one = of(&[("GET /a", mock), ("GET /b", mock)]);
        check(&one, &one, &[]);
        check(
            &one,
            &of(&[("GET /b", tea), ("GET /c", mock)]),
            &[
                "- GET /a",
                "~ GET /b: integration.status: 200 -> 418",
                r#"~ GET /b: throttle: null -> {"burst":2,"rate":1.0}"#,
                "+ GET /c",
            ],
        );
        check(
            r#"{"routes":{}}"#,
            r#"{"routes":{},"compat":"rest_api"}"#,
            &[r#"~ (API): compat: "none" -> "rest_api""#],
        );
    }
}
