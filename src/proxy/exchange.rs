//! One attempt at an origin: a connection, the request written, the response's head read, and its
//! body begun.
//!
//! A request whose body is at hand is written in one go and then the answer is awaited. One whose
//! body streams is written and answered at the same time, as an origin may answer early; then
//! neither side's future is dropped before both connections are to be closed. What a response
//! still has to say when its head is through goes back as a [`Way`], so that a stream of hours
//! does not hold the snapshot.

use super::{
    answer::Answer,
    core::{LocalUpstream, OriginPool},
    origin::{self, OriginConnection, Trust},
    relay::{Broken, From, Relay, Sink, Source, To},
    session::{Session, Trail},
};
use crate::{
    buffer::Buffer,
    clock::{self, Instant},
    error::Error,
    http::{CHUNK_SIZE_ROOM, ChunkedDecoder, Declared, Provenance, ResponseBody, write_request},
    snapshot::Snapshot,
    upstream::{Body, Connection, HostPolicy, InFlight, Progress, Upstream},
};
use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

/// What holds for all attempts at one request.
pub(super) struct Plan<'v> {
    pub(super) snapshot: &'v Snapshot,
    pub(super) upstream: &'v Upstream,
    pub(super) local: &'v LocalUpstream,
    /// Bytes of the body, if all of it is at hand.
    pub(super) whole_body: Option<usize>,
    pub(super) body_bytes_max: u64,
    /// When the response must have ended.
    pub(super) until: Option<Instant>,
}

/// What is left to do for a request.
pub(super) enum Way {
    /// Nothing.
    Done,
    /// The rest of the response's body.
    Body(Box<Rest>),
    /// What passes through the tunnel that the origin agreed to.
    Tunnel(Box<Rest>),
}

/// A response whose head is through.
pub(super) struct Rest {
    pub(super) origin: OriginConnection,
    pub(super) relay: Relay,
    /// How long the origin may be silent.
    pub(super) silence_max: Duration,
    /// When the response must have ended.
    pub(super) until: Option<Instant>,
    /// Where the connection goes if it can be used again.
    pub(super) pool: OriginPool,
    pub(super) reusable: bool,
    _in_flight: InFlight,
}

/// An attempt that came to nothing.
pub(super) struct FailedAttempt {
    pub(super) error: Error,
    pub(super) progress: Progress,
    pub(super) connection: Connection,
}

/// Sends the request to `endpoint` and takes its answer.
pub(super) async fn attempt(
    session: &mut Session<'_>,
    trail: &mut Trail<'_>,
    plan: &Plan<'_>,
    endpoint: usize,
    renew: bool,
) -> Result<Way, FailedAttempt> {
    let in_flight = plan.local.local.enter(endpoint);
    trail.endpoint = Some(endpoint);
    let obtained = obtain(session, trail, plan, endpoint, renew).await;
    let (mut origin, connection) = obtained.map_err(|error| FailedAttempt {
        error,
        progress: Progress::NothingSent,
        connection: Connection::Fresh,
    })?;
    write_head(session, plan, endpoint);
    session.origin_in.ensure();
    session.origin_in.clear();
    session.response.reset();

    let answered = match plan.whole_body {
        Some(length) => match send_whole(session, plan, &mut origin, length).await {
            Ok(()) => answer_whole(session, trail, plan, &mut origin).await,
            Err(error) => Err(error),
        },
        None => stream(session, trail, plan, &mut origin).await,
    };
    let relay = answered.map_err(|error| FailedAttempt {
        error,
        progress: match plan.whole_body {
            _ if trail.head_sent => Progress::ResponseForwarded,
            Some(_) => Progress::Sent(Body::Replayable),
            None => Progress::Sent(Body::Gone),
        },
        connection,
    })?;
    let rest = Rest {
        origin,
        relay,
        silence_max: plan.upstream.settings.timeouts.between_bytes,
        until: plan.until,
        pool: Rc::clone(&plan.local.pools[endpoint]),
        reusable: session.response.keeps_alive() && trail.request_read,
        _in_flight: in_flight,
    };
    if session.response.status == 101 {
        return Ok(Way::Tunnel(Box::new(rest)));
    }
    if !rest.relay.is_done() {
        return Ok(Way::Body(Box::new(rest)));
    }
    rest.finish(session, trail);
    Ok(Way::Done)
}

impl Rest {
    /// The response has gone through whole: the connection is kept if it can be.
    pub(super) fn finish(mut self, session: &Session<'_>, trail: &mut Trail<'_>) {
        trail.response_bytes = self.relay.written;
        trail.response_body_bytes = self.relay.bytes;
        // Bytes behind the response belong to no request: such a connection is poisoned.
        if self.reusable && session.origin_in.filled().is_empty() && !self.relay.ended_with_close()
        {
            let body = session.response.body(session.head.method);
            self.origin.is_bare = matches!(body, ResponseBody::None);
            let over = self.pool.borrow_mut().put(self.origin, trail.now);
            if over.is_some() {
                session.core.cells.upstream_closed.add(1);
            }
        } else {
            session.core.cells.upstream_closed.add(1);
        }
    }
}

async fn obtain(
    session: &Session<'_>,
    trail: &mut Trail<'_>,
    plan: &Plan<'_>,
    endpoint: usize,
    renew: bool,
) -> Result<(OriginConnection, Connection), Error> {
    let core = session.core;
    let obtained = if renew {
        let fresh = origin::renew(core, plan.upstream, endpoint).await?;
        (fresh, Connection::Fresh)
    } else {
        // A request may be sent twice if its method says so and its whole body is at hand.
        let trust = match plan.whole_body {
            Some(_) if session.head.method.is_idempotent() => Trust::Repeatable,
            _ => Trust::Once,
        };
        origin::obtain(core, plan.upstream, plan.local, endpoint, trust, trail.now).await?
    };
    if obtained.1 == Connection::Fresh {
        trail.now = clock::now();
    }
    Ok(obtained)
}

/// The request's head into `out`.
fn write_head(session: &mut Session<'_>, plan: &Plan<'_>, endpoint: usize) {
    let forwarding = &plan.snapshot.settings.forwarding;
    let buffer = session.inbound.filled();
    let host = match &plan.upstream.settings.host {
        HostPolicy::Preserve if !session.head.host.is_empty() => session.head.host.of(buffer),
        // An HTTP/1.0 request without a Host has none to preserve.
        HostPolicy::Preserve | HostPolicy::Endpoint => {
            plan.upstream.endpoints[endpoint].authority.as_bytes()
        }
        HostPolicy::Literal(host) => host.as_bytes(),
    };
    let way = Provenance {
        x_forwarded: forwarding.x_forwarded,
        forwarded: forwarding.forwarded,
        via: forwarding.via,
        trusted: session.trusted,
        peer: session.peer_text.as_bytes(),
        scheme: "http",
        request_id_name: forwarding.request_id.as_deref(),
        request_id: session.request_id.as_bytes(),
    };
    session.out.ensure();
    session.out.clear();
    write_request(
        session.out.storage(),
        &session.head,
        buffer,
        &session.target,
        host,
        &way,
    );
}

/// Writes a request whose body of `length` bytes stands behind its head: one write, or two where
/// they do not fit together.
async fn send_whole(
    session: &mut Session<'_>,
    plan: &Plan<'_>,
    origin: &mut OriginConnection,
    length: usize,
) -> Result<(), Error> {
    let start = session.head.len;
    let together = length <= session.out.room();
    if together {
        let body = &session.inbound.filled()[start..start + length];
        session.out.storage().extend_from_slice(body);
    }
    let limit = plan.upstream.settings.timeouts.between_bytes;
    origin.deadline.limit(plan.within(limit, clock::now()));
    let mut written = origin.stream.write.drain(&mut session.out).await;
    if !together && written.is_ok() {
        let start = session.inbound.used() + start;
        let end = start + length;
        written = origin
            .stream
            .write
            .write_range(&mut session.inbound, start, end)
            .await;
    }
    session.out.release();
    // A failed write may have been the origin's answer and close: 413, or a redirect. It is read.
    match written {
        Err(_) if origin.deadline.expired() => Err(Error::UpstreamTimeout),
        Err(_) if length == 0 => Err(Error::UpstreamClosed),
        _ => Ok(()),
    }
}

/// Awaits the answer to a request that was written whole, and writes as much of it as is there.
async fn answer_whole(
    session: &mut Session<'_>,
    trail: &mut Trail<'_>,
    plan: &Plan<'_>,
    origin: &mut OriginConnection,
) -> Result<Relay, Error> {
    let limit = plan.response_limit(trail.now);
    let request_sent = Cell::new(true);
    trail.request_bytes = plan.whole_body.unwrap_or(0) as u64;
    let mut answer = Answer::of(session, plan, &request_sent);
    let (read, deadline) = (&mut origin.stream.read, &origin.deadline);
    answer.receive(read, deadline, Some(limit), trail).await?;
    answer.begin(trail).await
}

impl Plan<'_> {
    /// How long the origin has for its response's head.
    fn response_limit(&self, now: Instant) -> Duration {
        self.within(self.upstream.settings.timeouts.response, now)
    }

    /// `limit`, or what is left of the time for the whole exchange.
    fn within(&self, limit: Duration, now: Instant) -> Duration {
        self.until
            .map_or(limit, |until| limit.min(until.since(now)))
    }
}

/// A request's body on its way: what goes first, what has been read, how it is relayed.
struct Upload {
    /// The request's head.
    request_out: Buffer,
    /// What has come of the body.
    body_in: Buffer,
    relay: Relay,
}

impl Upload {
    /// Takes the request's head out of `out`, and what stands behind the client's head out of
    /// `inbound`.
    fn begin(session: &mut Session<'_>, plan: &Plan<'_>) -> Self {
        let buffers = &session.core.buffers;
        let mut request_out = buffers.rent();
        std::mem::swap(&mut request_out, &mut session.out);
        let mut body_in = buffers.rent();
        body_in.clear_with_room(CHUNK_SIZE_ROOM);
        body_in
            .storage()
            .extend_from_slice(&session.inbound.filled()[session.head.len..]);
        session.inbound.truncate(session.head.len);
        let (source, sink) = match session.head.declared() {
            Declared::Length(length) => (Source::Length(length), Sink::Plain),
            Declared::Chunked => (Source::Chunked(ChunkedDecoder::default()), Sink::Chunked),
            Declared::Nothing => (Source::Length(0), Sink::Plain),
        };
        Self {
            request_out,
            body_in,
            relay: Relay::new(source, sink).limited(plan.body_bytes_max),
        }
    }
}

/// Streams the request's body and takes the answer at the same time.
async fn stream(
    session: &mut Session<'_>,
    trail: &mut Trail<'_>,
    plan: &Plan<'_>,
    origin: &mut OriginConnection,
) -> Result<Relay, Error> {
    let buffers = Rc::clone(&session.core.buffers);
    let Upload {
        mut request_out,
        mut body_in,
        relay: mut upload,
    } = Upload::begin(session, plan);
    let request_sent = Cell::new(false);
    let silence_max = session.timeouts.body;
    // Both ways at once: the writing sides get deadlines of their own.
    let origin_write_deadline = session.core.deadlines.register(origin.stream.fd());
    let client_write_deadline = session.core.deadlines.register(session.client.fd());
    let (mut answer, client_read, client_deadline) =
        Answer::split(session, plan, &request_sent, &client_write_deadline);

    let outcome = {
        let (origin_read, origin_write) = (&mut origin.stream.read, &mut origin.stream.write);
        let mut pump = pin!(async {
            let mut to = To {
                half: origin_write,
                deadline: &origin_write_deadline,
                write_max: plan.upstream.settings.timeouts.between_bytes,
                until: plan.until,
                output: &mut request_out,
            };
            upload.flush(&mut body_in, &mut to).await?;
            let mut from = From {
                half: client_read,
                deadline: client_deadline,
                silence_max,
                until: plan.until,
                input: &mut body_in,
            };
            upload.run(&mut from, &mut to, &buffers).await
        });
        let head_seen = Cell::new(false);
        let mut reply = pin!(async {
            answer
                .receive(origin_read, &origin.deadline, None, trail)
                .await?;
            head_seen.set(true);
            let mut relay = answer.begin(trail).await?;
            if !relay.is_done() && !request_sent.get() {
                answer
                    .relay_all(&mut relay, origin_read, &origin.deadline, plan, &buffers)
                    .await?;
            }
            Ok(relay)
        });
        let mut pumping = true;
        poll_fn(|cx| {
            if pumping && let Poll::Ready(pumped) = pump.as_mut().poll(cx) {
                pumping = false;
                request_sent.set(pumped.is_ok());
                if let Err(broken) = pumped {
                    let silent = origin_write_deadline.expired() && !head_seen.get();
                    sent_in_part(broken, silent)?;
                }
                if !head_seen.get() {
                    origin
                        .deadline
                        .limit_read(plan.response_limit(clock::now()));
                }
            }
            reply.as_mut().poll(cx)
        })
        .await
    };
    end_upload(session, trail, &upload, &body_in);
    outcome
}

/// Whether an answer can be waited for when the body was not sent whole; `silent`: the origin has
/// neither taken it in time nor answered, and its connection has been shut down for that.
fn sent_in_part(broken: Broken, silent: bool) -> Result<(), Error> {
    if broken != Broken::Unwritable {
        return Err(of_client(broken));
    }
    if silent {
        return Err(Error::UpstreamTimeout);
    }
    // The origin wants no more; it may have said why.
    Ok(())
}

/// Notes how far the body came. What the client sent behind it is its next request.
fn end_upload(session: &mut Session<'_>, trail: &mut Trail<'_>, upload: &Relay, body_in: &Buffer) {
    trail.request_bytes = upload.bytes;
    trail.request_read = upload.is_done();
    if upload.is_done() {
        let next = body_in.filled();
        session.inbound.storage().extend_from_slice(next);
    }
}

/// What a request's body that did not arrive whole means.
const fn of_client(broken: Broken) -> Error {
    match broken {
        Broken::Ended | Broken::Unwritable => Error::ClientGone,
        Broken::Silent => Error::BodyTimeout,
        Broken::Malformed => Error::ChunkMalformed,
        Broken::TooLarge => Error::BodyTooLarge,
    }
}

/// What a response's body that did not go through whole means.
pub(super) const fn of_origin(broken: Broken) -> Error {
    match broken {
        Broken::Ended | Broken::Silent | Broken::Malformed | Broken::TooLarge => {
            Error::UpstreamTruncated
        }
        Broken::Unwritable => Error::ClientGone,
    }
}
