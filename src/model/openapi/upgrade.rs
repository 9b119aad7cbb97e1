//! Swagger 2.0 to OpenAPI 3: the same document in the form that everything else reads.
//!
//! What has another place in OpenAPI 3 moves there; what has none stays under an `x-sluice-` key, so
//! that `downgrade` finds it again. What is not of the right type stays as it is: it is the reader's
//! to complain of.

use super::pointer;
use serde_json::{Map, Value, json};

/// Where what has no place in the other version is kept: the version of OpenAPI 3, `schemes` without a
/// host, `consumes` without a body, the name of a body.
pub(super) const OPENAPI: &str = "x-sluice-openapi";
pub(super) const SCHEMES: &str = "x-sluice-schemes";
pub(super) const CONSUMES: &str = "x-sluice-consumes";
pub(super) const BODY_NAME: &str = "x-sluice-body-name";

/// The version of what was Swagger 2.0.
pub(super) const VERSION: &str = "3.0.1";

/// The methods that an item of `paths` can have, with Amazon's for all of them.
pub(super) const METHODS: &[&str] = &[
    "delete", "get", "head", "options", "patch", "post", "put", "trace", ANY_METHOD,
];
/// Amazon's key of the operation for all methods that have none of their own.
pub(super) const ANY_METHOD: &str = "x-amazon-apigateway-any-method";

/// The keys of a parameter that describe its values, and so belong to its schema.
pub(super) const OF_SCHEMA: &[&str] = &[
    "default",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "multipleOf",
    "pattern",
    "type",
    "uniqueItems",
];

/// The document as OpenAPI 3.
pub(super) fn upgrade(swagger: &Value) -> Value {
    let Some(root) = swagger.as_object() else {
        return swagger.clone();
    };
    let mut root = root.clone();
    root.remove("swagger");
    let mut out = Map::new();
    let version = root.remove(OPENAPI).unwrap_or_else(|| VERSION.into());
    out.insert("openapi".to_owned(), version);
    servers(&mut root, &mut out);
    let media = Media {
        consumes: take_texts(&mut root, "consumes"),
        produces: take_texts(&mut root, "produces"),
    };
    let bodies = bodies(&root);
    if let Some(components) = components(&mut root, &media) {
        out.insert("components".to_owned(), components);
    }
    if let Some(Value::Object(paths)) = root.get_mut("paths") {
        for item in paths.values_mut() {
            path_item(item, &media, &bodies);
        }
    }
    out.append(&mut root);
    let mut out = Value::Object(out);
    pointer::move_references(&mut out, &|text| moved(text, &bodies));
    out
}

/// What the root says of media types; for operations that say nothing.
struct Media {
    consumes: Option<Vec<String>>,
    produces: Option<Vec<String>>,
}

/// Takes a list of texts out of a mapping; anything else stays.
fn take_texts(fields: &mut Map<String, Value>, key: &str) -> Option<Vec<String>> {
    let list = fields.get(key)?.as_array()?;
    let texts: Option<Vec<String>> = list
        .iter()
        .map(|text| text.as_str().map(str::to_owned))
        .collect();
    let texts = texts?;
    fields.remove(key);
    Some(texts)
}

/// Takes a mapping out of a mapping; anything else stays.
pub(super) fn take_mapping(
    fields: &mut Map<String, Value>,
    key: &str,
) -> Option<Map<String, Value>> {
    let taken = fields.get_mut(key)?.as_object_mut().map(std::mem::take);
    if taken.is_some() {
        fields.remove(key);
    }
    taken
}

fn servers(root: &mut Map<String, Value>, out: &mut Map<String, Value>) {
    let mut text = |key: &str| {
        let text = root.get(key)?.as_str()?.to_owned();
        root.remove(key);
        Some(text)
    };
    let host = text("host");
    let base = text("basePath");
    let schemes = take_texts(root, "schemes").unwrap_or_default();
    let path = base.clone().unwrap_or_default();
    let urls: Vec<String> = match &host {
        Some(host) if schemes.is_empty() => vec![format!("//{host}{path}")],
        Some(host) => schemes
            .iter()
            .map(|scheme| format!("{scheme}://{host}{path}"))
            .collect(),
        None => base.into_iter().collect(),
    };
    if host.is_none() && !schemes.is_empty() {
        out.insert(SCHEMES.to_owned(), schemes.into());
    }
    if !urls.is_empty() {
        let servers: Vec<Value> = urls.iter().map(|url| json!({ "url": url })).collect();
        out.insert("servers".to_owned(), servers.into());
    }
}

/// The names of the shared parameters that are bodies.
fn bodies(root: &Map<String, Value>) -> Vec<String> {
    let Some(Value::Object(parameters)) = root.get("parameters") else {
        return Vec::new();
    };
    let bodies = parameters
        .iter()
        .filter(|(_, parameter)| is_in(parameter, "body"));
    bodies.map(|(name, _)| name.clone()).collect()
}

fn is_in(parameter: &Value, place: &str) -> bool {
    parameter.get("in").and_then(Value::as_str) == Some(place)
}

fn components(root: &mut Map<String, Value>, media: &Media) -> Option<Value> {
    // What `downgrade` found no place for.
    let mut out = take_mapping(root, "components").unwrap_or_default();
    if let Some(schemas) = root.remove("definitions") {
        out.insert("schemas".to_owned(), schemas);
    }
    if let Some(parameters) = take_mapping(root, "parameters") {
        let (bodies, others): (Map<_, _>, Map<_, _>) = parameters
            .into_iter()
            .partition(|(_, parameter)| is_in(parameter, "body"));
        let types = media.consumes.clone().unwrap_or_else(json_type);
        let body = |(name, parameter)| (name, request_body(parameter, &types));
        let bodies: Map<String, Value> = bodies.into_iter().map(body).collect();
        let others: Map<String, Value> = others
            .into_iter()
            .map(|(name, value)| (name, parameter(value)))
            .collect();
        insert_filled(&mut out, "requestBodies", bodies);
        insert_filled(&mut out, "parameters", others);
    }
    if let Some(mut responses) = take_mapping(root, "responses") {
        for value in responses.values_mut() {
            response(value, &media.produces.clone().unwrap_or_default());
        }
        insert_filled(&mut out, "responses", responses);
    }
    if let Some(mut schemes) = take_mapping(root, "securityDefinitions") {
        schemes.values_mut().for_each(security_scheme);
        out.insert("securitySchemes".to_owned(), schemes.into());
    }
    (!out.is_empty()).then_some(Value::Object(out))
}

fn insert_filled(out: &mut Map<String, Value>, key: &str, map: Map<String, Value>) {
    if map.is_empty() {
        return;
    }
    match out.get_mut(key) {
        Some(Value::Object(kept)) => kept.extend(map),
        Some(_) | None => {
            out.insert(key.to_owned(), map.into());
        }
    }
}

fn json_type() -> Vec<String> {
    vec!["application/json".to_owned()]
}

fn security_scheme(scheme: &mut Value) {
    let Some(fields) = scheme.as_object_mut() else {
        return;
    };
    match fields.get("type").and_then(Value::as_str) {
        Some("basic") => {
            fields.insert("type".to_owned(), "http".into());
            fields.insert("scheme".to_owned(), "basic".into());
        }
        Some("oauth2") => {
            let name = match fields.get("flow").and_then(Value::as_str) {
                Some("accessCode") => "authorizationCode",
                Some("application") => "clientCredentials",
                Some("password") => "password",
                Some("implicit") => "implicit",
                Some(_) | None => return,
            };
            fields.remove("flow");
            let mut flow = Map::new();
            for key in ["authorizationUrl", "tokenUrl", "scopes"] {
                flow.extend(fields.remove(key).map(|value| (key.to_owned(), value)));
            }
            fields.insert("flows".to_owned(), json!({ name: flow }));
        }
        _ => {}
    }
}

fn path_item(item: &mut Value, media: &Media, bodies: &[String]) {
    let Some(fields) = item.as_object_mut() else {
        return;
    };
    let shared = fields.get_mut("parameters").and_then(Value::as_array_mut);
    let mut shared_body = None;
    if let Some(list) = shared {
        shared_body = take_body(list, bodies);
        list.iter_mut()
            .for_each(|value| *value = parameter(value.take()));
    }
    for (key, value) in fields.iter_mut() {
        if METHODS.contains(&key.as_str())
            && let Some(fields) = value.as_object_mut()
        {
            operation(fields, media, bodies, shared_body.as_ref());
        }
    }
}

/// Takes the parameter that is the body out of a list.
fn take_body(list: &mut Vec<Value>, bodies: &[String]) -> Option<Value> {
    let is_body = |value: &Value| {
        let reference = pointer::reference(value);
        let name = reference.and_then(|text| text.strip_prefix("#/parameters/"));
        is_in(value, "body") || name.is_some_and(|name| bodies.iter().any(|body| body == name))
    };
    let at = list.iter().position(is_body)?;
    Some(list.remove(at))
}

fn operation(
    fields: &mut Map<String, Value>,
    media: &Media,
    bodies: &[String],
    shared_body: Option<&Value>,
) {
    let own = take_texts(fields, "consumes");
    let produces = take_texts(fields, "produces").or_else(|| media.produces.clone());
    let consumes = own.clone().or_else(|| media.consumes.clone());
    let mut body = None;
    if let Some(list) = fields.get_mut("parameters").and_then(Value::as_array_mut) {
        let types = consumes.clone().filter(|types| !types.is_empty());
        body = take_body(list, bodies)
            .map(|value| request_body(value, &types.clone().unwrap_or_else(json_type)));
        let (form, others): (Vec<Value>, Vec<Value>) =
            list.drain(..).partition(|value| is_in(value, "formData"));
        if !form.is_empty() {
            body = Some(form_body(form, types));
        }
        list.extend(others.into_iter().map(parameter));
        if list.is_empty() {
            fields.remove("parameters");
        }
    }
    let types = consumes.unwrap_or_else(json_type);
    let body = body.or_else(|| shared_body.map(|value| request_body(value.clone(), &types)));
    match body {
        Some(body) => {
            fields.insert("requestBody".to_owned(), body);
        }
        None => fields.extend(own.map(|types| (CONSUMES.to_owned(), types.into()))),
    }
    if let Some(Value::Object(responses)) = fields.get_mut("responses") {
        for value in responses.values_mut() {
            response(value, produces.as_deref().unwrap_or_default());
        }
    }
}

fn request_body(parameter: Value, types: &[String]) -> Value {
    let Value::Object(mut fields) = parameter else {
        return parameter;
    };
    if fields.contains_key("$ref") {
        return fields.into();
    }
    fields.remove("in");
    let schema = fields.remove("schema");
    // The name that `downgrade` gives one that has none.
    if let Some(name) = fields.remove("name").filter(|name| name != "body") {
        fields.insert(BODY_NAME.to_owned(), name);
    }
    let media = schema.map_or_else(|| json!({}), |schema| json!({ "schema": schema }));
    let content: Map<String, Value> = types
        .iter()
        .map(|kind| (kind.clone(), media.clone()))
        .collect();
    fields.insert("content".to_owned(), content.into());
    fields.into()
}

/// The body that parameters of a form are.
fn form_body(form: Vec<Value>, types: Option<Vec<String>>) -> Value {
    let has_file = form
        .iter()
        .any(|value| value.get("type").and_then(Value::as_str) == Some("file"));
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for value in form {
        let Value::Object(mut fields) = parameter(value) else {
            continue;
        };
        let name = fields.remove("name").unwrap_or_default();
        let name = name.as_str().unwrap_or_default().to_owned();
        if fields.remove("required") == Some(Value::Bool(true)) {
            required.push(Value::String(name.clone()));
        }
        fields.remove("in");
        let mut schema = fields.remove("schema").unwrap_or_else(|| json!({}));
        if let Some(schema) = schema.as_object_mut() {
            if schema.get("type").and_then(Value::as_str) == Some("file") {
                schema.insert("type".to_owned(), "string".into());
                schema.insert("format".to_owned(), "binary".into());
            }
            schema.append(&mut fields);
        }
        properties.insert(name, schema);
    }
    let usual = match has_file {
        true => "multipart/form-data",
        false => "application/x-www-form-urlencoded",
    };
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    let types = types.unwrap_or_else(|| vec![usual.to_owned()]);
    let media = types
        .into_iter()
        .map(|kind| (kind, json!({ "schema": schema })));
    json!({ "content": media.collect::<Map<String, Value>>() })
}

/// A parameter that is not a body: what describes its values goes into a schema.
fn parameter(value: Value) -> Value {
    let Value::Object(mut fields) = value else {
        return value;
    };
    if fields.contains_key("$ref") {
        return fields.into();
    }
    let schema = schema_out_of(&mut fields);
    let said = match fields.get("collectionFormat").and_then(Value::as_str) {
        Some("multi") => Some(("explode", Value::from(true))),
        Some("ssv") => Some(("style", "spaceDelimited".into())),
        Some("pipes") => Some(("style", "pipeDelimited".into())),
        Some(_) | None => None,
    };
    if let Some((key, value)) = said {
        fields.remove("collectionFormat");
        fields.insert(key.to_owned(), value);
    }
    if !schema.is_empty() {
        fields.insert("schema".to_owned(), schema.into());
    }
    fields.into()
}

fn schema_out_of(fields: &mut Map<String, Value>) -> Map<String, Value> {
    let mut schema = Map::new();
    for key in OF_SCHEMA {
        schema.extend(fields.remove(*key).map(|value| ((*key).to_owned(), value)));
    }
    schema
}

fn response(value: &mut Value, produces: &[String]) {
    let Some(fields) = value.as_object_mut() else {
        return;
    };
    if fields.contains_key("$ref") {
        return;
    }
    if let Some(Value::Object(headers)) = fields.get_mut("headers") {
        for header in headers.values_mut() {
            if let Some(fields) = header.as_object_mut() {
                let schema = schema_out_of(fields);
                if !schema.is_empty() {
                    fields.insert("schema".to_owned(), schema.into());
                }
            }
        }
    }
    let schema = fields.remove("schema");
    let examples = take_mapping(fields, "examples");
    let mut content: Map<String, Value> = Map::new();
    let usual = json_type();
    let types = match (&schema, produces) {
        (Some(_), []) => &usual,
        (_, produces) => produces,
    };
    for kind in types {
        let media = schema
            .as_ref()
            .map_or_else(|| json!({}), |schema| json!({ "schema": schema }));
        content.insert(kind.clone(), media);
    }
    for (kind, example) in examples.into_iter().flatten() {
        let media = content.entry(kind).or_insert_with(|| json!({}));
        media["example"] = example;
    }
    insert_filled(fields, "content", content);
}

fn moved(text: &str, bodies: &[String]) -> Option<String> {
    const MOVES: &[(&str, &str)] = &[
        ("#/definitions/", "#/components/schemas/"),
        ("#/parameters/", "#/components/parameters/"),
        ("#/responses/", "#/components/responses/"),
        ("#/securityDefinitions/", "#/components/securitySchemes/"),
    ];
    let (from, to) = MOVES.iter().find(|(from, _)| text.starts_with(from))?;
    let rest = &text[from.len()..];
    let is_body = *from == "#/parameters/" && bodies.iter().any(|body| body == rest);
    let to = if is_body {
        "#/components/requestBodies/"
    } else {
        to
    };
    Some(format!("{to}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_converted() {
        let swagger = json!({
            "swagger": "2.0", "info": {"title": "t"}, "host": "a.test", "basePath": "/v1", "schemes": ["https"],
            "consumes": ["application/json"], "produces": ["application/json"],
            "definitions": {"Pet": {"properties": {"next": {"$ref": "#/definitions/Pet"}}}},
            "parameters": {
                "Limit": {"name": "limit", "in": "query", "type": "integer", "maximum": 9},
                "Body": {"name": "pet", "in": "body", "required": true, "schema": {"$ref": "#/definitions/Pet"}},
            },
            "securityDefinitions": {"b": {"type": "basic"},
                "o": {"type": "oauth2", "flow": "accessCode", "authorizationUrl": "u", "tokenUrl": "t", "scopes": {}}},
            "paths": {"/pets": {"post": {
                "parameters": [{"$ref": "#/parameters/Limit"}, {"$ref": "#/parameters/Body"}],
                "responses": {"200": {"description": "d", "schema": {"$ref": "#/definitions/Pet"},
                    "headers": {"X": {"type": "string"}}}},
            }}},
        });
        let expected = json!({
            "openapi": "3.0.1", "info": {"title": "t"}, "servers": [{"url": "https://a.test/v1"}],
            "components": {
                "schemas": {"Pet": {"properties": {"next": {"$ref": "#/components/schemas/Pet"}}}},
                "parameters": {"Limit": {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 9}}},
                "requestBodies": {"Body": {"x-sluice-body-name": "pet", "required": true,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}}},
                "securitySchemes": {"b": {"type": "http", "scheme": "basic"},
                    "o": {"type": "oauth2", "flows": {"authorizationCode":
                        {"authorizationUrl": "u", "tokenUrl": "t", "scopes": {}}}}},
            },
            "paths": {"/pets": {"post": {
                "parameters": [{"$ref": "#/components/parameters/Limit"}],
                "requestBody": {"$ref": "#/components/requestBodies/Body"},
                "responses": {"200": {"description": "d",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}},
                    "headers": {"X": {"schema": {"type": "string"}}}}},
            }}},
        });
        assert_eq!(upgrade(&swagger), expected);
    }

    #[test]
    fn what_is_of_another_type_stays() {
        for odd in [
            json!([1]),
            json!({"swagger": "2.0", "host": 5, "basePath": [], "schemes": {}, "consumes": 1}),
            json!({"paths": {"/a": {"get": {"parameters": {}, "responses": [], "consumes": {}}}}}),
            json!({"paths": {"/a": {"parameters": [1, {"in": "body"}], "get": {"parameters": [null]}}}}),
            json!({"definitions": 1, "parameters": {"a": 1}, "responses": {"a": 1}, "securityDefinitions": {"a": 1}}),
        ] {
            upgrade(&odd);
        }
    }
}
