//! One shared bucket on this node: what is at hand, what it asks of the store, what it does on its
//! own. Pure: the task brings asks to the store and answers back.

use super::{
    demand::Demand,
    ledger::{Ask, Grant, HOLD, Ledger, tokens_per_us},
};
use crate::{
    clock::Instant,
    guard::{self, Rate, Reservoir},
};
use std::{num::NonZeroU32, sync::Arc, time::Duration};

/// How often a node says what it holds though nothing has changed, so that it is not forgotten.
const RENEW: Duration = Duration::from_secs(10);
const _: () = assert!(RENEW.as_secs() * 2 < HOLD.as_secs());

/// One shared bucket on this node.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) rate: Rate,
    pub(super) reservoir: Arc<Reservoir>,
    demand: Demand,
    /// Tokens at hand at the end of the last look.
    hand: u64,
    /// Refusals then.
    refused: u64,
    /// Tokens missing from the bucket as a whole when that was last heard, and when.
    missing: (f64, Instant),
    /// When an answer last came.
    answered: Option<Instant>,
    /// The node's own books, while it is on its own.
    own: Option<Ledger>,
}

impl Account {
    /// One that has leased nothing yet.
    pub(super) fn new(rate: Rate, reservoir: Arc<Reservoir>) -> Self {
        Self {
            rate,
            hand: reservoir.at_hand(),
            refused: reservoir.refused(),
            reservoir,
            demand: Demand::default(),
            missing: (0.0, Instant::default()),
            answered: None,
            own: None,
        }
    }

    /// The same at another rate.
    pub(super) fn at(self, rate: Rate) -> Self {
        Self { rate, ..self }
    }

    /// A round begins: what to ask, if anything. What is given back is no longer at hand.
    pub(super) fn look(&mut self, nodes: NonZeroU32, now: Instant) -> Option<Ask> {
        let (hand, refused) = (self.reservoir.at_hand(), self.reservoir.refused());
        let taken = self.hand.saturating_sub(hand);
        let asked = taken + refused.saturating_sub(self.refused);
        let (burst, nodes) = (self.rate.burst(), u64::from(nodes.get()));
        let wish = self.demand.observe(asked, hand, burst, nodes);
        let back = match wish.back {
            0 => 0,
            back => self.reservoir.take(back),
        };
        // No more than that is at hand: it only falls until an answer comes.
        (self.hand, self.refused) = (hand.saturating_sub(back), refused);
        let stale = match self.answered {
            None => true,
            Some(at) => now.since(at) >= RENEW && self.hand > 0,
        };
        (wish.want > 0 || back > 0 || stale).then(|| Ask {
            want: wish.want,
            held: self.hand,
            back,
            missing: self.known_missing(now),
        })
    }

    /// Takes the answer to an ask of `sent_at`.
    pub(super) fn settle(&mut self, grant: Grant, sent_at: Instant) {
        self.reservoir.add(grant.granted);
        self.hand += grant.granted;
        self.missing = (grant.missing, sent_at);
        self.answered = Some(sent_at);
    }

    /// A round without the store: leases from the node's own books, which it keeps for its share
    /// of the limit; how many tokens. They begin empty: what others have spent is not known, and
    /// what is at hand is there still.
    pub(super) fn go_alone(&mut self, nodes: NonZeroU32, now: Instant) -> u64 {
        let (whole, share) = (self.rate, guard::share(self.rate, nodes));
        self.rate = share;
        let ask = self.look(NonZeroU32::MIN, now);
        self.rate = whole;
        let now_us = now.as_ns() / 1000;
        let empty = || Ledger::begun(share.burst() as f64, now_us);
        let own = self.own.get_or_insert_with(empty);
        let Some(ask) = ask else {
            return 0;
        };
        let missing = 0.0;
        let ask = Ask { missing, ..ask };
        let grant = own.lease(share, 0, ask, now_us);
        let missing = grant.missing * f64::from(nodes.get());
        self.settle(Grant { missing, ..grant }, now);
        grant.granted
    }

    /// Whether it was asked lately.
    pub(super) const fn is_asked(&self) -> bool {
        self.demand.is_recent()
    }

    /// The store is back: its books hold. If it has forgotten what is held here, it is told in the
    /// next round.
    pub(super) fn rejoin(&mut self) {
        (self.own, self.answered) = (None, None);
    }

    /// Lets go of what is at hand: the store counts it no longer.
    pub(super) fn forget(&mut self) {
        self.reservoir.take(u64::MAX >> 1);
        (self.hand, self.answered) = (0, None);
    }

    fn known_missing(&self, now: Instant) -> f64 {
        let (missing, at) = self.missing;
        let come = now.since(at).as_micros() as f64 * tokens_per_us(self.rate);
        (missing - come).max(0.0)
    }
}

#[cfg(test)]
mod tests;
