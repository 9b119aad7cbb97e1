//! What guards an operation: security, API keys, policies, validation.
//!
//! Every scheme that is named counts, whether the document joins them by "and" or by "or": Amazon
//! applies them all, and a guard too many is safe. Of them API keys are applied here.

use super::Look;
use crate::model::{definition::Missing, openapi::pointer};
use serde_json::Value;

/// The extensions of Amazon that are read here.
pub(in crate::model::openapi) const AUTHORIZER: &str = "x-amazon-apigateway-authorizer";
pub(in crate::model::openapi) const AUTHTYPE: &str = "x-amazon-apigateway-authtype";
const AUTH: &str = "x-amazon-apigateway-auth";
const KEY_SOURCE: &str = "x-amazon-apigateway-api-key-source";
const POLICY: &str = "x-amazon-apigateway-policy";
const VALIDATOR: &str = "x-amazon-apigateway-request-validator";
const VALIDATORS: &str = "x-amazon-apigateway-request-validators";

impl Look<'_> {
    /// Records what is missing for the operation to be guarded as it should be.
    pub(super) fn guards(&mut self) {
        self.security();
        self.auth();
        self.policy();
        self.validation();
    }

    fn security(&mut self) {
        let document = self.site.document;
        // What stands at the root counts where the operation says nothing.
        let own = self.operation.get("security").filter(|own| !own.is_null());
        let own = own.map(|value| (value, self.at));
        let Some((written, above)) =
            own.or_else(|| document.get("security").map(|value| (value, "")))
        else {
            return;
        };
        let at = pointer::child(above, "security");
        let requirements = match written {
            Value::Null => return,
            Value::Array(requirements) => requirements,
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                self.notes.wrong(&at, "security", "not a list");
                self.missing.insert(Missing::Authorizer);
                return;
            }
        };
        for (index, requirement) in requirements.iter().enumerate() {
            let at = pointer::child(&at, &index.to_string());
            let Some(schemes) = requirement.as_object() else {
                self.notes
                    .wrong(&at, "security", "not a mapping from schemes to scopes");
                self.missing.insert(Missing::Authorizer);
                continue;
            };
            for name in schemes.keys() {
                match scheme(document, name) {
                    Ok(Missing::ApiKey) => self.api_key(),
                    Ok(missing) => {
                        self.missing.insert(missing);
                    }
                    Err(why) => {
                        self.notes.wrong(&at, format!("security by {name}"), why);
                        self.missing.insert(Missing::Authorizer);
                    }
                }
            }
        }
    }

    /// A key is asked for where the document puts it in the header; one that an authorizer tells
    /// is not known here.
    fn api_key(&mut self) {
        match is_in_header(self.site.document.get(KEY_SOURCE)) {
            true => self.api_key_required = true,
            false => drop(self.missing.insert(Missing::ApiKey)),
        }
    }

    fn auth(&mut self) {
        let Some(auth) = self.operation.get(AUTH).filter(|value| !value.is_null()) else {
            return;
        };
        let at = pointer::child(self.at, AUTH);
        for key in auth.as_object().into_iter().flat_map(|map| map.keys()) {
            if key != "type" {
                super::unknown(self.notes, &pointer::child(&at, key), key, "it");
            }
        }
        let kind = auth.get("type").and_then(Value::as_str).unwrap_or_default();
        match &*kind.to_ascii_uppercase() {
            "NONE" => {}
            "AWS_IAM" => {
                self.missing.insert(Missing::IamAuth);
            }
            _ => {
                self.notes
                    .wrong(&at, AUTH, "the type is neither NONE nor AWS_IAM");
                self.missing.insert(Missing::Authorizer);
            }
        }
    }

    fn policy(&mut self) {
        let policy = self.site.document.get(POLICY);
        if policy.is_some_and(|policy| !policy.is_null() && !is_open(policy)) {
            self.missing.insert(Missing::ResourcePolicy);
        }
    }

    fn validation(&mut self) {
        let document = self.site.document;
        let own = self.operation.get(VALIDATOR).filter(|own| !own.is_null());
        let own = own.map(|value| (value, self.at));
        let Some((written, above)) =
            own.or_else(|| document.get(VALIDATOR).map(|value| (value, "")))
        else {
            return;
        };
        if written.is_null() {
            return;
        }
        let validator = written
            .as_str()
            .and_then(|name| document.get(VALIDATORS)?.get(name));
        let Some(validator) = validator else {
            let at = pointer::child(above, VALIDATOR);
            self.notes
                .wrong(&at, "the request validator", "there is none of this name");
            self.missing.insert(Missing::RequestValidation);
            return;
        };
        // What is neither true nor false is taken for true.
        let on = |key| {
            let value = validator.get(key);
            value.is_some_and(|value| value.as_bool() != Some(false))
        };
        let body = on("validateRequestBody") && self.operation.get("requestBody").is_some();
        if body || (on("validateRequestParameters") && self.requires_parameters()) {
            self.missing.insert(Missing::RequestValidation);
        }
    }

    /// Whether a parameter must be there that a path does not imply.
    fn requires_parameters(&self) -> bool {
        let document = self.site.document;
        let Some(parameters) = self.operation.get("parameters") else {
            return false;
        };
        let required = |parameter: &Value| match pointer::resolve(document, parameter, "") {
            Ok((parameter, _)) => {
                let in_path = parameter.get("in").and_then(Value::as_str) == Some("path");
                let required = parameter.get("required").and_then(Value::as_bool);
                !in_path && (required.unwrap_or_default() || !parameter.is_object())
            }
            Err(_) => true,
        };
        parameters
            .as_array()
            .is_none_or(|list| list.iter().any(required))
    }
}

/// Whether this word for where API keys stand, or its absence, says the header.
pub(in crate::model::openapi) fn is_in_header(source: Option<&Value>) -> bool {
    match source {
        None | Some(Value::Null) => true,
        Some(source) => source
            .as_str()
            .is_some_and(|word| word.eq_ignore_ascii_case("HEADER")),
    }
}

/// What is missing for the security scheme `name`.
fn scheme(document: &Value, name: &str) -> Result<Missing, String> {
    let at = pointer::child("/components/securitySchemes", name);
    let written = document
        .pointer(&at)
        .ok_or_else(|| format!("there is no security scheme {name:?}"))?;
    let (scheme, _) = pointer::resolve(document, written, &at).map_err(|why| why.to_string())?;
    Ok(of_scheme(scheme))
}

/// What a security scheme asks for: API keys, which are served, or what is missing.
pub(in crate::model::openapi) fn of_scheme(scheme: &Value) -> Missing {
    let word = |key: &str| {
        let text = scheme.get(key).and_then(Value::as_str);
        text.unwrap_or_default().to_ascii_lowercase()
    };
    if scheme.get(AUTHORIZER).is_some() {
        return Missing::Authorizer;
    }
    if word(AUTHTYPE) == "awssigv4" {
        return Missing::IamAuth;
    }
    let is_key = word("type") == "apikey" && word("in") == "header" && word("name") == "x-api-key";
    match is_key && scheme.get(AUTHTYPE).is_none() {
        true => Missing::ApiKey,
        // A scheme that Amazon would not check says all the same that the route is not open.
        false => Missing::Authorizer,
    }
}

/// Whether a resource policy lets everybody through.
pub(in crate::model::openapi) fn is_open(policy: &Value) -> bool {
    let statements = match policy.get("Statement") {
        Some(Value::Array(statements)) => statements.iter().collect(),
        Some(statement @ Value::Object(_)) => vec![statement],
        _ => return false,
    };
    !statements.is_empty() && statements.iter().all(|statement| lets_all(statement))
}

fn lets_all(statement: &Value) -> bool {
    const KNOWN: &[&str] = &["Sid", "Effect", "Principal", "Action", "Resource"];
    const ALL: &[&str] = &["*", "execute-api:/*", "execute-api:/*/*/*"];
    let Some(fields) = statement.as_object() else {
        return false;
    };
    // One entry at least is this one.
    let has = |value: Option<&Value>, known: &[&str]| match value {
        Some(Value::String(text)) => known.contains(&&**text),
        Some(Value::Array(list)) => list
            .iter()
            .any(|entry| entry.as_str().is_some_and(|text| known.contains(&text))),
        _ => false,
    };
    let principal = fields.get("Principal");
    let everybody = has(principal, &["*"])
        || principal
            .and_then(Value::as_object)
            .is_some_and(|map| has(map.get("AWS"), &["*"]));
    fields.keys().all(|key| KNOWN.contains(&key.as_str()))
        && has(fields.get("Effect"), &["Allow"])
        && everybody
        && has(
            fields.get("Action"),
            &["*", "execute-api:*", "execute-api:Invoke"],
        )
        && has(fields.get("Resource"), ALL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    #[rustfmt::skip]
    fn schemes() {
        let check = |scheme: Value, expected| assert_eq!(of_scheme(&scheme), expected, "{scheme}");
        check(json!({"type": "apiKey", "in": "header", "name": "X-Api-Key"}),     Missing::ApiKey);
        check(json!({"type": "apiKey", "in": "query", "name": "x-api-key"}),      Missing::Authorizer);
        check(json!({"type": "apiKey", "in": "header", "name": "Authorization"}), Missing::Authorizer);
        check(json!({"type": "apiKey", "in": "header", "name": "x-api-key", (AUTHORIZER): {}}),
                                                                                  Missing::Authorizer);
        check(json!({"type": "apiKey", "in": "header", "name": "Authorization", (AUTHTYPE): "awsSigv4"}),
                                                                                  Missing::IamAuth);
        check(json!({"type": "oauth2"}),                                          Missing::Authorizer);
        check(json!(null),                                                        Missing::Authorizer);
    }

    #[test]
    #[rustfmt::skip]
    fn open_policies() {
        let check = |statement: Value, expected| {
            assert_eq!(is_open(&json!({"Version": "2012-10-17", "Statement": [statement]})), expected, "{statement}");
        };
        let all = json!({"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": ["execute-api:/*"]});
        let with = |key: &str, value: Value| {
            let mut statement = all.clone();
            statement[key] = value;
            statement
        };
        check(all.clone(),                                   true);
        check(with("Principal", json!({"AWS": "*"})),        true);
        check(with("Effect", json!("Deny")),                 false);
        check(with("Condition", json!({"IpAddress": {}})),   false);
        check(with("Principal", json!("123456789012")),      false);
        check(with("Resource", json!("execute-api:/prod/*")), false);
        check(json!("x"),                                    false);
        assert!(!is_open(&json!({"Statement": []})));
        assert!(!is_open(&json!({})));
    }
}
