//! Endpoints: probed, taken out, brought back, and found by name.

use crate::support::{DRIVERS, Gateway, Origin, Reply, get, until};
use std::net::SocketAddr;

fn config(endpoints: &str, check: &str) -> String {
    format!(
        "workers: 1
listeners: [{{ address: 127.0.0.1:0 }}]
access_log: off
upstreams:
  u:
    endpoints: [{endpoints}]
    ejection: off
    health_check: {check}
apis:
  a:
    stages: {{ s: {{}} }}
    routes:
      ANY /{{proxy+}}: {{ integration: {{ type: http, upstream: u }} }}
"
    )
}

fn is_healthy(gateway: &Gateway, address: SocketAddr) -> Option<bool> {
    let (_, page) = gateway.ask("GET", "/upstreams").unwrap();
    let endpoints = page[0]["endpoints"].as_array().unwrap();
    let found = endpoints
        .iter()
        .find(|e| e["address"] == address.to_string());
    found?["healthy"].as_bool()
}

#[track_caller]
fn becomes(gateway: &Gateway, address: SocketAddr, healthy: bool) {
    until("the change of health", || {
        (is_healthy(gateway, address) == Some(healthy)).then_some(())
    });
}

#[test]
fn a_dead_endpoint_is_taken_out_and_comes_back() {
    for (driver, check) in DRIVERS.into_iter().zip([
        "{ path: /up, interval: 1s, timeout: 500ms, healthy: 1, unhealthy: 1 }",
        "{ type: tcp, interval: 1s, timeout: 500ms, healthy: 1, unhealthy: 1 }",
    ]) {
        let one = Origin::start(|_| Reply::with(200, "one"));
        let two = Origin::start(|_| Reply::with(200, "two"));
        let address = two.address;
        let endpoints = format!("\"{}\", \"{address}\"", one.address);
        let gateway = Gateway::start(driver, &config(&endpoints, check));
        assert_eq!(is_healthy(&gateway, address), Some(true));
        drop(two);
        becomes(&gateway, address, false);
        for _ in 0..10 {
            assert_eq!(get(gateway.address(0), "/x").unwrap().body, "one");
        }
        assert_eq!(gateway.reload().0, 200);
        assert_eq!(
            is_healthy(&gateway, address),
            Some(false),
            "a reload keeps its standing"
        );
        let _two = Origin::start_at(address, |_| Reply::with(200, "two"));
        becomes(&gateway, address, true);
        until("an answer of the second", || {
            (get(gateway.address(0), "/x").unwrap().body == "two").then_some(())
        });
        gateway.has_said("endpoint is unhealthy");
        gateway.has_said("endpoint is healthy again");
    }
}

#[test]
fn a_status_can_fail_a_probe_and_a_reload_can_end_probing() {
    let origin = Origin::start(|head| match head.starts_with("GET /up ") {
        true => Reply::with(503, "no"),
        false => Reply::with(200, "yes"),
    });
    let endpoints = format!("\"{}\"", origin.address);
    let check = "{ path: /up, interval: 1s, timeout: 500ms, healthy: 1, unhealthy: 1 }";
    let gateway = Gateway::start("auto", &config(&endpoints, check));
    becomes(&gateway, origin.address, false);
    assert_eq!(get(gateway.address(0), "/x").unwrap().status, 503);
    let unchecked = config(&endpoints, check).replace(&format!("    health_check: {check}\n"), "");
    gateway.configure(&unchecked);
    assert_eq!(gateway.reload().0, 200);
    becomes(&gateway, origin.address, true);
    assert_eq!(get(gateway.address(0), "/x").unwrap().body, "yes");
}

#[test]
fn names_are_looked_up_and_one_without_an_address_is_no_failure_to_start() {
    let origin = Origin::start(|_| Reply::with(200, "origin"));
    let port = origin.address.port();
    let text = config(&format!("\"localhost:{port}\""), "x").replace("    health_check: x\n", "");
    let gateway = Gateway::start("auto", &text);
    // localhost is ::1 as well, where nobody listens; a refusal is tried again elsewhere.
    assert_eq!(get(gateway.address(0), "/x").unwrap().body, "origin");
    let unknown = text.replace("\"localhost:", "\"nowhere.invalid:");
    gateway.configure(&unknown);
    assert_eq!(gateway.reload().0, 200);
    gateway.has_said("the name has no address");
    assert_eq!(get(gateway.address(0), "/x").unwrap().status, 503);
    gateway.configure(&text);
    assert_eq!(gateway.reload().0, 200);
    assert_eq!(get(gateway.address(0), "/x").unwrap().body, "origin");
    let count = origin.requests();
    assert_eq!(count, 2);
}
