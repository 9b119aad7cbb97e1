//! How many tokens should a node hold? Decided from what was asked of it lately. Pure.

/// Rounds that are remembered.
const ROUNDS: usize = 4;

/// Rounds that what is held should last: until the next one's answer, and one that is late.
const LOOKAHEAD: u64 = 2;

/// Rounds of holding more than is needed, after which the rest is given back.
const PATIENCE: u32 = 8;

/// Rounds without a request, after which tokens that are short are no longer asked for in each.
const QUIET: u32 = 40;

/// What was asked of one bucket on this node.
#[derive(Clone, Debug, Default)]
pub(super) struct Demand {
    recent: [u64; ROUNDS],
    next: usize,
    /// Rounds in a row without a request.
    quiet: u32,
    /// Rounds in a row with far more at hand than is needed.
    surplus: u32,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// Tokens to lease.
    pub(super) want: u64,
    /// Tokens to give back.
    pub(super) back: u64,
}

impl Demand {
    /// A round is over in which `asked` requests came; with `hand` tokens at hand, what now?
    pub(super) fn observe(&mut self, asked: u64, hand: u64, burst: u64, nodes: u64) -> Wish {
        self.recent[self.next] = asked;
        self.next = (self.next + 1) % ROUNDS;
        self.quiet = if asked > 0 {
            0
        } else {
            self.quiet.saturating_add(1)
        };
        let peak = self.recent.iter().copied().max().unwrap_or(0);
        let target = target(peak, burst, nodes);
        self.surplus = match hand > target.saturating_mul(2) {
            true => self.surplus + 1,
            false => 0,
        };
        if self.surplus > PATIENCE {
            self.surplus = 0;
            return Wish {
                want: 0,
                back: hand - target,
            };
        }
        Wish {
            want: match self.is_recent() {
                false => 0,
                true => target.saturating_sub(hand),
            },
            back: 0,
        }
    }

    /// Whether there was a request lately.
    pub(super) const fn is_recent(&self) -> bool {
        self.quiet <= QUIET
    }
}

/// Tokens to hold where a round's peak was `peak`: enough for the time until more can be had, for
/// the first requests after a silence, and not so many that other nodes find none.
pub(super) fn target(peak: u64, burst: u64, nodes: u64) -> u64 {
    let ready = (burst / (4 * nodes)).max(1);
    let most = burst.saturating_mul(2).div_ceil(nodes + 1).max(ready);
    peak.saturating_mul(LOOKAHEAD).clamp(ready, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        // Nobody asks: a little, for those who will.
        assert_eq!(target(0, 100, 1), 25);
        assert_eq!(target(0, 100, 3), 8);
        assert_eq!(target(0, 1, 3), 1);
        // Two rounds' worth.
        assert_eq!(target(20, 100, 3), 40);
        // Never all of a burst where others may want some.
        assert_eq!(target(1000, 100, 1), 100);
        assert_eq!(target(1000, 100, 3), 50);
        assert_eq!(target(u64::MAX, u64::MAX, 3), u64::MAX / 4 + 1);
    }

    #[test]
    fn what_lies_unused_goes_back_after_some_rounds() {
        let mut demand = Demand::default();
        assert_eq!(demand.observe(50, 0, 1000, 3).want, 100);
        let mut after = (0..20).map(|_| demand.observe(0, 400, 1000, 3));
        let found = after.position(|wish| wish.back > 0);
        assert_eq!(found, Some(PATIENCE as usize));
    }

    #[test]
    fn a_bucket_that_nobody_asks_is_left_alone() {
        let mut demand = Demand::default();
        let last = (0..100).map(|_| demand.observe(0, 0, 100, 3)).last();
        assert_eq!(last, Some(Wish::default()));
        assert_eq!(demand.observe(1, 0, 100, 3).want, 8);
    }
}
