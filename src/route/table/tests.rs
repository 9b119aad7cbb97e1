//! Tests of the route table: Amazon's cases, the rule's corners, and the naive matcher.

use super::*;
use crate::route::naive;
use crate::route::template::{KeyMethod, RouteKey};
use proptest::prelude::*;
use serde_json::Value;

use Precedence::{FullMatchFirst, LeftToRight};

#[track_caller]
fn table(precedence: Precedence, keys: &[&str]) -> Table<String> {
    let mut builder = TableBuilder::new(precedence);
    for key in keys {
        builder
            .insert(&RouteKey::parse(key).unwrap(), (*key).to_owned())
            .unwrap();
    }
    builder.build().unwrap()
}

/// `METHOD /path` to the route's key and its parameters' values, or "none".
fn ask(table: &Table<String>, request: &str) -> String {
    let (method, path) = request.split_once(' ').unwrap();
    let mut params = Params::new();
    let token = method.as_bytes();
    let route = table.find(
        Method::from_token(token),
        token,
        path.as_bytes(),
        &mut params,
    );
    let mut text = route.cloned().unwrap_or_else(|| "none".to_owned());
    for index in 0..params.len() {
        text += " | ";
        text += std::str::from_utf8(params.value(index, path.as_bytes())).unwrap();
    }
    text
}

#[track_caller]
fn check(precedence: Precedence, keys: &[&str], rows: &[(&str, &str)]) {
    let table = table(precedence, keys);
    for (request, expected) in rows {
        assert_eq!(ask(&table, request), *expected, "{request} among {keys:?}");
    }
}

fn vectors(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn amazon_http_api_route_selection() {
    let file = vectors(include_str!(
        "../../../tests/data/amazon/http_api_route_selection.json"
    ));
    let keys: Vec<&str> = file["routes"]
        .as_array()
        .unwrap()
        .iter()
        .map(text)
        .collect();
    let table = table(FullMatchFirst, &keys);
    for case in file["cases"].as_array().unwrap() {
        let found = ask(&table, text(&case["request"]));
        assert_eq!(
            found.split(" | ").next(),
            case["selected"].as_str(),
            "{case}"
        );
    }
    assert_eq!(ask(&table, "POST /"), "$default");
}

#[test]
fn amazon_rest_api_route_selection() {
    let file = vectors(include_str!(
        "../../../tests/data/amazon/rest_api_route_selection.json"
    ));
    for api in file["apis"].as_array().unwrap() {
        let mut keys = Vec::new();
        for (path, methods) in api["resources"].as_object().unwrap() {
            keys.extend(
                methods
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|m| format!("{} {path}", text(m))),
            );
        }
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let table = table(LeftToRight, &keys);
        for case in api["cases"].as_array().unwrap() {
            // The stage, the first segment, is the host table's to take off.
            let request = text(&case["request"]).replacen(" /dev/", " /", 1);
            let found = ask(&table, &request);
            let expected = case["selected"].as_str().unwrap_or("none");
            assert_eq!(found.split(" | ").next(), Some(expected), "{case}");
        }
    }
}

#[test]
fn recorded_slashes_of_rest_apis() {
    check(
        LeftToRight,
        &["ANY /{proxy+}", "GET /hardcoded"],
        &[
            ("GET /proxy-value", "ANY /{proxy+} | proxy-value"),
            ("GET /proxy-value/", "ANY /{proxy+} | proxy-value"),
            (
                "GET /proxy-value//double-slash",
                "ANY /{proxy+} | proxy-value//double-slash",
            ),
            ("GET //proxy-value", "ANY /{proxy+} | proxy-value"),
            ("GET //hardcoded", "GET /hardcoded"),
            ("GET /hardcoded/", "GET /hardcoded"),
            (
                "GET /a%2Balias@b/plus/a+b",
                "ANY /{proxy+} | a%2Balias@b/plus/a+b",
            ),
            ("GET /", "none"),
            ("GET //", "none"),
        ],
    );
}

#[test]
fn the_rule_in_rows() {
    // The only difference between the two: a full match before the greedy one, or from the left.
    let keys = ["GET /a/{p+}", "GET /{x}/b"];
    check(
        FullMatchFirst,
        &keys,
        &[
            ("GET /a/b", "GET /{x}/b | a"),
            ("GET /a/c", "GET /a/{p+} | c"),
        ],
    );
    check(
        LeftToRight,
        &keys,
        &[
            ("GET /a/b", "GET /a/{p+} | b"),
            ("GET /c/b", "GET /{x}/b | c"),
        ],
    );

    for precedence in [FullMatchFirst, LeftToRight] {
        check(
            precedence,
            &["ANY /a", "GET /a", "PURGE /a", "$default", "POST /{x}"],
            &[
                ("GET /a", "GET /a"),
                ("PURGE /a", "PURGE /a"),
                ("purge /a", "ANY /a"),
                ("HEAD /a", "ANY /a"),
                ("POST /a", "ANY /a"),
                ("POST /b", "POST /{x} | b"),
                ("PURGE /b", "$default"),
                ("GET /b", "$default"),
                ("GET *", "none"),
            ],
        );
        // A method miss falls back to what is less specific, through every level.
        check(
            precedence,
            &["POST /a/b", "PUT /a/{x}", "GET /{x}/b", "ANY /{p+}"],
            &[
                ("POST /a/b", "POST /a/b"),
                ("PUT /a/b", "PUT /a/{x} | b"),
                ("GET /a/b", "GET /{x}/b | a"),
                ("DELETE /a/b", "ANY /{p+} | a/b"),
                ("GET /a/b/c", "ANY /{p+} | a/b/c"),
            ],
        );
        check(
            precedence,
            &["GET /{x}", "GET /{x+}", "GET /{x}/{y}", "GET /{x}/c/{z+}"],
            &[
                ("GET /a", "GET /{x} | a"),
                ("GET /a/b", "GET /{x}/{y} | a | b"),
                ("GET /a/b/c", "GET /{x+} | a/b/c"),
                ("GET /a/c/d/e", "GET /{x}/c/{z+} | a | d/e"),
                ("HEAD /a", "none"),
            ],
        );
    }
    check(
        FullMatchFirst,
        &["GET /a/", "GET /b", "GET /c/{x}", "GET /d/{p+}"],
        &[
            ("GET /a", "none"),
            ("GET /a/", "GET /a/"),
            ("GET /b/", "none"),
            ("GET /c/", "none"),
            ("GET /d/", "none"),
            ("GET /d/x/", "GET /d/{p+} | x/"),
            ("GET /", "none"),
        ],
    );
}

#[test]
fn long_and_deep() {
    let long = format!("GET /{}/x", "l".repeat(100));
    let deep = format!("GET {}", "/{a}/b".to_owned() + &"/c".repeat(62));
    let deep_request = format!("GET /1/b{}", "/c".repeat(62));
    let table = table(FullMatchFirst, &[&long, &deep, "GET /z/{p+}"]);
    assert_eq!(ask(&table, &long), long);
    assert_eq!(ask(&table, &deep_request), format!("{deep} | 1"));
    assert_eq!(ask(&table, &format!("{deep_request}/c")), "none");
    assert_eq!(ask(&table, &format!("{deep_request}/")), "none");
    let edge = format!("GET /z/{}", "y".repeat(usize::from(u16::MAX) - 4));
    assert_eq!(
        ask(&table, &edge).len(),
        "GET /z/{p+} | ".len() + edge.len() - "GET /z/".len()
    );
    assert_eq!(ask(&table, &format!("{edge}y")), "none");
    let tail = "/y".repeat(30_000);
    assert_eq!(
        ask(&table, &format!("GET /z{tail}")),
        format!("GET /z/{{p+}} | {}", &tail[1..])
    );
    assert_eq!(
        ask(&table, &format!("GET /z{}", "/y".repeat(40_000))),
        "none"
    );
}

#[test]
fn conflicts_name_the_earlier_route() {
    #[track_caller]
    fn check(precedence: Precedence, first: &str, second: &str, conflict: bool) {
        let mut builder = TableBuilder::new(precedence);
        builder.insert(&RouteKey::parse(first).unwrap(), 1).unwrap();
        let expected = if conflict {
            Err(Conflict {
                existing: first.to_owned(),
            })
        } else {
            Ok(())
        };
        assert_eq!(
            builder.insert(&RouteKey::parse(second).unwrap(), 2),
            expected
        );
    }
    check(FullMatchFirst, "GET /a", "GET /a", true);
    check(FullMatchFirst, "GET /a/{x}", "GET /a/{y}", true);
    check(FullMatchFirst, "GET /a/{x+}", "GET /a/{y+}", true);
    check(FullMatchFirst, "GET /~", "GET /%7E", true);
    check(FullMatchFirst, "PURGE /a", "PURGE /a", true);
    check(FullMatchFirst, "$default", "$default", true);
    check(LeftToRight, "GET /a", "GET /a/", true);
    check(FullMatchFirst, "GET /a", "GET /a/", false);
    check(LeftToRight, "GET /a/{x}", "GET /a/{x+}", false);
    check(LeftToRight, "GET /a/{x}", "POST /a/{y}", false);
    check(LeftToRight, "GET /a/{x}/b", "GET /a/{y}/c", false);
    check(LeftToRight, "GET /a", "ANY /a", false);
    check(LeftToRight, "PURGE /a", "BAN /a", false);
}

#[test]
fn methods_of_a_path() {
    #[track_caller]
    fn check(table: &Table<String>, path: &str, expected: &str) {
        let mut out = Vec::new();
        let methods = table.methods(path.as_bytes());
        methods.write(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{path}");
        assert_eq!(methods.is_empty(), expected.is_empty());
    }
    let table = table(
        FullMatchFirst,
        &[
            "GET /a",
            "PURGE /a",
            "BAN /a",
            "POST /{x}",
            "PUT /b/{p+}",
            "ANY /any",
        ],
    );
    check(&table, "/a", "GET, POST, BAN, PURGE");
    check(&table, "/c", "POST");
    check(&table, "/b/c/d", "PUT");
    check(&table, "/x/y", "");
    check(
        &table,
        "/any",
        "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, TRACE, BAN, PURGE",
    );
}

#[test]
fn hostile_routes_are_refused_and_hostile_paths_are_bounded() {
    // Every combination of literal and parameter at `depth` places: the tree's worst shape.
    let tangle = |depth: u32| {
        let mut builder = TableBuilder::new(FullMatchFirst);
        for shape in 0..1_u32 << depth {
            let segment = |at| {
                if shape >> at & 1 == 0 {
                    "/a".to_owned()
                } else {
                    format!("/{{p{at}}}")
                }
            };
            let path: String = (0..depth).map(segment).collect();
            builder
                .insert(&RouteKey::parse(&format!("GET {path}/end")).unwrap(), shape)
                .unwrap();
        }
        builder
    };
    let table = tangle(10).build().unwrap();
    let mut params = Params::new();
    let path = format!("{}/miss", "/a".repeat(10));
    assert_eq!(
        table.find(Method::Get, b"GET", path.as_bytes(), &mut params),
        None
    );
    let path = format!("{}/x/end", "/a".repeat(9));
    assert_eq!(
        table.find(Method::Get, b"GET", path.as_bytes(), &mut params),
        Some(&(1 << 9))
    );
    assert_eq!(
        tangle(12).build().err(),
        Some(Tangled {
            visited: (1 << 13) - 1 + (1 << 12)
        })
    );
}

#[test]
fn places_move_to_the_kept_path() {
    #[track_caller]
    fn check(key: &str, raw: &str, expected: &[&str]) {
        let mut scratch = Vec::new();
        let path = crate::route::normalise(raw.as_bytes(), &mut scratch).unwrap();
        let table = table(FullMatchFirst, &[key]);
        let mut params = Params::new();
        table
            .find(Method::Get, b"GET", path.merged(), &mut params)
            .unwrap();
        params.move_to_kept(path.merged(), path.kept());
        let values = (0..params.len()).map(|index| params.value(index, path.kept()));
        assert_eq!(
            values.collect::<Vec<_>>(),
            expected.iter().map(|v| v.as_bytes()).collect::<Vec<_>>()
        );
    }
    check(
        "GET /{a}/{b}/{c+}",
        "//aa//b///c//d/",
        &["aa", "b", "c//d/"],
    );
    check("GET /{a}/{b}/{c+}", "/aa/b/c/d", &["aa", "b", "c/d"]);
    check("GET /x/{c+}", "///x/c//", &["c/"]);
}

/// A template over so few words that templates and paths meet often.
fn templates() -> impl Strategy<Value = String> {
    let segment = prop_oneof![Just("a"), Just("b"), Just("{}"), Just("{}"), Just("ab")];
    let last = prop_oneof![3 => Just(""), 2 => Just("/{rest+}"), 1 => Just("/")];
    (proptest::collection::vec(segment, 0..4), last).prop_map(|(segments, last)| {
        let mut text = String::new();
        for (index, segment) in segments.iter().enumerate() {
            text.push('/');
            text.push_str(&segment.replace("{}", &format!("{{p{index}}}")));
        }
        text.push_str(last);
        if text.is_empty() {
            "/".to_owned()
        } else {
            text
        }
    })
}

fn keys() -> impl Strategy<Value = Vec<String>> {
    let method = prop_oneof![
        Just("GET"),
        Just("POST"),
        Just("ANY"),
        Just("PURGE"),
        Just("BAN")
    ];
    let key = prop_oneof![
        30 => (method, templates()).prop_map(|(method, path)| format!("{method} {path}")),
        1 => Just("$default".to_owned()),
    ];
    proptest::collection::vec(key, 0..14)
}

fn paths() -> impl Strategy<Value = String> {
    let segment =
        prop_oneof![4 => Just("a"), 4 => Just("b"), 2 => Just("ab"), 1 => Just("c"), 1 => Just("")];
    proptest::collection::vec(segment, 1..6).prop_map(|segments| format!("/{}", segments.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_naive_matcher_agrees(
        keys in keys(),
        paths in proptest::collection::vec(paths(), 1..12),
        left_to_right in any::<bool>(),
    ) {
        let precedence = if left_to_right { LeftToRight } else { FullMatchFirst };
        let mut builder = TableBuilder::new(precedence);
        let mut routes = Vec::new();
        for key in &keys {
            let key = RouteKey::parse(key).unwrap();
            if builder.insert(&key, routes.len()).is_ok() {
                routes.push(key);
            }
        }
        let table = builder.build().unwrap();
        prop_assert_eq!(table.len(), routes.len());
        for path in &paths {
            for method in ["GET", "POST", "HEAD", "PURGE", "purge", "BAN", "X"] {
                let mut params = Params::new();
                let token = method.as_bytes();
                let found = table.find(Method::from_token(token), token, path.as_bytes(), &mut params);
                let found = found.map(|&route| (route, params.iter().collect::<Vec<_>>()));
                let expected = naive::find(&routes, precedence, method, path);
                prop_assert_eq!(found, expected, "{} {} among {:?}", method, path, keys);
            }
        }
    }

    /// Without greedy routes and with one method, matchit's rule is ours.
    #[test]
    fn matchit_agrees(keys in keys(), paths in proptest::collection::vec(paths(), 1..12)) {
        let mut builder = TableBuilder::new(FullMatchFirst);
        let mut oracle = matchit::Router::new();
        for (index, key) in keys.iter().enumerate() {
            let key = RouteKey::parse(&key.replacen("ANY", "GET", 1)).unwrap();
            let RouteKey::Path { method: KeyMethod::Known(Method::Get), template } = &key else { continue };
            if !template.is_greedy() {
                let inserted = builder.insert(&key, index).is_ok();
                prop_assert_eq!(oracle.insert(template.to_string(), index).is_ok(), inserted);
            }
        }
        let table = builder.build().unwrap();
        for path in &paths {
            let mut params = Params::new();
            let found = table.find(Method::Get, b"GET", path.as_bytes(), &mut params);
            let expected = oracle.at(path).ok().map(|hit| *hit.value);
            prop_assert_eq!(found.copied(), expected, "{}", path);
        }
    }
}
