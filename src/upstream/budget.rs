//! The retry budget: how much may retries add to an upstream's load?
//!
//! A retry is granted if, with it, the retries of the last ten seconds are at most so many percent
//! of the requests of the last ten seconds, plus so many a second. Shared by all workers, so that
//! the bound holds for the upstream and not for each core. Requests are reported by each worker in
//! one sum a tick: a request that is not retried writes nothing here.

use super::Retry;
use crate::{bounds::RETRY_WINDOW_SECONDS, clock::Instant};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Slots of a window: one a second, the one that has begun and all that lie in the window before.
const SLOTS: usize = RETRY_WINDOW_SECONDS as usize + 1;

/// The retry budget of one upstream.
#[derive(Debug, Default)]
pub struct RetryBudget {
    requests: Window,
    retries: Window,
}

impl RetryBudget {
    /// Adds a worker's requests since its last report. Once a tick, and only if there were any.
    ///
    /// Cost: one load and one compare-exchange on a shared line.
    pub fn report(&self, requests: u32, now: Instant) {
        if requests > 0 {
            self.requests.add(second(now), requests);
        }
    }

    /// Takes one retry, if `retry` allows.
    ///
    /// What holds at each grant: retries granted in the present second and the ten before it are at
    /// most `budget_percent` of the requests reported in the same time, plus ten times
    /// `budget_min_per_second`. Two that race for the last one may both be refused, never both
    /// served. Cost: one compare-exchange and 22 loads; only for a request that has failed.
    pub fn spend(&self, retry: &Retry, now: Instant) -> bool {
        let second = second(now);
        let allowed = self.requests.sum(second) * u64::from(retry.budget_percent) / 100
            + u64::from(retry.budget_min_per_second) * u64::from(RETRY_WINDOW_SECONDS);
        // First add, then look: of any two, in the one order that SeqCst gives all additions, the
        // later sees the earlier. To look first and add then would let both pass.
        let slot = self.retries.add(second, 1);
        if self.retries.sum(second) <= allowed {
            return true;
        }
        self.retries.take_back(second, slot);
        false
    }

    /// Retries granted in the present second and the ten before it: for metrics.
    pub fn spent(&self, now: Instant) -> u64 {
        self.retries.sum(second(now))
    }
}

/// The second in which `now` lies. Stays at the last one after 136 years.
fn second(now: Instant) -> u32 {
    u32::try_from(now.as_ms() / 1000).unwrap_or(u32::MAX)
}

/// Counts of the last seconds. A slot holds its second in the high half and the count in the low.
#[derive(Debug, Default)]
struct Window {
    slots: [AtomicU64; SLOTS],
}

impl Window {
    fn slot(&self, second: u32) -> &AtomicU64 {
        &self.slots[second as usize % SLOTS]
    }

    /// Adds to the slot of `second`; the second to which it went. That is a later one if the caller
    /// is so far behind that the slot has been taken over.
    fn add(&self, second: u32, count: u32) -> u32 {
        let added = |word: u64| {
            let (held, before) = unpacked(word);
            if held >= second {
                packed(held, before.saturating_add(count))
            } else {
                packed(second, count)
            }
        };
        let before = self
            .slot(second)
            .fetch_update(SeqCst, SeqCst, |word| Some(added(word)))
            .unwrap_or_else(|word| word);
        unpacked(before).0.max(second)
    }

    /// Takes back one that `add` put into the slot of `second`, unless the slot has moved on.
    fn take_back(&self, second: u32, held: u32) {
        // A slot that has moved on has forgotten what is taken back: that is no failure.
        let _ = self.slot(second).fetch_update(SeqCst, SeqCst, |word| {
            let (now_held, count) = unpacked(word);
            (now_held == held).then(|| packed(held, count.saturating_sub(1)))
        });
    }

    /// All of the window that ends with `second`. What a worker whose clock is ahead has put into
    /// a later second counts as well.
    fn sum(&self, second: u32) -> u64 {
        let first = second.saturating_sub(RETRY_WINDOW_SECONDS);
        self.slots
            .iter()
            .map(|slot| unpacked(slot.load(SeqCst)))
            .filter(|&(held, _)| held >= first)
            .map(|(_, count)| u64::from(count))
            .sum()
    }
}

const fn packed(second: u32, count: u32) -> u64 {
    ((second as u64) << 32) | count as u64
}

const fn unpacked(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn retry(budget_percent: u8, budget_min_per_second: u16) -> Retry {
        Retry {
            attempts: 5,
            budget_percent,
            budget_min_per_second,
        }
    }

    fn at(ms: u64) -> Instant {
        Instant::default().after(Duration::from_millis(ms))
    }

    /// How many of many retries are granted after `reports` of (millisecond, requests), at `ms`.
    #[track_caller]
    fn check(retry: Retry, reports: &[(u64, u32)], ms: u64, expected: usize) {
        let budget = RetryBudget::default();
        for &(ms, requests) in reports {
            budget.report(requests, at(ms));
        }
        let granted = (0..10_000).filter(|_| budget.spend(&retry, at(ms))).count();
        assert_eq!(granted, expected);
        assert_eq!(
            budget.spent(at(ms)),
            expected as u64,
            "a refusal leaves no trace"
        );
    }

    #[test]
    fn grants() {
        check(retry(20, 0), &[], 0, 0);
        check(retry(20, 3), &[], 0, 30);
        check(retry(20, 0), &[(0, 1000)], 0, 200);
        check(retry(20, 3), &[(0, 1000), (900, 500)], 5_000, 330);
        check(retry(20, 0), &[(0, 1000)], 10_999, 200);
        check(retry(20, 0), &[(0, 1000)], 11_000, 0);
        check(retry(20, 0), &[(999, 1000), (1_000, 10)], 11_000, 2);
        check(retry(100, 0), &[(0, 7)], 0, 7);
        check(retry(0, 0), &[(0, 1000)], 0, 0);
    }

    #[test]
    fn threads_together_keep_to_it() {
        let budget = RetryBudget::default();
        budget.report(1000, at(0));
        let granted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|worker| {
                    let budget = &budget;
                    // Clocks apart, and a border between seconds among them.
                    let now = at(950 + worker * 25);
                    scope.spawn(move || {
                        (0..5000)
                            .filter(|_| budget.spend(&retry(20, 0), now))
                            .count()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert!(granted <= 200, "{granted}");
        assert!(granted > 150, "{granted}: races refuse too much");
    }

    proptest! {
        #[test]
        fn no_window_holds_more_than_it_allows(
            percent in 0_u8..=100,
            min in 0_u16..5,
            steps in prop::collection::vec((0_u64..1500, 0_u32..200, 0_usize..40), 1..60),
        ) {
            let retry = retry(percent, min);
            let budget = RetryBudget::default();
            let (mut ms, mut requests, mut grants) = (0_u64, Vec::new(), Vec::new());
            for (step, reported, asked) in steps {
                ms += step;
                budget.report(reported, at(ms));
                requests.push((ms / 1000, u128::from(reported)));
                let within = |&&(second, _): &&(u64, u128)| second + 10 >= ms / 1000;
                let asked_for: u128 = requests.iter().filter(within).map(|(_, n)| n).sum();
                let allowed = asked_for * u128::from(percent) / 100 + u128::from(min) * 10;
                for _ in 0..asked {
                    let spent: u128 = grants.iter().filter(within).map(|(_, n)| n).sum();
                    let granted = budget.spend(&retry, at(ms));
                    prop_assert_eq!(granted, spent < allowed);
                    if granted {
                        grants.push((ms / 1000, 1));
                    }
                }
            }
        }
    }
}
