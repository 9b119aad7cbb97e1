//! Integrations with Lambda and other AWS services: `aws` and `aws_proxy`.
//!
//! Which function or action is taken out of the URI; nothing here calls one.

use super::{Look, uri};
use crate::model::{
    checked::Compat,
    definition::{Integration, Missing},
    openapi::pointer,
};
use serde_json::{Map, Value};

impl Look<'_> {
    pub(super) fn aws(&mut self, fields: &Map<String, Value>, at: &str, kind: &str) -> Integration {
        let endpoint = self.site.settings.lambda_endpoint.clone();
        self.body_conversions(fields, at);
        if kind == "aws" {
            // Not a proxy: what goes and comes is made by templates, if only by the default ones.
            let what = "not a proxy: templates make request and response";
            self.lacks(Missing::MappingTemplate, at, "type", what);
        }
        if let Some(subtype) = fields.get("integrationSubtype").and_then(Value::as_str) {
            self.missing.insert(Missing::AwsService);
            let action = subtype.to_owned();
            return Integration::Aws {
                action,
                endpoint: None,
            };
        }
        self.request_parameters(fields, at);
        if kind == "aws_proxy" {
            self.responses_of_origin(fields, at, kind);
        }
        let uri_at = pointer::child(at, "uri");
        let Some(text) = fields.get("uri").and_then(uri::text) else {
            let why = "no text: write the function's ARN out";
            self.notes.wrong(&uri_at, "the URI", why);
            self.missing.insert(Missing::Integration);
            return Integration::Unset;
        };
        let Some(function) = function(&text) else {
            self.placeholders(&text, &uri_at);
            self.missing.insert(Missing::AwsService);
            return Integration::Aws {
                action: text,
                endpoint: None,
            };
        };
        self.placeholders(function, &uri_at);
        self.missing.insert(Missing::Lambda);
        let method = fields.get("httpMethod").and_then(Value::as_str);
        if method.is_some_and(|method| !method.eq_ignore_ascii_case("post")) {
            let at = pointer::child(at, "httpMethod");
            let why = "functions are invoked by POST; Amazon answers 500";
            self.notes.wrong(&at, "the method of the integration", why);
        }
        Integration::Lambda {
            function: function.to_owned(),
            payload: self.payload(fields, at),
            endpoint,
        }
    }

    fn placeholders(&mut self, text: &str, at: &str) {
        for name in uri::placeholders(text) {
            let why = "filled in by Amazon; here it stays as it is: write its value";
            self.notes
                .ignored(at, format!("${{{name}}} in the URI"), why);
        }
    }

    fn payload(&mut self, fields: &Map<String, Value>, at: &str) -> String {
        let written = fields.get("payloadFormatVersion");
        let text = written.map(|value| match value.as_f64() {
            Some(number) => format!("{number:.1}"),
            None => value.as_str().unwrap_or_default().to_owned(),
        });
        match (self.site.compat, text.as_deref()) {
            (Compat::RestApi, _) | (_, Some("1.0")) => "1.0".to_owned(),
            (_, Some("2.0") | None) => "2.0".to_owned(),
            (_, Some(_)) => {
                let at = pointer::child(at, "payloadFormatVersion");
                self.notes
                    .wrong(&at, "the payload's version", "neither 1.0 nor 2.0");
                "2.0".to_owned()
            }
        }
    }
}

/// The name or ARN of the function in a URI; `None` if it leads to another service.
fn function(uri: &str) -> Option<&str> {
    if let Some((before, after)) = uri.split_once("/functions/")
        && before.contains(":lambda:path/")
    {
        let after = after
            .strip_suffix("/response-streaming-invocations")
            .unwrap_or(after);
        return Some(after.strip_suffix("/invocations").unwrap_or(after));
    }
    let is_arn = uri.starts_with("arn:") && uri.contains(":lambda:") && uri.contains(":function:");
    // A template's reference to a function stands for its ARN.
    let is_reference = uri.starts_with("${") && uri.ends_with(".Arn}");
    (is_arn || is_reference).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::function;

    #[test]
    fn functions() {
        let check =
            |uri: &str, expected: Option<&str>| assert_eq!(function(uri), expected, "{uri}");
        let arn = "arn:aws:lambda:eu-west-1:123456789012:function:f:live";
        let path = "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/";
        check(arn, Some(arn));
        check(&format!("{path}{arn}/invocations"), Some(arn));
        check(
            &format!("{path}{arn}/response-streaming-invocations"),
            Some(arn),
        );
        check(&format!("{path}${{F.Arn}}/invocations"), Some("${F.Arn}"));
        check("${F.Arn}", Some("${F.Arn}"));
        check("arn:aws:apigateway:eu-west-1:sqs:path/1/queue", None);
        check(
            "arn:aws:apigateway:eu-west-1:s3:path/functions/a/invocations",
            None,
        );
    }
}
