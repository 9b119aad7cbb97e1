//! A definition to an OpenAPI document, with Amazon's extensions.
//!
//! An imported definition gives its document back; a route that no document brought gets an
//! operation that says the same as far as the extensions can, and all of it in one of ours. An
//! import of what comes out gives the same definition. Nothing is left out.

use super::{
    ADDED, API, ApiSettings, IMPORT, ROUTE, RouteSettings, Settings, Written, decide, downgrade,
    paths,
    upgrade::{METHODS, VERSION},
};
use crate::model::{
    checked::Compat,
    definition::{Definition, Integration, KeySource, Limit, MethodMiss, Route},
};
use serde_json::{Map, Value, json};

/// What a document is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// OpenAPI 3.0; 3.1 where that is what was imported.
    Oas30,
    /// Swagger 2.0.
    Swagger20,
}

/// What a document says of an API beside its definition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The API's name: the title where the definition has none.
    pub name: String,
    /// The stage that is exported: its name.
    pub stage: Option<String>,
    /// Its variables.
    pub variables: Vec<(String, String)>,
    /// Where the stage is served, as a URL.
    pub url: Option<String>,
}

/// The document of `definition`. Cost: linear in it.
pub fn export(definition: &Definition, about: &About, version: Version) -> Value {
    let bare = match &definition.openapi {
        Some(document) => (**document).clone(),
        None => json!({ "openapi": VERSION, "paths": {} }),
    };
    let guarded = bare.get("security").is_some();
    let settings = bare.get(IMPORT).cloned();
    let settings: Settings = settings
        .and_then(|settings| serde_json::from_value(settings).ok())
        .unwrap_or_default();
    let whole = paths::put_back(bare.clone(), &definition.routes, |_, route| {
        route.operation.as_deref().cloned()
    });
    let site = decide::Site {
        document: &whole,
        compat: definition.compat,
        settings: &settings,
    };
    let mut document = paths::put_back(bare, &definition.routes, |key, route| {
        Some(match route.operation.as_deref() {
            Some(operation) => imported(site, key, route, operation),
            None => native(definition.compat, key, route, guarded),
        })
    });
    key_scheme(definition, &mut document);
    api(definition, &mut document, version);
    if version == Version::Swagger20 {
        document = downgrade::downgrade(document);
    }
    add(about, &mut document, version);
    document
}

/// The operation of an imported route, with the settings that it has beside.
fn imported(site: decide::Site<'_>, key: &str, route: &Route, operation: &Value) -> Value {
    let mut operation = operation.clone();
    let made = decide::decide(site, key, &operation, "", &mut super::Notes::default());
    let usual = RouteSettings {
        timeout_ms: made.timeout_ms,
        ..RouteSettings::default()
    };
    let own = RouteSettings::of(route);
    if own != usual
        && let (Some(fields), Ok(own)) = (operation.as_object_mut(), serde_json::to_value(own))
    {
        fields.insert(ROUTE.to_owned(), own);
    }
    operation
}

/// Says of a definition without a document of its own, in other gateways' words, which routes take
/// only requests with an API key. The routes' own extension says it in any case.
fn key_scheme(definition: &Definition, document: &mut Value) {
    let own = definition.openapi.is_none() && definition.api_key.is_default();
    if !own
        || !definition
            .routes
            .values()
            .any(|route| route.api_key_required)
    {
        return;
    }
    document["components"] = json!({
        "securitySchemes": { KEY_SCHEME: { "type": "apiKey", "in": "header", "name": "x-api-key" } },
    });
    let required = |fields: &Map<String, Value>| fields[ROUTE]["api_key_required"] == json!(true);
    let items = document.get_mut("paths").and_then(Value::as_object_mut);
    let operations = items
        .into_iter()
        .flat_map(Map::values_mut)
        .filter_map(Value::as_object_mut)
        .flat_map(Map::values_mut)
        .filter_map(Value::as_object_mut);
    for operation in operations {
        if operation.contains_key(ROUTE) && required(operation) {
            operation.insert("security".to_owned(), json!([{ KEY_SCHEME: [] }]));
        }
    }
}

/// The name of the scheme by which an export asks for API keys: Amazon's.
const KEY_SCHEME: &str = "api_key";

/// Says of the definition what the document does not say otherwise.
fn api(definition: &Definition, document: &mut Value, version: Version) {
    let native = definition.openapi.is_none();
    let written = match version {
        Version::Oas30 => Written::OpenApi3,
        Version::Swagger20 => Written::Swagger20,
    };
    let (compat, _) = super::compat(document, document, None, written);
    let said = ApiSettings {
        description: super::description(document),
        compat,
        method_miss: MethodMiss::NotFound,
        api_key: KeySource::default(),
        native: false,
    };
    let own = ApiSettings {
        description: definition.description.clone(),
        compat: definition.compat,
        method_miss: definition.method_miss,
        api_key: definition.api_key.clone(),
        native,
    };
    if own != said
        && let (Some(root), Ok(own)) = (document.as_object_mut(), serde_json::to_value(own))
    {
        root.insert(API.to_owned(), own);
    }
}

/// Adds what the definition does not hold, marked so that an import leaves it out.
fn add(about: &About, document: &mut Value, version: Version) {
    let Some(root) = document.as_object_mut() else {
        return;
    };
    root.entry("info")
        .or_insert_with(|| json!({ "title": about.name, "version": "1", (ADDED): true }));
    let Some(stage) = &about.stage else {
        return;
    };
    let variables: Map<String, Value> = about
        .variables
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    let stage = json!({ "stage": stage, "variables": variables });
    let url = about.url.as_ref().filter(|_| version == Version::Oas30);
    let servers = url.map(|_| root.entry("servers").or_insert_with(|| json!([])));
    match (url, servers.and_then(Value::as_array_mut)) {
        (Some(url), Some(servers)) => servers.insert(0, json!({ "url": url, (ADDED): stage })),
        _ => {
            root.insert(ADDED.to_owned(), stage);
        }
    }
}

/// An operation that says what a route does that no document brought.
fn native(compat: Compat, key: &str, route: &Route, guarded: bool) -> Value {
    let mut operation = Map::new();
    let path = key.split_once(' ').map_or("", |(_, path)| path);
    let names: Vec<&str> = path
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| name.trim_end_matches('+'))
        .collect();
    if !names.is_empty() {
        let parameter = |name: &&str| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } });
        let parameters: Vec<Value> = names.iter().map(parameter).collect();
        operation.insert("parameters".to_owned(), parameters.into());
    }
    let responses = json!({ "default": { "description": "What the integration answers." } });
    operation.insert("responses".to_owned(), responses);
    if guarded {
        // What stands at the root is not meant for it.
        operation.insert("security".to_owned(), json!([]));
    }
    if paths::reads_as_default(key) {
        paths::mark_default(&mut operation, paths::IsDefault::No);
    } else if key == "$default" {
        paths::mark_default(&mut operation, paths::IsDefault::Yes);
    }
    if let Some(mut integration) = integration(key, path, &names, &route.integration) {
        if let Limit::Of(milliseconds) = route.timeout_ms {
            integration["timeoutInMillis"] = milliseconds.into();
        }
        if compat == Compat::HttpApi && integration.get("payloadFormatVersion").is_none() {
            integration["payloadFormatVersion"] = "1.0".into();
        }
        operation.insert(decide::INTEGRATION.to_owned(), integration);
    }
    if let Ok(route) = serde_json::to_value(route) {
        operation.insert(ROUTE.to_owned(), route);
    }
    operation.into()
}

fn integration(key: &str, route: &str, names: &[&str], of: &Integration) -> Option<Value> {
    match of {
        Integration::Http { upstream, path } => {
            let origin = match upstream.contains("://") || upstream.starts_with("${") {
                true => upstream.clone(),
                false => format!("http://{upstream}"),
            };
            let own = route.replace("+}", "}");
            let path = path.as_deref().unwrap_or(&own);
            let method = key.split_once(' ').map_or("ANY", |(method, _)| method);
            let known = METHODS.contains(&&*method.to_ascii_lowercase());
            let mapped = names
                .iter()
                .filter(|name| path.contains(&format!("{{{name}}}")));
            let mapped: Map<String, Value> = mapped
                .map(|name| {
                    let source = format!("method.request.path.{name}");
                    (format!("integration.request.path.{name}"), source.into())
                })
                .collect();
            let mut integration = json!({
                "type": "http_proxy",
                "httpMethod": if known { method } else { "ANY" },
                "uri": format!("{origin}{path}"),
            });
            if !mapped.is_empty() {
                integration["requestParameters"] = mapped.into();
            }
            Some(integration)
        }
        Integration::Mock {
            status,
            body,
            headers,
        } => Some(mock(*status, body, headers)),
        Integration::Lambda {
            function, payload, ..
        } => Some(json!({
            "type": "aws_proxy",
            "httpMethod": "POST",
            "uri": function,
            "payloadFormatVersion": payload,
        })),
        Integration::Aws { action, .. } => {
            Some(json!({ "type": "aws", "httpMethod": "POST", "uri": action }))
        }
        Integration::Unset => None,
    }
}

fn mock(status: u16, body: &str, headers: &[(String, String)]) -> Value {
    let mut response = json!({ "statusCode": status.to_string() });
    let fields: Map<String, Value> = headers
        .iter()
        .map(|(name, value)| {
            let target = format!("method.response.header.{name}");
            (target, format!("'{value}'").into())
        })
        .collect();
    if !fields.is_empty() {
        response["responseParameters"] = fields.into();
    }
    if !body.is_empty() {
        let kind = headers.iter().find(|(name, _)| name == "content-type");
        let kind = kind.map_or("application/json", |(_, value)| value);
        // A block that Velocity does not look into.
        let body = match decide::is_rendered(body) {
            true => format!("#[[{body}]]#"),
            false => body.to_owned(),
        };
        response["responseTemplates"] = super::one(kind, body.into()).into();
    }
    json!({
        "type": "mock",
        "requestTemplates": { "application/json": format!("{{\"statusCode\": {status}}}") },
        "responses": { "default": response },
    })
}
