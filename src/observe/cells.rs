//! Metric cells: the numbers of one worker, written by it alone and read by whoever scrapes.
//!
//! A cell has one writer, so adding to it is a plain load and a plain store: no locked
//! instruction, and no line of memory that two workers write. A reader may see one cell a moment
//! before another; each by itself never goes back. Nothing here sums, names or prints.

use super::Limited;
use crate::{error::Error, scope::Scope};
use std::{
    sync::OnceLock,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// A number that only grows. One thread writes it, any thread reads it.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Cost: one load and one store, unordered. Only the cell's owner may call it: of
    /// two writers at once one would be lost, though nothing would break.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The number now.
    #[inline]
    pub fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that goes up and down. One thread writes it, any thread reads it.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// One more. Cost and rule as [`Counter::add`].
    #[inline]
    pub fn up(&self) {
        self.set(self.read().wrapping_add(1));
    }

    /// One less; stays at zero.
    #[inline]
    pub fn down(&self) {
        self.set(self.read().saturating_sub(1));
    }

    /// Exactly `n`.
    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// The number now.
    #[inline]
    pub fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How many bounds a histogram has.
pub const BUCKETS: usize = 16;

/// The upper bounds of a histogram's buckets: as a scrape writes them (seconds), and in
/// nanoseconds. From half a millisecond, below which a hop in one building lies, to the minute
/// after which no client waits.
pub const BUCKET_BOUNDS: [(&str, u64); BUCKETS] = [
    ("0.0005", 500_000),
    ("0.001", 1_000_000),
    ("0.0025", 2_500_000),
    ("0.005", 5_000_000),
    ("0.01", 10_000_000),
    ("0.025", 25_000_000),
    ("0.05", 50_000_000),
    ("0.1", 100_000_000),
    ("0.25", 250_000_000),
    ("0.5", 500_000_000),
    ("1", 1_000_000_000),
    ("2.5", 2_500_000_000),
    ("5", 5_000_000_000),
    ("10", 10_000_000_000),
    ("30", 30_000_000_000),
    ("60", 60_000_000_000),
];

/// Which bucket of a histogram `time` falls into. Cost: as many comparisons as a binary search
/// makes.
#[inline]
pub fn bucket(time: Duration) -> usize {
    let ns = nanoseconds(time);
    BUCKET_BOUNDS.partition_point(|(_, bound)| *bound < ns)
}

/// A histogram added up: plain numbers, not cumulative. `buckets[i]`: times over bound `i - 1` and
/// at most bound `i`; the last has no bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistogramTotals {
    /// By bucket.
    pub buckets: [u64; BUCKETS + 1],
    /// The sum of all times, in nanoseconds.
    pub sum_ns: u64,
}

/// All of `time`; what 64 bits do not hold (584 years) is cut.
pub fn nanoseconds(time: Duration) -> u64 {
    time.as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::from(time.subsec_nanos()))
}

/// Why a client's connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The client closed it between two requests.
    Client,
    /// One side asked for it with `Connection: close`, or the message could end in no other way.
    Done,
    /// It was idle for too long.
    Idle,
    /// A head or a body did not arrive, or an answer was not taken, in time.
    Timeout,
    /// A request was refused in a way after which no further one can be read.
    Refused,
    /// The worker drains.
    Drain,
    /// The socket failed, or the client left in the middle of a request.
    Broken,
    /// A bug: a panic was caught.
    Panic,
}

impl Closed {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 8] = [
        Self::Client,
        Self::Done,
        Self::Idle,
        Self::Timeout,
        Self::Refused,
        Self::Drain,
        Self::Broken,
        Self::Panic,
    ];

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Done => "done",
            Self::Idle => "idle",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Drain => "drain",
            Self::Broken => "broken",
            Self::Panic => "panic",
        }
    }
}

/// How many kinds of refusal there are.
pub const ERRORS: usize = Error::ALL.len();

/// One worker's own numbers. The worker and the control plane each hold an `Arc` of it.
///
/// Aligned to two cache lines (processors fetch lines in pairs), so that two workers' cells never
/// share one.
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerCells {
    /// Connections accepted.
    pub connections_accepted: Counter,
    /// Client connections open now.
    pub connections_open: Gauge,
    /// Of those, how many wait for a request.
    pub connections_idle: Gauge,
    /// Those of them that have let go of their buffers.
    pub connections_asleep: Gauge,
    /// Connections closed, by [`Closed`]; written through [`Self::closed`].
    pub connections_closed: [Counter; Closed::ALL.len()],
    /// `accept` calls that failed.
    pub accept_errors: Counter,
    /// Requests whose head was read.
    pub requests_total: Counter,
    /// Requests begun and not ended.
    pub requests_in_flight: Gauge,
    /// Requests that ended in an [`Error`]; written through [`Self::refused`].
    pub refusals: [Counter; ERRORS],
    /// Requests that a limit refused, by its scope.
    pub limited: [Counter; Scope::ALL.len()],
    /// Who is refused most.
    pub most_limited: Limited,
    /// Bytes read from clients.
    pub client_bytes_read: Counter,
    /// Bytes written to clients.
    pub client_bytes_written: Counter,
    /// Origin connections made.
    pub upstream_opened: Counter,
    /// Exchanges that went over a pooled connection.
    pub upstream_reused: Counter,
    /// Origin connections that could not be made.
    pub upstream_failed: Counter,
    /// Origin connections closed, for whatever reason.
    pub upstream_closed: Counter,
    /// Origin connections that wait in the pools now.
    pub pool_idle: Gauge,
    /// Requests that wait for a free origin connection now.
    pub pending: Gauge,
    /// Attempts after the first.
    pub retries: Counter,
    /// Retries that the budget did not allow.
    pub retries_denied: Counter,
    /// Panics caught.
    pub panics: Counter,
    /// Access-log lines that found no room in a block.
    pub log_lines_dropped: Counter,
    /// The configuration generation that the worker serves.
    pub generation: Gauge,
    /// Name of the I/O driver; set once, when the worker has built its runtime.
    pub driver: OnceLock<&'static str>,
}

impl WorkerCells {
    /// All at zero.
    pub fn new() -> Self {
        Self {
            connections_accepted: Counter::default(),
            connections_open: Gauge::default(),
            connections_idle: Gauge::default(),
            connections_asleep: Gauge::default(),
            connections_closed: Default::default(),
            accept_errors: Counter::default(),
            requests_total: Counter::default(),
            requests_in_flight: Gauge::default(),
            refusals: std::array::from_fn(|_| Counter::default()),
            limited: Default::default(),
            most_limited: Limited::default(),
            client_bytes_read: Counter::default(),
            client_bytes_written: Counter::default(),
            upstream_opened: Counter::default(),
            upstream_reused: Counter::default(),
            upstream_failed: Counter::default(),
            upstream_closed: Counter::default(),
            pool_idle: Gauge::default(),
            pending: Gauge::default(),
            retries: Counter::default(),
            retries_denied: Counter::default(),
            panics: Counter::default(),
            log_lines_dropped: Counter::default(),
            generation: Gauge::default(),
            driver: OnceLock::new(),
        }
    }

    /// Counts one request that ended in `error`.
    #[inline]
    pub fn refused(&self, error: Error) {
        self.refusals[error as usize].add(1);
    }

    /// Counts one connection closed for `reason`. The gauge of open ones is the caller's.
    #[inline]
    pub fn closed(&self, reason: Closed) {
        self.connections_closed[reason as usize].add(1);
    }
}

impl Default for WorkerCells {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn falls(ns: u64, expected: usize) {
        assert_eq!(bucket(Duration::from_nanos(ns)), expected);
        assert_eq!(nanoseconds(Duration::from_nanos(ns)), ns);
    }

    #[test]
    fn a_time_at_a_bound_is_within_it() {
        falls(0, 0);
        falls(499_999, 0);
        falls(500_000, 0);
        falls(500_001, 1);
        falls(1_000_000, 1);
        falls(7_000_000, 4);
        falls(60_000_000_000, 15);
        falls(60_000_000_001, 16);
    }

    #[test]
    fn bounds_say_the_same_in_both_units_and_grow() {
        for (text, ns) in BUCKET_BOUNDS {
            let seconds: f64 = text.parse().unwrap();
            assert_eq!((seconds * 1e9).round() as u64, ns);
        }
        assert!(BUCKET_BOUNDS.windows(2).all(|pair| pair[0].1 < pair[1].1));
    }

    #[test]
    fn an_error_or_reason_is_its_own_index() {
        for (at, error) in Error::ALL.into_iter().enumerate() {
            assert_eq!(error as usize, at);
        }
        for (at, reason) in Closed::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at);
        }
    }

    #[test]
    fn a_gauge_stops_at_zero() {
        let gauge = Gauge::default();
        gauge.up();
        gauge.down();
        gauge.down();
        assert_eq!(gauge.read(), 0);
    }
}
