//! The life of the process: start, reload, drain, and what it says of itself.

mod admin;
mod cluster;
mod command;
mod deploy;
mod documentation;
mod end;
mod keys;
mod openapi;
mod reload;
mod start;
mod upstreams;

/// A configuration whose one API answers `GET /version` with `version`, and has everything else
/// answered by `origin`.
fn config(version: &str, origin: std::net::SocketAddr) -> String {
    format!(
        "workers: 2
listeners: [{{ address: 127.0.0.1:0 }}]
admin: {{ address: 127.0.0.1:0 }}
access_log: {{ path: access.log, format: $context.status $context.path }}
timeouts: {{ drain: 20s }}
upstreams:
  u: {{ endpoints: [\"{origin}\"] }}
apis:
  a:
    stages: {{ s: {{}} }}
    routes:
      GET /version: {{ integration: {{ type: mock, body: {version} }} }}
      ANY /{{proxy+}}: {{ integration: {{ type: http, upstream: u }} }}
"
    )
}
