//! What all requests of one worker share: its buffers, deadlines, pools, counters, and its view
//! of the snapshot.
//!
//! Everything is the worker's own: `Rc` and `Cell`, no lock, nothing that another worker writes.
//! No borrow of it lives across an `.await`.

use super::origin::OriginConnection;
use crate::{
    bounds::LIMITED_FADE_TICKS,
    buffer,
    clock::{self, Instant},
    http::DateCache,
    net::{Deadlines, Driver},
    observe::{LogSender, Record, WorkerCells},
    snapshot::{Published, Snapshot},
    upstream::{ConnectionIdentity, Local, Outcome, Pool, Upstream},
};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::{Arc, mpsc},
    time::Duration,
};

/// The idle connections of a worker to one endpoint.
pub(super) type OriginPool = Rc<RefCell<Pool<OriginConnection>>>;

/// What a worker is made of, as the control plane hands it over.
#[derive(Debug)]
pub struct CoreParts {
    /// The worker's number, from 0.
    pub worker: usize,
    /// How many workers there are.
    pub workers: usize,
    /// How it waits for the kernel.
    pub driver: Driver,
    /// The snapshot to serve.
    pub published: Arc<Published>,
    /// The worker's counters.
    pub cells: Arc<WorkerCells>,
    /// The worker's end of the access log.
    pub log: LogSender,
    /// Where snapshots go that the worker has done with, to be freed elsewhere.
    pub reaper: mpsc::Sender<Arc<Snapshot>>,
    /// A seed for what is left to chance.
    pub seed: u64,
    /// Connections of clients that the process's descriptors leave room for on this worker.
    pub connections_room: usize,
}

/// What all requests of one worker share.
#[derive(Debug)]
pub struct Core {
    /// The worker's number, from 0.
    pub worker: usize,
    workers: usize,
    /// How it waits for the kernel.
    pub driver: Driver,
    /// Buffers on rent.
    pub buffers: Rc<buffer::Pool>,
    /// The deadlines of its sockets.
    pub deadlines: Rc<Deadlines>,
    /// Its counters.
    pub cells: Arc<WorkerCells>,
    published: Arc<Published>,
    reaper: mpsc::Sender<Arc<Snapshot>>,
    log: RefCell<LogSender>,
    date: RefCell<DateCache>,
    view: RefCell<Rc<View>>,
    /// Where lines of a head are put together. Empty between two uses.
    pub(super) scratch: RefCell<Vec<u8>>,
    pools: RefCell<HashMap<ConnectionIdentity, OriginPool>>,
    /// Wall-clock time minus monotonic time, renewed at each tick.
    wall_offset: Cell<Duration>,
    random: Cell<u64>,
    draining: Cell<bool>,
    ticks: Cell<u64>,
    connections_room: usize,
    /// Connections of clients now open.
    pub connections: Cell<usize>,
    /// Connections that have let go of memory, asleep or closed, since the worker last gave any
    /// back.
    pub let_go: Cell<usize>,
}

/// A worker's view of one snapshot: the snapshot, and the worker's own state for its upstreams.
#[derive(Debug)]
pub struct View {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    revision: u64,
    /// By the snapshot's upstreams: this worker's part of them.
    pub(super) upstreams: Box<[LocalUpstream]>,
    reaper: mpsc::Sender<Arc<Snapshot>>,
}

/// A worker's part of an upstream.
#[derive(Debug)]
pub(super) struct LocalUpstream {
    /// The place in the round, the requests in flight.
    pub(super) local: Rc<Local>,
    /// By endpoint: its idle connections.
    pub(super) pools: Box<[OriginPool]>,
}

impl Drop for View {
    /// A snapshot can be large; its last holder must not be a worker that has requests to serve.
    fn drop(&mut self) {
        // At the process's end nobody receives any more, and the snapshot is freed here.
        let _ = self.reaper.send(Arc::clone(&self.snapshot));
    }
}

impl Core {
    /// A worker's core, serving what is published now.
    pub fn new(parts: CoreParts) -> Rc<Self> {
        let snapshot = parts.published.load();
        let view = Rc::new(View {
            snapshot,
            revision: 0,
            upstreams: Box::default(),
            reaper: parts.reaper.clone(),
        });
        let core = Rc::new(Self {
            worker: parts.worker,
            workers: parts.workers,
            driver: parts.driver,
            buffers: Rc::default(),
            deadlines: Rc::default(),
            cells: parts.cells,
            published: parts.published,
            reaper: parts.reaper,
            log: RefCell::new(parts.log),
            date: RefCell::default(),
            view: RefCell::new(view),
            scratch: RefCell::default(),
            pools: RefCell::default(),
            wall_offset: Cell::default(),
            random: Cell::new(parts.seed | 1),
            draining: Cell::new(false),
            ticks: Cell::new(0),
            connections_room: parts.connections_room,
            connections: Cell::new(0),
            let_go: Cell::new(0),
        });
        core.renew_wall_clock();
        core.revalidate();
        core
    }

    /// The view to serve the next request from. Cost while nothing was published: one load of a
    /// shared word, and the worker's own reference count.
    pub fn view(&self) -> Rc<View> {
        let revision = self.published.revision();
        if self.view.borrow().revision != revision {
            self.revalidate();
        }
        Rc::clone(&self.view.borrow())
    }

    /// Lets go of a snapshot that is served no longer, if the worker has one. For the tick, so
    /// that an idle worker does, too; and for the message that a new one is there.
    #[cold]
    pub fn revalidate(&self) {
        let revision = self.published.revision();
        if self.view.borrow().revision == revision {
            return;
        }
        // Read after the number, so it is at least as new; a newer one is found next time.
        let snapshot = self.published.load();
        let upstreams = snapshot
            .upstreams
            .iter()
            .map(|upstream| self.local(upstream))
            .collect();
        self.cells.generation.set(snapshot.generation);
        self.view.replace(Rc::new(View {
            snapshot,
            revision,
            upstreams,
            reaper: self.reaper.clone(),
        }));
        self.drop_unused_pools();
    }

    fn local(&self, upstream: &Arc<Upstream>) -> LocalUpstream {
        let mut pools = self.pools.borrow_mut();
        let settings = upstream.settings.pool;
        LocalUpstream {
            local: Local::new(upstream, self.worker, self.workers),
            pools: upstream
                .endpoints
                .iter()
                .map(|endpoint| {
                    let identity = ConnectionIdentity {
                        upstream: upstream.settings.name.clone(),
                        address: endpoint.address.clone(),
                    };
                    let pool = pools
                        .entry(identity)
                        .or_insert_with(|| Rc::new(RefCell::new(Pool::new(settings))));
                    pool.borrow_mut().resize(settings, drop);
                    Rc::clone(pool)
                })
                .collect(),
        }
    }

    /// Closes the idle connections to endpoints that no snapshot names any more.
    fn drop_unused_pools(&self) {
        self.pools
            .borrow_mut()
            .retain(|_, pool| Rc::strong_count(pool) > 1);
    }

    /// The worker's tick: deadlines, idle connections, reports, clocks, the view, the log.
    pub fn tick(&self) {
        self.deadlines.tick();
        self.flush_log();
        self.renew_wall_clock();
        self.revalidate();
        self.ticks.set(self.ticks.get().wrapping_add(1));
        if self.ticks.get().is_multiple_of(LIMITED_FADE_TICKS) {
            self.cells.most_limited.fade();
        }
        let now = clock::now();
        let mut idle = 0;
        for pool in self.pools.borrow().values() {
            let mut pool = pool.borrow_mut();
            pool.expire(now, drop);
            idle += pool.len();
        }
        self.cells.pool_idle.set(idle as u64);
        let view = Rc::clone(&self.view.borrow());
        for (upstream, local) in view.snapshot.upstreams.iter().zip(&view.upstreams) {
            let requests = local.local.take_requests();
            if requests > 0 {
                upstream.state.budget.report(requests, now);
            }
            if let Some(shedding) = &upstream.settings.load_shedding {
                let state = &upstream.state;
                let report = |samples| {
                    let in_flight = state.gate.inside();
                    state.overload.report(samples, in_flight, shedding, now)
                };
                local.local.hand_over_samples(report);
            }
        }
    }

    fn renew_wall_clock(&self) {
        let since_beginning = Duration::from_nanos(clock::now().as_ns());
        self.wall_offset
            .set(clock::wall().saturating_sub(since_beginning));
    }

    /// The wall-clock time at `now`. Cost: an addition; it may be a tick behind a clock that was
    /// just set.
    pub fn wall(&self, now: Instant) -> Duration {
        self.wall_offset.get() + Duration::from_nanos(now.as_ns())
    }

    /// The Date at `now`.
    pub(super) fn date(&self, now: Instant) -> [u8; crate::http::DATE_BYTES] {
        *self.date.borrow_mut().at(self.wall(now))
    }

    /// 64 bits of chance (xorshift64*): good enough to balance by, and no secret.
    pub(super) fn random(&self) -> u64 {
        let mut bits = self.random.get();
        bits ^= bits >> 12;
        bits ^= bits << 25;
        bits ^= bits >> 27;
        self.random.set(bits);
        bits.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Connections of clients that are awake, each with a buffer.
    pub(super) fn awake(&self) -> usize {
        let asleep = self.cells.connections_asleep.read() as usize;
        self.connections.get().saturating_sub(asleep)
    }

    /// Whether the worker may take another connection.
    pub fn has_room(&self) -> bool {
        let set = self.view.borrow().snapshot.settings.connections_max;
        self.connections.get() < set.min(self.connections_room)
    }

    /// Begins to drain: connections end after the request in flight, idle ones at once.
    pub fn drain(&self) {
        self.draining.set(true);
        self.deadlines.expire_idle();
    }

    /// Whether the worker drains.
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Tells an upstream what became of an attempt.
    pub(super) fn observe(
        &self,
        upstream: &Upstream,
        endpoint: usize,
        outcome: Outcome,
        now: Instant,
    ) {
        if let Some(ejected) = upstream.observe(endpoint, outcome, now) {
            tracing::warn!(
                upstream = &*upstream.settings.name,
                endpoint = %upstream.endpoints[endpoint].address,
                away_ms = ejected.until.since(now).as_millis(),
                in_row = ejected.in_row,
                "endpoint ejected for its failures"
            );
        }
    }

    /// Hands over the access-log lines that there are.
    pub fn flush_log(&self) {
        self.log.borrow_mut().flush();
    }

    /// Logs a request by the format of the snapshot that served it.
    pub(super) fn log(&self, snapshot: &Snapshot, record: &Record<'_>) {
        if let Some(format) = &snapshot.settings.log {
            self.log.borrow_mut().line(format, record);
        }
    }
}
