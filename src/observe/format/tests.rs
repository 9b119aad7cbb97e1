//! Formats, and the lines that they make.

use super::*;
use crate::error::Error;
use proptest::prelude::*;
use std::time::Duration;

fn line(format: &Format, record: &Record<'_>) -> Vec<u8> {
    let mut block = Block::default();
    format.write(&mut block, record, &mut TimeText::new());
    let mut out = block.lines().to_vec();
    assert_eq!(out.pop(), Some(b'\n'));
    assert_eq!(memchr::memchr2(b'\n', b'\r', &out), None);
    out
}

#[track_caller]
fn check(format: &str, record: &Record<'_>, expected: &str) {
    let format = Format::parse(format).expect("a good format");
    let line = line(&format, record);
    assert_eq!(String::from_utf8(line).unwrap(), expected);
}

#[test]
fn the_default_line() {
    check(
        JSON,
        &Record::example(),
        concat!(
            r#"{"time":"2026-09-21T14:13:20.123Z","request_id":"9b6c0f5e-0000-4000-8000-00000000002a","#,
            r#""source_ip":"192.0.2.7","method":"GET","host":"api.example.com:8080","#,
            r#""path":"/orders/42","query":"expand=items","protocol":"HTTP/1.1","status":200,"#,
            r#""latency":0.001234,"integration_latency":0.000987,"integration_status":200,"#,
            r#""request_bytes":10,"response_bytes":180,"api":"orders","stage":"prod","#,
            r#""route":"GET /orders/{id}","upstream":"users","endpoint":"127.0.0.1:9001","#,
            r#""attempts":1,"error":null,"user_agent":"curl/8.5.0","referer":null,"generation":3}"#,
        ),
    );
}

#[test]
#[rustfmt::skip]
fn variables() {
    let record = Record::example();
    check("$context.identity.sourceIp - - [$context.requestTime] \"$context.httpMethod $context.resourcePath $context.protocol\" $context.status $context.responseLength $context.requestId",
          &record, "192.0.2.7 - - [21/Sep/2026:14:13:20 +0000] \"GET /orders/{id} HTTP/1.1\" 200 13 9b6c0f5e-0000-4000-8000-00000000002a");
    check("$context.apiId/$context.stage $context.routeKey", &record, "orders/prod GET /orders/{id}");
    check("$context.domainName $context.domainPrefix",      &record, "api.example.com api");
    check("$context.customDomain.basePathMatched $context.customDomain.routingRuleIdMatched", &record, "shop/v1 -");
    let ruled = Record { routing_rule: "beta", base_path: "", ..record.clone() };
    check("$context.customDomain.basePathMatched $context.customDomain.routingRuleIdMatched", &ruled, "- beta");
    check("$context.requestTimeEpoch $context.responseLatency $context.integrationLatency", &record, "1790000000123 1 0");
    check("$context.dataProcessed",                         &record, "190");
    check("$context.accountId,$context.xrayTraceId",        &record, "-,-");
    check("$context.authorizer.claims.email",               &record, "-");
    check("$context.requestOverride.header.X-Foo-Bar|",     &record, "-|");
    check("$context.stage-$context.path.",                  &record, "prod-/orders/42.");
    check("cost $5 $ $$context.status",                     &record, "cost $5 $ $200");
    check("plain",                                          &record, "plain");
    check("a\n  $context.status\n",                         &record, "a   200");
    check("$context.error.responseType $context.error.message $context.integrationErrorMessage", &record, "- - -");
    let failed = Record { error: Some(Error::UpstreamTimeout), ..record.clone() };
    check("$context.error.responseType $context.error.message $context.integrationErrorMessage",
          &failed, "upstream_timeout Endpoint request timed out upstream_timeout");
    let refused = Record { error: Some(Error::Throttled), integration_status: None, ..record.clone() };
    check("$context.error.responseType $context.integration.error $context.integrationStatus", &refused, "throttled - -");
    let v6 = Record {
        source_ip: b"2001:db8::1",
        endpoint: "[::1]:9001",
        ..record
    };
    check("$context.identity.sourceIp $context.sluice.endpoint", &v6, "2001:db8::1 [::1]:9001");
}

#[test]
#[rustfmt::skip]
fn places() {
    let record = Record { referer: b"a\"\n\\\xff", source_ip: b"", ..Record::example() };
    check("$context.sluice.referer",           &record, r#"a\"\n\\\xff"#);
    check(r#"{"r":"<$context.sluice.referer>"}"#, &record, r#"{"r":"<a\"\n\\\\xff>"}"#);
    check(r#"{"r":$context.sluice.referer}"#,  &record, r#"{"r":"a\"\n\\\\xff"}"#);
    check(r#"{"ip":$context.identity.sourceIp,"s":"$context.identity.sourceIp"}"#, &record, r#"{"ip":null,"s":"-"}"#);
    check(r#"{"s":"$context.status","t":"$context.sluice.time"}"#, &record, r#"{"s":"200","t":"2026-09-21T14:13:20.123Z"}"#);
    check(r#"{"a":"\"$context.status\""}"#,    &record, r#"{"a":"\"200\""}"#);
    check("[$context.status] $context.sluice.referer", &record, r#"[200] a\"\n\\\xff"#);
}

#[track_caller]
fn refuse(format: &str, at: usize, what: FormatMistake, nearest: Option<&'static str>) {
    let expected = FormatError { at, what, nearest };
    assert_eq!(Format::parse(format).map(|_| ()), Err(expected), "{format}");
}

#[test]
#[rustfmt::skip]
fn mistakes() {
    use FormatMistake as M;
    refuse("",                                   0,  M::Empty,            None);
    refuse(" \n",                                0,  M::Empty,            None);
    refuse("$context.requestID",                 0,  M::VariableUnknown,  Some("requestId"));
    refuse("a $context.identity.sourceIP b",     2,  M::VariableUnknown,  Some("identity.sourceIp"));
    refuse("$context.",                          0,  M::VariableUnknown,  None);
    refuse("$context.authorizer.",               0,  M::VariableUnknown,  Some("authorize.error"));
    refuse("$contxt.requestId",                  0,  M::VariableUnknown,  Some("requestId"));
    refuse("$status",                            0,  M::VariableUnknown,  Some("status"));
    refuse("$input",                             0,  M::VariableUnknown,  None);
    refuse("{$context.status}",                  1,  M::JsonMalformed,    None);
    refuse(r#"{"a":$context.status"#,            20, M::JsonMalformed,    None);
    refuse(r#"{"a":$context.status,}"#,          21, M::JsonMalformed,    None);
    refuse(r#"{"a":$context.path$context.path}"#, 18, M::JsonMalformed,   None);
    refuse(r#"{"a":"\u00$context.status"}"#, 25, M::JsonMalformed,    None);
    refuse(&"x".repeat(3073),                    3072, M::TooLong,        None);
    refuse(&"$context.path ".repeat(129),        128 * 14, M::VariablesTooMany, None);
}

#[test]
fn a_mistake_reads_as_a_sentence() {
    let error = Format::parse("$context.staus").unwrap_err();
    let expected = "unknown variable at byte 0; did you mean `$context.status`?";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_long_line_keeps_its_frame_and_its_last_field() {
    let long = vec![0x01; 40_000];
    let record = Record {
        path: &long,
        query: &long,
        user_agent: &long,
        ..Record::example()
    };
    let line = line(&Format::json(), &record);
    assert!(line.len() < bounds::LOG_LINE_BYTES_MAX);
    assert!(line.len() > bounds::LOG_LINE_BYTES_MAX - 2_048);
    let json: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(json["generation"], 3);
    assert_eq!(json["status"], 200);
}

#[test]
fn the_longest_format_and_values_fit_a_line() {
    let mut format = "$context.sluice.endpoint".repeat(bounds::LOG_FORMAT_FIELDS_MAX);
    format.push_str(&"x".repeat(bounds::LOG_FORMAT_BYTES_MAX.saturating_sub(format.len())));
    let record = Record {
        endpoint: "[1111:2222:3333:4444:5555:6666:7777:8888]:65535",
        ..Record::example()
    };
    let format = Format::parse(&format).unwrap();
    assert!(line(&format, &record).len() < bounds::LOG_LINE_BYTES_MAX);
}

#[track_caller]
fn folds(format: &str, record: &Record<'_>, expected: &str) {
    let format = Format::parse(format).unwrap();
    let of_route = format.of_route(
        &mut Block::default(),
        record.api,
        record.stage,
        record.route,
    );
    assert_eq!(std::str::from_utf8(&of_route).unwrap(), expected);
    let folded = Record {
        of_route: &of_route,
        ..record.clone()
    };
    assert_eq!(line(&format, &folded), line(&format, record));
}

#[test]
fn what_is_the_same_for_a_route_is_made_once() {
    let record = Record::example();
    let run = r#","api":"orders","stage":"prod","route":"GET /orders/{id}""#;
    folds(JSON, &record, run);
    folds("$context.status $context.path", &record, "");
    folds(
        "$context.stage $context.status $context.apiId $context.routeKey.",
        &record,
        " orders GET /orders/{id}",
    );
    folds(
        r#"{"a":"$context.stage","b":$context.status}"#,
        &record,
        r#"{"a":"prod"#,
    );
    let quoted = Record {
        route: "GET /a\"b",
        ..record.clone()
    };
    folds(
        r#"{"r":$context.routeKey,"p":$context.path}"#,
        &quoted,
        r#"{"r":"GET /a\"b""#,
    );
    // Longer than a line is sure of: made anew in each line, and cut there.
    let long = format!("GET /{}", "x".repeat(8_000));
    let long = Record {
        route: &long,
        ..record
    };
    folds(JSON, &long, "");
}

/// What a client may choose.
#[derive(Debug, Clone)]
struct Chosen {
    path: Vec<u8>,
    query: Vec<u8>,
    host: Vec<u8>,
    user_agent: Vec<u8>,
    referer: Vec<u8>,
    method: Vec<u8>,
    id: Vec<u8>,
}

impl Chosen {
    fn record(&self) -> Record<'_> {
        Record {
            path: &self.path,
            query: &self.query,
            host: &self.host,
            user_agent: &self.user_agent,
            referer: &self.referer,
            method_token: &self.method,
            request_id: &self.id,
            ..Record::example()
        }
    }
}

fn chosen() -> impl Strategy<Value = Chosen> {
    let bytes = || {
        let length = prop_oneof![20 => 0usize..80, 1 => 0usize..20_000];
        (length, any::<Vec<u8>>()).prop_map(|(length, seed)| {
            let seed = if seed.is_empty() { vec![b'a'] } else { seed };
            seed.into_iter().cycle().take(length).collect::<Vec<u8>>()
        })
    };
    // What the parser lets through as a method, and the session as an id.
    let token =
        || prop::collection::vec(prop::sample::select(&b"AZaz09!#$%&'*+-.^_`|~"[..]), 0..64);
    (
        bytes(),
        bytes(),
        bytes(),
        bytes(),
        bytes(),
        token(),
        token(),
    )
        .prop_map(
            |(path, query, host, user_agent, referer, method, id)| Chosen {
                path,
                query,
                host,
                user_agent,
                referer,
                method,
                id,
            },
        )
}

proptest! {
    #[test]
    fn numbers_and_plain_text_are_written_as_they_are(
        n in (any::<u64>(), 0..64).prop_map(|(n, shift)| n >> shift),
        ns in 0u64..20_000_000_000,
        text in "[a-z0-9 /?&=.-]{1,200}",
    ) {
        let record = Record {
            generation: n,
            latency: Duration::from_nanos(ns),
            path: text.as_bytes(),
            request_id: text.as_bytes(),
            ..Record::example()
        };
        let (seconds, us) = (ns / 1_000_000_000, ns / 1_000 % 1_000_000);
        check(
            "$context.sluice.generation $context.sluice.latency $context.path $context.requestId",
            &record,
            &format!("{n} {seconds}.{us:06} {text} {text}"),
        );
        check(
            r#"{"n":$context.sluice.generation,"p":$context.path,"i":$context.requestId}"#,
            &record,
            &format!(r#"{{"n":{n},"p":"{text}","i":"{text}"}}"#),
        );
    }

    #[test]
    fn whatever_a_client_sends_a_line_is_one_json_document(chosen in chosen()) {
        let in_strings = r#"{"a":"$context.path $context.domainName","b":["$context.identity.userAgent"]}"#;
        for format in [Format::json(), Format::parse(in_strings).unwrap()] {
            let line = line(&format, &chosen.record());
            prop_assert!(line.len() < bounds::LOG_LINE_BYTES_MAX);
            let json: serde_json::Value = serde_json::from_slice(&line).unwrap();
            prop_assert!(json.is_object());
        }
    }

    #[test]
    fn whatever_a_client_sends_a_text_line_is_one_line(chosen in chosen()) {
        let format = Format::parse("$context.path \"$context.identity.userAgent\" $context.domainName").unwrap();
        let line = line(&format, &chosen.record());
        prop_assert!(line.len() < bounds::LOG_LINE_BYTES_MAX);
        prop_assert!(!String::from_utf8(line).unwrap().chars().any(char::is_control));
    }

    #[test]
    fn any_text_compiles_or_is_refused(text in any::<String>(), words in prop::collection::vec(0usize..6, 0..12)) {
        let words: String = words.iter().map(|at| ["{", "}", "\"", ":", "$context.path", "\\"][*at]).collect();
        for text in [text, words] {
            match Format::parse(&text) {
                Ok(format) => { line(&format, &Record::example()); }
                Err(error) => prop_assert!(error.at <= text.len()),
            }
        }
    }
}
