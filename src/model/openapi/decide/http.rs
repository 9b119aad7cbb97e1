//! Integrations with an origin: `http` and `http_proxy`.
//!
//! `http_proxy` passes a request on as it came, which is what this gateway does. `http` passes on
//! only what is mapped, and makes the response of mapped parts too; so it is always missing the
//! mapping, whatever it maps.

use super::{
    Look,
    uri::{self, Uri},
};
use crate::model::{
    checked::Compat,
    definition::{Integration, Missing},
    names,
    openapi::pointer,
    template::TargetPath,
    variables,
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Fields that do not pass through of themselves, so that naming them changes the request.
const NOT_PASSED: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-md5",
    "expect",
    "host",
    "max-forwards",
    "proxy-authenticate",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "www-authenticate",
];

impl Look<'_> {
    pub(super) fn http(
        &mut self,
        fields: &Map<String, Value>,
        at: &str,
        kind: &str,
    ) -> Integration {
        self.method_towards_origin(fields, at);
        self.body_conversions(fields, at);
        let private = self.private(fields, at);
        let renamed = self.request_parameters(fields, at);
        self.responses_of_origin(fields, at, kind);
        let Some(written) = fields.get("uri") else {
            if !private {
                self.unusable(at, "the URI", "\"uri\" is missing");
            }
            return Integration::Unset;
        };
        let uri_at = pointer::child(at, "uri");
        let Some(text) = uri::text(written) else {
            self.unusable(&uri_at, "the URI", "no text: write the URI out");
            return Integration::Unset;
        };
        if let Some(name) = uri::placeholders(&text).first() {
            if !private {
                let why = format!("${{{name}}} is filled in by Amazon: write its value");
                self.unusable(&uri_at, "the URI", &why);
            }
            return Integration::Unset;
        }
        match Uri::parse(&text) {
            Ok(parsed) => self.target(&text, &parsed, &renamed, &uri_at),
            // A private integration may name a listener or a service instead.
            Err(_) if private => Integration::Unset,
            Err(why) => {
                self.unusable(&uri_at, "the URI", why);
                Integration::Unset
            }
        }
    }

    fn unusable(&mut self, at: &str, what: &str, why: &str) {
        self.notes.wrong(at, what, why);
        self.missing.insert(Missing::Integration);
    }

    fn method_towards_origin(&mut self, fields: &Map<String, Value>, at: &str) {
        let Some(written) = fields.get("httpMethod") else {
            return;
        };
        let method = written.as_str().unwrap_or_default();
        let same = self
            .method()
            .is_some_and(|own| own.eq_ignore_ascii_case(method));
        if !same && !method.eq_ignore_ascii_case("any") {
            let what = format!("the origin gets {method}");
            self.lacks(Missing::MethodOverride, at, "httpMethod", what);
        }
    }

    /// Whether it goes through a VPC link.
    fn private(&mut self, fields: &Map<String, Value>, at: &str) -> bool {
        let kind = fields.get("connectionType").and_then(Value::as_str);
        let kind = kind.unwrap_or_default();
        if kind.eq_ignore_ascii_case("VPC_LINK") || fields.contains_key("integrationTarget") {
            self.lacks(
                Missing::VpcLink,
                at,
                "connectionType",
                "a private integration",
            );
            return true;
        }
        false
    }

    /// Templates and conversions of bodies.
    pub(super) fn body_conversions(&mut self, fields: &Map<String, Value>, at: &str) {
        let filled = |value: &&Value| value.as_object().is_none_or(|map| !map.is_empty());
        let missing = Missing::MappingTemplate;
        if fields
            .get("requestTemplates")
            .filter(|v| !v.is_null())
            .filter(filled)
            .is_some()
        {
            self.lacks(missing, at, "requestTemplates", "templates for the request");
        }
        if fields.get("contentHandling").is_some_and(|v| !v.is_null()) {
            self.lacks(missing, at, "contentHandling", "conversion of the body");
        }
        let passthrough = fields.get("passthroughBehavior").and_then(Value::as_str);
        if passthrough.is_some_and(|word| word.eq_ignore_ascii_case("never")) {
            let what = "bodies that no template takes are refused";
            self.lacks(missing, at, "passthroughBehavior", what);
        }
    }

    pub(super) fn responses_of_origin(
        &mut self,
        fields: &Map<String, Value>,
        at: &str,
        kind: &str,
    ) {
        if kind == "http" {
            let what = "not a proxy: only what is mapped passes";
            self.lacks(Missing::ParameterMapping, at, "type", what);
            return;
        }
        let Some(responses) = fields.get("responses") else {
            return;
        };
        let maps = |response: &Value| {
            let parameters = response.get("responseParameters");
            parameters.is_some_and(|map| map.as_object().is_none_or(|map| !map.is_empty()))
        };
        let mapped = match responses.as_object() {
            Some(map) => map.values().any(maps),
            None => true,
        };
        if self.site.compat != Compat::RestApi && mapped {
            let what = "mapping of responses";
            self.lacks(Missing::ParameterMapping, at, "responses", what);
        } else {
            let at = pointer::child(at, "responses");
            let why = "a proxy integration of a REST API passes responses as they are";
            self.notes.ignored(&at, "responses of the integration", why);
        }
    }

    /// What stands in the URI for each `{name}` that a mapping fills; `None` where it is not served.
    pub(super) fn request_parameters(
        &mut self,
        fields: &Map<String, Value>,
        at: &str,
    ) -> BTreeMap<String, Option<String>> {
        let mut renamed = BTreeMap::new();
        let at = pointer::child(at, "requestParameters");
        let map = match fields.get("requestParameters") {
            None | Some(Value::Null) => return renamed,
            Some(Value::Object(map)) => map,
            Some(_) => {
                self.missing.insert(Missing::ParameterMapping);
                self.notes.wrong(&at, "requestParameters", "not a mapping");
                return renamed;
            }
        };
        for (target, source) in map {
            let source = source.as_str().unwrap_or_default();
            let piece = self.piece(source);
            let served = match target.strip_prefix("integration.request.path.") {
                Some(name) => {
                    let served = piece.is_some();
                    renamed.insert(name.to_owned(), piece);
                    served
                }
                None => is_identity(target, source),
            };
            if !served {
                let what = format!("{target} out of {source}");
                self.lacks(Missing::ParameterMapping, &at, target, what);
            }
        }
        renamed
    }

    /// What a path parameter's source is in an origin's path.
    fn piece(&self, source: &str) -> Option<String> {
        if let Some(name) = source.strip_prefix("method.request.path.") {
            return self
                .parameters()
                .contains(&name)
                .then(|| format!("{{{name}}}"));
        }
        if let Some(name) = source.strip_prefix("stageVariables.") {
            return names::variable(name)
                .ok()
                .map(|name| format!("${{stageVariables.{name}}}"));
        }
        let inner = source.strip_prefix('\'')?.strip_suffix('\'')?;
        (!inner.contains(['{', '}', '$', '\''])).then(|| inner.to_owned())
    }

    fn target(
        &mut self,
        text: &str,
        parsed: &Uri<'_>,
        renamed: &BTreeMap<String, Option<String>>,
        at: &str,
    ) -> Integration {
        let Some(upstream) = self.upstream(text, parsed, at) else {
            return Integration::Unset;
        };
        if parsed.query.is_some() {
            let what = "a query in the URI";
            self.missing.insert(Missing::ParameterMapping);
            self.notes.later(at, what, Missing::ParameterMapping);
        }
        if self.key == "$default" {
            // The request's path is appended to the URI's.
            if !matches!(parsed.path, "" | "/") {
                let what = "the request's path behind the URI's";
                self.missing.insert(Missing::ParameterMapping);
                self.notes.later(at, what, Missing::ParameterMapping);
            }
            return Integration::Http {
                upstream,
                path: None,
            };
        }
        let path = match parsed.path {
            "" => Some("/".to_owned()),
            path => filled(path, renamed),
        };
        let Some(path) = path else {
            return Integration::Unset;
        };
        let form = variables::stand_in(&path).map_err(|error| error.to_string());
        let form = form.and_then(|form| {
            let parsed = TargetPath::parse(&form, &self.parameters());
            parsed.map_err(|wrong| wrong.what)
        });
        match form {
            Ok(_) => Integration::Http {
                upstream,
                path: Some(path),
            },
            Err(why) => {
                self.unusable(at, "the path of the URI", &why);
                Integration::Unset
            }
        }
    }

    /// The upstream that a URI leads to.
    fn upstream(&mut self, text: &str, parsed: &Uri<'_>, at: &str) -> Option<String> {
        let named = self.site.settings.origins.iter();
        let named = named.filter(|(origin, _)| uri::begins_with(text, origin));
        if let Some((_, name)) = named.max_by_key(|(origin, _)| origin.len()) {
            return Some(name.clone());
        }
        let authority = variables::stand_in(parsed.authority);
        if !authority.is_ok_and(|text| names::authority(&text).is_ok()) {
            self.unusable(
                at,
                "the host of the URI",
                "not a host with, perhaps, a port",
            );
            return None;
        }
        if parsed.scheme == "https" {
            let what = format!("https://{}: name an upstream for it", parsed.authority);
            self.missing.insert(Missing::TlsToOrigin);
            self.notes.later(at, what, Missing::TlsToOrigin);
        }
        Some(parsed.origin())
    }
}

/// A path whose `{name}` are what mappings make of them; the others are the route's own. `None` if
/// it holds one whose mapping is not served.
fn filled(path: &str, renamed: &BTreeMap<String, Option<String>>) -> Option<String> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        out.push_str(before);
        let end = from.find('}').map_or(from.len(), |close| close + 1);
        let (whole, after) = from.split_at(end);
        let name = whole.trim_matches(['{', '}']).trim_end_matches('+');
        match renamed.get(name) {
            _ if before.ends_with('$') => out.push_str(whole),
            Some(piece) => out.push_str(piece.as_deref()?),
            None if whole.ends_with('}') => {
                out.push('{');
                out.push_str(name);
                out.push('}');
            }
            None => out.push_str(whole),
        }
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

/// Whether a mapping passes on what passes of itself.
fn is_identity(target: &str, source: &str) -> bool {
    let part = |text: &str, whose: &str, kind: &str| {
        let rest = text.strip_prefix(whose)?.strip_prefix(kind)?;
        Some(rest.strip_prefix('.')?.to_owned())
    };
    let (to, from) = ("integration.request.", "method.request.");
    if let Some(name) = part(target, to, "querystring") {
        let same = |kind| part(source, from, kind).as_ref() == Some(&name);
        return same("querystring") || same("multivaluequerystring");
    }
    if let Some(name) = part(target, to, "header") {
        let lower = name.to_ascii_lowercase();
        let same = |kind| part(source, from, kind).as_ref() == Some(&name);
        return !NOT_PASSED.contains(&&*lower) && (same("header") || same("multivalueheader"));
    }
    false
}
