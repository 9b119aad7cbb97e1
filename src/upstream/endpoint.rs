//! One endpoint: where it is, and what all workers know of how it does.
//!
//! An [`EndpointState`] outlives snapshots. What a pick reads and what a connection writes stand on
//! different cache lines, and a request that goes well writes neither.

use crate::clock::Instant;
use std::{
    fmt,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU32, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// TCP.
    Ip(SocketAddr),
    /// A Unix stream socket.
    Unix(Box<Path>),
}

impl fmt::Display for Address {
    /// `127.0.0.1:80`, `[::1]:80`, `unix:/run/origin.sock`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// One endpoint of a compiled upstream.
#[derive(Debug)]
pub struct Endpoint {
    /// Where it is.
    pub address: Address,
    /// The same as text.
    pub text: Box<str>,
    /// Its name as configured.
    pub authority: Box<str>,
    /// Its share of the requests against the others'. Zero: none.
    pub weight: u16,
    /// What outlives the snapshot.
    pub state: Arc<EndpointState>,
}

/// What all workers know of an endpoint.
///
/// Every word stands for itself: no reader concludes from one what another holds, save where a
/// method says so. Hence `Relaxed`, except there.
#[derive(Debug)]
pub struct EndpointState {
    /// Read by every pick, written when something changes.
    standing: StandingLine,
    /// Written by every connection.
    traffic: TrafficLine,
}

/// 128 bytes: processors fetch lines of 64 in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct StandingLine {
    /// Whether active checks call it unhealthy. Changed by the control plane only.
    unhealthy: AtomicBool,
    /// When its ejection ends, in ns; 0: was never ejected. Changed by `eject` only.
    ejected_until: AtomicU64,
    /// Since when it is healthy, in ns; 0: as long as the upstream is known. Changed by the
    /// control plane only.
    healthy_since: AtomicU64,
    /// How often active checks called it unhealthy, for metrics. Changed by the control plane only.
    falls: AtomicU64,
    /// Failures since the last success, not counting those while ejected.
    failures_in_row: AtomicU32,
    /// Ejections of which each followed on the one before; 1 after a first one.
    ejections_in_row: AtomicU32,
}

#[derive(Debug)]
#[repr(align(128))]
struct TrafficLine {
    /// Connections now open, over all workers. `open <= connections_max` where one is set, of the
    /// snapshot under which the last one was opened.
    open: AtomicU32,
    /// Failures ever, for metrics.
    failures: AtomicU64,
    /// Ejections ever, for metrics.
    ejections: AtomicU64,
}

impl EndpointState {
    /// An endpoint that is healthy since `since`; `Instant::default()` stands for ever, and is
    /// never slow to start.
    pub(super) fn new(since: Instant) -> Self {
        Self {
            standing: StandingLine {
                unhealthy: AtomicBool::new(false),
                ejected_until: AtomicU64::new(0),
                healthy_since: AtomicU64::new(since.as_ns()),
                falls: AtomicU64::new(0),
                failures_in_row: AtomicU32::new(0),
                ejections_in_row: AtomicU32::new(0),
            },
            traffic: TrafficLine {
                open: AtomicU32::new(0),
                failures: AtomicU64::new(0),
                ejections: AtomicU64::new(0),
            },
        }
    }

    /// Whether active checks call it healthy. Without any it is.
    pub fn is_healthy(&self) -> bool {
        // Acquire: who sees it healthy again also sees since when, so that slow start holds.
        !self.standing.unhealthy.load(Acquire)
    }

    /// Active checks found it well. For the control plane, on [`super::Change::Rose`].
    pub fn rise(&self, now: Instant) {
        self.standing
            .healthy_since
            .store(now.as_ns().max(1), Relaxed);
        // Release: pairs with the load in `is_healthy`.
        self.standing.unhealthy.store(false, Release);
    }

    /// Active checks found it ill. For the control plane, on [`super::Change::Fell`].
    pub fn fall(&self) {
        self.standing.falls.fetch_add(1, Relaxed);
        self.standing.unhealthy.store(true, Release);
    }

    /// How often active checks found it ill.
    pub fn falls(&self) -> u64 {
        self.standing.falls.load(Relaxed)
    }

    /// Whether it is set aside for its failures.
    pub fn is_ejected(&self, now: Instant) -> bool {
        self.standing.ejected_until.load(Relaxed) > now.as_ns()
    }

    /// Since when it takes requests: the later of its last rise and the end of its last ejection.
    /// `None`: as long as the upstream is known.
    pub fn since(&self) -> Option<Instant> {
        let rose = self.standing.healthy_since.load(Relaxed);
        let returned = self.standing.ejected_until.load(Relaxed);
        Some(Instant::from_ns(rose.max(returned))).filter(|since| since.as_ns() > 0)
    }

    /// Failures ever.
    pub fn failures(&self) -> u64 {
        self.traffic.failures.load(Relaxed)
    }

    /// Ejections ever.
    pub fn ejections(&self) -> u64 {
        self.traffic.ejections.load(Relaxed)
    }

    /// Connections now open, over all workers.
    pub fn open(&self) -> u32 {
        self.traffic.open.load(Relaxed)
    }

    /// Room for one more connection under `max`, held until the permit is dropped; `None` if full.
    ///
    /// Cost: one load and one compare-exchange, and the state's reference count; once a
    /// connection, not once a request.
    pub fn try_open(self: &Arc<Self>, max: Option<u32>) -> Option<OpenPermit> {
        let max = max.unwrap_or(u32::MAX);
        // Relaxed: the count guards nothing but itself.
        self.traffic
            .open
            .try_update(Relaxed, Relaxed, |open| (open < max).then(|| open + 1))
            .ok()?;
        Some(OpenPermit {
            state: Arc::clone(self),
        })
    }

    /// A success. Writes only where there was a failure to clear.
    pub(super) fn succeed(&self) {
        if self.standing.failures_in_row.load(Relaxed) != 0 {
            self.standing.failures_in_row.store(0, Relaxed);
        }
    }

    /// A failure; the length of the present row of them. A row does not grow while the endpoint is
    /// ejected: what was in flight then says nothing about how it does on its return.
    pub(super) fn fail(&self, now: Instant) -> u32 {
        self.traffic.failures.fetch_add(1, Relaxed);
        if self.is_ejected(now) {
            return 0;
        }
        let row = self.standing.failures_in_row.fetch_add(1, Relaxed);
        row.saturating_add(1)
    }

    /// Ejects until a time that `length` gives for the number of ejections in a row, of which this
    /// is the last. An ejection follows on the one before if that ended less than its own length
    /// ago.
    ///
    /// Only for the holder of the upstream's ejection turn, so that no two write at one time.
    pub(super) fn eject(
        &self,
        now: Instant,
        length: impl Fn(u32) -> std::time::Duration,
    ) -> (Instant, u32) {
        let standing = &self.standing;
        let ended = Instant::from_ns(standing.ejected_until.load(Relaxed));
        let before = standing.ejections_in_row.load(Relaxed);
        let follows = before > 0 && now.since(ended) < length(before);
        let in_row = if follows { before.saturating_add(1) } else { 1 };
        let until = now.after(length(in_row));
        standing.ejections_in_row.store(in_row, Relaxed);
        standing.failures_in_row.store(0, Relaxed);
        standing.ejected_until.store(until.as_ns(), Relaxed);
        self.traffic.ejections.fetch_add(1, Relaxed);
        (until, in_row)
    }
}

/// One open connection in an endpoint's count; dropping it gives the place back.
#[derive(Debug)]
pub struct OpenPermit {
    state: Arc<EndpointState>,
}

impl Drop for OpenPermit {
    fn drop(&mut self) {
        self.state.traffic.open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn permits_keep_to_the_maximum_and_come_back() {
        let state = Arc::new(EndpointState::new(Instant::default()));
        let first = state.try_open(Some(2)).expect("room");
        let _second = state.try_open(Some(2)).expect("room");
        assert!(state.try_open(Some(2)).is_none());
        assert!(state.try_open(None).is_some(), "no limit, no refusal");
        assert_eq!(state.open(), 2);
        drop(first);
        assert_eq!(state.open(), 1);
        assert!(state.try_open(Some(2)).is_some());
        assert!(state.try_open(Some(0)).is_none());
    }

    #[test]
    fn threads_together_keep_to_the_maximum() {
        let state = Arc::new(EndpointState::new(Instant::default()));
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..100)
                            .filter_map(|_| state.try_open(Some(150)))
                            .map(std::mem::forget)
                            .count()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!((taken, state.open()), (150, 150));
    }

    #[test]
    fn ejections_that_follow_on_each_other_grow() {
        let state = EndpointState::new(Instant::default());
        let at = |seconds| Instant::default().after(Duration::from_secs(seconds));
        let length = |in_row: u32| Duration::from_secs(10) * in_row.min(3);
        assert_eq!(state.eject(at(100), length), (at(110), 1));
        // It failed again 9 s after its return: less than the 10 s that it had been away.
        assert_eq!(state.eject(at(119), length), (at(139), 2));
        assert_eq!(state.eject(at(158), length), (at(188), 3));
        assert_eq!(state.eject(at(217), length), (at(247), 4));
        // 30 s of good conduct after 30 s away.
        assert_eq!(state.eject(at(277), length), (at(287), 1));
        assert_eq!(state.ejections(), 5);
        assert_eq!(state.since(), Some(at(287)));
    }

    #[test]
    fn names() {
        let unix = Address::Unix(Path::new("/run/origin.sock").into());
        assert_eq!(unix.to_string(), "unix:/run/origin.sock");
        assert_eq!(
            Address::Ip("[::1]:80".parse().unwrap()).to_string(),
            "[::1]:80"
        );
    }
}
