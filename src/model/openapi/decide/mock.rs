//! Mock integrations whose answer is always the same.
//!
//! Amazon renders a template for the status, chooses a response by it and renders that one. Where
//! neither holds anything to render the answer is fixed, and this is it; otherwise it takes mapping
//! templates, which are missing.

use super::{Look, pattern};
use crate::model::{
    definition::{Integration, Missing},
    names,
    openapi::{pointer, text},
    variables,
};
use serde_json::{Map, Value};

/// What a mock without a status answers at Amazon.
const NO_STATUS: &str = "{\"message\": \"Internal server error\"}";

impl Look<'_> {
    pub(super) fn mock(&mut self, fields: &Map<String, Value>, at: &str) -> Integration {
        let status = match self.status_chosen(fields) {
            Chosen::Status(status) => status,
            Chosen::None => {
                let at = pointer::child(at, "requestTemplates");
                self.notes
                    .works(&at, "a mock without a status answers 500, as at Amazon");
                return Integration::Mock {
                    status: 500,
                    body: NO_STATUS.to_owned(),
                    headers: json_type(),
                };
            }
            Chosen::Rendered => return self.rendered(at, "requestTemplates"),
        };
        if fields.get("contentHandling").is_some_and(|v| !v.is_null()) {
            return self.rendered(at, "contentHandling");
        }
        let responses_at = pointer::child(at, "responses");
        match self.response_chosen(fields.get("responses"), status) {
            Some((key, response)) => {
                let at = pointer::child(&responses_at, &key);
                self.answer(&response, status, &at)
            }
            None => self.rendered(at, "responses"),
        }
    }

    /// The integration of a mock that takes templates.
    fn rendered(&mut self, at: &str, field: &str) -> Integration {
        self.lacks(
            Missing::MappingTemplate,
            at,
            field,
            "a mock made by templates",
        );
        Integration::Unset
    }

    /// The status that the request templates give.
    fn status_chosen(&self, fields: &Map<String, Value>) -> Chosen {
        let templates = match fields.get("requestTemplates") {
            None | Some(Value::Null) => return Chosen::None,
            Some(Value::Object(templates)) if templates.is_empty() => return Chosen::None,
            Some(Value::Object(templates)) => templates,
            Some(_) => return Chosen::Rendered,
        };
        let mut chosen = None;
        for template in templates.values() {
            let status = match template.as_str() {
                Some(template) if !is_rendered(template) => status_of(template),
                Some(_) | None => return Chosen::Rendered,
            };
            // Which template counts depends on the request; equal ones do not differ.
            if chosen.is_some_and(|chosen| chosen != status) {
                return Chosen::Rendered;
            }
            chosen = Some(status);
        }
        match chosen.flatten() {
            Some(status) => Chosen::Status(status),
            None => Chosen::None,
        }
    }

    /// The response for `status`, by its key.
    fn response_chosen(
        &self,
        responses: Option<&Value>,
        status: u16,
    ) -> Option<(String, Map<String, Value>)> {
        let responses = responses?.as_object()?;
        let text = status.to_string();
        let mut fits = Vec::new();
        for key in responses.keys().filter(|key| *key != "default") {
            if pattern::matches(key, &text)? {
                fits.push(key);
            }
        }
        // Which of two that fit wins is not said.
        let key = match fits[..] {
            [] => "default",
            [key] => key,
            _ => return None,
        };
        let response = responses.get(key)?.as_object()?;
        Some((key.to_owned(), response.clone()))
    }

    fn answer(&mut self, response: &Map<String, Value>, chosen: u16, at: &str) -> Integration {
        let status = match response.get("statusCode") {
            None => Some(chosen),
            Some(written) => status_value(written),
        };
        let Some(status) = status.filter(|status| (200..=599).contains(status)) else {
            let at = pointer::child(at, "statusCode");
            self.notes.wrong(&at, "the status", "not one of 200 to 599");
            self.missing.insert(Missing::MappingTemplate);
            return Integration::Unset;
        };
        for key in response.keys() {
            let known = ["statusCode", "responseParameters", "responseTemplates"];
            if !known.contains(&key.as_str()) && key != "contentHandling" {
                super::unknown(
                    self.notes,
                    &pointer::child(at, key),
                    key,
                    "an integration response",
                );
            }
        }
        if response
            .get("contentHandling")
            .is_some_and(|v| !v.is_null())
        {
            return self.rendered(at, "contentHandling");
        }
        let Some((kind, mut body)) = fixed_body(response.get("responseTemplates")) else {
            return self.rendered(at, "responseTemplates");
        };
        let mut headers = self.fields_fixed(response.get("responseParameters"), at);
        if matches!(status, 204 | 304) {
            body.clear();
        }
        if !body.is_empty() && !headers.iter().any(|(name, _)| name == "content-type") {
            headers.push(("content-type".to_owned(), kind));
        }
        Integration::Mock {
            status,
            body,
            headers,
        }
    }

    /// The header fields; what is not fixed is missing.
    fn fields_fixed(&mut self, parameters: Option<&Value>, at: &str) -> Vec<(String, String)> {
        let at = pointer::child(at, "responseParameters");
        let map = match parameters {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Object(map)) => map,
            Some(_) => {
                self.missing.insert(Missing::ParameterMapping);
                self.notes.wrong(&at, "responseParameters", "not a mapping");
                return Vec::new();
            }
        };
        let mut headers = Vec::new();
        for (target, source) in map {
            match fixed_field(target, source.as_str().unwrap_or_default()) {
                Some(field) => headers.push(field),
                None => {
                    let what = format!("{target} out of {source}");
                    self.lacks(Missing::ParameterMapping, &at, target, what);
                }
            }
        }
        headers
    }
}

/// What the request templates of a mock give.
enum Chosen {
    Status(u16),
    /// No status, always.
    None,
    /// It takes rendering to say.
    Rendered,
}

fn json_type() -> Vec<(String, String)> {
    vec![("content-type".to_owned(), "application/json".to_owned())]
}

/// Whether Velocity makes something else of `template` than it is.
pub(in crate::model::openapi) fn is_rendered(template: &str) -> bool {
    let bytes = template.as_bytes();
    let follows = |at: usize, marks: &[u8]| {
        bytes
            .get(at + 1)
            .is_some_and(|next| next.is_ascii_alphabetic() || marks.contains(next))
    };
    bytes.iter().enumerate().any(|(at, byte)| match byte {
        b'$' => follows(at, b"_!{\\"),
        b'#' => follows(at, b"_{#*[@\\"),
        b'\\' => matches!(bytes.get(at + 1), Some(b'$' | b'#' | b'\\')),
        _ => false,
    })
}

/// The status in a request template: lenient JSON, as Amazon takes it.
fn status_of(template: &str) -> Option<u16> {
    let node = text::parse(template).ok()?;
    status_value(text::to_json(&node, "", &mut Vec::new()).get("statusCode")?)
}

fn status_value(value: &Value) -> Option<u16> {
    match value.as_u64() {
        Some(status) => u16::try_from(status).ok(),
        None => value.as_str()?.parse().ok(),
    }
}

/// The media type and body of the response templates, if they are the same for every request.
fn fixed_body(templates: Option<&Value>) -> Option<(String, String)> {
    let templates = match templates {
        None | Some(Value::Null) => return Some(Default::default()),
        Some(Value::Object(templates)) => templates,
        Some(_) => return None,
    };
    let mut entries = templates.iter();
    let Some((kind, template)) = entries.next() else {
        return Some(Default::default());
    };
    let body = match template {
        Value::Null => "",
        Value::String(body) => body,
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    // Of several the client's Accept chooses.
    let fixed = entries.next().is_none() && !is_rendered(body) && !body.contains("${");
    let kind = names::field_value(kind).ok()?;
    fixed.then(|| (kind, body.to_owned()))
}

/// A header field with a value that is known beforehand.
fn fixed_field(target: &str, source: &str) -> Option<(String, String)> {
    let name = target.strip_prefix("method.response.header.")?;
    let name = names::field_name(name).ok()?;
    let value = if let Some(variable) = source.strip_prefix("stageVariables.") {
        format!("${{stageVariables.{}}}", names::variable(variable).ok()?)
    } else {
        let inner = source.strip_prefix('\'')?.strip_suffix('\'')?;
        if inner.contains("${") || variables::stand_in(inner).is_err() {
            return None;
        }
        names::field_value(inner).ok()?
    };
    (!names::WRITTEN_BY_GATEWAY.contains(&&*name)).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn templates_that_render() {
        let check = |text: &str, expected: bool| assert_eq!(is_rendered(text), expected, "{text}");
        check("{\"statusCode\": 200}",  false);
        check("color: #333; $5 #",      false);
        check("$input.body",            true);
        check("${x}",                   true);
        check("$!x",                    true);
        check("#set($x = 1)",           true);
        check("## a comment",           true);
        check("#* a comment *#",        true);
        check("\\$x",                   true);
        check("a \\\" b",               false);
    }

    #[test]
    fn statuses_in_templates() {
        let check =
            |text: &str, expected: Option<u16>| assert_eq!(status_of(text), expected, "{text}");
        check("{\"statusCode\": 200}", Some(200));
        check("{\"statusCode\":200}", Some(200));
        check("{statusCode: 204}", Some(204));
        check("{\n\t\"statusCode\": \"201\"\n}", Some(201));
        check("{\"statuscode\": 200}", None);
        check("200", None);
        check("", None);
        check("{", None);
    }
}
