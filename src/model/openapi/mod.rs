//! OpenAPI documents, with Amazon's extensions, to definitions and back.
//!
//! ```text
//! text --text--> value --upgrade--> OpenAPI 3 --paths, decide--> Definition --export--> value
//!                  └── account: what becomes of every part of it, as a Report
//! ```
//!
//! Read are Swagger 2.0, OpenAPI 3.0 and 3.1, as JSON or YAML. Nothing of a document is lost: what
//! does not become a route stays in [`Definition::openapi`] and [`Route::operation`], and [`export()`]
//! gives it back. Nothing is dropped in silence either: the [`Report`] accounts for all of it. What
//! guards or changes a request and is not served is [`Missing`], so that its route answers 501.
//! Nothing here opens a file, fetches a reference or asks the time.
//!
//! [`Missing`]: super::definition::Missing

mod account;
mod decide;
mod downgrade;
mod export;
mod extensions;
mod json;
mod paths;
mod pointer;
#[cfg(test)]
mod properties;
mod report;
#[cfg(test)]
mod tests;
mod text;
mod upgrade;

pub use export::{About, Version, export};
pub use report::{Line, Outcome, Report};

use super::{
    checked::Compat,
    definition::{AllowPaths, Definition, KeySource, Limit, MethodMiss, Route, Throttles},
    mistake::{Mistakes, Source},
};
use decide::Site;
use paths::Base;
use report::Notes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, num::NonZeroU32};

/// Of an operation: the route's own settings, or all of a route that no document brought.
const ROUTE: &str = "x-sluice-route";
/// Of a document: what of a definition it cannot say otherwise.
const API: &str = "x-sluice-api";
/// Of a document: the options that it was imported with.
const IMPORT: &str = "x-sluice-import";
/// Of a part of a document that an export added: an import leaves it out.
const ADDED: &str = "x-sluice-added";

/// What the base path of a document does to its paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BasePath {
    /// Nothing.
    #[default]
    Ignore,
    /// It stands in front of them.
    Prepend,
    /// Its first segment becomes the base path of a mapping; the rest stands in front of them.
    Split,
}

/// What the person says beside the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// What the document's base path does.
    pub base_path: BasePath,
    /// Upstreams for origins: `https://host[:port]` to a name. Of several that a URI begins with,
    /// the longest counts.
    pub origins: BTreeMap<String, String>,
    /// Where Lambda functions are invoked; `None`: at AWS.
    pub lambda_endpoint: Option<String>,
}

/// What an import gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The definition.
    pub definition: Definition,
    /// The base path of the mapping that should lead to the API, where the document's was split.
    pub mapping: Option<String>,
    /// What became of every part of the document.
    pub report: Report,
}

/// The options as a definition keeps them, so that its routes can be made again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Settings {
    /// As in [`ImportOptions`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    origins: BTreeMap<String, String>,
    /// As in [`ImportOptions`].
    #[serde(skip_serializing_if = "Option::is_none")]
    lambda_endpoint: Option<String>,
    /// Whether the base path stands in the paths already.
    #[serde(skip_serializing_if = "Option::is_none")]
    base_path: Option<String>,
    /// As in [`Imported`].
    #[serde(skip_serializing_if = "Option::is_none")]
    mapping: Option<String>,
}

/// What of a definition a document cannot say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ApiSettings {
    description: String,
    compat: Compat,
    method_miss: MethodMiss,
    #[serde(skip_serializing_if = "KeySource::is_default")]
    api_key: KeySource,
    /// Whether the definition has a document at all.
    native: bool,
}

/// The settings of a route that no operation has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RouteSettings {
    #[serde(skip_serializing_if = "Throttles::is_empty")]
    throttle: Throttles,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "AllowPaths::is_none")]
    allow_paths: AllowPaths,
    body_bytes: Limit,
    timeout_ms: Limit,
}

impl RouteSettings {
    fn of(route: &Route) -> Self {
        Self {
            throttle: route.throttle.clone(),
            concurrency: route.concurrency,
            allow_paths: route.allow_paths,
            body_bytes: route.body_bytes,
            timeout_ms: route.timeout_ms,
        }
    }
}

/// Imports the document `source`.
///
/// Cost: linear in the text, which is at most [`OPENAPI_BYTES_MAX`] long, but for integrations,
/// each of which looks at all `origins`. Never panics, whatever the text.
///
/// # Errors
/// What makes the document unfit: it is none, a path cannot be a route, two routes are the same.
/// Where only some route cannot be served, that route answers 501 and the report says why.
///
/// [`OPENAPI_BYTES_MAX`]: crate::bounds::OPENAPI_BYTES_MAX
pub fn import(source: &Source, options: &ImportOptions) -> Result<Imported, Mistakes> {
    let mut found = Vec::new();
    let root = match text::parse(&source.text) {
        Ok(root) => root,
        Err(mistake) => {
            found.push(mistake);
            return Err(refused(source, found));
        }
    };
    let value = text::to_json(&root, "", &mut found);
    let mut notes = Notes::default();
    let made = import_value(value, options, &mut notes);
    let (report, mistakes) = notes.placed(&root);
    found.extend(mistakes);
    match made.filter(|_| found.is_empty()) {
        Some((definition, mapping)) => Ok(Imported {
            definition,
            mapping,
            report,
        }),
        None => Err(refused(source, found)),
    }
}

fn refused(source: &Source, found: Vec<super::Mistake>) -> Mistakes {
    let mistakes = Mistakes::of(source, found);
    mistakes.unwrap_or_else(|| unreachable!("an import that gives nothing records why"))
}

/// The versions that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Swagger20,
    OpenApi3,
}

/// Which version a document is of.
fn version(document: &Value, notes: &mut Notes) -> Option<Written> {
    let Some(root) = document.as_object() else {
        let hint = "it begins with \"openapi\" or \"swagger\" and a version";
        notes.mistake("", "this is no OpenAPI document", hint);
        return None;
    };
    let text = |key: &str| match root.get(key) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
            Some(String::new())
        }
        None => None,
    };
    let is = |text: &str, version: &str| {
        let rest = text.strip_prefix(version);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    match (text("swagger"), text("openapi")) {
        (Some(text), None) if is(&text, "2.0") || text == "2" => Some(Written::Swagger20),
        (None, Some(text)) if is(&text, "3.0") || is(&text, "3.1") || text == "3" => {
            Some(Written::OpenApi3)
        }
        (None, None) => {
            let hint = "it begins with \"openapi\" or \"swagger\" and a version";
            notes.mistake("", "this is no OpenAPI document", hint);
            None
        }
        (Some(_), Some(_)) => {
            let what = "\"swagger\" and \"openapi\" exclude each other";
            notes.mistake("/swagger", what, "take one of them out");
            None
        }
        (swagger, _) => {
            let at = if swagger.is_some() {
                "/swagger"
            } else {
                "/openapi"
            };
            notes.mistake(
                at,
                "a version that is not read",
                "swagger 2.0, openapi 3.0 and 3.1 are",
            );
            None
        }
    }
}

fn import_value(
    written: Value,
    options: &ImportOptions,
    notes: &mut Notes,
) -> Option<(Definition, Option<String>)> {
    let version = version(&written, notes)?;
    let mut document = match version {
        Written::Swagger20 => upgrade::upgrade(&written),
        Written::OpenApi3 => written.clone(),
    };
    let api: Option<ApiSettings> = own(&mut document, API, notes);
    let kept: Option<Settings> = own(&mut document, IMPORT, notes);
    without_added(&mut document);
    let (compat, why) = compat(&written, &document, api.as_ref(), version);
    let (settings, base) = settings(kept.unwrap_or_default(), options, &document);
    account::document(&written, (compat, why), options.base_path, notes);
    paths::prepend(&mut document, &base);
    let found = paths::operations(&document, &base, notes);
    let site = Site {
        document: &document,
        compat,
        settings: &settings,
    };
    let routes = paths::fit(found, compat, notes);
    let routes: BTreeMap<String, Route> = routes
        .into_iter()
        .filter_map(|found| Some((found.key.clone(), route(site, found, notes)?)))
        .collect();
    let described = api.clone().unwrap_or_else(|| ApiSettings {
        description: description(&document),
        compat,
        ..ApiSettings::default()
    });
    let mut document = paths::taken_out(document);
    keep(&mut document, IMPORT, &settings);
    let definition = Definition {
        description: described.description,
        compat: described.compat,
        method_miss: described.method_miss,
        api_key: described.api_key,
        routes,
        openapi: (!described.native).then(|| Box::new(document)),
    };
    Some((definition, settings.mapping))
}

fn description(document: &Value) -> String {
    let text = document
        .pointer("/info/description")
        .and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// Takes an extension of ours out of a document.
fn own<T: for<'de> Deserialize<'de>>(
    document: &mut Value,
    key: &str,
    notes: &mut Notes,
) -> Option<T> {
    let value = document.as_object_mut()?.remove(key)?;
    match serde_json::from_value(value) {
        Ok(value) => Some(value),
        Err(error) => {
            let at = pointer::child("", key);
            notes.mistake(&at, format!("not as an export writes it: {error}"), "");
            None
        }
    }
}

/// Puts an extension of ours into a document, if it says anything.
fn keep<T: Serialize + Default + PartialEq>(document: &mut Value, key: &str, value: &T) {
    if *value != T::default()
        && let (Some(root), Ok(value)) = (document.as_object_mut(), serde_json::to_value(value))
    {
        root.insert(key.to_owned(), value);
    }
}

/// Takes out what an export added.
fn without_added(document: &mut Value) {
    let Some(root) = document.as_object_mut() else {
        return;
    };
    let added = |value: &Value| value.get(ADDED).is_some();
    root.remove(ADDED);
    if root.get("info").is_some_and(added) {
        root.remove("info");
    }
    if let Some(Value::Array(servers)) = root.get_mut("servers") {
        let before = servers.len();
        servers.retain(|server| !added(server));
        if servers.is_empty() && before > 0 {
            root.remove("servers");
        }
    }
}

/// The settings for the routes, and the base path that is not in the paths yet.
fn settings(kept: Settings, options: &ImportOptions, document: &Value) -> (Settings, Base) {
    let mut settings = kept;
    settings.origins.extend(options.origins.clone());
    if let Some(endpoint) = &options.lambda_endpoint {
        settings.lambda_endpoint = Some(endpoint.clone());
    }
    if settings.base_path.is_some() || options.base_path == BasePath::Ignore {
        return (settings, Base::default());
    }
    let written = paths::base_path(document).unwrap_or_default();
    let base = Base::of(&written, options.base_path);
    if base != Base::default() {
        settings.base_path = Some(base.prefix.clone());
        settings.mapping = base.mapping.clone();
    }
    (settings, base)
}

/// Whose rules a document goes by, and what says so.
fn compat(
    written: &Value,
    document: &Value,
    api: Option<&ApiSettings>,
    version: Written,
) -> (Compat, &'static str) {
    if let Some(api) = api {
        return (api.compat, "an export says so");
    }
    if version == Written::Swagger20 {
        return (Compat::RestApi, "Swagger 2.0 describes REST APIs");
    }
    if let Some(sign) = extensions::of_http_api(document) {
        return (Compat::HttpApi, sign);
    }
    match extensions::any(written) {
        true => (Compat::RestApi, "no extension of HTTP APIs"),
        false => (Compat::None, "no extension of Amazon's"),
    }
}

/// The route that an operation becomes.
fn route(site: Site<'_>, found: paths::Found, notes: &mut Notes) -> Option<Route> {
    let paths::Found {
        key,
        mut operation,
        at,
    } = found;
    account::operation(&operation, &at, notes);
    let own = operation.remove(ROUTE);
    let native = own
        .as_ref()
        .is_some_and(|own| own.get("integration").is_some());
    let own_at = pointer::child(&at, ROUTE);
    if native {
        return native_route(site, &key, own?, &operation.into(), &at, notes);
    }
    let operation = Value::Object(operation);
    let made = decide::decide(site, &key, &operation, &at, notes);
    notes.route(&at, &key, format!("{key} -> {}", made.words), &made.missing);
    let settings = match own.map(serde_json::from_value::<RouteSettings>) {
        None => RouteSettings {
            timeout_ms: made.timeout_ms,
            ..RouteSettings::default()
        },
        Some(Ok(settings)) => settings,
        Some(Err(error)) => {
            notes.mistake(&own_at, format!("not as an export writes it: {error}"), "");
            return None;
        }
    };
    Some(Route {
        integration: made.integration,
        throttle: settings.throttle,
        concurrency: settings.concurrency,
        allow_paths: settings.allow_paths,
        body_bytes: settings.body_bytes,
        timeout_ms: settings.timeout_ms,
        api_key_required: made.api_key_required,
        missing: made.missing,
        operation: Some(Box::new(operation)),
    })
}

/// A route that came out of a definition without a document. What guards its operation counts all
/// the same.
fn native_route(
    site: Site<'_>,
    key: &str,
    own: Value,
    operation: &Value,
    at: &str,
    notes: &mut Notes,
) -> Option<Route> {
    let mut route: Route = match serde_json::from_value(own) {
        Ok(route) => route,
        Err(error) => {
            let at = pointer::child(at, ROUTE);
            notes.mistake(&at, format!("not as an export writes it: {error}"), "");
            return None;
        }
    };
    let (missing, api_key_required) = decide::guards_of(site, key, operation, at, notes);
    route.missing.extend(missing);
    route.api_key_required |= api_key_required;
    route.missing.sort();
    route.missing.dedup();
    notes.route(at, key, format!("{key} -> as {ROUTE} says"), &route.missing);
    Some(route)
}

/// Makes `integration` and `missing` of every route that has an operation again: for a definition
/// that an older build imported, when more can be served than then.
pub fn refresh(definition: &mut Definition) {
    let Some(document) = definition.openapi.as_deref() else {
        return;
    };
    let settings = document.get(IMPORT).cloned();
    let settings: Settings = settings
        .and_then(|settings| serde_json::from_value(settings).ok())
        .unwrap_or_default();
    let whole = paths::put_back(document.clone(), &definition.routes, |_, route| {
        route.operation.as_deref().cloned()
    });
    let site = Site {
        document: &whole,
        compat: definition.compat,
        settings: &settings,
    };
    for (key, route) in &mut definition.routes {
        if let Some(operation) = route.operation.as_deref() {
            let made = decide::decide(site, key, operation, "", &mut Notes::default());
            route.integration = made.integration;
            route.api_key_required = made.api_key_required;
            route.missing = made.missing;
        }
    }
}

/// A mapping with one entry.
fn one(key: &str, value: Value) -> Map<String, Value> {
    Map::from_iter([(key.to_owned(), value)])
}
