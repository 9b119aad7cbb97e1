//! What holds of every document and every definition: no panic, nothing lost on the way there and
//! back.

use super::{
    tests::{documents, imported, options, source},
    *,
};
use crate::model::definition::{Integration, KeySource, Per, Throttle};
use proptest::{collection, option, prelude::*, sample::select};

#[test]
fn every_document_comes_back() {
    for folder in ["tests/data/openapi/valid", "tests/data/amazon/openapi"] {
        for path in documents(folder) {
            let made = import(&source(&path), &options()).unwrap().definition;
            for version in [Version::Oas30, Version::Swagger20] {
                let written = export(&made, &About::default(), version).to_string();
                for options in [options(), ImportOptions::default()] {
                    let again = imported(&written, &options).definition;
                    let (again, made) = (show(&again), show(&made));
                    assert_eq!(again, made, "{} {version:?}", path.display());
                }
            }
        }
    }
}

fn show(definition: &Definition) -> String {
    serde_json::to_string_pretty(definition).unwrap()
}

#[track_caller]
fn comes_back(made: &Definition) {
    for version in [Version::Oas30, Version::Swagger20] {
        let written = export(made, &About::default(), version).to_string();
        let again = imported(&written, &ImportOptions::default()).definition;
        assert_eq!(show(&again), show(made), "{version:?} by {written}");
    }
}

fn key() -> impl Strategy<Value = String> {
    let method = select(vec![
        "ANY", "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE",
    ]);
    let path = select(vec![
        "/",
        "/a",
        "/a/{id}",
        "/a/{id}/b",
        "/b/{rest+}",
        "/$default",
        "/a~1%20b",
        "/x/",
    ]);
    prop_oneof![
        1 => Just("$default".to_owned()),
        9 => (method, path).prop_map(|(method, path)| format!("{method} {path}")),
    ]
}

fn integration() -> impl Strategy<Value = Integration> {
    let upstream = select(vec![
        "users",
        "http://a.test:80",
        "http://${stageVariables.host}",
        "${stageVariables.origin}",
    ]);
    let path = option::of(select(vec!["/", "/v1/{id}", "/${stageVariables.v}/x"]));
    let headers = select(vec![
        vec![],
        vec![("content-type", "text/html"), ("x-a", "it's \"$x\"")],
    ]);
    let body = select(vec!["", "{\"a\": 1}", "#set($x)", "ä\n"]);
    prop_oneof![
        (upstream, path).prop_map(|(upstream, path)| Integration::Http {
            upstream: upstream.to_owned(),
            path: path.map(str::to_owned),
        }),
        (200_u16..=599, body, headers).prop_map(|(status, body, headers)| Integration::Mock {
            status,
            body: body.to_owned(),
            headers: headers
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }),
        Just(Integration::Unset),
        Just(Integration::Lambda {
            function: "f".to_owned(),
            payload: "2.0".to_owned(),
            endpoint: Some("http://127.0.0.1:9001".to_owned()),
        }),
        Just(Integration::Aws {
            action: "SQS-SendMessage".to_owned(),
            endpoint: None
        }),
    ]
}

fn limit() -> impl Strategy<Value = Limit> {
    prop_oneof![
        Just(Limit::Default),
        Just(Limit::Unlimited),
        (0..100_000_u64).prop_map(Limit::Of)
    ]
}

fn throttles() -> impl Strategy<Value = Throttles> {
    let per = prop_oneof![
        Just(None),
        Just(Some(Per::ApiKey)),
        (1..=128_u8).prop_map(|ipv6_prefix| Some(Per::Address { ipv6_prefix })),
        "[a-z]{1,9}".prop_map(|name| Some(Per::Query(name))),
    ];
    let one = (1..1000_u32, 1..1000_u32, per).prop_map(|(rate, burst, per)| Throttle {
        per,
        ..Throttle::shared(f64::from(rate) / 8.0, burst)
    });
    collection::vec(one, 0..3).prop_map(Throttles)
}

fn concurrency() -> impl Strategy<Value = Option<NonZeroU32>> {
    (0..1000_u32).prop_map(NonZeroU32::new)
}

fn allow_paths() -> impl Strategy<Value = AllowPaths> {
    any::<(bool, bool, bool, bool)>().prop_map(
        |(encoded_slash, backslash, dot_segments, empty_segments)| AllowPaths {
            encoded_slash,
            backslash,
            dot_segments,
            empty_segments,
        },
    )
}

fn native_route() -> impl Strategy<Value = Route> {
    (
        integration(),
        throttles(),
        concurrency(),
        allow_paths(),
        limit(),
        limit(),
        any::<bool>(),
    )
        .prop_map(|made| {
            let (integration, throttle, concurrency, allow_paths, body, timeout, key) = made;
            Route {
                integration,
                api_key_required: key,
                throttle,
                concurrency,
                allow_paths,
                body_bytes: body,
                timeout_ms: timeout,
                missing: Vec::new(),
                operation: None,
            }
        })
}

fn native() -> impl Strategy<Value = Definition> {
    (
        select(vec!["", "An API."]),
        select(vec![Compat::None, Compat::HttpApi, Compat::RestApi]),
        select(vec![MethodMiss::NotFound, MethodMiss::NotAllowed]),
        select(vec![
            KeySource::default(),
            KeySource::Header("x-key".to_owned()),
            KeySource::Query("key".to_owned()),
        ]),
        collection::btree_map(key(), native_route(), 0..6),
    )
        .prop_map(
            |(description, compat, method_miss, api_key, routes)| Definition {
                api_key,
                description: description.to_owned(),
                compat,
                method_miss,
                routes,
                openapi: None,
            },
        )
}

/// Keys of documents.
const WORDS: &[&str] = &[
    "type",
    "uri",
    "httpMethod",
    "responses",
    "default",
    "statusCode",
    "requestTemplates",
    "application/json",
    "responseTemplates",
    "responseParameters",
    "requestParameters",
    "parameters",
    "$ref",
    "in",
    "name",
    "schema",
    "content",
    "security",
    "requestBody",
    "description",
    "consumes",
    "produces",
    "timeoutInMillis",
    "servers",
    "x-amazon-apigateway-integration",
    "x-amazon-apigateway-auth",
    "x-amazon-apigateway-request-validator",
    "integration.request.path.id",
    "method.response.header.X",
    "isDefaultRoute",
    "required",
    "examples",
    "headers",
    "connectionType",
    "payloadFormatVersion",
    "items",
    "example",
    "x-a",
    "200",
    "4..",
    "get",
    "/a",
];
/// Texts of documents.
const TEXTS: &[&str] = &[
    "http",
    "http_proxy",
    "mock",
    "aws_proxy",
    "http://a.test/{id}",
    "https://a.test",
    "{\"statusCode\": 200}",
    "200",
    "'x'",
    "method.request.path.id",
    "#/components/schemas/A",
    "#/paths/~1a",
    "other.json",
    "query",
    "path",
    "body",
    "formData",
    "file",
    "string",
    "GET",
    "",
    "AWS_IAM",
    "arn:aws:lambda:x:1:function:f",
    "VPC_LINK",
    "{",
];

/// Any JSON made of the words of documents.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => select(TEXTS).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => (-1..600_i64).prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            4 => collection::btree_map(select(WORDS).prop_map(str::to_owned), inner.clone(), 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
            1 => collection::vec(inner, 0..3).prop_map(Value::from),
        ]
    })
}

fn mapping(keys: &'static [&'static str], most: usize) -> impl Strategy<Value = Value> {
    collection::btree_map(select(keys).prop_map(str::to_owned), json(), 0..most)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

/// A document whose operations are mappings and whose paths are paths.
fn document() -> impl Strategy<Value = Value> {
    const OF_OPERATION: &[&str] = &[
        "x-amazon-apigateway-integration",
        "security",
        "parameters",
        "requestBody",
        "responses",
        "isDefaultRoute",
        "x-amazon-apigateway-auth",
        "consumes",
        "produces",
        "x-a",
    ];
    const OF_ROOT: &[&str] = &[
        "info",
        "servers",
        "components",
        "definitions",
        "securityDefinitions",
        "security",
        "tags",
        "parameters",
        "responses",
        "host",
        "basePath",
        "schemes",
        "consumes",
        "produces",
        "webhooks",
        "x-a",
        "x-amazon-apigateway-policy",
        "x-amazon-apigateway-cors",
        "x-amazon-apigateway-request-validators",
        "x-amazon-apigateway-request-validator",
    ];
    let method = select(vec![
        "get",
        "post",
        "x-amazon-apigateway-any-method",
        "parameters",
        "summary",
    ]);
    let item = collection::btree_map(
        method.prop_map(str::to_owned),
        mapping(OF_OPERATION, 5),
        0..3,
    );
    let path = select(vec!["/a", "/a/{id}", "/b/{rest+}", "/$default", "/"]);
    let paths = collection::btree_map(path.prop_map(str::to_owned), item, 0..4);
    let version = select(vec![
        ("swagger", "2.0"),
        ("openapi", "3.0.1"),
        ("openapi", "3.1.0"),
    ]);
    (version, mapping(OF_ROOT, 6), paths).prop_map(|((key, version), mut root, paths)| {
        root[key] = version.into();
        root["paths"] = serde_json::to_value(paths).unwrap();
        root
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 300 } else { 3000 }))]

    #[test]
    fn a_definition_without_a_document_comes_back(made in native()) {
        comes_back(&made);
    }

    #[test]
    fn a_definition_with_a_document_comes_back(
        document in document(),
        throttle in throttles(),
        concurrency in concurrency(),
        limit in limit(),
    ) {
        let source = Source::new("f", &document.to_string());
        if let Ok(made) = import(&source, &options()) {
            let mut definition = made.definition;
            let written = export(&definition, &About::default(), Version::Oas30).to_string();
            prop_assert_eq!(show(&imported(&written, &options()).definition), show(&definition));
            // And with settings of its own.
            if let Some(route) = definition.routes.values_mut().next() {
                route.throttle = throttle;
                route.concurrency = concurrency;
                route.timeout_ms = limit;
            }
            let written = export(&definition, &About::default(), Version::Oas30).to_string();
            prop_assert_eq!(show(&imported(&written, &options()).definition), show(&definition));
            let mut refreshed = definition.clone();
            refresh(&mut refreshed);
            prop_assert_eq!(refreshed, definition);
        }
    }

    #[test]
    fn nothing_that_is_written_makes_it_panic(value in json(), cut in 0..200_usize) {
        let text = value.to_string();
        let cut = text.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(text.len());
        for text in [&text[..], &text[..cut]] {
            if let Err(mistakes) = import(&Source::new("f", text), &options()) {
                let _ = mistakes.to_string();
            }
        }
        let _ = downgrade::downgrade(upgrade::upgrade(&value));
    }
}
