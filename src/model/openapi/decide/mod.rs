//! One operation of a document to what its route does and what of it this build cannot do.
//!
//! It fails closed: whatever guards a request or changes it and is not served here is
//! [`Missing`], and the route then answers 501. It looks at OpenAPI 3 alone (Swagger 2.0 has been
//! converted), at one operation and at what it refers to; it refuses nothing, since a route that
//! answers 501 is safe.

mod aws;
pub(super) mod guards;
mod http;
mod mock;
mod pattern;
mod uri;

pub(super) use mock::is_rendered;

use super::{Settings, extensions, pointer, report::Notes};
use crate::model::{
    checked::Compat,
    definition::{Integration, Limit, Missing},
};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The extension that says what answers.
pub(super) const INTEGRATION: &str = "x-amazon-apigateway-integration";

/// What is the same for all operations of a document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    /// The whole document, as OpenAPI 3.
    pub(super) document: &'a Value,
    /// Whose rules it goes by.
    pub(super) compat: Compat,
    /// What the person said of origins.
    pub(super) settings: &'a Settings,
}

/// What comes of an operation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Made {
    /// What answers.
    pub(super) integration: Integration,
    /// Whether it takes only requests with an API key.
    pub(super) api_key_required: bool,
    /// What is missing. Sorted, none twice.
    pub(super) missing: Vec<Missing>,
    /// The integration's timeout.
    pub(super) timeout_ms: Limit,
    /// In a few words, for the report.
    pub(super) words: String,
}

/// An operation that is looked at.
struct Look<'a> {
    site: Site<'a>,
    /// The route's key.
    key: &'a str,
    operation: &'a Value,
    /// Where it stands.
    at: &'a str,
    notes: &'a mut Notes,
    missing: BTreeSet<Missing>,
    api_key_required: bool,
}

impl<'a> Look<'a> {
    fn new(
        site: Site<'a>,
        key: &'a str,
        operation: &'a Value,
        at: &'a str,
        notes: &'a mut Notes,
    ) -> Self {
        Self {
            site,
            key,
            operation,
            at,
            notes,
            missing: BTreeSet::new(),
            api_key_required: false,
        }
    }
}

/// What comes of the operation at `at`, whose route has this key.
pub(super) fn decide(
    site: Site<'_>,
    key: &str,
    operation: &Value,
    at: &str,
    notes: &mut Notes,
) -> Made {
    let mut look = Look::new(site, key, operation, at, notes);
    look.guards();
    let (integration, timeout_ms, words) = look.integration();
    Made {
        integration,
        api_key_required: look.api_key_required,
        missing: look.missing.into_iter().collect(),
        timeout_ms,
        words,
    }
}

/// What is missing for the guards of the operation at `at` alone, and whether it takes only requests
/// with an API key.
pub(super) fn guards_of(
    site: Site<'_>,
    key: &str,
    operation: &Value,
    at: &str,
    notes: &mut Notes,
) -> (BTreeSet<Missing>, bool) {
    let mut look = Look::new(site, key, operation, at, notes);
    look.guards();
    (look.missing, look.api_key_required)
}

impl<'a> Look<'a> {
    /// The method of the route; `None`: any.
    fn method(&self) -> Option<&'a str> {
        let (method, _) = self.key.split_once(' ')?;
        (method != "ANY").then_some(method)
    }

    /// The names of the route's parameters.
    fn parameters(&self) -> Vec<&'a str> {
        let path = self.key.split_once(' ').map_or("", |(_, path)| path);
        let inner = |segment: &'a str| segment.strip_prefix('{')?.strip_suffix('}');
        path.split('/')
            .filter_map(inner)
            .map(|name| name.trim_end_matches('+'))
            .collect()
    }

    fn integration(&mut self) -> (Integration, Limit, String) {
        let Some(written) = self.operation.get(INTEGRATION).filter(|v| !v.is_null()) else {
            self.missing.insert(Missing::Integration);
            return (Integration::Unset, Limit::Default, "nothing".to_owned());
        };
        let at = pointer::child(self.at, INTEGRATION);
        // Amazon also takes the reference as a text of its own.
        let wrapped = written
            .as_str()
            .map(|text| serde_json::json!({ "$ref": text }));
        let found = pointer::resolve(self.site.document, written, &at)
            .map(|(value, at)| (value.clone(), at));
        let found = match &wrapped {
            Some(wrapped) => pointer::resolve(self.site.document, wrapped, &at)
                .map(|(value, at)| (value.clone(), at)),
            None => found,
        };
        match found {
            Ok((Value::Object(fields), at)) => self.of_fields(&fields, &at),
            Ok(_) => self.no_integration(&at, "an integration is a mapping"),
            Err(broken) => self.no_integration(&at, &broken.to_string()),
        }
    }

    fn no_integration(&mut self, at: &str, why: &str) -> (Integration, Limit, String) {
        self.notes.wrong(at, "the integration", why);
        self.missing.insert(Missing::Integration);
        (Integration::Unset, Limit::Default, "nothing".to_owned())
    }

    fn of_fields(&mut self, fields: &Map<String, Value>, at: &str) -> (Integration, Limit, String) {
        let written = fields.get("type").and_then(Value::as_str);
        let kind = written.unwrap_or_default().to_ascii_lowercase();
        self.fields_known(fields, at);
        let integration = match &*kind {
            "http" | "http_proxy" => self.http(fields, at, &kind),
            "mock" => self.mock(fields, at),
            "aws" | "aws_proxy" => self.aws(fields, at, &kind),
            "" => return self.no_integration(at, "\"type\" is missing"),
            other => {
                let why =
                    format!("the type {other:?} is none of http, http_proxy, aws, aws_proxy, mock");
                return self.no_integration(at, &why);
            }
        };
        let timeout = match &integration {
            Integration::Http { .. } | Integration::Lambda { .. } | Integration::Aws { .. } => {
                self.timeout(fields, at)
            }
            Integration::Mock { .. } | Integration::Unset => Limit::Default,
        };
        let words = described(&integration, &kind);
        (integration, timeout, words)
    }

    fn timeout(&mut self, fields: &Map<String, Value>, at: &str) -> Limit {
        let Some(written) = fields.get("timeoutInMillis") else {
            return Limit::Default;
        };
        let text = written.as_str().and_then(|text| text.parse().ok());
        match written.as_u64().or(text) {
            // The most is a day, as in the configuration.
            Some(milliseconds @ 1..=86_400_000) => Limit::Of(milliseconds),
            _ => {
                let at = pointer::child(at, "timeoutInMillis");
                self.notes.wrong(
                    &at,
                    "the timeout",
                    "not a number of milliseconds up to a day",
                );
                Limit::Default
            }
        }
    }

    /// Reports the keys of an integration that have no effect.
    fn fields_known(&mut self, fields: &Map<String, Value>, at: &str) {
        /// Those that the integration's own type reads.
        const READ: &[&str] = &[
            "connectionId",
            "connectionType",
            "contentHandling",
            "httpMethod",
            "integrationSubtype",
            "integrationTarget",
            "passthroughBehavior",
            "payloadFormatVersion",
            "requestParameters",
            "requestTemplates",
            "responses",
            "responseTransferMode",
            "timeoutInMillis",
            "type",
            "uri",
        ];
        const IDLE: &[(&str, &str)] = &[
            ("cacheKeyParameters", "responses are not cached"),
            ("cacheNamespace", "responses are not cached"),
            ("credentials", "roles of AWS have no meaning here"),
            (
                "tlsConfig",
                "the upstream says how its certificate is checked",
            ),
        ];
        for key in fields.keys().filter(|key| !READ.contains(&key.as_str())) {
            let at = pointer::child(at, key);
            let idle = IDLE.iter().find(|(name, _)| name == key);
            match idle {
                Some((_, why)) => {
                    self.notes
                        .ignored(&at, format!("{key} of the integration"), *why)
                }
                None => unknown(self.notes, &at, key, "an integration"),
            }
        }
    }

    /// What is missing for `field` to have its effect.
    fn lacks(&mut self, missing: Missing, at: &str, field: &str, what: impl Into<String>) {
        self.missing.insert(missing);
        self.notes.later(&pointer::child(at, field), what, missing);
    }
}

/// Reports a key that has no meaning.
pub(super) fn unknown(notes: &mut Notes, at: &str, key: &str, of: &str) {
    if key.starts_with(extensions::PREFIX) {
        let why = "an extension of Amazon's that this build does not know";
        notes.wrong(at, key, why);
        return;
    }
    let why = match key.starts_with("x-") {
        true => "kept; no extension that this build knows".to_owned(),
        false => format!("kept; {of} has no such key"),
    };
    notes.ignored(at, key, why);
}

fn described(integration: &Integration, kind: &str) -> String {
    match integration {
        Integration::Http { upstream, path } => {
            let path = path.as_deref().unwrap_or(" and the request's path");
            match upstream.contains("://") {
                true => format!("{kind} {upstream}{path}"),
                false => format!("{kind} upstream {upstream}, {path}"),
            }
        }
        Integration::Mock { status, .. } => format!("mock {status}"),
        Integration::Lambda {
            function, payload, ..
        } => format!("{kind} {function} ({payload})"),
        Integration::Aws { action, .. } => format!("{kind} {action}"),
        Integration::Unset => kind.to_owned(),
    }
}
