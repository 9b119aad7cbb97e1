//! What finding a route costs: the contracts of `route/`, and matchit beside them.
//!
//! The requests are drawn at random, so that at 100,000 routes most look-ups find the tree's lower
//! part outside the nearest caches.

use std::{hint::black_box, sync::Arc};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use sluice::http::{HeadLimits, Method, Parsed, RequestHead};
use sluice::route::{
    BasePathUse, HeaderCondition, Matched, Params, Precedence, RouteKey, Rule, Rules, TableBuilder,
    ValueGlob, normalise,
};

#[path = "support/routes.rs"]
mod routes;
use routes::{HOST, PATH_OF_HOST, PLAIN_PATH, draw, keys, parsed, requests, table};

/// Routes with as little in common as a generator can make: every name is drawn, at every level, so
/// that few endings are alike. With each route goes a request that it takes.
fn irregular(count: usize) -> Vec<(RouteKey, Method, String)> {
    let mut state = 0x9E37_79B9_7F4A_7C15;
    let mut seen = std::collections::HashSet::new();
    let mut routes = Vec::new();
    while routes.len() < count {
        let (mut template, mut path) = (String::new(), String::new());
        for level in 0..2 + draw(&mut state) % 4 {
            let name = format!("/n{}", draw(&mut state) % [300, 100, 10_000, 50, 50][level]);
            let is_parameter = level > 0 && draw(&mut state).is_multiple_of(3);
            template += &if is_parameter {
                format!("/{{p{level}}}")
            } else {
                name.clone()
            };
            path += &name;
        }
        let method = [Method::Get, Method::Post, Method::Delete][draw(&mut state) % 3];
        let key = format!("{} {template}", method.name());
        if seen.insert(key.clone()) {
            routes.push((
                RouteKey::parse(&key).expect("the names are right"),
                method,
                path,
            ));
        }
    }
    routes
}

fn find(c: &mut Criterion) {
    for count in [10, 1_000, 100_000] {
        let keys = parsed(count);
        let requests = requests(count, 1 << 16);
        for (precedence, suffix) in [
            (Precedence::FullMatchFirst, ""),
            (Precedence::LeftToRight, "_rest"),
        ] {
            let table = table(&keys, precedence);
            let mut turn = 0;
            let mut params = Params::new();
            c.bench_function(&format!("route/find_{count}{suffix}"), |b| {
                b.iter(|| {
                    let (method, path) = &requests[turn & 0xFFFF];
                    turn += 1;
                    black_box(
                        table
                            .find(*method, b"", path.as_bytes(), &mut params)
                            .copied(),
                    )
                });
            });
        }
        matchit_find(c, count, &requests);
    }
}

fn find_irregular(c: &mut Criterion) {
    let routes = irregular(100_000);
    let mut builder = TableBuilder::new(Precedence::FullMatchFirst);
    for (index, (key, ..)) in routes.iter().enumerate() {
        builder
            .insert(key, index as u32)
            .expect("the routes differ");
    }
    let table = builder.build().expect("the routes are ordinary");
    let mut state = 7;
    let requests: Vec<(Method, &str)> = (0..1 << 16)
        .map(|_| &routes[draw(&mut state) % routes.len()])
        .map(|(_, method, path)| (*method, path.as_str()))
        .collect();
    // The paths side by side, as a connection's buffer has them: what is measured is the table.
    let requests: Vec<(Method, String)> = requests
        .into_iter()
        .map(|(method, path)| (method, path.to_owned()))
        .collect();
    let mut turn = 0;
    let mut params = Params::new();
    c.bench_function("route/find_100000_irregular", |b| {
        b.iter(|| {
            let (method, path) = &requests[turn & 0xFFFF];
            turn += 1;
            black_box(
                table
                    .find(*method, b"", path.as_bytes(), &mut params)
                    .copied(),
            )
        });
    });
}

/// The plan that the table replaced: for each method one matchit tree of exact and parameter routes
/// with `ANY` merged in, and one of greedy ones.
fn matchit_find(c: &mut Criterion, count: usize, requests: &[(Method, String)]) {
    let mut full: Vec<matchit::Router<u32>> = Vec::new();
    let mut greedy: Vec<matchit::Router<u32>> = Vec::new();
    for method in Method::ALL {
        let (mut one, mut other) = (matchit::Router::new(), matchit::Router::new());
        for (index, (wanted, path)) in keys(count).into_iter().enumerate() {
            if wanted == "ANY" || wanted == method.name() {
                let (tree, path) = match path.strip_suffix("+}") {
                    Some(before) => (&mut other, format!("{}}}", before.replacen('{', "{*", 1))),
                    None => (&mut one, path),
                };
                tree.insert(path, index as u32)
                    .expect("the templates differ");
            }
        }
        full.push(one);
        greedy.push(other);
    }
    let mut turn = 0;
    c.bench_function(&format!("route/matchit_{count}"), |b| {
        b.iter(|| {
            let (method, path) = &requests[turn & 0xFFFF];
            turn += 1;
            let hit = full[*method as usize].at(path);
            let hit = hit.or_else(|_| greedy[*method as usize].at(path));
            black_box(hit.ok().map(|hit| (*hit.value, hit.params.len())))
        });
    });
}

fn build(c: &mut Criterion) {
    let keys = parsed(100_000);
    let mut group = c.benchmark_group("route");
    group.sample_size(10);
    group.bench_function("build_100000", |b| {
        b.iter_batched(
            || (),
            |()| table(&keys, Precedence::FullMatchFirst),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("parse_100000", |b| {
        b.iter(|| black_box(parsed(100_000).len()))
    });
    group.finish();
}

fn paths(c: &mut Criterion) {
    let mut scratch = Vec::new();
    let rows = [
        ("normalise", PLAIN_PATH),
        ("normalise_escapes", b"/service17//v1/%7eitems/8f14%2be45f"),
    ];
    for (name, path) in rows {
        c.bench_function(&format!("route/{name}"), |b| {
            b.iter(|| {
                let path = normalise(black_box(path), &mut scratch);
                black_box(path.map(|path| path.merged().len()))
            });
        });
    }
}

/// As many rules as a host may have, of which the last takes the request: a version in a header,
/// and a base path for every second one.
fn fifty_rules() -> Rules<u32> {
    let rule = |index: u32| Rule {
        priority: index,
        matched: Arc::new(Matched {
            rule: index.to_string().into(),
            base_path: if index % 2 == 1 { "shop" } else { "" }.into(),
        }),
        base_path_use: BasePathUse::Strip,
        headers: [HeaderCondition {
            name: "x-version".into(),
            value: ValueGlob::Exact(format!("v{index}").as_bytes().into()),
        }]
        .into(),
        value: index,
    };
    Rules::new((0..50).map(rule).collect())
}

/// A browser's request, with the version of the last of [`fifty_rules`] after all else.
const HEAD: &[u8] = b"GET /shop/items/8f14e45f HTTP/1.1\r\nHost: ruled.example.com\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
Accept: text/html,application/xhtml+xml\r\nAccept-Language: de,en\r\nAccept-Encoding: gzip\r\n\
Connection: keep-alive\r\nCookie: session=8f14e45fceea167a5a36dedd4bea2543\r\n\
Referer: https://shop.example.com/\r\nX-Version: v49\r\n\r\n";

fn hosts(c: &mut Criterion) {
    let mut builder = routes::hosts();
    builder
        .rules("ruled.example.com", fifty_rules())
        .expect("a good host");
    let hosts = builder.build();
    let mut head = RequestHead::default();
    let parsed = head.parse(HEAD, HeadLimits::default());
    assert_eq!(parsed, Ok(Parsed::Complete));
    let lines = head.fields.lines(HEAD);
    let found = hosts.find(b"ruled.example.com", b"/shop/items/8f14e45f", lines);
    assert_eq!(found.map(|found| *found.value), Some(49));
    let rows = [
        ("hosts", HOST, PATH_OF_HOST),
        (
            "hosts_wildcard",
            b"Tenant7.EU.Example.org",
            b"/v1/shop/items/8f14e45f",
        ),
        ("hosts_rules", b"ruled.example.com", PATH_OF_HOST),
    ];
    for (name, host, path) in rows {
        c.bench_function(&format!("route/{name}"), |b| {
            b.iter(|| {
                let (host, path) = (black_box(host), black_box(path));
                let found = hosts.find(host, path, lines);
                black_box(found.map(|found| (*found.value, found.rest.len())))
            });
        });
    }
}

criterion_group!(benches, find, find_irregular, build, paths, hosts);
criterion_main!(benches);
