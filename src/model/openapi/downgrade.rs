//! OpenAPI 3 to Swagger 2.0: the inverse of `upgrade`.
//!
//! What Swagger 2.0 has no way to say stays under its OpenAPI 3 key, which `upgrade` leaves alone:
//! so an import of what comes out gives the same definition, if not every other reader all of it.

use super::{
    pointer,
    upgrade::{BODY_NAME, CONSUMES, METHODS, OF_SCHEMA, OPENAPI, SCHEMES, VERSION, take_mapping},
};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

const JSON: &str = "application/json";

/// The document as Swagger 2.0.
pub(super) fn downgrade(mut document: Value) -> Value {
    let bodies = shared_bodies(&document);
    pointer::move_references(&mut document, &|text| moved(text, &bodies));
    let Value::Object(mut root) = document else {
        return document;
    };
    let version = root.remove("openapi").filter(|version| version != VERSION);
    root.extend(version.map(|version| (OPENAPI.to_owned(), version)));
    root.insert("swagger".to_owned(), "2.0".into());
    servers(&mut root);
    components(&mut root, &bodies);
    if let Some(Value::Object(paths)) = root.get_mut("paths") {
        for item in paths.values_mut().filter_map(Value::as_object_mut) {
            parameters(item);
            for (key, operation) in item.iter_mut() {
                if METHODS.contains(&key.as_str())
                    && let Some(fields) = operation.as_object_mut()
                {
                    self::operation(fields);
                }
            }
        }
    }
    root.into()
}

fn servers(root: &mut Map<String, Value>) {
    if let Some(schemes) = root.remove(SCHEMES) {
        root.insert("schemes".to_owned(), schemes);
    }
    let Some(parts) = root.get("servers").and_then(parts_of) else {
        return;
    };
    let Parts {
        schemes,
        host,
        base,
    } = parts;
    root.remove("servers");
    if !schemes.is_empty() {
        root.insert("schemes".to_owned(), schemes.into());
    }
    root.extend(host.map(|host| ("host".to_owned(), host.into())));
    root.extend(base.map(|base| ("basePath".to_owned(), base.into())));
}

struct Parts {
    schemes: Vec<String>,
    host: Option<String>,
    base: Option<String>,
}

/// The parts that all servers have in common, if they differ in nothing but the scheme.
fn parts_of(servers: &Value) -> Option<Parts> {
    let mut schemes = Vec::new();
    let mut common = None;
    let list = servers.as_array().filter(|list| !list.is_empty())?;
    for server in list {
        let fields = server.as_object().filter(|fields| fields.len() == 1)?;
        let url = fields.get("url")?.as_str()?;
        if url.contains(['{', '?']) {
            return None;
        }
        let parts = match url.split_once("//") {
            Some((scheme, rest)) => {
                let end = rest.find('/').unwrap_or(rest.len());
                let (host, base) = rest.split_at(end);
                match scheme.strip_suffix(':') {
                    Some(scheme) => schemes.push(scheme.to_owned()),
                    None if !scheme.is_empty() || list.len() > 1 => return None,
                    None => {}
                }
                (Some(host), base)
            }
            None if list.len() > 1 => return None,
            None => (None, url),
        };
        if *common.get_or_insert(parts) != parts {
            return None;
        }
    }
    let (host, base) = common?;
    Some(Parts {
        schemes,
        host: host.map(str::to_owned),
        base: (host.is_none() || !base.is_empty()).then(|| base.to_owned()),
    })
}

/// The names of the shared bodies that can be parameters.
fn shared_bodies(document: &Value) -> BTreeSet<String> {
    let section = |name: &str| document.get("components")?.get(name)?.as_object();
    let Some(bodies) = section("requestBodies") else {
        return BTreeSet::new();
    };
    let parameters = section("parameters");
    let fits = |(name, body): &(&String, &Value)| {
        let taken = parameters.is_some_and(|parameters| parameters.contains_key(*name));
        let types = content_of(body).map(|(types, _)| types);
        !taken && types.is_some_and(|types| types == [JSON])
    };
    bodies
        .iter()
        .filter(fits)
        .map(|(name, _)| name.clone())
        .collect()
}

/// The media types and the schema of a body or response, if all types have the same.
fn content_of(body: &Value) -> Option<(Vec<String>, Option<Value>)> {
    let content = body.get("content")?.as_object()?;
    let mut schema: Option<Option<Value>> = None;
    for media in content.values() {
        let fields = media.as_object()?;
        if fields.keys().any(|key| key != "schema") {
            return None;
        }
        let own = fields.get("schema").cloned();
        if *schema.get_or_insert_with(|| own.clone()) != own {
            return None;
        }
    }
    Some((content.keys().cloned().collect(), schema?))
}

fn components(root: &mut Map<String, Value>, bodies: &BTreeSet<String>) {
    let Some(mut sections) = take_mapping(root, "components") else {
        return;
    };
    let mut shared = Map::new();
    if let Some(all) = take_mapping(&mut sections, "parameters") {
        shared.extend(
            all.into_iter()
                .map(|(name, value)| (name, parameter(value))),
        );
    }
    if let Some(all) = take_mapping(&mut sections, "requestBodies") {
        let (fitting, others): (Map<_, _>, Map<_, _>) =
            all.into_iter().partition(|(name, _)| bodies.contains(name));
        let body = |(name, value)| (name, body_parameter(value));
        shared.extend(fitting.into_iter().map(body));
        if !others.is_empty() {
            sections.insert("requestBodies".to_owned(), others.into());
        }
    }
    if !shared.is_empty() {
        root.insert("parameters".to_owned(), shared.into());
    }
    if let Some(schemas) = sections.remove("schemas") {
        root.insert("definitions".to_owned(), schemas);
    }
    if let Some(mut responses) = take_mapping(&mut sections, "responses") {
        for response in responses.values_mut() {
            headers(response);
            plain_response(response);
        }
        root.insert("responses".to_owned(), responses.into());
    }
    if let Some(mut schemes) = take_mapping(&mut sections, "securitySchemes") {
        schemes.values_mut().for_each(security_scheme);
        root.insert("securityDefinitions".to_owned(), schemes.into());
    }
    if !sections.is_empty() {
        root.insert("components".to_owned(), sections.into());
    }
}

fn security_scheme(scheme: &mut Value) {
    let Some(fields) = scheme.as_object_mut() else {
        return;
    };
    let word = |key: &str| {
        fields
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    if word("type") == "http" && word("scheme") == "basic" {
        fields.remove("scheme");
        fields.insert("type".to_owned(), "basic".into());
        return;
    }
    let flows = fields.get("flows").and_then(Value::as_object);
    let Some((name, Value::Object(flow))) = flows.and_then(|flows| match flows.len() {
        1 => flows.iter().next(),
        _ => None,
    }) else {
        return;
    };
    const KNOWN: &[&str] = &["authorizationUrl", "tokenUrl", "scopes"];
    let flow_name = match name.as_str() {
        "authorizationCode" => "accessCode",
        "clientCredentials" => "application",
        "implicit" => "implicit",
        "password" => "password",
        _ => return,
    };
    if word("type") != "oauth2" || flow.keys().any(|key| !KNOWN.contains(&key.as_str())) {
        return;
    }
    let flow = flow.clone();
    fields.remove("flows");
    fields.insert("flow".to_owned(), flow_name.into());
    fields.extend(flow);
}

fn parameters(fields: &mut Map<String, Value>) {
    if let Some(Value::Array(list)) = fields.get_mut("parameters") {
        list.iter_mut()
            .for_each(|value| *value = parameter(value.take()));
    }
}

/// A parameter whose schema is spread over it, if all of the schema can be.
fn parameter(value: Value) -> Value {
    let Value::Object(mut fields) = value else {
        return value;
    };
    spread(&mut fields);
    fields.into()
}

fn spread(fields: &mut Map<String, Value>) {
    let Some(Value::Object(schema)) = fields.get("schema") else {
        return;
    };
    let fits = |key: &String| OF_SCHEMA.contains(&key.as_str()) && !fields.contains_key(key);
    if schema.is_empty() || !schema.keys().all(fits) {
        return;
    }
    let schema = schema.clone();
    fields.remove("schema");
    fields.extend(schema);
}

fn body_parameter(body: Value) -> Value {
    let schema = content_of(&body).and_then(|(_, schema)| schema);
    let Value::Object(mut fields) = body else {
        return body;
    };
    fields.remove("content");
    let name = fields.remove(BODY_NAME).unwrap_or_else(|| "body".into());
    fields.insert("name".to_owned(), name);
    fields.insert("in".to_owned(), "body".into());
    fields.extend(schema.map(|schema| ("schema".to_owned(), schema)));
    fields.into()
}

fn operation(fields: &mut Map<String, Value>) {
    parameters(fields);
    if let Some(consumes) = fields.remove(CONSUMES) {
        fields.insert("consumes".to_owned(), consumes);
    }
    request_body(fields);
    if let Some(Value::Object(responses)) = fields.get_mut("responses") {
        responses.values_mut().for_each(headers);
        if let Some(produces) = responses_spread(responses) {
            fields.insert("produces".to_owned(), produces.into());
        }
    }
}

fn request_body(fields: &mut Map<String, Value>) {
    let Some(body) = fields.get("requestBody") else {
        return;
    };
    let reference = pointer::reference(body).map(str::to_owned);
    let shared = reference.is_some_and(|text| text.starts_with("#/parameters/"));
    let types = content_of(body).map(|(types, _)| types);
    if !shared && types.is_none() {
        return;
    }
    let mut list = match fields.get("parameters") {
        None => Vec::new(),
        Some(Value::Array(list)) => list.clone(),
        Some(_) => return,
    };
    let Some(body) = fields.remove("requestBody") else {
        return;
    };
    list.push(match types {
        Some(_) => body_parameter(body),
        None => body,
    });
    fields.insert("parameters".to_owned(), list.into());
    fields.extend(types.map(|types| ("consumes".to_owned(), types.into())));
}

fn headers(response: &mut Value) {
    if let Some(Value::Object(headers)) = response.get_mut("headers") {
        headers
            .values_mut()
            .filter_map(Value::as_object_mut)
            .for_each(spread);
    }
}

/// Spreads the content of an operation's responses, if it can be said by one list of media types:
/// that list, if there need be one. Otherwise nothing changes.
fn responses_spread(responses: &mut Map<String, Value>) -> Option<Vec<String>> {
    let own = responses
        .values()
        .filter(|value| pointer::reference(value).is_none());
    let mut contents = Vec::new();
    for response in own {
        let none = response.get("content").is_none();
        contents.push(if none {
            None
        } else {
            Some(content_of(response)?)
        });
    }
    let filled: Vec<_> = contents.iter().flatten().collect();
    let (types, _) = filled.first()?;
    let types = types.clone();
    let same = filled.len() == contents.len() && filled.iter().all(|(own, _)| *own == types);
    // Without a list a schema implies JSON, and no schema implies nothing.
    let implied = filled
        .iter()
        .all(|(own, schema)| *own == [JSON] && schema.is_some());
    if !same && !implied {
        return None;
    }
    responses.values_mut().for_each(response_spread);
    (!implied).then_some(types)
}

fn plain_response(response: &mut Value) {
    let content = content_of(response);
    if content.is_some_and(|(types, schema)| types == [JSON] && schema.is_some()) {
        response_spread(response);
    }
}

fn response_spread(response: &mut Value) {
    let schema = content_of(response).and_then(|(_, schema)| schema);
    if let Some(fields) = response.as_object_mut() {
        fields.remove("content");
        fields.extend(schema.map(|schema| ("schema".to_owned(), schema)));
    }
}

fn moved(text: &str, bodies: &BTreeSet<String>) -> Option<String> {
    const MOVES: &[(&str, &str)] = &[
        ("#/components/schemas/", "#/definitions/"),
        ("#/components/parameters/", "#/parameters/"),
        ("#/components/requestBodies/", "#/parameters/"),
        ("#/components/responses/", "#/responses/"),
        ("#/components/securitySchemes/", "#/securityDefinitions/"),
    ];
    let (from, to) = MOVES.iter().find(|(from, _)| text.starts_with(from))?;
    let rest = &text[from.len()..];
    let stays = from.contains("requestBodies") && !bodies.contains(rest);
    (!stays).then(|| format!("{to}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::{super::upgrade::upgrade, *};
    use serde_json::json;

    #[track_caller]
    fn check(swagger: Value) {
        let mut swagger = swagger;
        swagger["swagger"] = "2.0".into();
        let upgraded = upgrade(&swagger);
        let again = upgrade(&downgrade(upgraded.clone()));
        assert_eq!(upgraded, again);
    }

    #[test]
    fn what_was_upgraded_comes_back() {
        check(json!({"host": "a.test", "basePath": "/v1", "schemes": ["http", "https"]}));
        check(json!({"host": "a.test"}));
        check(json!({"basePath": "/v1"}));
        check(
            json!({"schemes": ["https"], "consumes": ["text/xml"], "produces": ["text/xml", "text/html"]}),
        );
        let with = |operation: Value| {
            json!({
                "definitions": {"A": {"type": "object"}},
                "parameters": {"B": {"in": "body", "name": "b", "schema": {"$ref": "#/definitions/A"}},
                    "Q": {"in": "query", "name": "q", "type": "array", "items": {"type": "string"}, "collectionFormat": "multi"}},
                "responses": {"R": {"description": "", "schema": {"$ref": "#/definitions/A"}}, "E": {"description": ""}},
                "securityDefinitions": {"o": {"type": "oauth2", "flow": "implicit", "authorizationUrl": "u", "scopes": {}},
                    "b": {"type": "basic"}, "k": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
                "paths": {"/a": {"parameters": [{"$ref": "#/parameters/Q"}], "post": operation}},
            })
        };
        check(with(
            json!({"parameters": [{"$ref": "#/parameters/B"}], "responses": {"200": {"$ref": "#/responses/R"}}}),
        ));
        check(with(
            json!({"consumes": ["text/plain"], "produces": ["text/html"], "responses": {"200": {"headers":
            {"X": {"type": "string"}}}, "404": {"schema": {"type": "string"}}}}),
        ));
        check(with(
            json!({"responses": {"200": {"schema": {"type": "string"}}, "404": {}}}),
        ));
        check(with(
            json!({"responses": {"200": {"schema": {}, "examples": {"text/xml": "<a/>"}}}}),
        ));
        check(with(
            json!({"consumes": ["multipart/form-data"], "parameters": [
            {"in": "formData", "name": "f", "type": "file", "required": true}, {"in": "query", "name": "x"}]}),
        ));
        check(with(
            json!({"parameters": [{"in": "body", "name": "x", "schema": {"type": "string"}}]}),
        ));
    }
}
