//! Throttles to limits: each finds the state that it had before.

use super::Kept;
use crate::{
    bounds::{LIMITS_MAX, PLAN_KEYS_KEPT},
    guard::{LimitIdentity, Rate},
    model::throttle::{Per, Throttle, Throttles},
    scope::Scope,
    snapshot::{ClientKey, Held, Limit, Limits},
};
use std::{borrow::Borrow, fmt::Write, sync::Arc};

/// The limits that stand in one place, for `of`, which no other place of this scope is called.
pub(super) fn limits(
    throttles: &Throttles,
    scope: Scope,
    of: &str,
    kept: &mut Kept<'_, '_>,
) -> Vec<Arc<Limit>> {
    let all = throttles.0.iter().enumerate();
    all.filter_map(|(index, throttle)| {
        let earlier = throttles.0[..index].iter();
        let nth = earlier.clone().filter(|one| one.per == throttle.per);
        let made = limit(throttle, (scope, of, nth.count()), kept)?;
        let kind = |one: &Throttle| one.per.as_ref().map(|per| client_key(per).kind());
        let alike = earlier.filter(|one| kind(one) == kind(throttle)).count();
        let name = name(scope, &made.held, alike).into();
        Some(Arc::new(Limit { name, ..made }))
    })
    .collect()
}

fn limit(
    throttle: &Throttle,
    (scope, of, nth): (Scope, &str, usize),
    kept: &mut Kept<'_, '_>,
) -> Option<Limit> {
    // The model admits no other rates; a deployment was made of what it admitted.
    let rate = Rate::new(throttle.rate, throttle.burst)?;
    let per = throttle.per.as_ref();
    let identity = LimitIdentity {
        scope,
        of: of.into(),
        per: per.map(Per::text).unwrap_or_default().into(),
        nth,
    };
    let now = kept.now;
    let held = match per.map(client_key) {
        None => Held::Together(kept.buckets.bucket(identity, rate, now)),
        Some(key) => {
            let table = kept.buckets.table(identity, rate, throttle.clients, now);
            Held::Apart(table, key)
        }
    };
    Some(Limit {
        scope,
        of: of.into(),
        name: Box::default(),
        policy: Box::default(),
        held,
    })
}

fn client_key(per: &Per) -> ClientKey {
    match per {
        Per::Address { ipv6_prefix } => ClientKey::Address {
            ipv6_prefix: *ipv6_prefix,
        },
        Per::ApiKey => ClientKey::ApiKey,
        Per::Header(name) => ClientKey::Header(name.as_str().into()),
        Per::Cookie(name) => ClientKey::Cookie(name.as_str().into()),
        Per::Query(name) => ClientKey::Query(name.as_str().into()),
        Per::Claim(name) => ClientKey::Claim(name.as_str().into()),
    }
}

fn name(scope: Scope, held: &Held, nth: usize) -> String {
    let mut name = scope.name().to_owned();
    if let Held::Apart(_, key) = held {
        name.push('-');
        name.push_str(key.kind());
    }
    if nth > 0 {
        // Writing to a string cannot fail.
        let _ = write!(name, "-{}", nth + 1);
    }
    name
}

/// The limit of each API key that a usage plan sets.
pub(super) fn of_keys(
    throttle: &Throttle,
    scope: Scope,
    of: &str,
    kept: &mut Kept<'_, '_>,
) -> Option<Arc<Limit>> {
    let each = Throttle {
        per: Some(Per::ApiKey),
        clients: PLAN_KEYS_KEPT,
        ..throttle.clone()
    };
    let mut limit = limit(&each, (scope, of, 0), kept)?;
    limit.name = scope.name().into();
    limit.policy = policy(std::slice::from_ref(&limit));
    Some(Arc::new(limit))
}

/// The limits of a route, from the narrowest, and what responses say of them.
pub(super) fn of_route(narrowest_first: [&[Arc<Limit>]; 4], said: bool) -> Limits {
    let all: Box<[Arc<Limit>]> = narrowest_first.concat().into();
    debug_assert!(all.len() <= LIMITS_MAX);
    let policy = match said && !all.is_empty() {
        true => policy(&all),
        false => Box::default(),
    };
    Limits { all, policy }
}

/// `RateLimit-Policy`: of each limit the burst, and the seconds in which as much comes again
/// (draft-ietf-httpapi-ratelimit-headers).
fn policy(limits: &[impl Borrow<Limit>]) -> Box<[u8]> {
    let items: Vec<String> = limits
        .iter()
        .map(|limit| {
            let limit = limit.borrow();
            let (burst, seconds) = (limit.rate().burst(), limit.window_seconds());
            format!("\"{}\";q={burst};w={seconds}", limit.name)
        })
        .collect();
    format!("RateLimit-Policy: {}\r\n", items.join(", "))
        .into_bytes()
        .into()
}
