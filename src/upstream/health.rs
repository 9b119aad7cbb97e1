//! Active checks: when does a row of probes change what an endpoint is held for?
//!
//! The control plane sends the probes, feeds each result to a [`Health`] and writes a [`Change`] to
//! the endpoint's state. Workers see only that state.

use std::{ops::RangeInclusive, time::Duration};

/// How an upstream's endpoints are probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What a probe is.
    pub probe: Probe,
    /// From one probe's begin to the next's.
    pub interval: Duration,
    /// How long one probe may take.
    pub timeout: Duration,
    /// Probes passed in a row that make an unhealthy endpoint healthy: at least 1.
    pub healthy: u16,
    /// Probes failed in a row that make a healthy endpoint unhealthy: at least 1.
    pub unhealthy: u16,
}

/// What a probe is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A GET that is answered with a status in the range.
    Http {
        /// The path and query.
        path: Box<str>,
        /// The Host; absent: the endpoint's name as configured.
        host: Option<Box<str>>,
        /// Statuses that pass: in any of these ranges.
        statuses: Box<[RangeInclusive<u16>]>,
    },
    /// A connection that is made.
    Tcp,
}

/// How one probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// As it should.
    Passed,
    /// Otherwise, or not in time.
    Failed,
}

/// What an endpoint is held for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It takes requests.
    Healthy,
    /// It takes none.
    Unhealthy,
}

/// A change of standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Unhealthy became healthy.
    Rose,
    /// Healthy became unhealthy.
    Fell,
}

/// One endpoint's standing and the probes in a row that speak against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    standing: Standing,
    /// Probes since the last one that agreed with `standing`.
    against: u16,
}

impl Health {
    /// An endpoint of this standing. A new one is taken as healthy: a start is no outage.
    pub const fn new(standing: Standing) -> Self {
        Self {
            standing,
            against: 0,
        }
    }

    /// What the endpoint is held for.
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// Counts a probe; what it changed, if anything.
    pub fn observe(&mut self, result: ProbeResult, check: &HealthCheck) -> Option<Change> {
        let (needed, next, change) = match (self.standing, result) {
            (Standing::Healthy, ProbeResult::Passed)
            | (Standing::Unhealthy, ProbeResult::Failed) => {
                self.against = 0;
                return None;
            }
            (Standing::Healthy, ProbeResult::Failed) => {
                (check.unhealthy, Standing::Unhealthy, Change::Fell)
            }
            (Standing::Unhealthy, ProbeResult::Passed) => {
                (check.healthy, Standing::Healthy, Change::Rose)
            }
        };
        self.against = self.against.saturating_add(1);
        if self.against < needed {
            return None;
        }
        *self = Self::new(next);
        Some(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `results` has `+` for a passed probe and `-` for a failed one; `expected` has, for each,
    /// `^` for a rise, `v` for a fall, `.` for neither.
    #[track_caller]
    fn check(healthy: u16, unhealthy: u16, results: &str, expected: &str) {
        let check = HealthCheck {
            probe: Probe::Tcp,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            healthy,
            unhealthy,
        };
        let mut health = Health::new(Standing::Healthy);
        let changes: String = results
            .chars()
            .map(|result| match result {
                '+' => health.observe(ProbeResult::Passed, &check),
                _ => health.observe(ProbeResult::Failed, &check),
            })
            .map(|change| match change {
                None => '.',
                Some(Change::Rose) => '^',
                Some(Change::Fell) => 'v',
            })
            .collect();
        assert_eq!(changes, expected);
    }

    #[test]
    fn rises_and_falls() {
        check(2, 3, "++++", "....");
        check(2, 3, "---", "..v");
        check(2, 3, "--+--+---", "........v");
        check(2, 3, "---++", "..v.^");
        check(2, 3, "---+-++", "..v...^");
        check(1, 1, "-+-+", "v^v^");
        check(2, 1, "----++--", "v....^v.");
    }
}
