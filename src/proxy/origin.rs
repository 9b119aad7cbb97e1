//! A connection to an origin: from the pool or dialled, and back.

use super::core::{Core, LocalUpstream};
use crate::{
    bounds::{BUSY_REQUESTS_MIN, ORIGIN_TRUSTED_IDLE_US, PENDING_RETRY_MS},
    clock::{self, Instant},
    error::Error,
    net::{Deadline, DialAddress, DialError, Stream, dial, is_alive},
    upstream::{Address, Connection, OpenPermit, Upstream},
};
use std::{rc::Rc, time::Duration};

/// A connection to an origin. The deadline goes before the socket that it watches.
#[derive(Debug)]
pub(super) struct OriginConnection {
    /// The limit of the step at hand: nothing is read while something is written, but where a
    /// body streams, which has another for that.
    pub(super) deadline: Deadline,
    /// The connection.
    pub(super) stream: Stream,
    /// Whether its last answer had no body by the rules of HTTP, which origins break: what they send
    /// all the same comes right behind.
    pub(super) is_bare: bool,
    /// Its place in the endpoint's count.
    _permit: OpenPermit,
}

/// What a request asks of a connection that has been idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// If it closes under the request, the request is sent again.
    Repeatable,
    /// The request must not be sent twice.
    Once,
}

/// A connection to `endpoint`: an idle one, or a new one.
///
/// An idle one is looked at, unless the worker is busy and used it a moment ago: bytes
/// that came unasked would be read as the answer to the request that goes out next, and RFC 9112
/// §6.3 forbids it. One that has closed is found out by the way.
pub(super) async fn obtain(
    core: &Rc<Core>,
    upstream: &Upstream,
    local: &LocalUpstream,
    endpoint: usize,
    trust: Trust,
    now: Instant,
) -> Result<(OriginConnection, Connection), Error> {
    if let Some(idle) = take_idle(core, local, endpoint, trust, now) {
        return Ok((idle, Connection::Reused));
    }
    let state = &upstream.endpoints[endpoint].state;
    if let Some(permit) = state.try_open(upstream.settings.connections_max) {
        let fresh = open(core, upstream, endpoint, permit).await?;
        return Ok((fresh, Connection::Fresh));
    }
    wait_for_place(core, upstream, local, endpoint, trust).await
}

/// A new connection to `endpoint`, whatever the pool has.
pub(super) async fn renew(
    core: &Rc<Core>,
    upstream: &Upstream,
    endpoint: usize,
) -> Result<OriginConnection, Error> {
    let state = &upstream.endpoints[endpoint].state;
    let permit = state
        .try_open(upstream.settings.connections_max)
        .ok_or(Error::UpstreamUnavailable)?;
    open(core, upstream, endpoint, permit).await
}

fn take_idle(
    core: &Core,
    local: &LocalUpstream,
    endpoint: usize,
    trust: Trust,
    now: Instant,
) -> Option<OriginConnection> {
    const TRUSTED_IDLE: Duration = Duration::from_micros(ORIGIN_TRUSTED_IDLE_US);
    let is_busy = core.cells.requests_in_flight.read() >= BUSY_REQUESTS_MIN;
    loop {
        let (connection, idle_since) = local.pools[endpoint].borrow_mut().take(now)?;
        let is_trusted = is_busy
            && trust == Trust::Repeatable
            && !connection.is_bare
            && now.since(idle_since) < TRUSTED_IDLE;
        if is_trusted || is_alive(connection.stream.fd()) {
            core.cells.upstream_reused.add(1);
            return Some(connection);
        }
        core.cells.upstream_closed.add(1);
    }
}

async fn open(
    core: &Rc<Core>,
    upstream: &Upstream,
    endpoint: usize,
    permit: OpenPermit,
) -> Result<OriginConnection, Error> {
    let address = match &upstream.endpoints[endpoint].address {
        Address::Ip(address) => DialAddress::Ip(*address),
        Address::Unix(path) => DialAddress::Unix(path),
    };
    let timeout = upstream.settings.timeouts.connect;
    let stream = dial(address, timeout, core.driver).await.map_err(|error| {
        core.cells.upstream_failed.add(1);
        match error {
            DialError::Refused(_) => Error::UpstreamRefused,
            DialError::Timeout => Error::UpstreamConnectTimeout,
            DialError::DescriptorsExhausted => Error::DescriptorsExhausted,
        }
    })?;
    core.cells.upstream_opened.add(1);
    Ok(OriginConnection {
        deadline: core.deadlines.register(stream.fd()),
        stream,
        is_bare: false,
        _permit: permit,
    })
}

/// All places are taken: waits, as one of a bounded number, until an idle connection or a place
/// is there. The places are shared by all workers, so there is nobody to be woken by; it looks
/// again every [`PENDING_RETRY_MS`].
#[cold]
async fn wait_for_place(
    core: &Rc<Core>,
    upstream: &Upstream,
    local: &LocalUpstream,
    endpoint: usize,
    trust: Trust,
) -> Result<(OriginConnection, Connection), Error> {
    let settings = &upstream.settings;
    let _waiting = upstream
        .state
        .try_pend(settings.pending_max)
        .ok_or(Error::UpstreamUnavailable)?;
    let pending = Pending::enter(core);
    let until = clock::now().after(settings.pending_timeout);
    loop {
        monoio::time::sleep(Duration::from_millis(PENDING_RETRY_MS)).await;
        let now = clock::now();
        if let Some(idle) = take_idle(core, local, endpoint, trust, now) {
            return Ok((idle, Connection::Reused));
        }
        let state = &upstream.endpoints[endpoint].state;
        if let Some(permit) = state.try_open(settings.connections_max) {
            drop(pending);
            let fresh = open(core, upstream, endpoint, permit).await?;
            return Ok((fresh, Connection::Fresh));
        }
        if now >= until {
            return Err(Error::UpstreamUnavailable);
        }
    }
}

/// A request that waits, in the worker's gauge.
struct Pending<'c>(&'c Core);

impl<'c> Pending<'c> {
    fn enter(core: &'c Core) -> Self {
        core.cells.pending.up();
        Self(core)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.cells.pending.down();
    }
}
