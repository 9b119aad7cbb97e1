//! What a rate limit is, and the arithmetic of its words.
//!
//! A word is GCRA's theoretical arrival time: the time at which the bucket would be full again. It
//! lies as far ahead of now as there are tokens missing, each taking one interval to come; behind
//! now, the bucket is full. What is here looks at a word and says what it becomes; it holds none.
//!
//! Arithmetic, in u64 nanoseconds: an interval is at most [`TOKEN_INTERVAL_NS_MAX`], a whole burst
//! at most [`BURST_NS_MAX`] (2^62, to which a larger burst is cut), and the word at most the latest
//! `now` and a burst. For the first 146 years of a process no sum comes near 2^64; after them sums
//! stay at the end of time and the bucket refuses.
//!
//! Clocks: who is behind the others sees the word as they left it. One that lies more than
//! [`CLOCK_SKEW_NS_MAX`] ahead of what `now` can explain comes from a clock that has stepped back:
//! it counts as empty at the new time and fills from there. A step forward fills at most a burst.

use crate::{
    bounds::{BURST_NS_MAX, CLOCK_SKEW_NS_MAX, TOKEN_INTERVAL_NS_MAX},
    clock::Instant,
};
use std::time::Duration;

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

/// A bucket has no token now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// After how long it has one, if nobody else takes it.
    pub retry_after: Duration,
}

/// Why a word gives no tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) spent: Spent,
    /// The clock has stepped back: what the word is to be now.
    pub(super) reset: Option<u64>,
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

    /// Tokens that a full bucket has, at least one.
    pub const fn burst(&self) -> u64 {
        self.burst_ns / self.interval_ns
    }

    /// How long a whole burst takes to come.
    pub const fn window(&self) -> Duration {
        Duration::from_nanos(self.burst_ns)
    }

    /// The same as [`Rate::interval`], in nanoseconds.
    pub(super) const fn interval_ns(&self) -> u64 {
        self.interval_ns
    }

    /// The same as [`Rate::window`], in nanoseconds.
    pub(super) const fn window_ns(&self) -> u64 {
        self.burst_ns
    }

    /// The word after `tokens` more are taken at `now`: all of them or none. `tokens` is at most the
    /// burst.
    #[inline]
    pub(super) fn take(&self, word: u64, tokens: u64, now: Instant) -> Result<u64, Refused> {
        let now = now.as_ns();
        let taken_ns = self.interval_ns.saturating_mul(tokens);
        let next = word.max(now).saturating_add(taken_ns);
        let latest = now.saturating_add(self.burst_ns);
        // `next` stands still at the end of time; a bucket that could not count must not give.
        if next <= latest && next < u64::MAX {
            Ok(next)
        } else {
            Err(self.refused(word, now))
        }
    }

    #[cold]
    fn refused(&self, word: u64, now: u64) -> Refused {
        let empty = now.saturating_add(self.burst_ns);
        if word.saturating_sub(empty) > CLOCK_SKEW_NS_MAX {
            let retry_after = self.interval();
            return Refused {
                spent: Spent { retry_after },
                reset: Some(empty),
            };
        }
        let next = word.max(now).saturating_add(self.interval_ns);
        let retry_after = Duration::from_nanos(next.saturating_sub(empty));
        Refused {
            spent: Spent { retry_after },
            reset: None,
        }
    }

    /// The word after a token that was taken at `spent_at` is given back; `None`: it has come again
    /// by itself.
    ///
    /// What is given back is the part that has not come again yet, so that a bucket which was full
    /// in between holds no more than its burst.
    pub(super) fn give_back(&self, word: u64, spent_at: Instant, now: Instant) -> Option<u64> {
        let come_ns = now.as_ns().saturating_sub(spent_at.as_ns());
        let missing_ns = self.interval_ns.checked_sub(come_ns)?;
        (missing_ns > 0).then(|| word.saturating_sub(missing_ns))
    }

    /// Whole tokens that are there at `now`.
    pub(super) fn remaining(&self, word: u64, now: Instant) -> u64 {
        let missing_ns = word.saturating_sub(now.as_ns());
        self.burst_ns.saturating_sub(missing_ns) / self.interval_ns
    }

    /// A word of this rate that misses at `now` as many tokens as `word` does at `other`'s: at most
    /// all, rounded against the caller. `None`: it misses none.
    pub(super) fn rescale(&self, word: u64, other: Self, now: Instant) -> Option<u64> {
        let missing_ns = word.saturating_sub(now.as_ns());
        let tokens_ns = u128::from(missing_ns) * u128::from(self.interval_ns);
        let missing_ns = tokens_ns.div_ceil(u128::from(other.interval_ns));
        let missing_ns = missing_ns.min(u128::from(self.burst_ns)) as u64;
        (missing_ns > 0).then(|| now.as_ns().saturating_add(missing_ns))
    }
}
