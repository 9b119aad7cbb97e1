//! What becomes of every part of a document that is not an operation's integration or guard.
//!
//! It walks the document as it was written and matches keys; one that it does not know is reported,
//! never passed over. It decides nothing: what a route does is `decide`'s.

use super::{
    ADDED, API, BasePath, IMPORT, ROUTE,
    decide::{self, guards},
    extensions, pointer,
    report::Notes,
    upgrade::{CONSUMES, METHODS, OPENAPI, SCHEMES},
};
use crate::model::{checked::Compat, definition::Missing};
use serde_json::{Map, Value};

/// Accounts for `document` as it was written, but for its operations.
pub(super) fn document(
    document: &Value,
    (compat, why): (Compat, &'static str),
    base_path: BasePath,
    notes: &mut Notes,
) {
    let Some(root) = document.as_object() else {
        return;
    };
    for (key, value) in root {
        let at = pointer::child("", key);
        match key.as_str() {
            "swagger" | "openapi" => {
                let rules = match compat {
                    Compat::None => "rules of its own",
                    Compat::HttpApi => "the rules of an HTTP API",
                    Compat::RestApi => "the rules of a REST API",
                };
                notes.works(&at, format!("{rules}: {why}"));
            }
            "info" => fields(value, &at, INFO, "info", notes),
            "paths" => paths(value, notes),
            "components" => components(value, &at, notes),
            "servers" => servers(value, &at, base_path, notes),
            "basePath" => base(&at, base_path, notes),
            "security" => notes.works(&at, "of every operation that has none of its own"),
            "tags" => tags(value, &at, notes),
            "webhooks" => notes.ignored(&at, key, "kept; a gateway sends nothing of itself"),
            "host" | "schemes" => {
                notes.ignored(
                    &at,
                    key,
                    "kept; domains and listeners say where an API is served",
                );
            }
            "definitions" => section(value, &at, "models", notes),
            "parameters" => section(value, &at, "parameters", notes),
            "responses" => section(value, &at, "responses", notes),
            "securityDefinitions" => schemes(value, &at, notes),
            "consumes" | "produces" | "externalDocs" | "jsonSchemaDialect" => {
                notes.ignored(&at, key, "kept; it is for people");
            }
            API | IMPORT | OPENAPI | SCHEMES | ADDED => notes.works(&at, "written by an export"),
            _ => extension(key, value, &at, notes),
        }
    }
    references(document, document, &mut String::new(), notes);
}

const INFO: &[&str] = &[
    "contact",
    "description",
    "license",
    "summary",
    "termsOfService",
    "title",
    "version",
    ADDED,
];

/// A mapping for people, with these keys.
fn fields(value: &Value, at: &str, known: &[&str], what: &str, notes: &mut Notes) {
    let Some(fields) = value.as_object() else {
        notes.wrong(at, what, "not a mapping");
        return;
    };
    notes.works(at, format!("{what}: kept"));
    for key in fields.keys().filter(|key| !known.contains(&key.as_str())) {
        decide::unknown(notes, &pointer::child(at, key), key, what);
    }
}

fn base(at: &str, base_path: BasePath, notes: &mut Notes) {
    match base_path {
        BasePath::Ignore => {
            let why = "a mapping of a domain says where an API is served";
            notes.ignored(at, "the base path", why);
        }
        BasePath::Prepend => notes.works(at, "the base path stands in front of every path"),
        BasePath::Split => notes.works(at, "the base path is split"),
    }
}

fn servers(value: &Value, at: &str, base_path: BasePath, notes: &mut Notes) {
    const KNOWN: &[&str] = &["url", "description", "variables", "name", ADDED];
    const CONFIGURATION: &str = "x-amazon-apigateway-endpoint-configuration";
    let Some(list) = value.as_array() else {
        notes.wrong(at, "servers", "not a list");
        return;
    };
    base(at, base_path, notes);
    for (index, server) in list.iter().enumerate() {
        let at = pointer::child(at, &index.to_string());
        let Some(fields) = server.as_object() else {
            notes.wrong(&at, "a server", "not a mapping");
            continue;
        };
        for (key, value) in fields {
            let at = pointer::child(&at, key);
            match key.as_str() {
                CONFIGURATION => extension(key, value, &at, notes),
                known if KNOWN.contains(&known) => {}
                _ => decide::unknown(notes, &at, key, "a server"),
            }
        }
    }
}

fn tags(value: &Value, at: &str, notes: &mut Notes) {
    const VALUE: &str = "x-amazon-apigateway-tag-value";
    let Some(list) = value.as_array() else {
        notes.wrong(at, "tags", "not a list");
        return;
    };
    notes.ignored(at, "tags", "kept; they are for people");
    for (index, tag) in list.iter().enumerate() {
        let at = pointer::child(at, &index.to_string());
        for key in tag.as_object().into_iter().flat_map(|map| map.keys()) {
            let at = pointer::child(&at, key);
            match key.as_str() {
                "name" | "description" | "externalDocs" => {}
                VALUE => notes.ignored(&at, "a tag's value", "kept; stages have tags of their own"),
                _ => decide::unknown(notes, &at, key, "a tag"),
            }
        }
    }
}

fn paths(value: &Value, notes: &mut Notes) {
    const OF_ITEM: &[&str] = &["$ref", "description", "parameters", "servers", "summary"];
    let Some(items) = value.as_object() else {
        return;
    };
    notes.works("/paths", format!("paths: {}", items.len()));
    for (path, item) in items {
        let at = pointer::child("/paths", path);
        if path.starts_with("x-") {
            decide::unknown(notes, &at, path, "paths");
            continue;
        }
        for key in item.as_object().into_iter().flat_map(|map| map.keys()) {
            let known = OF_ITEM.contains(&key.as_str()) || METHODS.contains(&key.as_str());
            if !known {
                decide::unknown(notes, &pointer::child(&at, key), key, "a path");
            }
        }
    }
}

/// Accounts for the keys of an operation that decide nothing.
pub(super) fn operation(fields: &Map<String, Value>, at: &str, notes: &mut Notes) {
    const KNOWN: &[&str] = &[
        "consumes",
        "deprecated",
        "description",
        "externalDocs",
        "isDefaultRoute",
        "operationId",
        "parameters",
        "produces",
        "requestBody",
        "responses",
        "schemes",
        "security",
        "servers",
        "summary",
        "tags",
        "x-amazon-apigateway-auth",
        "x-amazon-apigateway-request-validator",
        decide::INTEGRATION,
        ROUTE,
        CONSUMES,
    ];
    for key in fields.keys().filter(|key| !KNOWN.contains(&key.as_str())) {
        let at = pointer::child(at, key);
        match key.as_str() {
            "callbacks" => notes.ignored(&at, key, "kept; a gateway sends nothing of itself"),
            _ => decide::unknown(notes, &at, key, "an operation"),
        }
    }
}

fn section(value: &Value, at: &str, what: &str, notes: &mut Notes) {
    match value.as_object() {
        Some(map) => notes.works(at, format!("{what}: {}", map.len())),
        None => notes.wrong(at, what, "not a mapping"),
    }
}

fn components(value: &Value, at: &str, notes: &mut Notes) {
    const SECTIONS: &[(&str, &str)] = &[
        ("callbacks", "callbacks"),
        ("examples", "examples"),
        ("headers", "headers"),
        ("links", "links"),
        ("parameters", "parameters"),
        ("pathItems", "path items"),
        ("requestBodies", "bodies"),
        ("responses", "responses"),
        ("schemas", "models"),
        ("x-amazon-apigateway-integrations", "integrations"),
    ];
    let Some(sections) = value.as_object() else {
        notes.wrong(at, "components", "not a mapping");
        return;
    };
    if sections.is_empty() {
        notes.works(at, "no components");
    }
    for (key, value) in sections {
        let at = pointer::child(at, key);
        let known = SECTIONS.iter().find(|(name, _)| name == key);
        match (key.as_str(), known) {
            ("securitySchemes", _) => schemes(value, &at, notes),
            (_, Some((_, what))) => section(value, &at, what, notes),
            (_, None) => decide::unknown(notes, &at, key, "components"),
        }
    }
}

fn schemes(value: &Value, at: &str, notes: &mut Notes) {
    let Some(schemes) = value.as_object() else {
        notes.wrong(at, "security schemes", "not a mapping");
        return;
    };
    notes.works(at, format!("security schemes: {}", schemes.len()));
    for (name, scheme) in schemes {
        let at = pointer::child(at, name);
        let Some(fields) = scheme.as_object() else {
            notes.wrong(&at, name, "not a mapping");
            continue;
        };
        let what = format!("security by {name}");
        match Some(guards::of_scheme(scheme)).filter(|missing| *missing != Missing::ApiKey) {
            Some(missing) => notes.later(&at, what, missing),
            None => notes.works(&at, what),
        }
        scheme_fields(fields, &at, notes);
    }
}

fn scheme_fields(fields: &Map<String, Value>, at: &str, notes: &mut Notes) {
    const KNOWN: &[&str] = &[
        "$ref",
        "authorizationUrl",
        "bearerFormat",
        "description",
        "flow",
        "flows",
        "in",
        "name",
        "openIdConnectUrl",
        "scheme",
        "scopes",
        "tokenUrl",
        "type",
        guards::AUTHORIZER,
        guards::AUTHTYPE,
    ];
    const OF_AUTHORIZER: &[&str] = &[
        "authorizerCredentials",
        "authorizerPayloadFormatVersion",
        "authorizerResultTtlInSeconds",
        "authorizerUri",
        "enableSimpleResponses",
        "identitySource",
        "identityValidationExpression",
        "jwtConfiguration",
        "providerARNs",
        "type",
    ];
    for key in fields.keys().filter(|key| !KNOWN.contains(&key.as_str())) {
        decide::unknown(notes, &pointer::child(at, key), key, "a security scheme");
    }
    let Some(authorizer) = fields.get(guards::AUTHORIZER) else {
        return;
    };
    let at = pointer::child(at, guards::AUTHORIZER);
    let Some(fields) = authorizer.as_object() else {
        notes.wrong(&at, "the authorizer", "not a mapping");
        return;
    };
    for key in fields
        .keys()
        .filter(|key| !OF_AUTHORIZER.contains(&key.as_str()))
    {
        decide::unknown(notes, &pointer::child(&at, key), key, "an authorizer");
    }
}

fn extension(key: &str, value: &Value, at: &str, notes: &mut Notes) {
    let name = key.strip_prefix(extensions::PREFIX).unwrap_or_default();
    let idle = extensions::IDLE.iter().find(|(idle, _)| *idle == name);
    match name {
        "api-key-source" if guards::is_in_header(Some(value)) => {
            notes.works(at, "API keys stand in the header");
        }
        "api-key-source" => notes.later(at, "where API keys stand", Missing::ApiKey),
        "policy" if value.is_null() => notes.works(at, "no policy"),
        "policy" if guards::is_open(value) => notes.works(at, "the policy lets everybody through"),
        "policy" => notes.later(at, "the policy", Missing::ResourcePolicy),
        "request-validator" => notes.works(at, "of every operation that names none"),
        _ => match idle {
            Some((_, why)) => notes.ignored(at, key, *why),
            None => decide::unknown(notes, at, key, "a document"),
        },
    }
}

/// Reports the references in `value` that lead nowhere.
fn references(document: &Value, value: &Value, at: &mut String, notes: &mut Notes) {
    let length = at.len();
    match value {
        Value::Object(fields) => {
            if let Some(text) = fields.get("$ref").and_then(Value::as_str)
                && let Err(broken) = pointer::resolve(document, value, at)
            {
                let at = pointer::child(at, "$ref");
                match broken {
                    pointer::Broken::Remote(_) => {
                        notes.ignored(&at, text, "another document: none is fetched");
                    }
                    pointer::Broken::Nothing(_) | pointer::Broken::Circle(_) => {
                        notes.wrong(&at, text, broken.to_string());
                    }
                }
            }
            for (key, value) in fields {
                pointer::push(at, key);
                references(document, value, at, notes);
                at.truncate(length);
            }
        }
        Value::Array(entries) => {
            for (index, value) in entries.iter().enumerate() {
                pointer::push(at, &index.to_string());
                references(document, value, at, notes);
                at.truncate(length);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
