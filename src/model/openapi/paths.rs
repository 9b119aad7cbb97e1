//! The paths of a document: base paths, the keys of routes, and the operations in and out of the
//! document.
//!
//! `taken_out` and `put_back` are each other's inverse, so that a definition can hold operations at
//! its routes and give the document back whole.

use super::{
    BasePath, pointer,
    report::Notes,
    upgrade::{ANY_METHOD, METHODS},
};
use crate::model::{
    checked::{Compat, PathTemplate, Segment},
    definition::Route,
};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};

/// The path at which Amazon writes the route for what no other takes.
const DEFAULT_PATH: &str = "/$default";
/// The key that marks an operation as that route.
const IS_DEFAULT: &str = "isDefaultRoute";

/// What a base path makes of the paths of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Base {
    /// What stands in front of every path: empty, or from its slash on.
    pub(super) prefix: String,
    /// The base path of the mapping that leads to the API, if the document's says one.
    pub(super) mapping: Option<String>,
}

impl Base {
    /// Splits the base path of a document.
    pub(super) fn of(base: &str, way: BasePath) -> Self {
        let base = base.trim_matches('/');
        if base.is_empty() || way == BasePath::Ignore {
            return Self::default();
        }
        let (first, rest) = base.split_once('/').unwrap_or((base, ""));
        match way {
            BasePath::Split => Self {
                prefix: if rest.is_empty() {
                    String::new()
                } else {
                    format!("/{rest}")
                },
                mapping: Some(format!("/{first}")),
            },
            BasePath::Prepend | BasePath::Ignore => Self {
                prefix: format!("/{base}"),
                mapping: None,
            },
        }
    }

    /// A path of the document with what stands in front of it.
    pub(super) fn path(&self, path: &str) -> String {
        match (path, self.prefix.as_str()) {
            (DEFAULT_PATH, _) | (_, "") => path.to_owned(),
            ("/", prefix) => prefix.to_owned(),
            (path, prefix) => format!("{prefix}{path}"),
        }
    }
}

/// The base path of an OpenAPI 3 document: that of its first server.
pub(super) fn base_path(document: &Value) -> Option<String> {
    let server = document.get("servers")?.as_array()?.first()?;
    let variables = server.get("variables").and_then(Value::as_object);
    // A variable of this name counts even where the URL does not name it.
    let variable = variables.and_then(|variables| variables.get("basePath"));
    if let Some(path) = variable.and_then(|variable| variable.get("default")) {
        return path.as_str().map(str::to_owned);
    }
    let mut url = server.get("url")?.as_str()?.to_owned();
    for (name, variable) in variables.into_iter().flatten() {
        let value = variable
            .get("default")
            .and_then(Value::as_str)
            .unwrap_or_default();
        url = url.replace(&format!("{{{name}}}"), value);
    }
    let rest = url.split_once("//").map_or(url.as_str(), |(_, rest)| rest);
    let path = match url.starts_with('/') && !url.starts_with("//") {
        true => url.as_str(),
        false => &rest[rest.find('/')?..],
    };
    Some(path.split(['?', '#']).next().unwrap_or_default().to_owned())
}

/// Puts the prefix in front of every path and into the references to them.
pub(super) fn prepend(document: &mut Value, base: &Base) {
    if base.prefix.is_empty() {
        return;
    }
    if let Some(Value::Object(paths)) = document.get_mut("paths") {
        let whole = std::mem::take(paths);
        *paths = whole
            .into_iter()
            .map(|(path, item)| (prefixed(&path, base), item))
            .collect();
    }
    references(document, base);
}

fn prefixed(path: &str, base: &Base) -> String {
    match path.starts_with('/') {
        true => base.path(path),
        false => path.to_owned(),
    }
}

fn references(value: &mut Value, base: &Base) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(text)) = fields.get_mut("$ref")
                && let Some(rest) = text.strip_prefix("#/paths/")
            {
                let (path, rest) = rest
                    .split_once('/')
                    .map_or((rest, None), |(a, b)| (a, Some(b)));
                let path = path.replace("~1", "/").replace("~0", "~");
                let mut moved = pointer::child("#/paths", &prefixed(&path, base));
                if let Some(rest) = rest {
                    moved.push('/');
                    moved.push_str(rest);
                }
                *text = moved;
            }
            fields
                .values_mut()
                .for_each(|value| references(value, base));
        }
        Value::Array(entries) => entries.iter_mut().for_each(|value| references(value, base)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// An operation on its way to becoming a route.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// The route's key.
    pub(super) key: String,
    /// The operation with what it inherits from its item.
    pub(super) operation: Map<String, Value>,
    /// Where it stands in the document as written.
    pub(super) at: String,
}

/// The operations of `document`, whose paths have been prefixed by `base`.
pub(super) fn operations(document: &Value, base: &Base, notes: &mut Notes) -> Vec<Found> {
    let paths = match document.get("paths") {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Object(paths)) => paths,
        Some(_) => {
            notes.mistake(
                "/paths",
                "\"paths\" is not a mapping",
                "write paths as keys",
            );
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for (path, item) in paths {
        let written = match path.strip_prefix(&base.prefix) {
            Some("") => "/",
            Some(rest) if rest.starts_with('/') => rest,
            Some(_) | None => path,
        };
        let at = pointer::child("/paths", written);
        if !path.starts_with('/') {
            if !path.starts_with("x-") {
                let what = format!("the path {path:?} does not begin with \"/\"");
                notes.mistake(&at, what, format!("write /{path}"));
            }
            continue;
        }
        of_item(document, path, item, &at, notes, &mut found);
    }
    found
}

fn of_item(
    document: &Value,
    path: &str,
    item: &Value,
    at: &str,
    notes: &mut Notes,
    found: &mut Vec<Found>,
) {
    if item.is_null() {
        return;
    }
    let referred = match pointer::resolve(document, item, at) {
        Ok((Value::Object(fields), _)) => fields,
        Ok(_) => {
            notes.mistake(
                at,
                "a path's item is not a mapping",
                "write methods as keys",
            );
            return;
        }
        Err(broken) => {
            notes.mistake(at, broken.to_string(), "");
            return;
        }
    };
    let own = item.as_object().unwrap_or(referred);
    for method in METHODS {
        let Some(operation) = own.get(*method).or_else(|| referred.get(*method)) else {
            continue;
        };
        let at = pointer::child(at, method);
        let Value::Object(operation) = operation else {
            notes.mistake(
                &at,
                "an operation is not a mapping",
                "write its keys below it",
            );
            continue;
        };
        let mut operation = operation.clone();
        for item in [own, referred] {
            inherit(document, &mut operation, item.get("parameters"));
        }
        let key = key(path, method, &operation);
        found.push(Found { key, operation, at });
    }
}

/// Puts the parameters of the item in front of the operation's, but for those that it has.
fn inherit(document: &Value, operation: &mut Map<String, Value>, shared: Option<&Value>) {
    let Some(shared) = shared
        .and_then(Value::as_array)
        .filter(|list| !list.is_empty())
    else {
        return;
    };
    let own = match operation.get("parameters") {
        None => Vec::new(),
        Some(Value::Array(own)) => own.clone(),
        Some(_) => return,
    };
    let name = |value: &Value| {
        let value = pointer::resolve(document, value, "").map_or(value, |(value, _)| value);
        (value.get("in").cloned(), value.get("name").cloned())
    };
    let known: Vec<_> = own.iter().map(name).collect();
    let new = shared
        .iter()
        .filter(|value| !own.contains(value) && !known.contains(&name(value)));
    let all: Vec<Value> = new.cloned().chain(own.iter().cloned()).collect();
    operation.insert("parameters".to_owned(), all.into());
}

fn key(path: &str, method: &str, operation: &Map<String, Value>) -> String {
    if method != ANY_METHOD {
        return format!("{} {path}", method.to_ascii_uppercase());
    }
    let marked = operation.get(IS_DEFAULT).and_then(Value::as_bool);
    match marked.unwrap_or(path == DEFAULT_PATH) {
        true => "$default".to_owned(),
        false => format!("ANY {path}"),
    }
}

/// Drops what cannot be a route, with what is wrong about it; of REST APIs also the slash at a
/// path's end, which they do not tell apart.
pub(super) fn fit(found: Vec<Found>, compat: Compat, notes: &mut Notes) -> Vec<Found> {
    let mut shapes: HashMap<String, String> = HashMap::new();
    let mut fitting = Vec::with_capacity(found.len());
    for mut operation in found {
        let at = &operation.at;
        let native = operation.operation.contains_key(super::ROUTE);
        if let Some((method, path)) = operation.key.split_once(' ') {
            let trimmed = path.trim_end_matches('/');
            let path = match compat == Compat::RestApi && !native && !trimmed.is_empty() {
                true => trimmed,
                false => path,
            };
            match PathTemplate::parse(path) {
                Ok(template) => {
                    beside(&template, &mut shapes, compat, at, notes);
                    let (key, shape) = (format!("{method} {path}"), shape(&template));
                    let written = operation.key.clone();
                    if let Some(other) = shapes.insert(format!("{method} {shape}"), written) {
                        let what = format!("{} takes the same requests as {other}", operation.key);
                        notes.mistake(at, what, "take one of them out");
                        continue;
                    }
                    operation.key = key;
                }
                Err(wrong) => {
                    notes.mistake(at, wrong.what, wrong.hint);
                    continue;
                }
            }
        } else if shapes
            .insert(operation.key.clone(), operation.key.clone())
            .is_some()
        {
            notes.mistake(at, "$default stands twice", "take one of them out");
            continue;
        }
        fitting.push(operation);
    }
    fitting
}

/// A path without the names of its parameters.
fn shape(template: &PathTemplate) -> String {
    let segment = |segment: &Segment| match segment {
        Segment::Literal(text) => text.clone(),
        Segment::Parameter(_) => "{}".to_owned(),
        Segment::Greedy(_) => "{+}".to_owned(),
    };
    let segments: Vec<String> = template.segments.iter().map(segment).collect();
    format!("/{}", segments.join("/"))
}

/// Tells of two names for the parameter at one place, which Amazon's REST APIs refuse.
fn beside(
    template: &PathTemplate,
    shapes: &mut HashMap<String, String>,
    compat: Compat,
    at: &str,
    notes: &mut Notes,
) {
    if compat != Compat::RestApi {
        return;
    }
    let mut above = String::new();
    for segment in &template.segments {
        match segment {
            Segment::Literal(text) => above = format!("{above}/{text}"),
            Segment::Parameter(name) | Segment::Greedy(name) => {
                let place = format!(" {above}/{{}}");
                let known = shapes.entry(place).or_insert_with(|| name.clone());
                if known != name && matches!(segment, Segment::Parameter(_)) {
                    let what = format!("{{{name}}} stands where another path has {{{known}}}");
                    notes.works(at, format!("{what}: Amazon would refuse it"));
                }
                above = format!("{above}/{{}}");
            }
        }
    }
}

/// `document` without the operations that became routes, and without the items that hold no more.
pub(super) fn taken_out(mut document: Value) -> Value {
    let Some(Value::Object(paths)) = document.get_mut("paths") else {
        return document;
    };
    paths.retain(|path, item| {
        let Some(fields) = item.as_object_mut().filter(|_| path.starts_with('/')) else {
            return true;
        };
        fields.retain(|key, _| !METHODS.contains(&key.as_str()));
        !fields.is_empty()
    });
    document
}

/// `document` with an operation for each of these routes.
pub(super) fn put_back(
    mut document: Value,
    routes: &BTreeMap<String, Route>,
    operation: impl Fn(&str, &Route) -> Option<Value>,
) -> Value {
    // Where a route takes that path's place, one that is no path.
    let default = match routes.keys().any(|key| reads_as_default(key)) {
        true => "//$default",
        false => DEFAULT_PATH,
    };
    for (key, route) in routes {
        let Some(operation) = operation(key, route) else {
            continue;
        };
        let (method, path) = key.split_once(' ').unwrap_or(("ANY", default));
        let method = match method {
            "ANY" => ANY_METHOD.to_owned(),
            method => method.to_ascii_lowercase(),
        };
        let Some(root) = document.as_object_mut() else {
            break;
        };
        let paths = mapping(root.entry("paths").or_insert_with(|| json!({})));
        let item = mapping(paths.entry(path).or_insert_with(|| json!({})));
        item.insert(method, operation);
    }
    document
}

/// The mapping that stands there; an empty one instead of anything else.
fn mapping(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was made a mapping")
}

/// Whether `key` would be read as the route for what no other takes, though it is not.
pub(super) fn reads_as_default(key: &str) -> bool {
    key.strip_prefix("ANY ") == Some(DEFAULT_PATH)
}

/// Marks an operation as the route for what no other takes, or as not.
pub(super) fn mark_default(operation: &mut Map<String, Value>, is_default: IsDefault) {
    operation.insert(IS_DEFAULT.to_owned(), (is_default == IsDefault::Yes).into());
}

/// Whether an operation is the route for what no other takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IsDefault {
    /// It is.
    Yes,
    /// It is not.
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(document: Value, expected: Option<&str>) {
        assert_eq!(base_path(&document).as_deref(), expected, "{document}");
    }

    #[test]
    fn base_paths_of_servers() {
        let servers = |servers: Value| json!({ "servers": servers });
        check(
            servers(json!([{"url": "https://a.test/a/b"}])),
            Some("/a/b"),
        );
        check(servers(json!([{"url": "/a"}, {"url": "/b"}])), Some("/a"));
        check(servers(json!([{"url": "https://a.test"}])), None);
        let variable = json!({"basePath": {"default": "/v1"}});
        check(
            servers(json!([{"url": "https://a.test/x", "variables": variable}])),
            Some("/v1"),
        );
        let other = json!({"stage": {"default": "prod"}});
        check(
            servers(json!([{"url": "https://a.test/{stage}/x", "variables": other}])),
            Some("/prod/x"),
        );
        check(json!({}), None);
        check(servers(json!([])), None);
    }
}
