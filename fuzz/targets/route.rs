//! The route table against the matcher as prose has it.
//!
//! The input is text: the first line names the precedence (`r` for a REST API, anything else for
//! an HTTP API), lines of route keys follow, and after an empty line come requests.

use sluice::{
    http::Method,
    route::{Params, Precedence, RouteKey, TableBuilder, naive},
};

/// Panics where the two do not agree.
pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let mut lines = text.split('\n');
    let precedence = match lines.next() {
        Some("r") => Precedence::LeftToRight,
        _ => Precedence::FullMatchFirst,
    };
    let mut builder = TableBuilder::new(precedence);
    let mut routes = Vec::new();
    for line in lines.by_ref().take_while(|line| !line.is_empty()).take(64) {
        let Ok(key) = RouteKey::parse(line) else {
            continue;
        };
        if builder.insert(&key, routes.len()).is_ok() {
            routes.push(key);
        }
    }
    let Ok(table) = builder.build() else {
        return;
    };
    assert_eq!(table.len(), routes.len());
    for (method, path) in lines.filter_map(|line| line.split_once(' ')).take(32) {
        // The table is only asked for paths of heads, whose length is bounded.
        if path.len() > sluice::bounds::TARGET_BYTES_MAX {
            continue;
        }
        let mut params = Params::new();
        let token = method.as_bytes();
        let found = table.find(
            Method::from_token(token),
            token,
            path.as_bytes(),
            &mut params,
        );
        let found = found.map(|&route| (route, params.iter().collect::<Vec<_>>()));
        let expected = naive::find(&routes, precedence, method, path);
        assert_eq!(found, expected, "{method} {path} among {routes:?}");
    }
}
