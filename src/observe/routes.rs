//! The numbers of each route, kept beyond the snapshot that named it.
//!
//! A snapshot's routes hold an `Arc<RouteMetrics>` each; the [`Registry`] finds the same one again
//! at the next reload, so a route that stays keeps its counters. Workers touch only their own
//! cells; the registry's lock is taken by the control plane alone (compile and scrape).

use super::cells::{BUCKETS, Counter, ERRORS, HistogramTotals, bucket, nanoseconds};
use super::record::Record;
use crate::{bounds, error::Error};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

/// The route label of what has no series of its own: routes that went, and routes beyond
/// [`bounds::METRIC_ROUTES_MAX`]. No route can have this key.
pub const OTHER: &str = "(other)";

/// Which route: what stays the same over reloads. An empty part means that none was chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteIdentity {
    /// The API's name.
    pub api: Arc<str>,
    /// The stage's name.
    pub stage: Arc<str>,
    /// The route's key as configured.
    pub route: Arc<str>,
}

/// Status classes counted: 1xx to 5xx.
pub const STATUS_CLASSES: usize = 5;

/// One route's numbers on one worker. Aligned, so that two workers' cells share no cache line, and
/// laid out so that a request touches two lines of it, or three: the sums and statuses are one, and
/// a latency and the part of it that was the origin's mostly fall into neighbouring buckets.
#[derive(Debug, Default)]
#[repr(C, align(128))]
struct RouteCells {
    latency_ns: Counter,
    integration_latency_ns: Counter,
    request_bytes: Counter,
    response_bytes: Counter,
    /// From 2xx on.
    status: [Counter; STATUS_CLASSES - 1],
    /// By bucket.
    latencies: [Latencies; BUCKETS + 1],
    /// 1xx.
    interim: Counter,
    /// By `Error as usize`. Made at the first error: most routes never see one.
    errors: OnceLock<Box<[Counter; ERRORS]>>,
}

/// How many requests fell into a bucket.
#[derive(Debug, Default)]
struct Latencies {
    whole: Counter,
    integration: Counter,
}

impl RouteCells {
    #[inline]
    fn observe(&self, record: &Record<'_>) {
        // A status out of range would be the codec's bug; it is counted in the nearest class.
        let class = (usize::from(record.status) / 100).clamp(1, STATUS_CLASSES) - 1;
        match class.checked_sub(1) {
            Some(class) => self.status[class].add(1),
            None => self.interim.add(1),
        }
        self.latency_ns.add(nanoseconds(record.latency));
        self.latencies[bucket(record.latency)].whole.add(1);
        if let Some(latency) = record.integration_latency {
            self.integration_latency_ns.add(nanoseconds(latency));
            self.latencies[bucket(latency)].integration.add(1);
        }
        self.request_bytes.add(record.request_bytes);
        self.response_bytes.add(record.response_bytes);
        if let Some(error) = record.error {
            self.observe_error(error);
        }
    }

    #[cold]
    fn observe_error(&self, error: Error) {
        let errors = self
            .errors
            .get_or_init(|| Box::new(std::array::from_fn(|_| Counter::default())));
        errors[error as usize].add(1);
    }

    fn add_to(&self, totals: &mut RouteTotals) {
        let status = [&self.interim].into_iter().chain(&self.status);
        for (total, cell) in totals.status.iter_mut().zip(status) {
            *total += cell.read();
        }
        if let Some(errors) = self.errors.get() {
            for (total, cell) in totals.errors.iter_mut().zip(errors.iter()) {
                *total += cell.read();
            }
        }
        for (bucket, cells) in self.latencies.iter().enumerate() {
            totals.latency.buckets[bucket] += cells.whole.read();
            totals.integration_latency.buckets[bucket] += cells.integration.read();
        }
        totals.latency.sum_ns += self.latency_ns.read();
        totals.integration_latency.sum_ns += self.integration_latency_ns.read();
        totals.request_bytes += self.request_bytes.read();
        totals.response_bytes += self.response_bytes.read();
    }
}

/// One route's numbers added up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTotals {
    /// Requests by status class: 1xx first.
    pub status: [u64; STATUS_CLASSES],
    /// Requests by `Error as usize`.
    pub errors: [u64; ERRORS],
    /// Whole latency.
    pub latency: HistogramTotals,
    /// The origin's part.
    pub integration_latency: HistogramTotals,
    /// Body bytes received.
    pub request_bytes: u64,
    /// Bytes sent.
    pub response_bytes: u64,
}

impl Default for RouteTotals {
    fn default() -> Self {
        Self {
            status: [0; STATUS_CLASSES],
            errors: [0; ERRORS],
            latency: HistogramTotals::default(),
            integration_latency: HistogramTotals::default(),
            request_bytes: 0,
            response_bytes: 0,
        }
    }
}

/// One route's cells, a slot for each worker.
///
/// A slot is filled at the worker's first request to the route and never changes after, so slots
/// may share cache lines: 100,000 routes that nobody asks for cost 16 bytes a worker each.
#[derive(Debug)]
pub struct RouteMetrics {
    slots: Box<[OnceLock<Box<RouteCells>>]>,
}

impl RouteMetrics {
    fn new(workers: usize) -> Self {
        Self {
            slots: (0..workers).map(|_| OnceLock::new()).collect(),
        }
    }

    /// Counts one ended request. Only worker number `worker` may call it with its number.
    ///
    /// Cost: one load for the slot, then plain loads and stores on cells that no other worker
    /// writes; no lock, no read-modify-write; an allocation at the route's first request and its
    /// first error on this worker only. Bench: `observe/record`.
    ///
    /// # Panics
    /// If `worker` is not under the number that the registry was made with: a bug.
    #[inline]
    pub fn observe(&self, worker: usize, record: &Record<'_>) {
        self.slots[worker].get_or_init(Box::default).observe(record);
    }

    /// The numbers of all workers added up; none if no request came yet.
    pub fn totals(&self) -> Option<RouteTotals> {
        let mut totals = None;
        for cells in self.slots.iter().filter_map(OnceLock::get) {
            cells.add_to(totals.get_or_insert_default());
        }
        totals
    }
}

/// One line of a scrape: a route and its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteLine {
    /// Whose.
    pub identity: RouteIdentity,
    /// Its numbers since the process began, or since the route came back.
    pub totals: RouteTotals,
}

/// How a route is shown in scrapes. Decided at the first scrape that finds a request, and kept, or
/// its numbers would wander between two series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Undecided,
    Named,
    Other,
}

#[derive(Debug)]
struct Entry {
    metrics: Arc<RouteMetrics>,
    shown: Shown,
}

#[derive(Debug, Default)]
struct Kept {
    routes: HashMap<RouteIdentity, Entry>,
    /// Entries that are `Shown::Named`; at most [`bounds::METRIC_ROUTES_MAX`].
    named: usize,
    /// Numbers of routes that went. Keys have the route [`OTHER`]; at most
    /// [`bounds::METRIC_STAGES_MAX`] and one for the rest.
    gone: BTreeMap<RouteIdentity, RouteTotals>,
}

/// All routes that any living snapshot names, and what is left of those that went.
///
/// The sum over the routes of a stage never goes down: a route that went is added to its stage's
/// [`OTHER`] line. The registry holds the routes itself and lets go of one when it is the last
/// holder, so no request is counted nowhere in between.
#[derive(Debug)]
pub struct Registry {
    workers: usize,
    kept: Mutex<Kept>,
}

impl Registry {
    /// A registry for this many workers. Made once a process.
    pub fn new(workers: usize) -> Self {
        Self {
            workers,
            kept: Mutex::default(),
        }
    }

    /// Metrics that no scrape shows as a route's.
    pub fn unlisted(&self) -> Arc<RouteMetrics> {
        Arc::new(RouteMetrics::new(self.workers))
    }

    /// The metrics of this route: the living ones, or new ones. For the compiler of snapshots; one
    /// look-up in a hash table under a lock.
    pub fn route(&self, identity: RouteIdentity) -> Arc<RouteMetrics> {
        let mut kept = self.lock();
        let entry = kept.routes.entry(identity).or_insert_with(|| Entry {
            metrics: Arc::new(RouteMetrics::new(self.workers)),
            shown: Shown::Undecided,
        });
        Arc::clone(&entry.metrics)
    }

    /// Folds routes that no snapshot holds any more into their stage's [`OTHER`] line and frees
    /// them. Worth a call once an old snapshot has been freed; [`Self::read`] does it too. Cost:
    /// a walk over all routes.
    pub fn sweep(&self) {
        self.lock().sweep();
    }

    /// Every route that has had a request, in the order of identity. Cost: a walk over all routes.
    pub fn read(&self) -> Vec<RouteLine> {
        let mut kept = self.lock();
        kept.sweep();
        let mut lines = kept.read();
        drop(kept);
        lines.sort_unstable_by(|a, b| a.identity.cmp(&b.identity));
        lines
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Numbers are whole between any two statements: a panic elsewhere spoils nothing.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn sweep(&mut self) {
        let Self {
            routes,
            named,
            gone,
        } = self;
        routes.retain(|identity, entry| {
            // Under the lock nobody can take a new share, so unique means gone; and `get_mut`
            // synchronises with the last worker's release, so all it wrote is seen.
            let Some(metrics) = Arc::get_mut(&mut entry.metrics) else {
                return true;
            };
            if let Some(totals) = metrics.totals() {
                add(gone, identity, &totals);
            }
            *named -= usize::from(entry.shown == Shown::Named);
            false
        });
    }

    fn read(&mut self) -> Vec<RouteLine> {
        let Self {
            routes,
            named,
            gone,
        } = self;
        let mut lines = Vec::new();
        let mut others = gone.clone();
        for (identity, entry) in routes {
            let Some(totals) = entry.metrics.totals() else {
                continue;
            };
            if entry.shown == Shown::Undecided {
                let has_room = *named < bounds::METRIC_ROUTES_MAX;
                entry.shown = if has_room { Shown::Named } else { Shown::Other };
                *named += usize::from(has_room);
            }
            if entry.shown == Shown::Named {
                let identity = identity.clone();
                lines.push(RouteLine { identity, totals });
            } else {
                add(&mut others, identity, &totals);
            }
        }
        lines.extend(
            others
                .into_iter()
                .map(|(identity, totals)| RouteLine { identity, totals }),
        );
        lines
    }
}

/// Adds a route's numbers to its stage's [`OTHER`] line.
fn add(
    others: &mut BTreeMap<RouteIdentity, RouteTotals>,
    identity: &RouteIdentity,
    totals: &RouteTotals,
) {
    let mut stage = RouteIdentity {
        route: OTHER.into(),
        ..identity.clone()
    };
    if others.len() >= bounds::METRIC_STAGES_MAX && !others.contains_key(&stage) {
        stage.api = OTHER.into();
        stage.stage = OTHER.into();
    }
    let sum = others.entry(stage).or_default();
    for (sum, n) in sum.status.iter_mut().zip(totals.status) {
        *sum += n;
    }
    for (sum, n) in sum.errors.iter_mut().zip(totals.errors) {
        *sum += n;
    }
    for (sum, one) in [
        (&mut sum.latency, &totals.latency),
        (&mut sum.integration_latency, &totals.integration_latency),
    ] {
        for (sum, n) in sum.buckets.iter_mut().zip(one.buckets) {
            *sum += n;
        }
        sum.sum_ns += one.sum_ns;
    }
    sum.request_bytes += totals.request_bytes;
    sum.response_bytes += totals.response_bytes;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(stage: &str, route: &str) -> RouteIdentity {
        RouteIdentity {
            api: "orders".into(),
            stage: stage.into(),
            route: route.into(),
        }
    }

    fn count(lines: &[RouteLine], route: &str) -> u64 {
        lines
            .iter()
            .filter(|line| &*line.identity.route == route)
            .map(|line| line.totals.status.iter().sum::<u64>())
            .sum()
    }

    #[test]
    fn a_request_is_counted_once_in_each_number() {
        let registry = Registry::new(2);
        let route = registry.route(identity("prod", "GET /"));
        let record = Record::example();
        route.observe(0, &record);
        let refused = Record {
            status: 504,
            error: Some(Error::UpstreamTimeout),
            integration_latency: None,
            ..record.clone()
        };
        route.observe(1, &refused);
        let lines = registry.read();
        let totals = &lines[0].totals;
        assert_eq!(totals.status, [0, 1, 0, 0, 1]);
        assert_eq!(totals.errors.iter().sum::<u64>(), 1);
        assert_eq!(totals.errors[Error::UpstreamTimeout as usize], 1);
        assert_eq!(totals.latency.buckets.iter().sum::<u64>(), 2);
        assert_eq!(totals.integration_latency.buckets.iter().sum::<u64>(), 1);
        assert_eq!(totals.request_bytes, 2 * record.request_bytes);
        assert_eq!(totals.response_bytes, 2 * record.response_bytes);
    }

    #[track_caller]
    fn status_class(status: u16, expected: usize) {
        let metrics = RouteMetrics::new(1);
        let record = Record {
            status,
            ..Record::example()
        };
        metrics.observe(0, &record);
        assert_eq!(metrics.totals().unwrap().status[expected], 1, "{status}");
    }

    #[test]
    fn every_status_has_a_class() {
        status_class(0, 0);
        status_class(101, 0);
        status_class(204, 1);
        status_class(304, 2);
        status_class(499, 3);
        status_class(599, 4);
        status_class(999, 4);
    }

    #[test]
    fn a_route_keeps_its_numbers_over_a_reload_and_leaves_them_when_it_goes() {
        let registry = Registry::new(1);
        let stays = registry.route(identity("prod", "GET /stays"));
        let goes = registry.route(identity("prod", "GET /goes"));
        stays.observe(0, &Record::example());
        goes.observe(0, &Record::example());
        let again = registry.route(identity("prod", "GET /stays"));
        drop((stays, goes));
        again.observe(0, &Record::example());
        let lines = registry.read();
        assert_eq!(count(&lines, "GET /stays"), 2);
        assert_eq!(count(&lines, "GET /goes"), 0);
        assert_eq!(count(&lines, OTHER), 1);
        let back = registry.route(identity("prod", "GET /goes"));
        back.observe(0, &Record::example());
        let lines = registry.read();
        assert_eq!(count(&lines, "GET /goes"), 1);
        assert_eq!(count(&lines, OTHER), 1);
    }

    #[test]
    fn a_route_without_requests_has_no_line() {
        let registry = Registry::new(4);
        let _route = registry.route(identity("prod", "GET /"));
        assert_eq!(registry.read(), []);
    }

    #[test]
    fn series_are_bounded_and_the_sum_is_kept() {
        let registry = Registry::new(1);
        let total = bounds::METRIC_ROUTES_MAX + 5;
        let routes: Vec<_> = (0..total)
            .map(|n| registry.route(identity("prod", &format!("GET /{n}"))))
            .collect();
        for route in &routes {
            route.observe(0, &Record::example());
        }
        let sum = |lines: &[RouteLine]| lines.iter().map(|l| l.totals.status[1]).sum::<u64>();
        let lines = registry.read();
        assert_eq!(lines.len(), bounds::METRIC_ROUTES_MAX + 1);
        assert_eq!(count(&lines, OTHER), 5);
        assert_eq!(sum(&lines), total as u64);
        drop(routes);
        let lines = registry.read();
        assert_eq!(lines.len(), 1);
        assert_eq!(sum(&lines), total as u64);
    }

    #[test]
    fn stages_that_went_are_bounded() {
        let registry = Registry::new(1);
        for n in 0..bounds::METRIC_STAGES_MAX + 3 {
            registry
                .route(identity(&format!("s{n}"), "GET /"))
                .observe(0, &Record::example());
            if n % 256 == 0 {
                registry.sweep();
            }
        }
        let lines = registry.read();
        assert_eq!(lines.len(), bounds::METRIC_STAGES_MAX + 1);
        let rest = lines.iter().find(|line| &*line.identity.api == OTHER);
        assert_eq!(rest.unwrap().totals.status[1], 3);
    }
}
