//! Time: the one place that asks the system for now. Everything else takes time as an argument.

use std::time::{Duration, Instant as SystemInstant, SystemTime, UNIX_EPOCH};

/// A point in monotonic time: nanoseconds since the process asked first. Comparable between
/// threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

impl Instant {
    /// The point `ns` nanoseconds after the process's beginning: for tests and stored stamps.
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the process's beginning.
    pub const fn as_ns(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the process's beginning.
    pub const fn as_ms(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The time from `earlier` to this point; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This point and `duration`; stays at the end of time rather than wrap.
    pub const fn after(self, duration: Duration) -> Self {
        let ns = duration.as_nanos();
        let ns = if ns > u64::MAX as u128 {
            u64::MAX
        } else {
            ns as u64
        };
        Self(self.0.saturating_add(ns))
    }
}

/// Monotonic now. Cost: one vDSO call (about 25 ns).
#[allow(clippy::disallowed_methods)]
pub fn now() -> Instant {
    use std::sync::OnceLock;
    static BEGINNING: OnceLock<SystemInstant> = OnceLock::new();
    let beginning = *BEGINNING.get_or_init(SystemInstant::now);
    Instant(beginning.elapsed().as_nanos() as u64)
}

/// Wall-clock now, as the time since 1970. A clock set before 1970 reads as 1970.
#[allow(clippy::disallowed_methods)]
pub fn wall() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
