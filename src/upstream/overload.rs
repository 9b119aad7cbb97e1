//! Adaptive load shedding: how many requests at once can an upstream serve before they only queue?
//!
//! A gradient limiter after Netflix's concurrency-limits (its `Gradient2Limit`) and Envoy's adaptive
//! concurrency filter. Latency beyond what an upstream needs when it is not pressed is queueing, and
//! more requests at once than it works on make it queue. So once a window its mean latency `now` is
//! compared with a `base`, and the limit becomes
//!
//! `limit * clamp(tolerance * base / now, 1/2, 1) + sqrt(limit)`
//!
//! within `min` and `max`. The square root is the queue that is allowed for finding out whether
//! there is more to be had.
//!
//! The base is the latency without a queue. In the good case it follows the windows slowly, down
//! sooner than up. Under pressure that would take the queue for normal; so it stays, and from time to
//! time the limit is lowered to about half of what is served at once until the queue is gone, and
//! the latency of that moment is the new base (Envoy's "minRTT" window). At its fixed point the
//! limit is at least `tolerance` times what is served at once, so `limit / (2 * tolerance)` is half of
//! that or a little more; it leaves no queue where `tolerance` times that number is 2 or more.
//!
//! [`Limiter`] is one value that decides; [`Overload`] is what workers share of it. A request writes
//! none of it: samples are each worker's own until its tick.

use super::Shedding;
use crate::clock::Instant;
use std::sync::{
    Mutex, TryLockError,
    atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

/// The limit before anything is known: Netflix's number. It doubles each window until one is slow.
const LIMIT_FIRST: u32 = 20;
/// Samples without which a window's mean says too little; the window goes on until it has them.
const SAMPLES_MIN: u32 = 25;
/// The same for the few requests that are let in while the base is measured.
const PROBE_SAMPLES_MIN: u32 = 10;
/// By what share of the difference the base follows a faster and a slower window.
const BASE_DOWN: f64 = 1.0 / 32.0;
const BASE_UP: f64 = 1.0 / 256.0;
/// Strained windows after which the base is measured anew, the first time and at most: twice as many
/// each time that a measurement says what the last one did, within a quarter.
const PROBE_AFTER_FIRST: u32 = 30;
const PROBE_AFTER_MAX: u32 = 120;
/// Windows after which a measurement is given up: too few requests succeed.
const PROBE_WINDOWS_MAX: u32 = 50;

/// Latencies, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// How many.
    pub count: u32,
    /// Their sum.
    pub sum_ns: u64,
}

impl Samples {
    /// These and `more`.
    pub const fn and(self, more: Self) -> Self {
        Self {
            count: self.count.saturating_add(more.count),
            sum_ns: self.sum_ns.saturating_add(more.sum_ns),
        }
    }

    /// At least 1, so that there is something to divide by.
    fn mean_ns(self) -> f64 {
        (self.sum_ns as f64 / f64::from(self.count.max(1))).max(1.0)
    }
}

/// What the limiter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It doubles until a window is slow: nothing is known yet.
    Rise,
    /// It follows the windows.
    Follow,
    /// It is lowered, and waits until no more than that are in flight.
    Drain { since: Instant },
    /// It waits until those that began in the queue have ended.
    Settle { since: Instant },
    /// It measures the base.
    Measure { since: Instant },
}

/// The limit and what it is made of.
#[derive(Clone, Copy, Debug)]
pub struct Limiter {
    /// `min <= limit <= max` after each window.
    limit: f64,
    /// Nanoseconds without a queue; 0: not measured.
    base_ns: f64,
    window: Samples,
    /// When the window may end.
    ends: Instant,
    phase: Phase,
    /// Windows over the tolerance since the base was measured or the limit was at its most.
    strained: u32,
    /// Of which so many lead to a measurement.
    probe_after: u32,
}

impl Default for Limiter {
    fn default() -> Self {
        Self {
            limit: f64::from(LIMIT_FIRST),
            base_ns: 0.0,
            window: Samples::default(),
            ends: Instant::default(),
            phase: Phase::Rise,
            strained: 0,
            probe_after: PROBE_AFTER_FIRST,
        }
    }
}

impl Limiter {
    /// How many may be in flight now. At least 1.
    pub fn allowed(&self, shedding: &Shedding) -> u32 {
        match self.phase {
            Phase::Rise | Phase::Follow => (self.limit as u32).clamp(shedding.min, shedding.max),
            Phase::Drain { .. } | Phase::Settle { .. } | Phase::Measure { .. } => {
                let half = self.limit / (2.0 * shedding.tolerance);
                (half as u32).clamp(1, shedding.max)
            }
        }
    }

    /// Takes in what was measured since the last call, with `in_flight` requests now; where that
    /// completes a window, decides anew. Cost: a few dozen instructions. Bench: `upstream/overload`.
    pub fn report(&mut self, new: Samples, in_flight: u32, shedding: &Shedding, now: Instant) {
        self.window = self.window.and(new);
        if now < self.ends {
            return;
        }
        let (count, allowed) = (self.window.count, self.allowed(shedding));
        match self.phase {
            Phase::Rise | Phase::Follow if count >= SAMPLES_MIN => self.adapt(shedding, now),
            Phase::Rise | Phase::Follow => return,
            Phase::Drain { since } | Phase::Settle { since } | Phase::Measure { since }
                if now.since(since) > PROBE_WINDOWS_MAX * shedding.window =>
            {
                self.phase = Phase::Follow;
            }
            Phase::Drain { since } if in_flight <= allowed => {
                self.phase = Phase::Settle { since };
            }
            // So many that ended stand for all that were in flight when it began.
            Phase::Settle { since } if count >= allowed => self.phase = Phase::Measure { since },
            Phase::Measure { .. } if count >= probe_samples(allowed) => {
                let base_ns = self.window.mean_ns();
                if (base_ns - self.base_ns).abs() > self.base_ns / 4.0 {
                    self.probe_after = PROBE_AFTER_FIRST;
                }
                self.base_ns = base_ns;
                self.phase = Phase::Follow;
            }
            Phase::Drain { .. } | Phase::Settle { .. } | Phase::Measure { .. } => return,
        }
        self.window = Samples::default();
        self.ends = now.after(shedding.window);
    }

    /// The next limit, by the window that has ended.
    fn adapt(&mut self, shedding: &Shedding, now: Instant) {
        let now_ns = self.window.mean_ns();
        if self.base_ns == 0.0 {
            self.base_ns = now_ns;
        }
        let most_ns = shedding.tolerance * self.base_ns;
        let is_strained = now_ns > most_ns;
        if !is_strained {
            let share = if now_ns < self.base_ns {
                BASE_DOWN
            } else {
                BASE_UP
            };
            self.base_ns += share * (now_ns - self.base_ns);
        }
        if self.phase == Phase::Rise && !is_strained {
            self.limit *= 2.0;
        } else {
            self.phase = Phase::Follow;
            self.limit = self.limit * (most_ns / now_ns).clamp(0.5, 1.0) + self.limit.sqrt();
        }
        let (min, max) = (f64::from(shedding.min), f64::from(shedding.max));
        self.limit = self.limit.clamp(min, max);
        if self.limit >= max {
            self.phase = Phase::Follow;
            (self.strained, self.probe_after) = (0, PROBE_AFTER_FIRST);
        } else if is_strained {
            self.strained += 1;
        }
        if self.strained >= self.probe_after {
            self.strained = 0;
            self.probe_after = (self.probe_after * 2).min(PROBE_AFTER_MAX);
            self.phase = Phase::Drain { since: now };
        }
    }
}

/// How many samples measure the base while `allowed` may be in flight: each place some.
fn probe_samples(allowed: u32) -> u32 {
    allowed
        .saturating_mul(4)
        .clamp(PROBE_SAMPLES_MIN, SAMPLES_MIN)
}

/// What all workers share of an upstream's limiter.
#[derive(Debug, Default)]
pub struct Overload {
    limiter: Mutex<Limiter>,
    /// The limiter's word, for requests to read; 0: it has not spoken. Changes once a window.
    allowed: AtomicU32,
    /// Requests turned away.
    shed: AtomicU64,
}

impl Overload {
    /// How many may be in flight. Cost: one load.
    pub fn allowed(&self, shedding: &Shedding) -> u32 {
        // Relaxed: the number guards nothing but itself.
        match self.allowed.load(Relaxed) {
            0 => LIMIT_FIRST.clamp(shedding.min, shedding.max),
            allowed => allowed.min(shedding.max),
        }
    }

    /// Hands over a worker's samples, with `in_flight` requests of all workers now. `false`: another
    /// worker is at it, and these are to be handed over at the next tick; nobody waits.
    pub fn report(
        &self,
        samples: Samples,
        in_flight: u32,
        shedding: &Shedding,
        now: Instant,
    ) -> bool {
        let mut limiter = match self.limiter.try_lock() {
            Ok(limiter) => limiter,
            // Every value that a limiter can have is one to go on from.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        limiter.report(samples, in_flight, shedding, now);
        self.allowed.store(limiter.allowed(shedding), Relaxed);
        true
    }

    /// Counts a request that was turned away.
    pub fn count_shed(&self) {
        self.shed.fetch_add(1, Relaxed);
    }

    /// Requests turned away.
    pub fn shed(&self) -> u64 {
        self.shed.load(Relaxed)
    }
}

#[cfg(test)]
mod tests;
