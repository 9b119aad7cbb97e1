//! Limits over real sockets: who is counted with whom, what is said, what is shown.

use super::client::{Client, Response};
use crate::support::{DRIVERS, Gateway};

/// Two workers; all clients may name another by X-Forwarded-For. `places` are keys of the file, the
/// API, the stage and the route. Refills take hours, so nothing comes back while a test runs.
fn start(driver: &str, [file, api, stage, route]: [&str; 4]) -> Gateway {
    let config = format!(
        "workers: 2
listeners: [{{ address: 127.0.0.1:0 }}]
forwarded: {{ trusted_proxies: [127.0.0.0/8] }}
{file}
apis:
  a:
    {api}
    stages: {{ s: {{ {stage} }} }}
    routes:
      GET /x: {{ integration: {{ type: mock }}, {route} }}
      GET /y: {{ integration: {{ type: mock }} }}
domains: {{ \"*\": {{ /: {{ api: a }} }} }}
"
    );
    Gateway::start(driver, &config)
}

fn ask(gateway: &Gateway, target: &str, fields: &str) -> Response {
    let mut client = Client::connect(gateway.address(0));
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    client.response().expect("an answer")
}

#[track_caller]
fn is_admitted(gateway: &Gateway, target: &str, fields: &str, times: usize) {
    for _ in 0..times {
        assert_eq!(ask(gateway, target, fields).status, 200);
    }
}

#[track_caller]
fn is_refused(gateway: &Gateway, target: &str, fields: &str) -> Response {
    let refused = ask(gateway, target, fields);
    assert_eq!(refused.status, 429);
    assert_eq!(refused.text(), r#"{"message":"Too Many Requests"}"#);
    refused
}

#[test]
fn a_request_is_under_the_limits_of_all_that_it_belongs_to() {
    const THREE: &str = "throttle: { rate: 0.0001, burst: 3 }";
    for driver in DRIVERS {
        let gateway = start(driver, [THREE, "", "", ""]);
        is_admitted(&gateway, "/x", "", 2);
        is_admitted(&gateway, "/y", "", 1);
        is_refused(&gateway, "/x", "");
        let gateway = start(driver, ["", "", "", THREE]);
        is_admitted(&gateway, "/x", "", 3);
        is_refused(&gateway, "/x", "");
        is_admitted(&gateway, "/y", "", 5);
        let of_stage = "routes: { GET /x: { throttle: { rate: 0.0001, burst: 1 } } }";
        let gateway = start(driver, ["", THREE, of_stage, THREE]);
        is_admitted(&gateway, "/x", "", 1);
        // Refused by its route, it takes nothing of the API.
        for _ in 0..5 {
            is_refused(&gateway, "/x", "");
        }
        is_admitted(&gateway, "/y", "", 2);
        is_refused(&gateway, "/y", "");
        let metrics = gateway.text("/metrics");
        for line in [
            "scope=\"route\"} 5",
            "scope=\"api\"} 1",
            "scope=\"stage\"} 0",
        ] {
            let line = format!("\nsluice_limit_refusals_total{{{line}\n");
            assert!(metrics.contains(&line), "{line}{metrics}");
        }
    }
}

/// Two are admitted for each client, and another client is not held for it.
#[track_caller]
fn is_per(per: &str, (target, fields): (&str, &str), (other_target, other_fields): (&str, &str)) {
    let route = format!("throttle: {{ rate: 0.0001, burst: 2, {per} }}");
    let gateway = start("auto", ["", "", "", &route]);
    is_admitted(&gateway, target, fields, 2);
    is_refused(&gateway, target, fields);
    is_admitted(&gateway, other_target, other_fields, 2);
    is_refused(&gateway, other_target, other_fields);
    is_refused(&gateway, target, fields);
}

#[test]
fn clients_are_counted_apart_by_what_tells_them_apart() {
    let from = |address: &str| format!("X-Forwarded-For: {address}\r\n");
    let (one, other) = (from("192.0.2.1"), from("192.0.2.2"));
    is_per("per: address", ("/x", &one), ("/x", &other));
    let (one, other) = (from("2001:db8::1"), from("2001:db8:0:1::1"));
    is_per("per: address", ("/x", &one), ("/x", &other));
    let header = "per: { header: X-Tenant }";
    is_per(header, ("/x", "x-tenant: a\r\n"), ("/x", "X-TENANT: b\r\n"));
    // Those without it share one.
    is_per(header, ("/x", "x-tenant: a\r\n"), ("/x", ""));
    let cookie = "per: { cookie: s }";
    is_per(
        cookie,
        ("/x", "Cookie: t=1; s=1\r\n"),
        ("/x", "Cookie: s=2\r\n"),
    );
    is_per("per: { query: u }", ("/x?u=%61", ""), ("/x?v=a&u=b", ""));
    // {"sub":"ann"} and {"sub":"bob"}
    let token = |claims: &str| format!("Authorization: Bearer e30.{claims}.c2ln\r\n");
    let (ann, bob) = (token("eyJzdWIiOiJhbm4ifQ"), token("eyJzdWIiOiJib2IifQ"));
    is_per("per: { claim: sub }", ("/x", &ann), ("/x", &bob));
}

#[test]
fn two_spellings_of_one_client_are_one() {
    let per = |per: &str| {
        let route = format!("throttle: {{ rate: 0.0001, burst: 1, per: {per} }}");
        start("auto", ["", "", "", &route])
    };
    let gateway = per("{ query: u }");
    is_admitted(&gateway, "/x?u=ann", "", 1);
    is_refused(&gateway, "/x?%75=%61nn", "");
    let gateway = per("address");
    is_admitted(&gateway, "/x", "X-Forwarded-For: 2001:db8::1\r\n", 1);
    is_refused(&gateway, "/x", "X-Forwarded-For: 2001:db8::ffff\r\n");
}

#[test]
fn responses_say_what_is_left_and_when_to_come_back() {
    let route = "throttle: [{ rate: 0.5, burst: 2 }, { rate: 1, burst: 50, per: address }]";
    for driver in DRIVERS {
        let gateway = start(driver, ["", "", "", route]);
        let first = ask(&gateway, "/x", "");
        let policy = "\"route\";q=2;w=4, \"route-address\";q=50;w=50";
        assert_eq!(first.field("ratelimit-policy"), Some(policy));
        assert_eq!(first.field("ratelimit"), Some("\"route\";r=1;t=2"));
        assert_eq!(first.field("retry-after"), None);
        is_admitted(&gateway, "/x", "", 1);
        let refused = is_refused(&gateway, "/x", "");
        let left = refused.field("ratelimit").expect("what is left");
        assert!(left.starts_with("\"route\";r=0;t="), "{left}");
        let wait: u64 = refused.field("retry-after").unwrap().parse().unwrap();
        assert!((1..=2).contains(&wait), "{wait}");
        assert_eq!(ask(&gateway, "/y", "").field("ratelimit"), None);
    }
    let gateway = start("auto", ["rate_limit_headers: false", "", "", route]);
    for _ in 0..3 {
        let response = ask(&gateway, "/x", "");
        for name in ["ratelimit", "ratelimit-policy", "retry-after"] {
            assert_eq!(response.field(name), None);
        }
    }
}

#[test]
fn who_is_refused_most_is_shown() {
    let route = "throttle: { rate: 0.0001, burst: 1, per: address }";
    let gateway = start("auto", ["", "", "", route]);
    let (busy, other) = (
        "X-Forwarded-For: 192.0.2.7\r\n",
        "X-Forwarded-For: 192.0.2.8\r\n",
    );
    is_admitted(&gateway, "/x", busy, 1);
    is_admitted(&gateway, "/x", other, 1);
    for _ in 0..6 {
        is_refused(&gateway, "/x", busy);
    }
    is_refused(&gateway, "/x", other);
    let (status, page) = gateway.ask("GET", "/limits").expect("an answer");
    assert_eq!(status, 200);
    let first = &page[0];
    assert_eq!(first["client"], "192.0.2.7");
    assert_eq!(first["limit"], "route-address");
    assert_eq!(first["of"], "a/s GET /x");
    assert!(first["refused"].as_u64().is_some_and(|count| count >= 3));
}

#[test]
fn a_reload_keeps_what_was_counted_and_a_new_rate_refills_nothing() {
    let config = |burst: u32| {
        format!(
            "workers: 2
listeners: [{{ address: 127.0.0.1:0 }}]
apis:
  a:
    routes:
      GET /x:
        integration: {{ type: mock }}
        throttle:
          - {{ rate: 0.0001, burst: {burst} }}
          - {{ rate: 0.0001, burst: {burst}, per: address }}
"
        )
    };
    for driver in DRIVERS {
        let gateway = Gateway::start(driver, &config(3));
        is_admitted(&gateway, "/x", "", 3);
        is_refused(&gateway, "/x", "");
        assert_eq!(gateway.reload().0, 200);
        is_refused(&gateway, "/x", "");
        gateway.configure(&config(5));
        assert_eq!(gateway.reload().0, 200);
        is_admitted(&gateway, "/x", "", 2);
        is_refused(&gateway, "/x", "");
    }
}
