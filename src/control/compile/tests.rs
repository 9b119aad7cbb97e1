//! Configurations compiled by way of the real reader: what comes of each setting, and each mistake.

use super::*;
use crate::{
    http::FieldLines,
    model,
    route::Params,
    scope::Scope,
    snapshot::{Held, Integration, Miss, Route, Stage},
    upstream::{Address, Balance, HashKey, HostPolicy, Probe},
};
use std::{path::Path, time::Duration};

/// The registries of a process, over several compilations.
#[derive(Default)]
struct Process {
    buckets: guard::Buckets<guard::LimitIdentity>,
    gates: guard::Gates<guard::LimitIdentity>,
    states: States,
    canaries: Canaries,
    metrics: Option<Registry>,
}

impl Process {
    fn compile(&mut self, text: &str, addresses: &Addresses) -> Result<Snapshot, String> {
        let checked = model::read("a.yaml", text, Path::new("/etc")).unwrap();
        let mut draft = self.buckets.draft();
        let compiled = compile(
            &checked,
            &Sources::new(),
            addresses,
            7,
            &mut Kept {
                buckets: &mut draft,
                metrics: self.metrics.get_or_insert_with(|| Registry::new(1)),
                gates: &mut self.gates,
                states: &mut self.states,
                canaries: &mut self.canaries,
                keys: &Arc::default(),
                now: Instant::default(),
            },
        );
        draft.publish(Instant::default());
        compiled.map_err(|mistakes| mistakes.to_string())
    }
}

fn compiled(text: &str) -> Snapshot {
    let mut process = Process::default();
    process.compile(text, &Addresses::new()).unwrap()
}

const HEAD: &str = "listeners: [{ address: '127.0.0.1:0' }]\n";

/// An API with these routes, each `KEY: {...}`.
fn with_routes(routes: &str) -> String {
    format!(
        "{HEAD}upstreams: {{ u: {{ endpoints: ['127.0.0.1:1'] }} }}\napis:\n  a:\n    stages: {{ s: {{}} }}\n    routes:\n{routes}"
    )
}

fn find<'s>(stage: &'s Stage, request: &str) -> Option<&'s Arc<Route>> {
    let (method, path) = request.split_once(' ').unwrap();
    let token = method.as_bytes();
    let method = crate::http::Method::from_token(token);
    let mut params = Params::new();
    stage
        .own
        .table
        .find(method, token, path.as_bytes(), &mut params)
}

#[test]
fn routes_are_found_with_all_that_was_set() {
    let snapshot = compiled(&with_routes(
        "      GET /a/{id}: { integration: { type: http, upstream: u, path: '/v1/{id}' }, timeout: 3s,
                      allow_paths: [encoded_slash, empty_segments], body_bytes: 1KiB,
                      throttle: { rate: 1, burst: 2 } }
      $default: { integration: { type: mock, status: 418, body: tea, headers: { x-a: '1' } } }\n",
    ));
    assert_eq!(snapshot.generation, 7);
    let stage = &snapshot.routing.stages[0];
    let route = find(stage, "GET /a/7").unwrap();
    assert_eq!(&*route.key, "GET /a/{id}");
    assert_eq!((&*route.api, &*route.stage), ("a", "s"));
    assert_eq!(route.body_bytes_max, 1024);
    let [limit] = &*route.limits.all else {
        panic!("{route:?}")
    };
    assert_eq!((limit.scope, &*limit.of), (Scope::Route, "a/s GET /a/{id}"));
    let policy = std::str::from_utf8(&route.limits.policy);
    assert_eq!(policy, Ok("RateLimit-Policy: \"route\";q=2;w=2\r\n"));
    let allowed = crate::route::Peculiarities::ENCODED_SLASH;
    assert_eq!(
        route.allowed,
        allowed.with(crate::route::Peculiarities::EMPTY_SEGMENTS)
    );
    let Integration::Http(http) = &route.integration else {
        panic!("{route:?}")
    };
    assert_eq!(
        (http.upstream, http.timeout),
        (0, Some(Duration::from_secs(3)))
    );
    assert!(http.target.is_some());
    let Integration::Mock(mock) = &find(stage, "PUT /b").unwrap().integration else {
        panic!("{snapshot:?}")
    };
    let fields = String::from_utf8(mock.field_lines.to_vec()).unwrap();
    assert_eq!((mock.status, &*mock.body), (418, &b"tea"[..]));
    assert!(
        fields.contains("x-a: 1\r\n") && fields.ends_with("\r\n"),
        "{fields}"
    );
    assert_eq!(find(stage, "GET /a/7").unwrap().body_bytes_max, 1024);
    assert_eq!(find(stage, "GET /b").unwrap().body_bytes_max, u64::MAX);
}

#[track_caller]
fn miss(extra: &str, expected: Miss) {
    let text = with_routes("      GET /: { integration: { type: mock } }\n");
    let snapshot = compiled(&text.replace("  a:\n", &format!("  a:\n{extra}")));
    assert_eq!(snapshot.routing.stages[0].own.miss, expected, "{extra}");
}

#[test]
fn what_is_answered_where_no_route_is() {
    miss("", Miss::NotFound);
    miss("    compat: http_api\n", Miss::NotFound);
    miss("    compat: rest_api\n", Miss::AuthenticationToken);
    miss("    method_not_allowed: true\n", Miss::MethodNotAllowed);
}

#[track_caller]
fn mistakes(text: &str, expected: &[&str]) {
    let shown = Process::default().compile(text, &Addresses::new());
    let shown = shown.expect_err(text);
    for part in expected {
        assert!(shown.contains(part), "{part:?} is not in:\n{shown}");
    }
}

#[test]
fn the_edges_of_a_throttle_compile_and_nothing_beyond_them_is_read() {
    let text = |rate: &str, burst: &str| {
        format!(
            "listeners: [{{ address: 127.0.0.1:0 }}]
apis:
  a:
    routes:
      GET /a: {{ integration: {{ type: mock }}, throttle: {{ rate: {rate}, burst: {burst} }} }}
"
        )
    };
    for (rate, burst) in [
        ("0.000001", "1"),
        ("1e9", "1000000000"),
        ("1.0e-6", "1000000000"),
    ] {
        compiled(&text(rate, burst));
    }
    for rate in ["0.00000099", "1e-300", "0", "1000000001", ".inf"] {
        assert!(
            model::read("a.yaml", &text(rate, "1"), Path::new("/")).is_err(),
            "{rate}"
        );
    }
}

#[test]
fn what_only_the_compiler_sees_is_reported_at_its_place_and_all_at_once() {
    let routes = "      GET /a/{id}: { integration: { type: mock } }
      GET /a/{name}: { integration: { type: mock } }
      GET /b/{id}: { integration: { type: mock } }
      GET /b/{x}: { integration: { type: mock } }\n";
    let text = format!(
        "{}access_log: {{ format: $context.nothing }}\n",
        with_routes(routes)
    );
    mistakes(
        &text,
        &[
            "a.yaml:8:7: apis.a.routes.\"GET /a/{name}\": takes the same requests as `GET /a/{id}`",
            "a.yaml:10:7: ",
            "access_log.format: there is no variable $context.nothing",
        ],
    );
}

#[test]
fn a_conflict_is_told_once_however_many_stages_there_are() {
    let routes = "      GET /{a}: { integration: { type: mock } }
      GET /{b}: { integration: { type: mock } }\n";
    let text = with_routes(routes).replace("{ s: {} }", "{ s: {}, t: {}, u: {} }")
        + "domains: { '*': { /: { api: a, stage: s } } }\n";
    let shown = Process::default().compile(&text, &Addresses::new());
    assert_eq!(shown.unwrap_err().matches("takes the same").count(), 1);
}

#[test]
fn tangled_routes_are_refused() {
    let mut routes = String::new();
    for pattern in 0..1 << 12 {
        routes.push_str("      GET ");
        for bit in 0..12 {
            let literal = pattern >> bit & 1 == 0;
            routes.push_str(&if literal {
                "/x".to_owned()
            } else {
                format!("/{{p{bit}}}")
            });
        }
        routes.push_str(": { integration: { type: mock } }\n");
    }
    mistakes(&with_routes(&routes), &["steps to match"]);
}

const UPSTREAM: &str = "listeners: [{ address: '127.0.0.1:0' }]
upstreams:
  u:
    endpoints: [{ address: 'b.test:80', weight: 3 }, '127.0.0.1:1', 'a.test:80', 'unix:/run/o.sock']
    balance: hash
    hash_on: header:X-User
    host: endpoint
    health_check: { path: /up, status: '200,300-301', interval: 9s }
    timeouts: { connect: 2s }
    retries: { attempts: 3 }
apis: { a: { routes: { GET /: { integration: { type: http, upstream: u } } }, stages: { s: {} } } }
";

fn addresses(names: &[(&str, &[&str])]) -> Addresses {
    let parse = |ip: &&str| ip.parse().unwrap();
    names
        .iter()
        .map(|(name, ips)| ((*name).to_owned(), ips.iter().map(parse).collect()))
        .collect()
}

#[test]
fn an_upstream_has_its_settings_and_an_endpoint_for_each_address() {
    let known = addresses(&[("b.test", &["10.0.0.1", "::1"]), ("a.test", &["10.0.0.1"])]);
    let snapshot = Process::default().compile(UPSTREAM, &known).unwrap();
    let upstream = &snapshot.upstreams[0];
    let found: Vec<_> = upstream
        .endpoints
        .iter()
        .map(|endpoint| {
            (
                endpoint.address.to_string(),
                &*endpoint.authority,
                endpoint.weight,
            )
        })
        .collect();
    let expected = [
        ("10.0.0.1:80", "b.test:80", 3),
        ("[::1]:80", "b.test:80", 3),
        ("127.0.0.1:1", "127.0.0.1:1", 1),
        // a.test has the address of b.test, which stands first.
        ("unix:/run/o.sock", "unix:/run/o.sock", 1),
    ];
    let expected = expected.map(|(address, name, weight)| (address.to_owned(), name, weight));
    assert_eq!(found, expected);
    let settings = &upstream.settings;
    assert_eq!(
        settings.balance,
        Balance::Hash(HashKey::Header("x-user".into()))
    );
    assert_eq!(settings.host, HostPolicy::Endpoint);
    assert_eq!(settings.timeouts.connect, Duration::from_secs(2));
    assert_eq!(settings.retry.attempts, 3);
    let check = settings.health_check.as_ref().unwrap();
    assert_eq!(check.interval, Duration::from_secs(9));
    let probe = Probe::Http {
        path: "/up".into(),
        host: None,
        statuses: [200..=200, 300..=301].into(),
    };
    assert_eq!(check.probe, probe);
}

#[test]
fn new_addresses_make_new_upstreams_and_keep_what_stays() {
    let mut process = Process::default();
    let before = addresses(&[("b.test", &["10.0.0.1"])]);
    let snapshot = process.compile(UPSTREAM, &before).unwrap();
    let checked = model::read("a.yaml", UPSTREAM, Path::new("/")).unwrap();
    let mut again = |addresses: &Addresses| {
        let now = Instant::from_ns(1);
        recompile_upstreams(
            &checked,
            &snapshot.upstreams,
            addresses,
            &mut process.states,
            now,
        )
    };
    assert!(Arc::ptr_eq(&again(&before)[0], &snapshot.upstreams[0]));
    let after = again(&addresses(&[("b.test", &["10.0.0.1", "10.0.0.2"])]));
    let state = |upstream: &crate::upstream::Upstream, at: &str| {
        let at = Address::Ip(at.parse().unwrap());
        let mut endpoints = upstream.endpoints.iter();
        endpoints
            .find(|e| e.address == at)
            .map(|e| Arc::clone(&e.state))
    };
    let kept = state(&after[0], "10.0.0.1:80").unwrap();
    assert!(Arc::ptr_eq(
        &kept,
        &state(&snapshot.upstreams[0], "10.0.0.1:80").unwrap()
    ));
    assert!(state(&after[0], "10.0.0.2:80").is_some());
}

#[test]
fn a_reload_keeps_buckets_numbers_and_health_by_identity() {
    let text = UPSTREAM.replace(
        "GET /: { ",
        "GET /: { throttle: { rate: 1, burst: 1 }, concurrency: 1, ",
    );
    let mut process = Process::default();
    let first = process.compile(&text, &Addresses::new()).unwrap();
    let second = process.compile(&text, &Addresses::new()).unwrap();
    let route =
        |snapshot: &Snapshot| Arc::clone(find(&snapshot.routing.stages[0], "GET /").unwrap());
    let (first_route, second_route) = (route(&first), route(&second));
    let bucket = |route: &Route| match &route.limits.all[0].held {
        Held::Together(bucket) => Arc::clone(bucket),
        Held::Apart(..) => panic!("{route:?}"),
    };
    assert!(Arc::ptr_eq(&bucket(&first_route), &bucket(&second_route)));
    assert!(Arc::ptr_eq(&first_route.metrics, &second_route.metrics));
    let gate = |route: &Route| Arc::clone(&route.concurrency.as_ref().unwrap().gate);
    assert!(Arc::ptr_eq(&gate(&first_route), &gate(&second_route)));
    let state = |snapshot: &Snapshot| Arc::clone(&snapshot.upstreams[0].endpoints[0].state);
    assert!(Arc::ptr_eq(&state(&first), &state(&second)));
}

#[test]
fn hosts_and_base_paths_lead_to_stages() {
    let text = "listeners: [{ address: '127.0.0.1:0' }]
apis:
  a: { routes: { GET /: { integration: { type: mock } } }, stages: { one: {}, two: {} } }
  b: { routes: { GET /: { integration: { type: mock } } }, stages: { three: {} } }
domains:
  a.test: { /: { api: a, stage: two } }
  '*.test': { /x/y: { api: b } }
  '*': { /: { api: a, stage: one } }
";
    let snapshot = compiled(text);
    let stage = |host: &str, path: &str| {
        let found =
            snapshot
                .routing
                .hosts
                .find(host.as_bytes(), path.as_bytes(), FieldLines::default())?;
        Some(&*snapshot.routing.stages[*found.value as usize].name)
    };
    assert_eq!(stage("a.test", "/"), Some("two"));
    assert_eq!(stage("b.test:80", "/x/y/z"), Some("three"));
    assert_eq!(stage("b.test", "/x"), None);
    assert_eq!(stage("else", "/x/y"), Some("one"));
}

#[test]
fn hosts_have_their_rules_and_their_way_with_base_paths() {
    let text = "listeners: [{ address: '127.0.0.1:0' }]
apis:
  a: { routes: { GET /: { integration: { type: mock } } }, stages: { one: {}, two: {}, three: {} } }
domains:
  both.test:
    /: { api: a, stage: one }
    rules:
      - { priority: 2, id: second, api: a, stage: three, headers: { host: '*' } }
      - { priority: 1, api: a, stage: two, base_path: x/y, strip_base_path: false }
  letters.test: { base_paths: prefix, /: { api: a, stage: one }, /x: { api: a, stage: two },
                  /x/y: { api: a, stage: three } }
  rules.test: { routing: rules, /: { api: a, stage: one },
                rules: [{ priority: 9, base_path: x, api: a, stage: two }] }
  mappings.test: { routing: mappings, /: { api: a, stage: one },
                   rules: [{ priority: 9, api: a, stage: two }] }
";
    let snapshot = compiled(text);
    let check = |host: &str, path: &str, expected: Option<(&str, &str, &str)>| {
        let hosts = &snapshot.routing.hosts;
        let found = hosts.find(host.as_bytes(), path.as_bytes(), FieldLines::default());
        let found = found.map(|found| {
            let stage = &*snapshot.routing.stages[*found.value as usize].name;
            let rule = found.matched.map_or("", |matched| &matched.rule);
            (stage, std::str::from_utf8(found.rest).unwrap(), rule)
        });
        assert_eq!(found, expected, "{host}{path}");
    };
    check("both.test", "/x/y/z", Some(("two", "/x/y/z", "1")));
    // There is no field line here, so that the second rule takes nothing.
    check("both.test", "/x", Some(("one", "/x", "")));
    check("letters.test", "/xyz", Some(("two", "/xyz", "")));
    check("rules.test", "/x/z", Some(("two", "/z", "9")));
    check("rules.test", "/", None);
    check("mappings.test", "/x", Some(("one", "/x", "")));
}

#[test]
fn a_route_is_under_its_own_limits_and_those_of_all_that_it_belongs_to() {
    let text = "listeners: [{ address: '127.0.0.1:0' }]
throttle: { rate: 1000, burst: 1000 }
apis:
  a:
    throttle: { rate: 100, burst: 100 }
    routes:
      GET /:
        integration: { type: mock }
        throttle:
          - { rate: 1, burst: 2 }
          - { rate: 1, burst: 3, per: address, ipv6_prefix: 56 }
          - { rate: 1, burst: 4, per: { header: X-Tenant } }
          - { rate: 1, burst: 5, per: address, clients: 100 }
      GET /own: { integration: { type: mock } }
    stages:
      one: { throttle: { rate: 10, burst: 20 } }
      two: { routes: { GET /: { throttle: { rate: 7, burst: 7 } } } }
domains: { '*': { /: { api: a, stage: one }, /two: { api: a, stage: two } } }
";
    let snapshot = compiled(text);
    let names = |stage: usize, key: &str| {
        let route = find(&snapshot.routing.stages[stage], key).unwrap();
        let names = route.limits.all.iter().map(|limit| &*limit.name);
        names.collect::<Vec<_>>().join(" ")
    };
    let own = "route route-address route-header route-address-2";
    assert_eq!(names(0, "GET /"), format!("{own} stage api gateway"));
    assert_eq!(names(0, "GET /own"), "stage api gateway");
    assert_eq!(names(1, "GET /"), "route api gateway");
    let held = |stage: usize, index: usize| {
        let route = find(&snapshot.routing.stages[stage], "GET /").unwrap();
        match &route.limits.all[index].held {
            Held::Together(bucket) => Arc::as_ptr(bucket).addr(),
            Held::Apart(table, _) => Arc::as_ptr(table).addr(),
        }
    };
    // One API and one gateway, whichever the stage; a route in each stage has its own.
    assert_eq!((held(0, 5), held(0, 6)), (held(1, 1), held(1, 2)));
    assert_ne!(held(0, 0), held(1, 0));
    assert_ne!(held(0, 1), held(0, 3));
}
