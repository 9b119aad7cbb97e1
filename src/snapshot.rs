//! The compiled whole: everything that a request may need to know, immutable, behind one pointer.
//!
//! This is where the planes meet. The control plane compiles a [`Snapshot`] off the workers and
//! publishes it; a worker looks for a newer one at each request's beginning and keeps the one that
//! it found until the request ends. Nothing in it is a string of the configuration that would
//! have to be understood on the way of a request.

use crate::{
    guard::Bucket,
    http::HeadLimits,
    observe::{Format, RouteMetrics},
    route::{Hosts, Peculiarities, Table, Target},
    upstream::Upstream,
};
use arc_swap::ArcSwap;
use ipnet::IpNet;
use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// One state of the whole configuration, compiled. Its parts are shared with the snapshots before
/// and after it where they did not change.
#[derive(Debug)]
pub struct Snapshot {
    /// Which state of the configuration this is: 1 for the first, one more at each reload.
    pub generation: u64,
    /// Hosts, stages, routes.
    pub routing: Arc<Routing>,
    /// The upstreams, which HTTP integrations name by index.
    pub upstreams: Box<[Arc<Upstream>]>,
    /// What holds for every request.
    pub settings: Arc<Settings>,
}

/// Where requests go.
#[derive(Debug)]
pub struct Routing {
    /// Host and base path to an index into `stages`.
    pub hosts: Hosts<u32>,
    /// Every stage of every API.
    pub stages: Box<[Stage]>,
}

/// One stage of one API.
#[derive(Debug)]
pub struct Stage {
    /// The API's name.
    pub api: Arc<str>,
    /// The stage's name.
    pub name: Arc<str>,
    /// The routes.
    pub table: Table<Arc<Route>>,
    /// What is answered where no route takes a request.
    pub miss: Miss,
    /// What the stage admits, all routes together.
    pub throttle: Option<Arc<Bucket>>,
    /// The numbers of requests that no route took.
    pub metrics: Arc<RouteMetrics>,
}

/// What an API answers to a request that none of its routes takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// 404, as an Amazon HTTP API does.
    NotFound,
    /// 405 with Allow if the path has routes under other methods, else 404.
    MethodNotAllowed,
    /// 403 `Missing Authentication Token`, as an Amazon REST API does.
    AuthenticationToken,
}

/// One route of one stage, and all that is done with its requests. Shared by pointer, so that a
/// response that streams for hours holds its route and not the snapshot.
#[derive(Debug)]
pub struct Route {
    /// The API's name.
    pub api: Arc<str>,
    /// The stage's name.
    pub stage: Arc<str>,
    /// Its key as written: `GET /orders/{id}`.
    pub key: Arc<str>,
    /// What of an access-log line is the same for all of its requests.
    pub log: Box<[u8]>,
    /// Which peculiar paths it takes.
    pub allowed: Peculiarities,
    /// Bytes of a request's body at most.
    pub body_bytes_max: u64,
    /// What it admits.
    pub throttle: Option<Arc<Bucket>>,
    /// What answers.
    pub integration: Integration,
    /// Its numbers.
    pub metrics: Arc<RouteMetrics>,
}

/// What answers a request.
#[derive(Debug)]
pub enum Integration {
    /// An HTTP origin.
    Http(HttpIntegration),
    /// The gateway itself.
    Mock(Mock),
}

/// An HTTP origin.
#[derive(Debug)]
pub struct HttpIntegration {
    /// Index into [`Snapshot::upstreams`].
    pub upstream: u32,
    /// The path that the origin is asked for; absent: the request's, after the base path.
    pub target: Option<Target>,
    /// From the first attempt to the response's end; absent: the upstream's own.
    pub timeout: Option<Duration>,
}

/// A fixed answer.
#[derive(Debug)]
pub struct Mock {
    /// The status code.
    pub status: u16,
    /// Whole field lines with their CRLF.
    pub field_lines: Box<[u8]>,
    /// The body.
    pub body: Box<[u8]>,
}

/// What holds for every request.
#[derive(Debug)]
pub struct Settings {
    /// Limits on request heads.
    pub head: HeadLimits,
    /// Connections of one worker.
    pub connections_max: usize,
    /// How long things may take on the client's side.
    pub timeouts: ClientTimeouts,
    /// What origins are told of the way.
    pub forwarding: Forwarding,
    /// How a request is logged; absent: not at all.
    pub log: Option<Format>,
}

/// How long things may take on the client's side.
#[derive(Clone, Copy, Debug)]
pub struct ClientTimeouts {
    /// From a head's first byte to its last.
    pub head: Duration,
    /// Between two reads of a body.
    pub body: Duration,
    /// Between requests.
    pub idle: Duration,
    /// For the client to take what is written to it.
    pub send: Duration,
    /// Without a byte either way through a tunnel.
    pub tunnel_idle: Duration,
    /// From the signal to stop, to the end of what is in flight.
    pub drain: Duration,
}

/// What origins are told of the way that a request came, and whom we believe about it.
#[derive(Clone, Debug)]
pub struct Forwarding {
    /// X-Forwarded-For, -Proto and -Host.
    pub x_forwarded: bool,
    /// Forwarded (RFC 7239).
    pub forwarded: bool,
    /// Via.
    pub via: bool,
    /// The name of the request id's field; absent: none is sent.
    pub request_id: Option<Box<str>>,
    /// Whose word about the way is believed.
    pub trusted: Box<[IpNet]>,
}

impl Forwarding {
    /// Whether `peer` is a proxy that we trust. Cost: O(blocks).
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|block| block.contains(&peer))
    }
}

/// The snapshot that is served now, for all workers to see.
#[derive(Debug)]
pub struct Published {
    current: ArcSwap<Snapshot>,
    /// How many were published. A worker compares it with the one that it knows: a load of a word
    /// that nobody writes in between, so of its own cache.
    revision: AtomicU64,
}

impl Published {
    /// Begins with `first`.
    pub fn new(first: Arc<Snapshot>) -> Self {
        Self {
            current: ArcSwap::new(first),
            revision: AtomicU64::new(1),
        }
    }

    /// Makes `next` the one that is served; the number of this publication.
    pub fn publish(&self, next: Arc<Snapshot>) -> u64 {
        self.current.store(next);
        // Release: who sees the new number sees the new snapshot.
        self.revision.fetch_add(1, Ordering::Release) + 1
    }

    /// The number of the last publication. Cost: one load.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// The snapshot that is served now. Takes part in its reference count: not for each request.
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }
}
