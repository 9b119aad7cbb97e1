//! Token buckets: may one more request pass now?
//!
//! Shared by all cores, so a bucket is one atomic word and a loser retries. The word is GCRA's
//! theoretical arrival time: the time at which the bucket would be full again. It lies as far ahead
//! of now as there are tokens missing, each taking one interval to come; behind now, the bucket is
//! full. So nothing has to refill it, and a bucket that nobody asks costs nothing.
//!
//! It never reads the clock (the caller passes `now`) and never allocates.
//! Arithmetic, overflow and clocks: [`super::rate`].

use super::{Rate, Spent, rate::Refused};
use crate::clock::Instant;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A token bucket of one rate. Begins full.
///
/// The rate belongs to the bucket because the word counts time, and the same time is another number
/// of tokens under another rate; see [`super::Buckets`] for what a reload does.
#[derive(Debug)]
// A line of its own: neighbours' spending must not slow this one's.
#[repr(align(64))]
pub struct Bucket {
    rate: Rate,
    /// When the bucket is full again, in ns since the process's beginning. At most `burst_ns`
    /// ahead of the latest `now` that any caller has had.
    full_at: AtomicU64,
}

impl Bucket {
    /// A full bucket.
    pub const fn new(rate: Rate) -> Self {
        Self {
            rate,
            full_at: AtomicU64::new(0),
        }
    }

    /// A full bucket that so many workers share.
    pub const fn for_workers(rate: Rate, _workers: usize) -> Self {
        Self::new(rate)
    }

    /// How many workers share it.
    pub const fn workers(&self) -> usize {
        1
    }

    /// Its rate.
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes one token if there is one.
    ///
    /// A caller whose time is behind the others' sees the bucket as they left it: if empty, it is
    /// empty until that time has come. Only when the word lies more than [`CLOCK_SKEW_NS_MAX`]
    /// ahead of what `now` can explain has the clock stepped back: then the bucket counts as empty
    /// at the new time and fills from there, so no step locks it up for longer than that.
    ///
    /// Cost: one load and one compare-exchange on one cache line when not contended; no allocation,
    /// no lock, no clock. A refusal is one load. Under contention a loser retries; every retry means
    /// that another core was served, so the work is bounded by the calls made. Bench:
    /// `guard/spend`.
    pub fn spend(&self, _worker: usize, now: Instant) -> Result<(), Spent> {
        // Relaxed: the word guards no other memory. That the total is exact needs only the one
        // order that all changes of one word have.
        let mut full_at = self.full_at.load(Relaxed);
        loop {
            let next = self.after_one(full_at, now)?;
            match self
                .full_at
                .compare_exchange_weak(full_at, next, Relaxed, Relaxed)
            {
                Ok(_) => return Ok(()),
                Err(current) => full_at = current,
            }
        }
    }

    /// Whether there is a token, without taking it. Cost: one load.
    pub fn check(&self, _worker: usize, now: Instant) -> Result<(), Spent> {
        self.after_one(self.full_at.load(Relaxed), now).map(|_| ())
    }

    /// Tokens that are there at `now`. Cost: one load.
    pub fn remaining(&self, now: Instant) -> u64 {
        self.rate.remaining(self.full_at.load(Relaxed), now)
    }

    /// Gives back a token that was taken at `spent_at`: the part of it that has not come again by
    /// itself, nothing after an interval. To lower the word by more would hand out another's token a
    /// second time.
    pub fn refund(&self, _worker: usize, spent_at: Instant, now: Instant) {
        let lowered = |full_at: u64| self.rate.give_back(full_at, spent_at, now);
        // It has come again by itself, or the word is lowered.
        let _ = self.full_at.fetch_update(Relaxed, Relaxed, lowered);
    }

    /// The word after one more token is taken at `now`.
    fn after_one(&self, full_at: u64, now: Instant) -> Result<u64, Spent> {
        self.rate
            .take(full_at, 1, now)
            .map_err(|refused| self.spent(full_at, refused))
    }

    #[cold]
    fn spent(&self, full_at: u64, refused: Refused) -> Spent {
        if let Some(empty) = refused.reset {
            // If another changes the word meanwhile it has seen the same, or the step is over.
            let _ = self
                .full_at
                .compare_exchange(full_at, empty, Relaxed, Relaxed);
        }
        refused.spent
    }

    /// Sees to it that at least as many tokens are missing as in `other`, whatever both rates are:
    /// an empty bucket makes an empty one, a full one changes nothing. Rounded against the caller.
    pub(super) fn take_over(&self, other: &Self, now: Instant) {
        let full_at = other.full_at.load(Relaxed);
        if let Some(full_at) = self.rate.rescale(full_at, other.rate, now) {
            self.full_at.fetch_max(full_at, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
