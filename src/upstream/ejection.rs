//! Passive ejection: an endpoint that fails several times in a row takes no requests for a while.
//!
//! Workers report what became of each attempt. In the good case that reads one word that is shared
//! and writes none.

use super::{Ejection, Upstream};
use crate::{bounds::EJECTION_GROWTH_MAX, clock::Instant, error::Error};
use std::time::Duration;

/// How an attempt failed in a way that speaks against the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The connection was refused or reset while it was made.
    Refused,
    /// The connection was not made in time.
    ConnectTimeout,
    /// No response head came in time.
    Timeout,
    /// The connection ended before a whole response head.
    Closed,
    /// The origin answered 502, 503 or 504.
    Status,
}

impl Failure {
    /// The failure that an error is, if it speaks against the endpoint. A malformed response does
    /// not: it may be the one route's, and an endpoint is set aside for all.
    pub fn of_error(error: Error) -> Option<Self> {
        #[allow(clippy::wildcard_enum_match_arm)] // Of the forty others none is the endpoint's.
        match error {
            Error::UpstreamRefused => Some(Self::Refused),
            Error::UpstreamConnectTimeout => Some(Self::ConnectTimeout),
            Error::UpstreamTimeout => Some(Self::Timeout),
            Error::UpstreamClosed => Some(Self::Closed),
            _ => None,
        }
    }
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint answered.
    Success,
    /// It did not, or said that it cannot.
    Failure(Failure),
}

impl Outcome {
    /// The outcome that a response's status is. 502, 503 and 504 say that the origin cannot serve;
    /// 500 is most often one request's own.
    pub const fn of_status(status: u16) -> Self {
        match status {
            502..=504 => Self::Failure(Failure::Status),
            _ => Self::Success,
        }
    }
}

/// An endpoint was ejected: for the log and the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejected {
    /// When it takes requests again.
    pub until: Instant,
    /// Ejections of which each followed on the one before, this one included.
    pub in_row: u32,
}

impl Upstream {
    /// Takes note of an attempt's outcome; says if that ejected the endpoint.
    ///
    /// Of `n` endpoints that weigh more than zero, those ejected at one time are at most
    /// `share_max_percent` of `n`, rounded down, yet at least one may be and at least one may not:
    /// so none of one, and one of two. Endpoints that active checks call unhealthy do not count as
    /// ejected. At the cap, further ones stay in until they fail again after one has returned.
    /// The cap holds for ejections made through one compiled upstream; a snapshot with fewer
    /// endpoints may begin with more, and picks then fall back on the ejected.
    ///
    /// Cost of a success: one load of a line that seldom changes, and one store if there was a
    /// failure before. Of a failure: two shared additions, and O(endpoints) if it may eject.
    pub fn observe(&self, endpoint: usize, outcome: Outcome, now: Instant) -> Option<Ejected> {
        let state = &self.endpoints[endpoint].state;
        match outcome {
            Outcome::Success => {
                state.succeed();
                None
            }
            Outcome::Failure(_) => {
                let row = state.fail(now);
                let ejection = self.settings.ejection.as_ref()?;
                if row < u32::from(ejection.failures.max(1)) {
                    return None;
                }
                self.state
                    .ejection_turn(|| self.eject(endpoint, ejection, now))?
            }
        }
    }

    /// Ejects the endpoint if the cap allows. Only in the ejection turn.
    #[cold]
    fn eject(&self, endpoint: usize, ejection: &Ejection, now: Instant) -> Option<Ejected> {
        let state = &self.endpoints[endpoint].state;
        if state.is_ejected(now) {
            return None;
        }
        if self.ejected(now) >= ejected_max(self.members.len(), ejection.share_max_percent) {
            return None;
        }
        let (until, in_row) = state.eject(now, |in_row| length(ejection.duration, in_row));
        Some(Ejected { until, in_row })
    }

    /// How many of the endpoints that weigh more than zero are ejected.
    pub fn ejected(&self, now: Instant) -> usize {
        self.members
            .iter()
            .filter(|&&member| self.endpoints[usize::from(member)].state.is_ejected(now))
            .count()
    }
}

/// How many of `members` endpoints may be ejected at one time.
fn ejected_max(members: usize, share_max_percent: u8) -> usize {
    match members {
        0 | 1 => 0,
        _ => (members * usize::from(share_max_percent) / 100).clamp(1, members - 1),
    }
}

/// How long the last of `in_row` ejections in a row lasts.
fn length(duration: Duration, in_row: u32) -> Duration {
    duration.saturating_mul(in_row.clamp(1, EJECTION_GROWTH_MAX))
}

#[cfg(test)]
mod tests;
