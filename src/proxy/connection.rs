//! A connection's life: asleep until there is something to read, awake while requests come, and
//! closed in a way that the last answer arrives.

use super::{
    api_key,
    core::{Core, View},
    exchange::{Rest, Way, of_origin},
    relay::{From, To},
    reply,
    serve::serve,
    session::{Arrival, Session, Trail},
    tunnel,
};
use crate::{
    bounds::LINGER_BYTES_MAX,
    clock::{self, Instant},
    error::Error,
    net::{Deadline, Peer, Stream},
    observe::{Closed, Record},
    snapshot::Snapshot,
};
use std::{rc::Rc, time::Duration};

/// How long the client's last bytes are waited for after a connection's last answer.
const LINGER: Duration = Duration::from_secs(2);

/// What became of an awake connection.
enum Outcome {
    /// It fell asleep.
    Asleep,
    /// It is to be closed, for this reason.
    Closed(Closed),
}

/// What follows on a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Another one may come.
    Request,
    /// The connection ends; everything that the client sent has been read.
    Close,
    /// The connection ends, and the client may still be sending.
    Linger,
    /// The connection ends without a proper end of the response: the client must see that.
    Abort,
}

/// Serves a connection until it ends.
///
/// Asleep it costs this future, a socket and a deadline; what it needs awake is in a box of its
/// own, which is let go when it falls asleep.
pub async fn connection(core: Rc<Core>, mut client: Stream, peer: Peer) {
    let deadline = core.deadlines.register(client.fd());
    let reason = loop {
        match Box::pin(awake(&core, &mut client, &deadline, peer)).await {
            Outcome::Closed(reason) => break reason,
            Outcome::Asleep => {}
        }
        if core.is_draining() {
            break Closed::Drain;
        }
        deadline.sleep();
        deadline.limit_idle(core.view().snapshot.settings.timeouts.idle);
        core.cells.connections_idle.up();
        core.cells.connections_asleep.up();
        core.let_go.set(core.let_go.get() + 1);
        let ready = client.read.readable().await;
        core.cells.connections_asleep.down();
        core.cells.connections_idle.down();
        if deadline.expired() {
            break expired(&core);
        }
        if ready.is_err() {
            break Closed::Client;
        }
        deadline.clear();
    };
    core.cells.closed(reason);
}

async fn awake(core: &Rc<Core>, client: &mut Stream, deadline: &Deadline, peer: Peer) -> Outcome {
    let mut view = core.view();
    let mut session = Session::new(core, client, deadline, peer, &view.snapshot.settings);
    loop {
        let mut started = None;
        let arrival = session
            .read_head(&view.snapshot.settings, &mut started)
            .await;
        view = core.view();
        let started = started.unwrap_or_default();
        let next = match arrival {
            Ok(Arrival::Request) => request(&mut session, Rc::clone(&view), started).await,
            Ok(Arrival::Asleep) => return Outcome::Asleep,
            Ok(Arrival::End) if deadline.expired() => return Outcome::Closed(expired(core)),
            Ok(Arrival::End) => return Outcome::Closed(Closed::Client),
            Err(error) => refuse_head(&mut session, &view.snapshot, started, error).await,
        };
        match next {
            Next::Request => {}
            Next::Close => return Outcome::Closed(Closed::Done),
            Next::Abort => return Outcome::Closed(Closed::Broken),
            Next::Linger => {
                linger(&mut session).await;
                return Outcome::Closed(Closed::Refused);
            }
        }
    }
}

/// Why an idle connection was ended.
fn expired(core: &Core) -> Closed {
    if core.is_draining() {
        Closed::Drain
    } else {
        Closed::Idle
    }
}

/// What could not be read as a request is answered, recorded, and ends the connection: nobody
/// knows where the next one would begin.
#[cold]
async fn refuse_head(
    session: &mut Session<'_>,
    snapshot: &Snapshot,
    started: Instant,
    error: Error,
) -> Next {
    session.head.reset();
    session.identify(&snapshot.settings.forwarding);
    let mut trail = Trail::new(started);
    end_with(session, snapshot, &mut trail, error).await;
    record(session, snapshot, &trail);
    Next::Linger
}

/// Serves the request whose head stands in the session, records it, and clears it away.
async fn request(session: &mut Session<'_>, view: Rc<View>, started: Instant) -> Next {
    let cells = &session.core.cells;
    cells.requests_total.add(1);
    cells.requests_in_flight.up();
    session.identify(&view.snapshot.settings.forwarding);
    let body = session.whole_body();
    let used = session.head.len + body.unwrap_or(0);

    let mut trail = Trail::new(started);
    trail.request_read = body.is_some();
    let next = match serve(session, &view, &mut trail).await {
        Ok(Way::Done) => {
            record(session, &view.snapshot, &trail);
            next(&trail)
        }
        Ok(way) => {
            let (route, upstream) = (trail.route.cloned(), trail.upstream.cloned());
            let (side, matched) = (trail.side.cloned(), trail.matched.cloned());
            let mut trail = trail.moved(
                side.as_ref(),
                route.as_ref(),
                matched.as_ref(),
                upstream.as_ref(),
            );
            drop(view);
            follow(session, &mut trail, way).await;
            record(session, &session.core.view().snapshot, &trail);
            next(&trail)
        }
        Err(error) => {
            end_with(session, &view.snapshot, &mut trail, error).await;
            record(session, &view.snapshot, &trail);
            next(&trail)
        }
    };
    session.core.cells.requests_in_flight.down();
    if next == Next::Request {
        session.inbound.consume(used);
        // Until the next request only what it will be read into is held.
        session.out.clear();
        session.out.release();
        session.origin_in.clear();
        session.origin_in.release();
    }
    next
}

/// What is left of a response when its head is through. The snapshot that served it has been let
/// go: this can take hours.
async fn follow(session: &mut Session<'_>, trail: &mut Trail<'_>, way: Way) {
    let ended = match way {
        Way::Done => Ok(()),
        Way::Body(rest) => rest_of_body(session, trail, *rest).await,
        Way::Tunnel(rest) => tunnel::run(session, trail, *rest).await,
    };
    trail.now = clock::now();
    trail.error = ended.err();
}

async fn rest_of_body(
    session: &mut Session<'_>,
    trail: &mut Trail<'_>,
    mut rest: Rest,
) -> Result<(), Error> {
    let mut from = From {
        half: &mut rest.origin.stream.read,
        deadline: &rest.origin.deadline,
        silence_max: rest.silence_max,
        until: rest.until,
        input: &mut session.origin_in,
    };
    let mut to = To {
        half: &mut session.client.write,
        deadline: session.deadline,
        write_max: session.timeouts.send,
        until: None,
        output: &mut session.out,
    };
    let ended = rest
        .relay
        .run(&mut from, &mut to, &session.core.buffers)
        .await;
    trail.response_bytes = rest.relay.written;
    trail.response_body_bytes = rest.relay.bytes;
    ended.map_err(of_origin)?;
    trail.now = clock::now();
    rest.finish(session, trail);
    Ok(())
}

/// Answers a request that `error` ended, if an answer can still be given.
#[cold]
async fn end_with(
    session: &mut Session<'_>,
    snapshot: &Snapshot,
    trail: &mut Trail<'_>,
    error: Error,
) {
    trail.error = Some(error);
    session.core.cells.refused(error);
    trail.now = clock::now();
    if trail.head_sent {
        return;
    }
    if error == Error::ClientGone {
        trail.status = error.answer().status;
        return;
    }
    if reply::refuse(session, snapshot, trail, error)
        .await
        .is_err()
    {
        trail.keeps_alive = false;
    }
}

/// What may follow on the request that the trail tells of.
fn next(trail: &Trail<'_>) -> Next {
    let cut_off = trail.head_sent
        && matches!(
            trail.error,
            Some(Error::UpstreamTruncated | Error::ClientGone)
        );
    match trail.error {
        Some(_) if cut_off || !trail.head_sent => Next::Abort,
        _ if trail.keeps_alive => Next::Request,
        _ if trail.request_read => Next::Close,
        _ => Next::Linger,
    }
}

/// Ends the connection so that the client reads the answer before it learns of the end: closing
/// a socket with unread bytes would reset it, and take the answer with it (RFC 9112 §9.6).
async fn linger(session: &mut Session<'_>) {
    if session.client.write.finish().await.is_err() {
        return;
    }
    session.deadline.limit(LINGER);
    let mut thrown_away = 0;
    while thrown_away < LINGER_BYTES_MAX {
        session.inbound.clear();
        match session.client.read.fill(&mut session.inbound, 0).await {
            Ok(0) | Err(_) => break,
            Ok(count) => thrown_away += count,
        }
    }
    session.deadline.clear();
}

/// Counts and logs a request that has ended.
fn record(session: &Session<'_>, snapshot: &Snapshot, trail: &Trail<'_>) {
    let core = session.core;
    let buffer = session.inbound.filled();
    let head = &session.head;
    let read = head.len > 0;
    let of = |span: crate::http::Span| if read { span.of(buffer) } else { b"" };
    let route = trail.route.map(|route| &**route);
    let (api, stage) = match (route, trail.stage) {
        (Some(route), _) => (&*route.api, &*route.stage),
        (None, Some(stage)) => (&*stage.api, &*stage.name),
        (None, None) => ("", ""),
    };
    let (api_key_id, usage_plan) = api_key::names(session, trail);
    let record = Record {
        started: trail.started,
        started_wall: core.wall(trail.started),
        latency: trail.now.since(trail.started),
        integration_latency: trail.integration_latency,
        source_ip: session.source_text(),
        method_token: of(head.method_token),
        path: if read { head.path(buffer) } else { b"" },
        query: of(head.query),
        host: of(head.host),
        protocol: if read { head.version.name() } else { "" },
        user_agent: head.fields.value_at(head.fields.user_agent, buffer),
        referer: head.fields.value_at(head.fields.referer, buffer),
        request_id: session.request_id.as_bytes(),
        api,
        stage,
        route: route.map_or("", |route| &route.key),
        routing_rule: trail.matched.map_or("", |matched| &matched.rule),
        base_path: trail.matched.map_or("", |matched| &matched.base_path),
        of_route: match (route, trail.stage) {
            (Some(route), Some(_)) => &route.log,
            // The snapshot may have changed since, and the format with it.
            _ => b"",
        },
        status: trail.status,
        integration_status: trail.integration_status,
        endpoint: trail
            .upstream
            .zip(trail.endpoint)
            .map_or("", |(upstream, endpoint)| {
                &upstream.endpoints[endpoint].text
            }),
        upstream: trail
            .upstream
            .map_or("", |upstream| &upstream.settings.name),
        attempts: trail.attempts,
        request_bytes: trail.request_bytes,
        response_bytes: trail.response_bytes,
        response_body_bytes: trail.response_body_bytes,
        error: trail.error,
        api_key_id,
        usage_plan,
        generation: snapshot.generation,
        deployment: trail.side.map_or("", |side| &side.deployment),
        is_canary: trail.side.and_then(|side| side.is_canary),
    };
    count_bytes(core, trail.request_bytes + head.len as u64, trail);
    if let Some(metrics) = route
        .map(|route| &route.metrics)
        .or_else(|| trail.stage.map(|stage| &stage.metrics))
    {
        metrics.observe(core.worker, &record);
    }
    if let Some(metrics) = trail.side.and_then(|side| side.metrics.as_ref()) {
        metrics.observe(core.worker, &record);
    }
    core.log(snapshot, &record);
}

fn count_bytes(core: &Core, read: u64, trail: &Trail<'_>) {
    core.cells.client_bytes_written.add(trail.response_bytes);
    core.cells.client_bytes_read.add(read);
}
