//! The admin API: what it shows, and whom it does not let in.

use super::config;
use crate::support::{Client, Gateway, Origin, Reply, get, until};
use std::collections::HashMap;

fn gateway() -> (Origin, Gateway) {
    let origin = Origin::start(|_| Reply::with(200, "origin"));
    let gateway = Gateway::start("auto", &config("one", origin.address));
    (origin, gateway)
}

#[test]
fn with_tokens_the_address_is_for_who_has_one() {
    let origin = Origin::start(|_| Reply::with(200, "origin"));
    // The SHA-256 of `secret`.
    let tokens = "address: 127.0.0.1:0, tokens: { ops: 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b }";
    let text = config("one", origin.address);
    let text = text.replace(
        "admin: { address: 127.0.0.1:0 }",
        &format!("admin: {{ {tokens} }}"),
    );
    let gateway = Gateway::start("auto", &text);
    let admin = gateway.admin();
    let check = |request: &str, fields: &str, expected: u16| {
        let mut client = Client::connect(admin).unwrap();
        let head = format!("{request} HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n");
        client.send(&head).unwrap();
        assert_eq!(client.response().unwrap().status, expected, "{head:?}");
    };
    check("GET /ready", "", 200);
    check("GET /health", "", 200);
    for request in ["GET /metrics", "GET /stages", "POST /reload"] {
        check(request, "", 401);
        check(request, "authorization: Bearer wrong\r\n", 401);
        check(request, "authorization: Basic secret\r\n", 401);
        check(request, "authorization: Bearer secret\r\n", 200);
    }
    check(
        "POST /apis/a/stages/s/deploy",
        "authorization: bearer secret\r\n",
        200,
    );
    let (_, page) = gateway.ask("GET", "/apis/a/stages/s").unwrap();
    assert_eq!(page["history"][0]["actor"], "token ops");
}

#[test]
fn browsers_are_kept_out() {
    let (_origin, gateway) = gateway();
    let admin = gateway.admin();
    let check = |request: &str, expected: u16| {
        let mut client = Client::connect(admin).unwrap();
        client.send(request).unwrap();
        assert_eq!(client.response().unwrap().status, expected, "{request:?}");
    };
    check("GET /ready HTTP/1.1\r\nhost: localhost\r\n\r\n", 200);
    check(
        &format!("GET /ready HTTP/1.1\r\nhost: {admin}\r\n\r\n"),
        200,
    );
    check("GET /ready HTTP/1.1\r\nhost: evil.example\r\n\r\n", 403);
    check("POST /reload HTTP/1.1\r\nhost: evil.example\r\n\r\n", 403);
    check(
        "POST /reload HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost\r\n\r\n",
        403,
    );
    check(
        "POST /reload HTTP/1.1\r\nhost: localhost\r\norigin: null\r\n\r\n",
        403,
    );
    check(
        "POST /reload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 200000\r\n\r\n",
        413,
    );
    check("GET /reload HTTP/1.1\r\nhost: localhost\r\n\r\n", 405);
    check("GET /nothing HTTP/1.1\r\nhost: localhost\r\n\r\n", 404);
    let (_, page) = gateway.ask("GET", "/generation").unwrap();
    assert_eq!(page["generation"], 1, "none of these reloaded");
    check("POST /reload HTTP/1.1\r\nhost: localhost\r\n\r\n", 200);
}

#[test]
fn a_connection_carries_one_request() {
    let (_origin, gateway) = gateway();
    let mut client = Client::connect(gateway.admin()).unwrap();
    let response = client.ask("GET", "/health").unwrap();
    assert_eq!(
        (response.status, response.field("connection")),
        (200, Some("close"))
    );
    assert!(client.is_closed());
}

#[test]
fn pages() {
    let (origin, gateway) = gateway();
    get(gateway.address(0), "/x").unwrap();
    let (_, page) = gateway.ask("GET", "/config").unwrap();
    assert_eq!(page["file"], "sluice.yaml");
    assert_eq!(page["generation"], 1);
    let (_, page) = gateway.ask("GET", "/upstreams").unwrap();
    let endpoint = &page[0]["endpoints"][0];
    assert_eq!(page[0]["name"], "u");
    assert_eq!(endpoint["address"], origin.address.to_string());
    assert_eq!(endpoint["healthy"], true);
    assert_eq!(endpoint["open_connections"], 1);
    assert!(gateway.text("/").contains("POST /reload"));
}

/// The samples of a page, by name and labels as they are written.
fn samples(page: &str) -> HashMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').expect(line);
            (series.to_owned(), value.parse().expect(line))
        })
        .collect()
}

#[test]
fn metrics_count_what_was_served() {
    let (origin, gateway) = gateway();
    for _ in 0..3 {
        get(gateway.address(0), "/x").unwrap();
    }
    get(gateway.address(0), "/version").unwrap();
    // A request is counted after its response was written.
    let found = until("the count", || {
        let found = samples(&gateway.text("/metrics"));
        let route =
            r#"sluice_requests_total{api="a",stage="s",route="ANY /{proxy+}",status_class="2xx"}"#;
        (found.get(route) == Some(&3.0)).then_some(found)
    });
    assert_eq!(found["sluice_generation"], 1.0);
    assert_eq!(found[r#"sluice_worker_generation{worker="1"}"#], 1.0);
    assert!(found["sluice_heads_total"] >= 4.0);
    assert!(found["process_resident_memory_bytes"] > 1e6);
    assert!(found["process_open_fds"] > 5.0);
    assert!(found["process_cpu_seconds_total"] > 0.0);
    let endpoint = format!(r#"{{upstream="u",endpoint="{}"}}"#, origin.address);
    assert_eq!(found[&format!("sluice_upstream_healthy{endpoint}")], 1.0);
}
