//! An API that is an OpenAPI document: served, deployed, exported.

use crate::support::{Client, DRIVERS, Gateway, Origin, Reply, get, program};
use serde_json::{Value, json};
use std::fs;

/// A document as Amazon API Gateway exports it: two routes to an origin, a preflight by a mock, a
/// route behind an authorizer.
fn document(origin: &str) -> Value {
    let to = |path: &str| {
        json!({
            "type": "http_proxy", "httpMethod": "ANY", "uri": format!("{origin}{path}"),
            "requestParameters": { "integration.request.path.id": "method.request.path.id" },
            "passthroughBehavior": "when_no_match",
        })
    };
    let responses = json!({ "200": { "description": "ok" } });
    let id =
        json!([{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }]);
    json!({
        "openapi": "3.0.1",
        "info": { "title": "orders", "version": "2026-01-01T00:00:00Z" },
        "paths": {
            "/orders/{id}": {
                "get": { "parameters": id, "responses": responses,
                    "x-amazon-apigateway-integration": to("/v1/orders/{id}") },
                "options": { "responses": responses, "x-amazon-apigateway-integration": {
                    "type": "mock", "requestTemplates": { "application/json": "{\"statusCode\": 200}" },
                    "responses": { "default": { "statusCode": "200", "responseParameters": {
                        "method.response.header.Access-Control-Allow-Origin": "'*'" } } } } },
            },
            "/secret/{id}": {
                "get": { "parameters": id, "responses": responses, "security": [{ "who": [] }],
                    "x-amazon-apigateway-integration": to("/secret/{id}") },
            },
        },
        "components": { "securitySchemes": { "who": {
            "type": "apiKey", "name": "Authorization", "in": "header",
            "x-amazon-apigateway-authtype": "custom",
            "x-amazon-apigateway-authorizer": { "type": "token", "authorizerUri": "arn:aws:lambda:x" },
        } } },
    })
}

fn config(options: &str) -> String {
    format!(
        "workers: 2
listeners: [{{ address: 127.0.0.1:0 }}]
apis:
  shop:
    openapi: {options}
    stages: {{ prod: {{}} }}
"
    )
}

#[test]
fn a_document_is_served_and_what_is_not_served_is_refused() {
    for driver in DRIVERS {
        let origin = Origin::start(|head| {
            let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
            Reply::with(200, &target)
        });
        let gateway = Gateway::start(
            driver,
            &config("shop.json").replace(
                "openapi: shop.json",
                "routes: { GET /: { integration: { type: mock } } }",
            ),
        );
        let at = format!("http://{}", origin.address);
        fs::write(gateway.folder.join("shop.json"), document(&at).to_string()).unwrap();
        gateway.configure(&config("shop.json"));
        assert_eq!(gateway.reload().0, 200);
        gateway.has_said("authorizers");
        let address = gateway.address(0);
        assert_eq!(
            get(address, "/orders/7?x=1").unwrap().body,
            "/v1/orders/7?x=1"
        );
        assert_eq!(get(address, "/secret/7").unwrap().status, 501);
        let mut client = Client::connect(address).unwrap();
        let preflight = client.ask("OPTIONS", "/orders/7").unwrap();
        assert_eq!(preflight.status, 200);
        assert_eq!(preflight.field("access-control-allow-origin"), Some("*"));
        // Frozen whole: the document may change, or go.
        let (status, page) = gateway
            .order("/apis/shop/stages/prod/deploy", &json!({}))
            .unwrap();
        assert_eq!(status, 200, "{page}");
        fs::remove_file(gateway.folder.join("shop.json")).unwrap();
        let (status, message) = gateway.reload();
        assert_eq!(status, 422);
        assert!(
            message.contains("sluice.yaml:5:14: apis.shop.openapi: cannot read "),
            "{message}"
        );
        assert_eq!(get(address, "/orders/8").unwrap().body, "/v1/orders/8");
    }
}

#[test]
fn a_document_runs_elsewhere_by_its_origins_and_comes_out_as_it_went_in() {
    let origin = Origin::start(|_| Reply::with(200, "here"));
    let upstream = format!(
        "upstreams: {{ here: {{ endpoints: ['{}'] }} }}\n",
        origin.address
    );
    let options = "{ file: shop.json, origins: { 'https://orders.example.com': here } }";
    let text = upstream.clone() + &config(options);
    let gateway = Gateway::start(
        "auto",
        &(upstream
            + &config("x").replace(
                "openapi: x",
                "routes: { GET /: { integration: { type: mock } } }",
            )),
    );
    let whole = document("https://orders.example.com").to_string();
    fs::write(gateway.folder.join("shop.json"), &whole).unwrap();
    gateway.configure(&text);
    let (status, message) = gateway.reload();
    assert_eq!(status, 200, "{message}");
    assert_eq!(get(gateway.address(0), "/orders/1").unwrap().body, "here");
    let export = |words: &[&str]| {
        let output = program(&gateway.folder, words)
            .args(["--config", "sluice.yaml"])
            .stdout(std::process::Stdio::piped())
            .output()
            .unwrap();
        assert!(output.status.success(), "{words:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for version in ["--oas30", "--swagger"] {
        let out = export(&["export", "shop", version]);
        fs::write(gateway.folder.join("again.json"), &out).unwrap();
        gateway.configure(&text.replace("shop.json", "again.json"));
        let (status, message) = gateway.reload();
        assert_eq!(status, 200, "{version}: {message}");
        let again = export(&["export", "shop", version]);
        assert_eq!(out, again, "{version}");
        assert_eq!(get(gateway.address(0), "/secret/1").unwrap().status, 501);
    }
}
