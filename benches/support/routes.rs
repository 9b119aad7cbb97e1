//! The routes that benches look up and the requests that look for them: those of many services with
//! the same ten templates each, as an API gateway has them.

use sluice::{
    http::Method,
    route::{Hosts, HostsBuilder, Precedence, RouteKey, Table, TableBuilder},
};

/// The routes of one service; `S` stands for its number.
const TEMPLATES: [(&str, &str); 10] = [
    ("GET", "/serviceS/v1/items"),
    ("POST", "/serviceS/v1/items"),
    ("GET", "/serviceS/v1/items/{id}"),
    ("PUT", "/serviceS/v1/items/{id}"),
    ("GET", "/serviceS/v1/items/{id}/parts/{part}"),
    ("GET", "/serviceS/v1/items/search"),
    ("ANY", "/serviceS/v1/reports/{year}/{month}/{day}/summary"),
    ("GET", "/serviceS/health"),
    ("ANY", "/serviceS/static/{file+}"),
    ("GET", "/serviceS/{lang}/help"),
];

/// The request that a template of [`TEMPLATES`] takes, or none does.
const REQUESTS: [(Method, &str); 11] = [
    (Method::Get, "/serviceS/v1/items"),
    (Method::Post, "/serviceS/v1/items"),
    (Method::Get, "/serviceS/v1/items/8f14e45f"),
    (Method::Put, "/serviceS/v1/items/45c48cce"),
    (Method::Get, "/serviceS/v1/items/d3d94468/parts/17"),
    (Method::Get, "/serviceS/v1/items/search"),
    (Method::Get, "/serviceS/v1/reports/2026/11/23/summary"),
    (Method::Get, "/serviceS/health"),
    (Method::Get, "/serviceS/static/css/site.css"),
    (Method::Get, "/serviceS/de/help"),
    (Method::Get, "/serviceS/v1/orders/7"),
];

/// Methods and templates, so many.
pub(crate) fn keys(count: usize) -> Vec<(String, String)> {
    let of = |index: usize| {
        let (method, path) = TEMPLATES[index % 10];
        (
            method.to_owned(),
            path.replacen('S', &(index / 10).to_string(), 1),
        )
    };
    (0..count).map(of).collect()
}

/// A stream of numbers that looks random and is the same in every run.
pub(crate) fn draw(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 16) as usize
}

/// `count` requests drawn at random from those to the services that have `routes` routes; one in
/// eleven has no route.
pub(crate) fn requests(routes: usize, count: usize) -> Vec<(Method, String)> {
    let mut state = 0x2545_F491_4F6C_DD1D;
    let mut one = || {
        let (method, path) = REQUESTS[draw(&mut state) % REQUESTS.len()];
        let service = draw(&mut state) % (routes / 10).max(1);
        (method, path.replacen('S', &service.to_string(), 1))
    };
    (0..count).map(|_| one()).collect()
}

/// The keys of so many routes.
pub(crate) fn parsed(count: usize) -> Vec<RouteKey> {
    let parse = |(method, path): &(String, String)| {
        RouteKey::parse(&format!("{method} {path}")).expect("the templates are right")
    };
    keys(count).iter().map(parse).collect()
}

/// The table of `keys`, each with its number.
pub(crate) fn table(keys: &[RouteKey], precedence: Precedence) -> Table<u32> {
    let mut builder = TableBuilder::new(precedence);
    for (index, key) in keys.iter().enumerate() {
        builder
            .insert(key, index as u32)
            .expect("the templates differ");
    }
    builder.build().expect("the routes are ordinary")
}

/// A path without peculiarities.
pub(crate) const PLAIN_PATH: &[u8] = b"/service17/v1/items/8f14e45f/parts/17";

/// One of the hosts of [`hosts`], as a client may write it.
pub(crate) const HOST: &[u8] = b"api612.example.com:8443";
/// A path under one of its base paths.
pub(crate) const PATH_OF_HOST: &[u8] = b"/shop/items/8f14e45f";

/// A thousand hosts, each with two base paths, and a wildcard.
pub(crate) fn hosts() -> HostsBuilder<u32> {
    let mut builder = Hosts::builder();
    for index in 0..1_000 {
        let host = format!("api{index}.example.com");
        builder.insert(&host, "/", index).expect("the hosts differ");
        builder
            .insert(&host, "/shop", index)
            .expect("the hosts differ");
    }
    builder
        .insert("*.example.org", "/v1/shop", 7)
        .expect("the hosts differ");
    builder
}
