//! Domains: base paths by segments and by letters, routing rules before them, and what the log has.

use super::{
    client::Client,
    origin::{After, Origin},
};
use crate::support::{DRIVERS, Gateway, until};
use std::fs;

/// Bytes of a body that takes many buffers.
const LONG: usize = 300_000;

/// An origin that answers with the request line that it saw, or with a long body.
fn telling() -> Origin {
    Origin::start(|asked| {
        let line = asked.head.lines().next().unwrap_or_default().to_owned();
        let body = match line.contains("/long") {
            true => "x".repeat(LONG),
            false => line,
        };
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        asked.say(head + &body);
        After::Keep
    })
}

fn config(origin: &Origin) -> String {
    format!(
        "workers: 1
listeners: [{{ address: 127.0.0.1:0 }}]
access_log:
  path: access.log
  format: >-
    $context.apiId $context.customDomain.basePathMatched
    $context.customDomain.routingRuleIdMatched $context.status $context.path
upstreams:
  u: {{ endpoints: [\"{address}\"] }}
apis:
  pets: {{ routes: {{ $default: {{ integration: {{ type: http, upstream: u }} }} }} }}
  files:
    routes:
      $default: {{ allow_paths: [empty_segments], integration: {{ type: http, upstream: u }} }}
  none: {{ routes: {{ GET /only: {{ integration: {{ type: mock }} }} }} }}
domains:
  both.test:
    /: {{ api: pets }}
    /none: {{ api: none }}
    /files: {{ api: files }}
    rules:
      - {{ priority: 30, base_path: PetStoreShopper/dogs, api: pets }}
      - {{ priority: 20, id: kept, headers: {{ x-keep: 'y*' }}, base_path: PetStoreShopper, strip_base_path: false, api: pets }}
      - {{ priority: 40, base_path: PetStoreShopper, api: pets }}
      - {{ priority: 10, id: beta, headers: {{ cookie: '*ux=beta*', host: 'both.*' }}, api: files }}
      - {{ priority: 50, base_path: f, api: files }}
  rules.test:
    /: {{ api: pets }}
    routing: rules
    rules: [{{ priority: 1, headers: {{ accept: '*json' }}, api: pets }}]
  mappings.test:
    /: {{ api: pets }}
    routing: mappings
    rules: [{{ priority: 1, api: none }}]
  letters.test: {{ /: {{ api: pets }}, /orders: {{ api: files }}, /orders/v1: {{ api: none }}, base_paths: prefix }}
  segments.test: {{ /: {{ api: pets }}, /orders: {{ api: files }}, /orders/v1: {{ api: none }} }}
",
        address = origin.address
    )
}

/// Host, path, further field lines, the status, and the target that the origin saw.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    u16,
    Option<&'static str>,
);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // Amazon's examples of base paths.
    ("both.test", "/PetStoreShopper/dogs", "", 200, Some("/")),
    ("both.test", "/PetStoreShopper/dogs", "X-Keep: y\r\n", 200, Some("/PetStoreShopper/dogs")),
    ("both.test", "/PetStoreShopper/cats", "", 200, Some("/cats")),
    ("both.test", "/PetStoreShopper?birds=available", "", 200, Some("/?birds=available")),
    ("both.test", "/PetStoreShopper?birds=available", "x-keep: yes\r\n", 200, Some("/PetStoreShopper?birds=available")),
    ("both.test", "/PetStoreShopping", "", 200, Some("/PetStoreShopping")),
    // A header alone; the API of the rule permits empty segments.
    ("both.test", "/a//b", "Cookie: lang=en-us;ux=beta\r\n", 200, Some("/a//b")),
    ("both.test", "/a//b", "Cookie: lang=en-us\r\n", 200, Some("/a/b")),
    // Empty segments around a base path that is taken off, by a rule and by a mapping.
    ("both.test", "//f//a//b", "", 200, Some("//a//b")),
    ("both.test", "//f//", "", 200, Some("//")),
    ("both.test", "//f", "", 200, Some("/")),
    ("both.test", "/f", "", 200, Some("/")),
    ("both.test", "/files", "", 200, Some("/")),
    ("both.test", "//files//a", "", 200, Some("//a")),
    // The mappings where no rule takes it, and their misses.
    ("both.test", "/x", "", 200, Some("/x")),
    ("both.test", "/none/x", "", 404, None),
    // Rules alone: each line of a field is a chance of its own.
    ("rules.test", "/x", "Accept: text/xml\r\nAccept: application/json\r\n", 200, Some("/x")),
    ("rules.test", "/x", "Accept: application/json,text/xml\r\n", 403, None),
    ("rules.test", "/x", "", 403, None),
    // Mappings alone.
    ("mappings.test", "/x", "", 200, Some("/x")),
    // By letters and by segments.
    ("letters.test", "/orders/7", "", 200, Some("/7")),
    ("letters.test", "/ordersandmore", "", 200, Some("/ordersandmore")),
    ("segments.test", "/ordersandmore", "", 200, Some("/ordersandmore")),
    ("letters.test", "/long", "", 200, None),
    ("both.test", "/PetStoreShopper/dogs/long", "", 200, None),
];

/// The log's lines for them.
const LOG: &str = "\
pets PetStoreShopper/dogs 30 200 /PetStoreShopper/dogs
pets PetStoreShopper kept 200 /PetStoreShopper/dogs
pets PetStoreShopper 40 200 /PetStoreShopper/cats
pets PetStoreShopper 40 200 /PetStoreShopper
pets PetStoreShopper kept 200 /PetStoreShopper
pets - - 200 /PetStoreShopping
files - beta 200 /a//b
pets - - 200 /a//b
files f 50 200 //f//a//b
files f 50 200 //f//
files f 50 200 //f
files f 50 200 /f
files files - 200 /files
files files - 200 //files//a
pets - - 200 /x
none none - 404 /none/x
pets - 1 200 /x
- - - 403 /x
- - - 403 /x
pets - - 200 /x
files orders - 200 /orders/7
files orders - 200 /ordersandmore
pets - - 200 /ordersandmore
pets - - 200 /long
pets PetStoreShopper/dogs 30 200 /PetStoreShopper/dogs/long
";

#[test]
fn rules_and_base_paths_choose_the_api() {
    for driver in DRIVERS {
        let origin = telling();
        let gateway = Gateway::start(driver, &config(&origin));
        let mut client = Client::connect(gateway.address(0));
        for (host, path, lines, status, target) in ROWS {
            client.send(format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n"
            ));
            let response = client.response().expect("an answer");
            assert_eq!(response.status, *status, "{host}{path} {lines}");
            if let Some(target) = target {
                let seen = format!("GET {target} HTTP/1.1");
                assert_eq!(response.text(), seen, "{host}{path} {lines}");
            }
            if path.ends_with("/long") {
                assert_eq!(response.body.len(), LONG);
            }
            if *status == 403 {
                assert_eq!(response.text(), r#"{"message":"Forbidden"}"#);
            }
        }
        let log = gateway.folder.join("access.log");
        let count = ROWS.len();
        let text = until("the log's lines", || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            (text.lines().count() == count).then_some(text)
        });
        assert_eq!(text, LOG, "{driver}");
    }
}
