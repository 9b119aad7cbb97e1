//! Token buckets: may one more request pass now?
//!
//! Shared by all cores, so a bucket is one atomic word and a loser retries. The word is GCRA's
//! theoretical arrival time: the time at which the bucket would be full again. It lies as far ahead
//! of now as there are tokens missing, each taking one interval to come; behind now, the bucket is
//! full. So nothing has to refill it, and a bucket that nobody asks costs nothing.
//!
//! It never reads the clock (the caller passes `now`) and never allocates.
//!
//! Arithmetic, in u64 nanoseconds: an interval is at most [`TOKEN_INTERVAL_NS_MAX`], a whole burst
//! at most [`BURST_NS_MAX`] (2^62, to which a larger burst is cut), and the word at most the latest
//! `now` and a burst. For the first 146 years of a process no sum comes near 2^64; after them sums
//! stay at the end of time and the bucket refuses.

use super::Reservoir;
use crate::{
    bounds::{BURST_NS_MAX, CLOCK_SKEW_NS_MAX, TOKEN_INTERVAL_NS_MAX},
    clock::Instant,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// A rate limit: so many tokens a second, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Nanoseconds that one token takes to come, rounded up: the rate may fall short of what was
    /// asked, by less than one part in `interval_ns`, and never passes it.
    /// `1 <= interval_ns <= TOKEN_INTERVAL_NS_MAX`.
    interval_ns: u64,
    /// Nanoseconds that all tokens of a full bucket take to come.
    /// `interval_ns <= burst_ns <= BURST_NS_MAX`.
    burst_ns: u64,
}

impl Rate {
    /// `per_second` tokens a second, at most `burst` at once.
    ///
    /// `None` if `per_second` is not a finite number above zero, is below one token in
    /// [`TOKEN_INTERVAL_NS_MAX`], or `burst` is zero: what such a limit means (mostly: refuse all)
    /// is the configuration's to say. Over 10^9 a second the limit is 10^9.
    pub fn new(per_second: f64, burst: u32) -> Option<Self> {
        if !per_second.is_finite() || per_second <= 0.0 || burst == 0 {
            return None;
        }
        let interval = (1e9 / per_second).ceil();
        if interval > TOKEN_INTERVAL_NS_MAX as f64 {
            return None;
        }
        let interval_ns = (interval as u64).max(1);
        let burst_ns = interval_ns
            .saturating_mul(u64::from(burst))
            .min(BURST_NS_MAX);
        Some(Self {
            interval_ns,
            burst_ns,
        })
    }

    /// How long one token takes to come.
    pub const fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval_ns)
    }

    /// Tokens at once.
    pub const fn burst(&self) -> u64 {
        self.burst_ns / self.interval_ns
    }
}

/// A bucket has no token now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// After how long it has one, if nobody else takes it.
    pub retry_after: Duration,
}

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
    /// Where its tokens come from if several machines share them; `full_at` is then of no use.
    leased: Option<Arc<Reservoir>>,
}

impl Bucket {
    /// A full bucket.
    pub const fn new(rate: Rate) -> Self {
        Self {
            rate,
            full_at: AtomicU64::new(0),
            leased: None,
        }
    }

    /// A bucket whose tokens are those of `leased`, whatever the rate: that is for those who fill
    /// it.
    pub fn leased(rate: Rate, leased: Arc<Reservoir>) -> Self {
        Self {
            leased: Some(leased),
            ..Self::new(rate)
        }
    }

    /// Where its tokens come from, if several machines share them.
    pub const fn reservoir(&self) -> Option<&Arc<Reservoir>> {
        self.leased.as_ref()
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
    pub fn spend(&self, now: Instant) -> Result<(), Spent> {
        if let Some(leased) = &self.leased {
            return self.found(leased.spend());
        }
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
    pub fn check(&self, now: Instant) -> Result<(), Spent> {
        match &self.leased {
            None => self.after_one(self.full_at.load(Relaxed), now).map(|_| ()),
            Some(leased) => self.found(leased.check()),
        }
    }

    /// A refusal unless there is a leased token. The next one may come with any round of leases.
    const fn found(&self, found: bool) -> Result<(), Spent> {
        match found {
            true => Ok(()),
            false => Err(Spent {
                retry_after: self.rate.interval(),
            }),
        }
    }

    /// Gives back a token that was taken at `spent_at`.
    ///
    /// Nothing is given back once the token has come again by itself (an interval has passed): to
    /// lower the word then would hand out another's token a second time.
    pub fn refund(&self, spent_at: Instant, now: Instant) {
        if let Some(leased) = &self.leased {
            // It is another's only after it was spent, and this one was not.
            return leased.refund();
        }
        if now.since(spent_at) >= self.rate.interval() {
            return;
        }
        let lowered = |full_at: u64| Some(full_at.saturating_sub(self.rate.interval_ns));
        // The closure never declines, so this cannot fail.
        let _ = self.full_at.fetch_update(Relaxed, Relaxed, lowered);
    }

    /// The word after one more token is taken at `now`.
    fn after_one(&self, full_at: u64, now: Instant) -> Result<u64, Spent> {
        let now = now.as_ns();
        let next = full_at.max(now).saturating_add(self.rate.interval_ns);
        let latest = now.saturating_add(self.rate.burst_ns);
        // `next` stands still at the end of time; a bucket that could not count must not give.
        if next <= latest && next < u64::MAX {
            Ok(next)
        } else {
            Err(self.spent(full_at, now))
        }
    }

    #[cold]
    fn spent(&self, full_at: u64, now: u64) -> Spent {
        let empty = now.saturating_add(self.rate.burst_ns);
        let ahead = full_at.saturating_sub(empty);
        if ahead > CLOCK_SKEW_NS_MAX {
            // No token is that far away: the clock stepped back. If another changes the word
            // meanwhile it has seen the same, or the step is over.
            let _ = self
                .full_at
                .compare_exchange(full_at, empty, Relaxed, Relaxed);
            return Spent {
                retry_after: self.rate.interval(),
            };
        }
        let next = full_at.max(now).saturating_add(self.rate.interval_ns);
        Spent {
            retry_after: Duration::from_nanos(next.saturating_sub(empty)),
        }
    }

    /// Sees to it that at least as many tokens are missing as in `other`, whatever both rates are:
    /// an empty bucket makes an empty one, a full one changes nothing. Rounded against the caller.
    pub(super) fn take_over(&self, other: &Self, now: Instant) {
        let now = now.as_ns();
        let missing_ns = other.full_at.load(Relaxed).saturating_sub(now);
        let tokens_ns = u128::from(missing_ns) * u128::from(self.rate.interval_ns);
        let missing_ns = tokens_ns.div_ceil(u128::from(other.rate.interval_ns));
        let missing_ns = missing_ns.min(u128::from(self.rate.burst_ns)) as u64;
        if missing_ns > 0 {
            self.full_at
                .fetch_max(now.saturating_add(missing_ns), Relaxed);
        }
    }
}

/// Takes one token from each bucket, or from none: a request that one scope refuses costs the others
/// nothing. The refusal is the first in order.
///
/// All are looked at before any is spent. If another core empties one in between, what was taken
/// from those before it is given back; for that moment they had a token less. Cost: one more load
/// for each bucket than `spend`, where there are several.
pub fn spend_all(buckets: &[&Bucket], now: Instant) -> Result<(), Spent> {
    if let [one] = buckets {
        return one.spend(now);
    }
    buckets.iter().try_for_each(|bucket| bucket.check(now))?;
    for (index, bucket) in buckets.iter().enumerate() {
        if let Err(spent) = bucket.spend(now) {
            buckets[..index]
                .iter()
                .for_each(|bucket| bucket.refund(now, now));
            return Err(spent);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
