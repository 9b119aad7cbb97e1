//! The limits that a request is under, and what its client is told of them.

use super::{
    core::View,
    serve::cookie_named,
    session::{Session, Trail},
};
use crate::{
    bounds::LIMITS_MAX,
    clock::Instant,
    error::Error,
    guard::{self, KeyHasher, Rate},
    http::{FieldId, add_lines},
    snapshot::{ClientKey, Held, Limit, PlanAtStage, Route, address_key},
};
use std::sync::Arc;

/// Limits that a request commonly has at most: for more, more is set aside.
const FEW: usize = 4;

/// What a limit leaves to a client: the one that leaves least of those that the request was under.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance<'v> {
    /// Its name among the limits of the route.
    name: &'v str,
    /// The lines that tell of the route's limits and of this one, each with its CRLF.
    policies: [&'v [u8]; 2],
    /// Requests that may come now.
    remaining: u64,
    /// Seconds until the limit leaves all of its burst again.
    full_in: u64,
}

impl Allowance<'_> {
    /// Adds the field lines to a head that has ended; `scratch` is where they are put together.
    pub(super) fn add_to_head(&self, head: &mut Vec<u8>, scratch: &mut Vec<u8>) {
        scratch.clear();
        self.write(scratch);
        add_lines(head, scratch);
    }

    /// Writes the field lines.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut number = itoa::Buffer::new();
        self.policies
            .iter()
            .for_each(|line| out.extend_from_slice(line));
        out.extend_from_slice(b"RateLimit: \"");
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(b"\";r=");
        out.extend_from_slice(number.format(self.remaining).as_bytes());
        out.extend_from_slice(b";t=");
        out.extend_from_slice(number.format(self.full_in).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Takes a token of every limit that the request is under, or of none: those that its usage plan
/// sets for its key, then the route's and those of all that the route belongs to.
///
/// Cost: nothing where there is no limit; for each limit two looks at its word, and for one that
/// tells clients apart a hash of their key. A claim allocates, as does a refusal.
pub(super) fn admit<'v>(
    session: &mut Session<'_>,
    view: &'v View,
    route: &'v Route,
    plan: Option<&'v PlanAtStage>,
    trail: &mut Trail<'v>,
) -> Result<(), Error> {
    let of_plan = plan.map(|plan| [plan.of_route(&route.key), plan.plan.throttle.as_ref()]);
    let of_plan = of_plan.into_iter().flatten().flatten();
    match route.limits.all.len() {
        0 if plan.is_none() => Ok(()),
        0..FEW => admit_under::<{ FEW + 2 }>(session, view, (route, of_plan), trail),
        _ => admit_under::<LIMITS_MAX>(session, view, (route, of_plan), trail),
    }
}

fn admit_under<'v, const N: usize>(
    session: &mut Session<'_>,
    view: &'v View,
    (route, of_plan): (&'v Route, impl Iterator<Item = &'v Arc<Limit>> + Clone),
    trail: &mut Trail<'v>,
) -> Result<(), Error> {
    let limits = || of_plan.clone().chain(&*route.limits.all).take(N);
    let Some(first) = limits().next() else {
        return Ok(());
    };
    let mut asked = [asked(session, first); N];
    let mut count = 1;
    for limit in limits().skip(1) {
        asked[count] = self::asked(session, limit);
        count += 1;
    }
    let asked = &asked[..count];
    let worker = session.core.worker;
    let says = view.snapshot.settings.rate_limit_headers;
    match guard::admit(asked, worker, trail.now) {
        Ok(()) => {
            if says {
                let all = limits().zip(asked);
                trail.allowance = tightest(route, all, trail.now);
            }
            Ok(())
        }
        Err(refusal) => {
            let asked = &asked[refusal.index];
            let Some(limit) = limits().nth(refusal.index) else {
                return Err(Error::Internal);
            };
            if says {
                trail.retry_after = Some(refusal.spent.retry_after);
                trail.allowance = Some(allowance(route, limit, left(asked, trail.now)));
            }
            note(session, limit, asked);
            Err(Error::Throttled)
        }
    }
}

/// The limit with what the request is counted by.
fn asked<'v>(session: &mut Session<'_>, limit: &'v Limit) -> guard::Limit<'v> {
    match &limit.held {
        Held::Together(bucket) => guard::Limit::Bucket(bucket),
        Held::Apart(table, key) => {
            write_key(session, key);
            let key = KeyHasher::of_process().hash(&session.client_key);
            guard::Limit::Client(table, key)
        }
    }
}

/// Puts into the session what the request is counted by; nothing where it has no such value.
fn write_key(session: &mut Session<'_>, key: &ClientKey) {
    let out = &mut session.client_key;
    out.clear();
    let buffer = session.inbound.filled();
    let head = &session.head;
    match key {
        ClientKey::Address { ipv6_prefix } => {
            if let Some(address) = session.source_ip {
                out.extend_from_slice(&address_key(address, *ipv6_prefix));
            }
        }
        ClientKey::ApiKey => {
            if let Some(key) = session.api_key.key() {
                out.extend_from_slice(key.id.as_bytes());
            }
        }
        ClientKey::Header(name) => {
            out.extend_from_slice(head.fields.named(name, buffer).unwrap_or_default());
        }
        ClientKey::Cookie(name) => {
            out.extend_from_slice(cookie_named(head, buffer, name).unwrap_or_default());
        }
        ClientKey::Query(name) => {
            guard::query_value(head.query.of(buffer), name, out);
        }
        ClientKey::Claim(name) => {
            let mut tokens = head.fields.values(FieldId::Authorization, buffer);
            let claim = tokens.next().and_then(|token| guard::claim(token, name));
            out.extend_from_slice(claim.unwrap_or_default().as_bytes());
        }
    }
}

/// What is left under a limit, of how much.
fn left(asked: &guard::Limit<'_>, now: Instant) -> (u64, Rate) {
    match asked {
        guard::Limit::Bucket(bucket) => (bucket.remaining(now), bucket.rate()),
        guard::Limit::Client(table, key) => (table.remaining(*key, now), table.rate()),
    }
}

fn allowance<'v>(
    route: &'v Route,
    limit: &'v Limit,
    (remaining, rate): (u64, Rate),
) -> Allowance<'v> {
    let missing = rate.burst().saturating_sub(remaining);
    // Plain arithmetic: nanoseconds of a `Duration` are 128 bits wide.
    let interval = rate.interval();
    let token_ns = interval.as_secs() * 1_000_000_000 + u64::from(interval.subsec_nanos());
    Allowance {
        name: &limit.name,
        policies: [&route.limits.policy, &limit.policy],
        remaining,
        full_in: missing.saturating_mul(token_ns).div_ceil(1_000_000_000),
    }
}

/// What is left under the limit that leaves the smallest part of its burst.
fn tightest<'v, 'a>(
    route: &'v Route,
    all: impl Iterator<Item = (&'v Arc<Limit>, &'a guard::Limit<'a>)>,
    now: Instant,
) -> Option<Allowance<'v>> {
    let left = all.map(|(limit, asked)| (limit, left(asked, now)));
    // a/b < c/d as a*d < c*b: bursts are below 2^32 and so is what is left of them.
    let least = left.min_by(|(_, (a, b)), (_, (c, d))| {
        (a.saturating_mul(d.burst())).cmp(&c.saturating_mul(b.burst()))
    });
    least.map(|(limit, left)| allowance(route, limit, left))
}

/// Counts a refusal, for people who ask who is limited.
#[cold]
fn note(session: &mut Session<'_>, limit: &Limit, asked: &guard::Limit<'_>) {
    let cells = &session.core.cells;
    cells.limited[limit.scope as usize].add(1);
    let of = KeyHasher::of_process().hash(limit.of.as_bytes());
    let name = KeyHasher::of_process().hash(limit.name.as_bytes());
    let mut hash = of ^ name.rotate_left(1);
    let mut text = Vec::new();
    if let (Held::Apart(_, key), guard::Limit::Client(_, client)) = (&limit.held, asked) {
        hash ^= client.rotate_left(2);
        match (key, session.source_ip) {
            (ClientKey::Address { .. }, Some(address)) => {
                text.extend_from_slice(address.to_string().as_bytes());
            }
            (key, _) => {
                write_key(session, key);
                text.extend_from_slice(&session.client_key);
            }
        }
    }
    let limit = (limit.scope, &*limit.name, &*limit.of);
    session.core.cells.most_limited.note(limit, &text, hash);
}
