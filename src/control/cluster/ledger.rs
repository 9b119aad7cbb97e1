//! A shared bucket's books: who may lease how many tokens now?
//!
//! The store keeps them in a script, in the same steps (`tokens.lua`); here they stand for the
//! store in tests, and for a node's own share of a limit while the store is gone. Pure.
//!
//! The books hold how many tokens are missing, which falls by the rate, and how many each node
//! holds at most: what it last reported and was then granted. A held token counts as missing as
//! long as it is held, so the tokens held and those that may be leased together never pass the
//! burst, and grow by the rate at most. So over any time at all, no more are spent on all nodes
//! than rate x time + burst.

use crate::guard::Rate;
use std::{collections::BTreeMap, time::Duration};

/// How long a node that is not heard of counts as holding what it held.
pub(super) const HOLD: Duration = Duration::from_secs(30);

/// What a node reports and asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Ask {
    /// Tokens it would like.
    pub(super) want: u64,
    /// Tokens it holds at most, without those it gives back.
    pub(super) held: u64,
    /// Tokens it held and gives back.
    pub(super) back: u64,
    /// Tokens that it knows to be missing, in case the store has forgotten.
    pub(super) missing: f64,
}

/// The answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Grant {
    /// Tokens leased, at most those asked for.
    pub(super) granted: u64,
    /// Tokens missing from the bucket after that, held ones among them.
    pub(super) missing: f64,
}

/// The books of one bucket.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    missing: f64,
    at_us: u64,
    /// Tokens and when they were reported, by node.
    held: BTreeMap<u64, (u64, u64)>,
}

impl Ledger {
    /// Books in which so many tokens are missing.
    pub(super) fn begun(missing: f64, at_us: u64) -> Self {
        Self {
            missing,
            at_us,
            held: BTreeMap::new(),
        }
    }

    /// Leases to `node` what it asks for, as far as there is.
    pub(super) fn lease(&mut self, rate: Rate, node: u64, ask: Ask, now_us: u64) -> Grant {
        let (per_us, burst) = (tokens_per_us(rate), rate.burst() as f64);
        let come = now_us.saturating_sub(self.at_us) as f64 * per_us;
        let all: u64 = self.held.values().map(|(tokens, _)| tokens).sum();
        let own = self.held.remove(&node).map_or(0, |(tokens, _)| tokens);
        let hold_us = HOLD.as_micros() as u64;
        self.held
            .retain(|_, (_, at_us)| now_us.saturating_sub(*at_us) <= hold_us);
        let others: u64 = self.held.values().map(|(tokens, _)| tokens).sum();
        let missing = (self.missing - come)
            .max(all as f64)
            .max(ask.missing.min(burst));
        let missing = (missing - ask.back.min(own) as f64).max((others + ask.held) as f64);
        let granted = ((burst - missing).floor().max(0.0) as u64).min(ask.want);
        (self.missing, self.at_us) = (missing + granted as f64, now_us);
        if ask.held + granted > 0 {
            self.held.insert(node, (ask.held + granted, now_us));
        }
        Grant {
            granted,
            missing: self.missing,
        }
    }
}

/// A rate in tokens a microsecond.
pub(super) fn tokens_per_us(rate: Rate) -> f64 {
    1e3 / rate.interval().as_nanos() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ask(want: u64, held: u64, back: u64) -> Ask {
        Ask {
            want,
            held,
            back,
            missing: 0.0,
        }
    }

    #[test]
    fn tokens_are_leased_once_and_come_by_the_rate() {
        let rate = Rate::new(1000.0, 100).unwrap();
        let mut ledger = Ledger::default();
        let mut lease = |node, ask, ms: u64| ledger.lease(rate, node, ask, ms * 1000).granted;
        assert_eq!(lease(1, ask(60, 0, 0), 0), 60);
        assert_eq!(lease(2, ask(60, 0, 0), 0), 40);
        // Held still: they do not come again.
        assert_eq!(lease(1, ask(60, 60, 0), 50), 0);
        // Those of the first are spent, and come by the rate from when that was reported.
        assert_eq!(lease(1, ask(60, 0, 0), 50), 0);
        assert_eq!(lease(1, ask(60, 0, 0), 60), 10);
        // The second gives back.
        assert_eq!(lease(2, ask(0, 10, 30), 60), 0);
        assert_eq!(lease(1, ask(60, 10, 0), 60), 30);
        // Nobody holds a token for ever who is not heard of.
        assert_eq!(lease(3, ask(1000, 0, 0), 31_000), 50);
        assert_eq!(lease(3, ask(1000, 50, 0), 61_000), 50);
    }

    #[test]
    fn what_was_not_held_cannot_be_given_back() {
        let rate = Rate::new(1.0, 10).unwrap();
        let mut ledger = Ledger::default();
        assert_eq!(ledger.lease(rate, 1, ask(4, 0, 0), 0).granted, 4);
        assert_eq!(ledger.lease(rate, 2, ask(9, 0, 9), 0).granted, 6);
    }

    #[test]
    fn a_store_that_forgot_is_told() {
        let rate = Rate::new(1.0, 10).unwrap();
        let mut ledger = Ledger::default();
        let told = Ask {
            missing: 7.0,
            ..ask(10, 2, 0)
        };
        assert_eq!(ledger.lease(rate, 1, told, 0).granted, 3);
    }
}
