//! Amazon's extensions at the root of a document: what each does here, and which API they tell of.
//!
//! A table; what an operation's extensions do is decided in `decide`.

use super::upgrade::{ANY_METHOD, METHODS};
use serde_json::Value;

/// What the names of Amazon's extensions begin with.
pub(super) const PREFIX: &str = "x-amazon-apigateway-";

/// Extensions at the root that have no effect of their own, and why.
pub(super) const IDLE: &[(&str, &str)] = &[
    (
        "binary-media-types",
        "bodies pass as they come, of whatever type",
    ),
    (
        "cors",
        "CORS is not answered here: let the origin answer it",
    ),
    ("documentation", "kept; it is for people"),
    (
        "endpoint-access-mode",
        "listeners and domains say who is let in",
    ),
    (
        "endpoint-configuration",
        "there are no endpoints of Amazon's: listeners and domains say where an API is served",
    ),
    (
        "gateway-responses",
        "what the gateway answers itself has bodies of its own",
    ),
    ("importexport-version", "kept; it tells of an HTTP API"),
    ("minimum-compression-size", "bodies are not compressed here"),
    (
        "request-validators",
        "kept; those that operations name count",
    ),
    ("security-policy", "listeners say how TLS is spoken"),
];

/// What tells that a document describes an HTTP API.
pub(super) fn of_http_api(document: &Value) -> Option<&'static str> {
    if document
        .get("x-amazon-apigateway-importexport-version")
        .is_some()
    {
        return Some("x-amazon-apigateway-importexport-version");
    }
    if document.get("x-amazon-apigateway-cors").is_some() {
        return Some("x-amazon-apigateway-cors");
    }
    if document
        .pointer("/components/x-amazon-apigateway-integrations")
        .is_some()
    {
        return Some("x-amazon-apigateway-integrations");
    }
    let tags = document.get("tags").and_then(Value::as_array);
    let is_value = |tag: &Value| tag.get("x-amazon-apigateway-tag-value").is_some();
    if tags.is_some_and(|tags| tags.iter().any(is_value)) {
        return Some("x-amazon-apigateway-tag-value");
    }
    let paths = document.get("paths").and_then(Value::as_object)?;
    if paths
        .get("/$default")
        .is_some_and(|item| item.get(ANY_METHOD).is_some())
    {
        return Some("a $default route");
    }
    let operations = paths.values().filter_map(Value::as_object).flatten();
    operations
        .filter(|(key, _)| METHODS.contains(&key.as_str()))
        .find_map(|(_, operation)| of_operation(operation))
}

fn of_operation(operation: &Value) -> Option<&'static str> {
    if operation.get("isDefaultRoute").and_then(Value::as_bool) == Some(true) {
        return Some("a $default route");
    }
    let integration = operation.get(super::decide::INTEGRATION)?;
    if integration.get("integrationSubtype").is_some() {
        return Some("integrationSubtype");
    }
    let version = integration.get("payloadFormatVersion")?;
    let second = version.as_str() == Some("2.0") || version.as_f64() == Some(2.0);
    second.then_some("payloadFormatVersion 2.0")
}

/// Whether a document has any extension of Amazon's.
pub(super) fn any(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.keys().any(|key| key.starts_with(PREFIX)) || fields.values().any(any)
        }
        Value::Array(entries) => entries.iter().any(any),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
