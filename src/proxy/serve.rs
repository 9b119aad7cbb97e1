//! The request's way. Every step that a request takes, in order, and nothing else.
//!
//! A step either lets the request on or returns the [`Error`] that ends it; `connection.rs` turns
//! the error into an answer and writes the record. So there is one way in, one way out, and every
//! request is recorded. No step is skipped or repeated elsewhere.

use super::{
    api_key,
    core::View,
    exchange::{self, FailedAttempt, Plan, Way},
    limits, reply,
    session::{Session, Trail},
};
use crate::{
    clock::{self, Instant},
    error::Error,
    http::{Declared, FieldId, RequestHead},
    route::{self, Params},
    snapshot::{Canary, HttpIntegration, Integration, Route, Served, Stage, Sticky},
    upstream::{
        Attempts, Balance, Choice, Failed, Failure, HashKey, Next, Outcome, Tried, Upstream,
    },
};
use std::{sync::Arc, time::Duration};

/// Serves the request whose head stands in the session, up to its response's head and as much of
/// the body as is there; what is left to do comes back as a [`Way`].
pub(super) async fn serve<'v>(
    session: &mut Session<'_>,
    view: &'v View,
    trail: &mut Trail<'v>,
) -> Result<Way, Error> {
    let route = find_route(session, view, trail)?; //                400, 403, 404, 405, 414
    let plan = api_key::authorise(session, view, trail, route)?; //  403
    enter_route(route, trail)?; //                                   503
    limits::admit(session, view, route, plan, trail)?; //            429
    api_key::count(session, trail, plan)?; //                        429
    check_body(session, route)?; //                                  413
    match &route.integration {
        Integration::Mock(mock) => {
            let written = reply::mock(session, &view.snapshot, trail, mock).await;
            written.map(|()| Way::Done).map_err(|_| Error::ClientGone)
        }
        Integration::Http(http) => forward(session, view, trail, route, http).await, // 502, 503, 504
        Integration::NotServed => Err(Error::RouteNotServed),                        //     501
    }
}

/// Host and path choose the stage, path and method the route. Leaves in the session what the
/// origin will be asked for.
fn find_route<'v>(
    session: &mut Session<'_>,
    view: &'v View,
    trail: &mut Trail<'v>,
) -> Result<&'v Arc<Route>, Error> {
    let buffer = session.inbound.filled();
    let head = &session.head;
    let source = || {
        session
            .source_text
            .as_ref()
            .unwrap_or(&session.peer_text)
            .as_bytes()
    };
    let path = route::normalise(head.path(buffer), &mut session.scratch)?;
    route::check_query(head.query.of(buffer))?;

    let routing = &view.snapshot.routing;
    let found = routing
        .hosts
        .find(
            head.host.of(buffer),
            path.merged(),
            head.fields.lines(buffer),
        )
        .ok_or(Error::DomainUnknown)?;
    let stage: &'v Stage = &routing.stages[*found.value as usize];
    trail.stage = Some(stage);
    trail.matched = found.matched;
    let served: &'v Served = match &stage.canary {
        None => &stage.own,
        Some(canary) if is_for_canary(canary, head, buffer, &source, session.core.random()) => {
            &canary.served
        }
        Some(_) => &stage.own,
    };
    trail.served = Some(served);
    trail.side = Some(&served.side);

    let mut params = Params::new();
    let token = head.method_token.of(buffer);
    let table = &served.table;
    let route = match table.find(head.method, token, found.rest, &mut params) {
        Some(route) => route,
        None => {
            session.target.clear();
            session.target.extend_from_slice(found.rest);
            let has_methods = || !table.methods(found.rest).is_empty();
            return Err(reply::miss(served.miss, has_methods));
        }
    };
    trail.route = Some(route);
    route.allowed.permits(path.peculiarities())?;

    session.target.clear();
    if let Integration::Http(http) = &route.integration {
        write_target(&mut session.target, http, &path, &found, params, route);
        if head.has_query {
            session.target.push(b'?');
            session.target.extend_from_slice(head.query.of(buffer));
        }
    }
    Ok(route)
}

/// Which side of a stage with a canary serves the request.
#[cold]
fn is_for_canary<'s>(
    canary: &Canary,
    head: &'s RequestHead,
    buffer: &'s [u8],
    source: &dyn Fn() -> &'s [u8],
    random: u64,
) -> bool {
    let force = canary.force.as_ref();
    let forced = force.and_then(|(name, _)| head.fields.named(name, buffer));
    let key = match &canary.sticky {
        None => None,
        Some(Sticky::Header(name)) => head.fields.named(name, buffer),
        Some(Sticky::Cookie(name)) => cookie_named(head, buffer, name),
        Some(Sticky::Address) => Some(source()).filter(|address| !address.is_empty()),
    };
    canary.takes(forced, key, random)
}

/// The path that the origin is asked for: the integration's own, or the request's after the base
/// path, in both cases in the bytes that were matched.
fn write_target(
    out: &mut Vec<u8>,
    http: &HttpIntegration,
    path: &route::Normalised<'_>,
    found: &route::Found<'_, '_, u32>,
    mut params: Params,
    route: &Route,
) {
    let mut rest = found.rest;
    if route.allowed.contains(route::Peculiarities::EMPTY_SEGMENTS) {
        rest = path.kept_rest(found.base_bytes);
        params.move_to_kept(found.rest, rest);
    }
    match &http.target {
        Some(target) => target.write(out, rest, &params),
        None => out.extend_from_slice(rest),
    }
}

/// A place among the route's requests in flight, where they are limited.
fn enter_route(route: &Route, trail: &mut Trail<'_>) -> Result<(), Error> {
    if let Some(concurrency) = &route.concurrency {
        trail.permits.route = Some(concurrency.enter().ok_or(Error::ConcurrencyExceeded)?);
    }
    Ok(())
}

/// A body that says that it is too long is not read at all.
fn check_body(session: &Session<'_>, route: &Route) -> Result<(), Error> {
    if let Declared::Length(length) = session.head.declared()
        && length > route.body_bytes_max
    {
        return Err(Error::BodyTooLarge);
    }
    Ok(())
}

/// Attempts at the upstream's endpoints until one answers or nothing more may be tried.
async fn forward<'v>(
    session: &mut Session<'_>,
    view: &'v View,
    trail: &mut Trail<'v>,
    route: &'v Route,
    http: &'v HttpIntegration,
) -> Result<Way, Error> {
    let upstream = &view.snapshot.upstreams[http.upstream as usize];
    let local = &view.upstreams[http.upstream as usize];
    trail.upstream = Some(upstream);
    enter(upstream, trail)?;
    local.local.count_request();
    let timeout = http.timeout.or(upstream.settings.timeouts.total);
    let plan = Plan {
        snapshot: &view.snapshot,
        upstream,
        local,
        whole_body: session.whole_body(),
        body_bytes_max: route.body_bytes_max,
        until: timeout.map(|timeout| trail.started.after(timeout)),
    };
    let has_key = write_hash_key(session, &upstream.settings.balance);

    let mut attempts = Attempts::first();
    let mut tried = Tried::default();
    let mut again = None;
    let mut last = Error::UpstreamUnavailable;
    loop {
        let choice = Choice {
            cursor: &local.local.cursor,
            in_flight: &local.local.in_flight,
            key: has_key.then_some(&session.hash_key[..]),
            random: session.core.random(),
            now: trail.now,
            tried: &tried,
        };
        let picked = again.or_else(|| upstream.pick(&choice));
        // With nobody left to try, the client learns how the last attempt failed.
        let endpoint = picked.ok_or(last)?;
        trail.attempts = attempts.made();
        let began = trail.now;
        let failed = match exchange::attempt(session, trail, &plan, endpoint, again.is_some()).await
        {
            Ok(way) => {
                let outcome = Outcome::of_status(trail.status);
                session.core.observe(upstream, endpoint, outcome, trail.now);
                sample(trail, &plan, began, Ok(trail.status));
                return Ok(way);
            }
            Err(failed) => failed,
        };
        last = failed.error;
        sample(trail, &plan, began, Err(last));
        let next = after_failure(session, trail, &plan, &mut attempts, endpoint, &failed);
        match next {
            Next::Elsewhere => {
                tried.add(endpoint);
                again = None;
            }
            Next::Fresh => again = Some(endpoint),
            Next::GiveUp => return Err(last),
            Next::Denied => {
                session.core.cells.retries_denied.add(1);
                return Err(last);
            }
        }
        if plan.until.is_some_and(|until| trail.now >= until) {
            return Err(Error::UpstreamTimeout);
        }
        session.core.cells.retries.add(1);
    }
}

/// A place among the upstream's requests in flight, if it limits them.
fn enter(upstream: &Upstream, trail: &mut Trail<'_>) -> Result<(), Error> {
    match upstream.enter() {
        Ok(permit) => {
            trail.permits.upstream = permit;
            Ok(())
        }
        Err(full) => {
            if full == Error::LoadShed {
                trail.retry_after = Some(Duration::ZERO);
            }
            Err(full)
        }
    }
}

/// Tells an upstream that sheds load how long an attempt took. What failed at once says nothing of
/// how long serving takes, nor does the time that a client took to send a body.
fn sample(trail: &Trail<'_>, plan: &Plan<'_>, began: Instant, ended: Result<u16, Error>) {
    if plan.upstream.settings.load_shedding.is_none() || plan.whole_body.is_none() {
        return;
    }
    let latency = match ended {
        Ok(status) if status < 500 => trail.integration_latency,
        Err(Error::UpstreamTimeout) => Some(clock::now().since(began)),
        Ok(_) | Err(_) => None,
    };
    if let Some(latency) = latency {
        plan.local.local.sample(latency);
    }
}

/// What follows on a failed attempt. The upstream is told of a failure that speaks against the
/// endpoint.
fn after_failure(
    session: &Session<'_>,
    trail: &Trail<'_>,
    plan: &Plan<'_>,
    attempts: &mut Attempts,
    endpoint: usize,
    failed: &FailedAttempt,
) -> Next {
    let upstream = plan.upstream;
    let Some(failure) = Failure::of_error(failed.error) else {
        return Next::GiveUp;
    };
    let next = attempts.next(
        Failed {
            failure,
            progress: failed.progress,
            connection: failed.connection,
            method: session.head.method,
        },
        &upstream.settings.retry,
        &upstream.state.budget,
        trail.now,
    );
    if next != Next::Fresh {
        let outcome = Outcome::Failure(failure);
        session.core.observe(upstream, endpoint, outcome, trail.now);
    }
    next
}

/// Puts what the balance hashes into the session; whether the request has it.
fn write_hash_key(session: &mut Session<'_>, balance: &Balance) -> bool {
    let Balance::Hash(key) = balance else {
        return false;
    };
    let buffer = session.inbound.filled();
    let out = &mut session.hash_key;
    out.clear();
    match key {
        HashKey::Path => out.extend_from_slice(session.head.path(buffer)),
        HashKey::ClientAddress => match session.source_ip {
            Some(address) => out.extend_from_slice(address.to_string().as_bytes()),
            None => return false,
        },
        HashKey::Header(name) => match session.head.fields.named(name, buffer) {
            Some(value) => out.extend_from_slice(value),
            None => return false,
        },
        HashKey::Cookie(name) => match cookie_named(&session.head, buffer, name) {
            Some(value) => out.extend_from_slice(value),
            None => return false,
        },
    }
    true
}

/// The value of the request's cookie of this name.
pub(super) fn cookie_named<'b>(
    head: &'b RequestHead,
    buffer: &'b [u8],
    name: &str,
) -> Option<&'b [u8]> {
    let mut cookies = head.fields.values(FieldId::Cookie, buffer);
    cookies.find_map(|cookies| cookie(cookies, name))
}

/// The value of the cookie `name` in a Cookie field (RFC 6265 §4.2.1).
fn cookie<'b>(field: &'b [u8], name: &str) -> Option<&'b [u8]> {
    field.split(|byte| *byte == b';').find_map(|pair| {
        let rest = pair.trim_ascii().strip_prefix(name.as_bytes())?;
        rest.strip_prefix(b"=")
    })
}
