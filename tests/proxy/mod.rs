//! One request over real sockets: what goes through, what is refused, and what a connection is
//! good for afterwards. Every test runs on both drivers.

mod bodies;
mod client;
mod connections;
mod domains;
mod framing;
mod limits;
mod origin;
mod origins;
mod overload;
mod passing;

use crate::support::{DRIVERS, Gateway};
use client::Client;
use origin::Origin;
use std::net::SocketAddr;

/// A gateway before `origins`, with `more` keys for its upstream (each line indented by four) and
/// `top` keys at the top.
fn gateway(driver: &str, origins: &[SocketAddr], more: &str, top: &str) -> Gateway {
    Gateway::start(driver, &config(origins, more, top))
}

fn config(origins: &[SocketAddr], more: &str, top: &str) -> String {
    let endpoints: Vec<String> = origins
        .iter()
        .map(|origin| format!("\"{origin}\""))
        .collect();
    format!(
        "workers: 1
listeners: [{{ address: 127.0.0.1:0 }}]
access_log: {{ path: access.log }}
{top}
upstreams:
  u:
    endpoints: [{}]
{more}
apis:
  a:
    method_not_allowed: true
    routes:
      ANY /mock: {{ integration: {{ type: mock, body: mocked }} }}
      GET /only-get: {{ integration: {{ type: mock, body: mocked }} }}
      POST /small: {{ body_bytes: 10, integration: {{ type: http, upstream: u }} }}
      GET /once: {{ throttle: {{ rate: 0.001, burst: 1 }}, integration: {{ type: mock, body: mocked }} }}
      ANY /files/{{path+}}: {{ allow_paths: [encoded_slash, empty_segments], integration: {{ type: http, upstream: u }} }}
      GET /mapped/{{id}}/x: {{ integration: {{ type: http, upstream: u, path: \"/v1/{{id}}\" }} }}
      ANY /o/{{proxy+}}: {{ integration: {{ type: http, upstream: u }} }}
domains:
  \"*\": {{ /: {{ api: a, stage: $default }} }}
",
        endpoints.join(", ")
    )
}

/// Runs `test` on both drivers, before an origin that `origin` makes.
fn on_both_drivers(origin: impl Fn() -> Origin, test: impl Fn(&Origin, SocketAddr)) {
    for driver in DRIVERS {
        let origin = origin();
        let gateway = gateway(driver, &[origin.address], "", "");
        test(&origin, gateway.address(0));
    }
}

/// An origin's usual answer.
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Whether the connection still carries requests.
fn carries_on(client: &mut Client) -> bool {
    client.send("GET /mock HTTP/1.1\r\nHost: a\r\n\r\n");
    client
        .response()
        .is_some_and(|response| response.status == 200)
}
