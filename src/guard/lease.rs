//! Leases: tokens that a worker has taken in advance from a bucket that several workers are hot on.
//!
//! A lease of `n` tokens is a stretch of `n` intervals of the bucket's word: from the word before it
//! was taken to the word after, which is its end. No two leases have a stretch in common, and
//! whatever lies behind now has come again. So a lease is good for as many tokens as whole intervals
//! of its stretch lie ahead of now, and at most for those that are left of it; and all leases
//! together never hold more than the bucket misses: bucket and leases hold no more than one burst,
//! at any time, whence no window has more than a burst and what comes within it.
//!
//! While a bucket is far from full its word is far ahead and a lease lasts; where it is full, a
//! lease melts as fast as the bucket would have filled without it, which loses nothing but the
//! fraction of a token and of the microsecond to which the end is cut.
//!
//! A lease that another worker needs goes over to it as a whole, with its stretch.

use super::{Rate, word::Word};
use crate::{bounds::CLOCK_SKEW_NS_MAX, clock::Instant};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Tokens of one lease: the shared word is asked once for so many requests.
pub(super) const LEASE_TOKENS_MAX: u64 = 64;

/// A lease that is gone within this time makes the next one twice as large, another half as large.
const LEASE_SHORT_US: u64 = 1_000;

/// The latest end of a lease: 48 bits of microseconds, 8.9 years.
const END_US_MAX: u64 = (1 << 48) - 1;

/// When a lease ends in microseconds, rounded down (48 bits), of how many tokens it was
/// (8 bits), and how many are left (8 bits). Zero: none.
#[derive(Clone, Copy)]
struct Lease(u64);

impl Lease {
    /// An end beyond what can be written down is cut, which makes the lease good for less.
    fn new(end_ns: u64, size: u64, left: u64) -> Self {
        let end_us = (end_ns / 1_000).min(END_US_MAX);
        Self(end_us << 16 | size << 8 | left)
    }

    const fn end_ns(self) -> u64 {
        (self.0 >> 16) * 1_000
    }

    const fn size(self) -> u64 {
        self.0 >> 8 & 0xff
    }

    const fn left(self) -> u64 {
        self.0 & 0xff
    }

    const fn with_left(self, left: u64) -> Self {
        Self(self.0 & !0xff | left)
    }

    /// Tokens that it is good for. One that ends further ahead than a word can be comes from before
    /// the clock stepped back.
    #[inline]
    fn good(self, rate: Rate, now: Instant) -> u64 {
        let ahead_ns = self.end_ns().saturating_sub(now.as_ns());
        let ahead_ns_max = rate.window_ns().saturating_add(CLOCK_SKEW_NS_MAX);
        if self.left() == 0 || ahead_ns > ahead_ns_max {
            return 0;
        }
        if ahead_ns >= self.left() * rate.interval_ns() {
            return self.left();
        }
        ahead_ns / rate.interval_ns()
    }
}

/// One worker's lease of one bucket, on a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Slot<W> {
    /// Only its worker puts a lease in; others may take it away.
    lease: W,
    /// When the worker last took from the shared word, in microseconds, and how many tokens (the
    /// lowest 8 bits). The worker's own.
    taken: AtomicU64,
}

impl<W: Word> Slot<W> {
    pub(super) fn new() -> Self {
        Self {
            lease: W::new(0),
            taken: AtomicU64::new(1),
        }
    }

    /// Tokens that its lease is good for.
    pub(super) fn good(&self, rate: Rate, now: Instant) -> u64 {
        Lease(self.lease.load()).good(rate, now)
    }

    /// Takes a token of the lease. Cost: one load and one compare-exchange on the worker's own line.
    #[inline]
    pub(super) fn spend(&self, rate: Rate, now: Instant) -> bool {
        let mut seen = self.lease.load();
        loop {
            let good = Lease(seen).good(rate, now);
            if good == 0 {
                return false;
            }
            let next = Lease(seen).with_left(good - 1);
            match self.lease.exchange(seen, next.0) {
                Ok(_) => return true,
                Err(current) => seen = current,
            }
        }
    }

    /// How many tokens the next lease is to have, which is noted as taken: at most `most`.
    pub(super) fn next_size(&self, most: u64, now: Instant) -> u64 {
        let (now_us, taken) = (now.as_ns() / 1_000, self.taken.load(Relaxed));
        let (at_us, size) = (taken >> 8, taken & 0xff);
        let lasted_us = now_us.saturating_sub(at_us);
        let next = if lasted_us <= LEASE_SHORT_US {
            size * 2
        } else {
            size / 2
        };
        // A lease that may end too late to be written down is none.
        let most = if now_us < END_US_MAX / 2 {
            most.max(1)
        } else {
            1
        };
        let next = next.clamp(1, most);
        self.taken.store(now_us << 8 | next, Relaxed);
        next
    }

    /// Begins a lease of `size` tokens of which one is used at once and whose stretch ends at
    /// `end_ns`.
    pub(super) fn begin(&self, end_ns: u64, size: u64) {
        self.lease.swap(Lease::new(end_ns, size, size - 1).0);
    }

    /// Takes over the lease of `other` and one token of it. While it is on its way nobody has it: who
    /// looks just then finds neither.
    pub(super) fn take_from(&self, other: &Self, rate: Rate, now: Instant) -> bool {
        if other.good(rate, now) == 0 {
            return false;
        }
        let lease = Lease(other.lease.swap(0));
        let good = lease.good(rate, now);
        if good > 1 {
            self.lease.swap(lease.with_left(good - 1).0);
        }
        good > 0
    }

    /// Puts back a token that was taken a moment ago; whether there is room in the lease's stretch.
    pub(super) fn put_back(&self, now: Instant) -> bool {
        let seen = self.lease.load();
        let lease = Lease(seen);
        if lease.left() >= lease.size() || lease.end_ns() <= now.as_ns() {
            return false;
        }
        let more = lease.with_left(lease.left() + 1);
        self.lease.exchange(seen, more.0).is_ok()
    }

    /// Ends the lease; what was left of it is lost.
    pub(super) fn end(&self) {
        self.lease.swap(0);
    }
}
