//! Quotas: may this client's key make one more request in this period?
//!
//! A window is fixed and in UTC, and named by the day on which it begins (days since 1970). What a
//! key has used of a plan is one atomic word, shared by all cores: the window's day and the
//! requests counted in it. A request that comes in a later window begins the count anew; one whose
//! clock stepped back counts in the window that is open, so a step never resets it.
//!
//! It never reads the clock (the caller passes the wall-clock time) and never allocates.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Bits of the word that count requests; those above them are the window's first day, which has
/// room until the year 4840.
const COUNT_BITS: u32 = 44;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;

/// Seconds of a day. UTC days of Unix time have no other length.
const DAY_SECONDS: u64 = 24 * 60 * 60;

/// How long a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// Seven days.
    Week,
    /// A calendar month.
    Month,
}

/// So many requests in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests that a window admits: at least 1, less than 2^44.
    pub limit: u64,
    /// How long a window is.
    pub period: Period,
    /// The day on which a window begins: of a week 0 (Sunday) to 6, of a month 0 (the first) to 27.
    pub offset: u8,
}

/// A quota is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedUp {
    /// How long until the next window.
    pub retry_after: Duration,
}

/// The day of a time since 1970.
pub const fn day_of(wall: Duration) -> u64 {
    wall.as_secs() / DAY_SECONDS
}

impl Quota {
    /// The first day of the window that `day` lies in.
    pub const fn window(&self, day: u64) -> u64 {
        let offset = self.offset as u64;
        match self.period {
            Period::Day => day,
            Period::Week => {
                // The first day of 1970 was a Thursday.
                let since = (day + 4 + 7 - offset) % 7;
                day.saturating_sub(since)
            }
            Period::Month => {
                let (_, _, of_month) = civil(day);
                // A window that began last month did so at the same day of it: every month has 28.
                let first = if of_month > offset {
                    day - (of_month - 1)
                } else {
                    let (_, _, last) = civil(day.saturating_sub(of_month));
                    day.saturating_sub(of_month + last - 1)
                };
                first + offset
            }
        }
    }

    /// The first day of the window after the one that begins on `window`.
    pub const fn next(&self, window: u64) -> u64 {
        match self.period {
            Period::Day => window + 1,
            Period::Week => window + 7,
            Period::Month => self.window(window + 31),
        }
    }
}

/// Year, month and day of month of a day since 1970, by Howard Hinnant's arithmetic on eras of 400
/// years that begin in March.
pub const fn civil(day: u64) -> (u64, u64, u64) {
    let days = day + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = year + era * 400 + (month <= 2) as u64;
    (year, month, of_month)
}

/// What a key has used of a plan. It outlives snapshots: whoever has the same key and plan has the
/// same one.
#[derive(Debug, Default)]
pub struct Usage {
    /// The window's first day, above [`COUNT_BITS`] bits of requests counted in it.
    word: AtomicU64,
    /// Requests of the windows before: what the word held when a later window began.
    before: AtomicU64,
    /// A window's first day, and how many requests it admits instead of the plan's number, if that
    /// is fewer.
    extended: AtomicU64,
}

/// The numbers of a [`Usage`], for keeping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// The window, and the requests counted in it.
    pub word: u64,
    /// Requests of the windows before.
    pub before: u64,
    /// The window that was extended, and to what.
    pub extended: u64,
}

impl Used {
    /// The first day of the window that was counted in last.
    pub const fn window(&self) -> u64 {
        self.word >> COUNT_BITS
    }

    /// The requests counted in it.
    pub const fn count(&self) -> u64 {
        self.word & COUNT_MAX
    }

    /// All requests that were ever counted.
    pub const fn total(&self) -> u64 {
        self.before + self.count()
    }

    /// What is left of `quota` on `day`.
    pub const fn remaining(&self, quota: &Quota, day: u64) -> u64 {
        let (open, today) = (self.window(), quota.window(day));
        if open < today {
            return quota.limit;
        }
        admitted(quota.limit, self.extended, open).saturating_sub(self.count())
    }
}

const fn pack(window: u64, count: u64) -> u64 {
    let count = if count > COUNT_MAX { COUNT_MAX } else { count };
    window << COUNT_BITS | count
}

/// How many requests a window admits.
const fn admitted(limit: u64, extended: u64, window: u64) -> u64 {
    let of_window = extended >> COUNT_BITS == window;
    let extended = extended & COUNT_MAX;
    if of_window && extended > limit {
        extended
    } else {
        limit
    }
}

impl Usage {
    /// Goes on where `used` was kept.
    pub const fn begin(used: Used) -> Self {
        Self {
            word: AtomicU64::new(used.word),
            before: AtomicU64::new(used.before),
            extended: AtomicU64::new(used.extended),
        }
    }

    /// The numbers now. While a window begins, the total may for a moment miss the one before.
    pub fn used(&self) -> Used {
        Used {
            word: self.word.load(Relaxed),
            before: self.before.load(Relaxed),
            extended: self.extended.load(Relaxed),
        }
    }

    /// Counts one request on `wall`, the time since 1970, unless the quota is used up. Without a
    /// quota it counts by days.
    ///
    /// Exact over all cores. Cost: a few divisions by constants, one load and one compare-exchange
    /// on one cache line when not contended; no allocation, no lock, no clock. Bench:
    /// `guard/quota`.
    ///
    /// # Errors
    /// It is used up.
    pub fn take(&self, quota: Option<&Quota>, wall: Duration) -> Result<(), UsedUp> {
        let today = day_of(wall);
        let (today, limit) = match quota {
            Some(quota) => (quota.window(today), quota.limit),
            None => (today, COUNT_MAX),
        };
        // Relaxed: the word guards no other memory, and all its changes have one order.
        let mut word = self.word.load(Relaxed);
        loop {
            let (open, counted) = (word >> COUNT_BITS, word & COUNT_MAX);
            let window = if open > today { open } else { today };
            let count = if window == open { counted } else { 0 };
            if count >= limit
                && let Some(quota) = quota
                && count >= admitted(limit, self.extended.load(Relaxed), window)
            {
                return Err(used_up(quota, window, wall));
            }
            let next = pack(window, count + 1);
            match self
                .word
                .compare_exchange_weak(word, next, Relaxed, Relaxed)
            {
                Ok(_) if window == open => return Ok(()),
                Ok(_) => {
                    self.before.fetch_add(counted, Relaxed);
                    return Ok(());
                }
                Err(current) => word = current,
            }
        }
    }

    /// Has `remaining` requests be left of the window that `day` lies in, if fewer are; how many
    /// are left then. For that window alone.
    pub fn extend(&self, quota: &Quota, day: u64, remaining: u64) -> u64 {
        let today = quota.window(day);
        let used = self.used();
        let window = used.window().max(today);
        let count = match used.window() == window {
            true => used.count(),
            false => 0,
        };
        let admits = count.saturating_add(remaining).min(COUNT_MAX);
        let extended = admits.max(admitted(quota.limit, used.extended, window));
        self.extended.store(pack(window, extended), Relaxed);
        extended.saturating_sub(count)
    }

    /// Undoes an extension that was made since `before`.
    pub fn take_back(&self, before: Used) {
        self.extended.store(before.extended, Relaxed);
    }
}

#[cold]
fn used_up(quota: &Quota, window: u64, wall: Duration) -> UsedUp {
    let end = Duration::from_secs(quota.next(window) * DAY_SECONDS);
    UsedUp {
        retry_after: end.saturating_sub(wall),
    }
}

#[cfg(test)]
mod tests;
