//! The pick: which endpoint takes this attempt?
//!
//! An endpoint is *usable* if it weighs more than zero, active checks do not call it unhealthy, it
//! is not ejected, this request has not tried it, and its slow start lets this request through. A
//! pick never names an unusable endpoint while there is a usable one. Where there is none, it asks
//! less, in this order: slow start lets all through; then ejected endpoints take requests again (a
//! doubtful endpoint is better than a certain refusal). It never asks less than healthy, weighing
//! and untried: then there is no endpoint, and the request is refused at once.
//!
//! The order among the usable is the balance's; when some are not, the rest share in proportion to
//! their weights.

use super::{Balance, Upstream};
use crate::{bounds::ATTEMPTS_MAX, clock::Instant};
use std::{cell::Cell, time::Duration};

/// What a pick goes by.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// This worker's place in the round: [`super::Local::cursor`].
    pub cursor: &'a Cell<u64>,
    /// This worker's requests in flight: [`super::Local::in_flight`].
    pub in_flight: &'a [Cell<u32>],
    /// What is hashed, where the balance hashes and the request has it.
    pub key: Option<&'a [u8]>,
    /// Chance: 64 bits, each as good as the others, new for each pick.
    pub random: u64,
    /// The worker's time.
    pub now: Instant,
    /// What this request has tried.
    pub tried: &'a Tried,
}

/// The endpoints that a request has tried: at most one an attempt, and one for the attempt that
/// does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    endpoints: [u16; ATTEMPTS_MAX as usize + 1],
    /// `count <= endpoints.len()`.
    count: u8,
}

impl Tried {
    /// Adds an endpoint. One over the number of attempts that a request may have is not kept.
    pub fn add(&mut self, endpoint: usize) {
        if let Some(place) = self.endpoints.get_mut(usize::from(self.count)) {
            *place = endpoint as u16;
            self.count += 1;
        }
    }

    /// Whether the endpoint was tried. Cost: O(attempts), so nearly always nothing.
    pub fn contains(&self, endpoint: usize) -> bool {
        self.endpoints[..usize::from(self.count)]
            .iter()
            .any(|&tried| usize::from(tried) == endpoint)
    }
}

/// How much is asked of an endpoint.
#[derive(Clone, Copy, Debug)]
enum Demand {
    Usable,
    /// Slow start lets all through.
    Started,
    /// Ejected ones as well.
    Healthy,
}

impl Upstream {
    /// The index of the endpoint that takes this attempt; `None` if none can.
    ///
    /// Cost, while the endpoints that the balance draws are usable: round robin one endpoint's
    /// state read, random one, least request two, hash one and a binary search over the ring. Else
    /// O(endpoints), and for round robin O(turns). No allocation, no lock, nothing shared written.
    /// Bench: `upstream/pick_round_robin`, `upstream/pick_random`, `upstream/pick_least_request`,
    /// `upstream/pick_hash`.
    pub fn pick(&self, choice: &Choice<'_>) -> Option<usize> {
        if self.sequence.is_empty() {
            return None;
        }
        match (&self.settings.balance, &self.ring, choice.key) {
            (Balance::RoundRobin, ..) => self.pick_in_turn(choice),
            (Balance::LeastRequest, ..) => self.pick_least_busy(choice),
            (Balance::Hash(_), Some(ring), Some(key)) => {
                let owner = ring.owners(key).next()?;
                if self.meets(owner, Demand::Started, choice) {
                    return Some(owner);
                }
                let demand = self.demand(choice, Demand::Started)?;
                ring.owners(key)
                    .find(|&owner| self.meets(owner, demand, choice))
            }
            (Balance::Random | Balance::Hash(_), ..) => self.pick_by_chance(choice),
        }
    }

    fn pick_in_turn(&self, choice: &Choice<'_>) -> Option<usize> {
        let turns = self.sequence.len();
        let turn = choice.cursor.get() as usize;
        // Out of range after a snapshot with fewer turns. Cheaper than a division.
        let turn = if turn < turns { turn } else { 0 };
        let endpoint = usize::from(self.sequence[turn]);
        choice.cursor.set(turn as u64 + 1);
        if self.meets(endpoint, Demand::Usable, choice) {
            return Some(endpoint);
        }
        self.pick_in_later_turn(turn, choice)
    }

    /// The first of the turns after `turn` that can be taken, and the round goes on behind it: the
    /// turns of the unusable are left out, rather than all taken by who stands behind them.
    #[cold]
    fn pick_in_later_turn(&self, turn: usize, choice: &Choice<'_>) -> Option<usize> {
        let demand = self.demand(choice, Demand::Usable)?;
        let turns = self.sequence.len();
        let taken = (turn..turns)
            .chain(0..turn)
            .find(|&turn| self.meets(usize::from(self.sequence[turn]), demand, choice))?;
        choice.cursor.set(taken as u64 + 1);
        Some(usize::from(self.sequence[taken]))
    }

    fn pick_by_chance(&self, choice: &Choice<'_>) -> Option<usize> {
        let endpoint = self.draw(choice.random);
        if self.meets(endpoint, Demand::Usable, choice) {
            return Some(endpoint);
        }
        self.pick_by_chance_among_rest(choice)
    }

    #[cold]
    fn pick_by_chance_among_rest(&self, choice: &Choice<'_>) -> Option<usize> {
        let demand = self.demand(choice, Demand::Usable)?;
        let rest = || {
            self.members
                .iter()
                .map(|&member| usize::from(member))
                .filter(|&member| self.meets(member, demand, choice))
        };
        let total: u64 = rest().map(|member| self.weight(member)).sum();
        let mut left = below(mixed(choice.random, u64::MAX), total);
        rest().find(|&member| {
            let weight = self.weight(member);
            let found = left < weight;
            left = left.saturating_sub(weight);
            found
        })
    }

    fn pick_least_busy(&self, choice: &Choice<'_>) -> Option<usize> {
        let turns = self.sequence.len() as u64;
        let first_turn = below(choice.random, turns);
        let first = usize::from(self.sequence[first_turn as usize]);
        if turns == 1 {
            return self
                .meets(first, Demand::Usable, choice)
                .then_some(first)
                .or_else(|| self.pick_least_busy_of_all(choice));
        }
        // Another turn than the first, each as likely. Another turn of the same endpoint is
        // possible where weights differ; then there is nothing to compare.
        let step = 1 + below(choice.random << 32, turns - 1);
        let second_turn = first_turn + step;
        let second_turn = if second_turn < turns {
            second_turn
        } else {
            second_turn - turns
        };
        let second = usize::from(self.sequence[second_turn as usize]);
        let first_meets = self.meets(first, Demand::Usable, choice);
        let second_meets = self.meets(second, Demand::Usable, choice);
        match (first_meets, second_meets) {
            (true, true) if self.is_less_busy(second, first, choice) => Some(second),
            (true, _) => Some(first),
            (false, true) => Some(second),
            (false, false) => self.pick_least_busy_of_all(choice),
        }
    }

    /// The least busy of all that can take it, beginning at a place drawn by chance so that equals
    /// share.
    #[cold]
    fn pick_least_busy_of_all(&self, choice: &Choice<'_>) -> Option<usize> {
        let demand = self.demand(choice, Demand::Usable)?;
        let begin = below(mixed(choice.random, u64::MAX), self.members.len() as u64) as usize;
        let (before, from) = self.members.split_at(begin);
        from.iter()
            .chain(before)
            .map(|&member| usize::from(member))
            .filter(|&member| self.meets(member, demand, choice))
            .reduce(|best, next| {
                if self.is_less_busy(next, best, choice) {
                    next
                } else {
                    best
                }
            })
    }

    /// Whether `a` has fewer requests in flight for its weight than `b`: a/wa < b/wb without
    /// dividing. An idle one is not less busy than another idle one, so that what is drawn first,
    /// which is drawn by weight, keeps it.
    fn is_less_busy(&self, a: usize, b: usize, choice: &Choice<'_>) -> bool {
        let in_flight = |endpoint: usize| {
            choice
                .in_flight
                .get(endpoint)
                .map_or(0, |count| u64::from(count.get()))
        };
        in_flight(a) * self.weight(b) < in_flight(b) * self.weight(a)
    }

    fn weight(&self, endpoint: usize) -> u64 {
        u64::from(self.endpoints[endpoint].weight)
    }

    /// An endpoint by chance, as likely as it weighs.
    fn draw(&self, random: u64) -> usize {
        let turn = below(random, self.sequence.len() as u64);
        usize::from(self.sequence[turn as usize])
    }

    /// The most, from `first` on, that can be asked so that some endpoint still meets it.
    fn demand(&self, choice: &Choice<'_>, first: Demand) -> Option<Demand> {
        let all: &[Demand] = match first {
            Demand::Usable => &[Demand::Usable, Demand::Started, Demand::Healthy],
            Demand::Started | Demand::Healthy => &[Demand::Started, Demand::Healthy],
        };
        all.iter().copied().find(|&demand| {
            self.members
                .iter()
                .any(|&member| self.meets(usize::from(member), demand, choice))
        })
    }

    /// Whether `endpoint`, which weighs more than zero, meets what is asked.
    fn meets(&self, endpoint: usize, demand: Demand, choice: &Choice<'_>) -> bool {
        let state = &self.endpoints[endpoint].state;
        if !state.is_healthy() || choice.tried.contains(endpoint) {
            return false;
        }
        match demand {
            Demand::Healthy => true,
            Demand::Started => !state.is_ejected(choice.now),
            Demand::Usable => {
                !state.is_ejected(choice.now)
                    && match self.settings.slow_start {
                        None => true,
                        Some(duration) => self.lets_through(endpoint, duration, choice),
                    }
            }
        }
    }

    /// Whether slow start lets this request through to `endpoint`: as likely as the part of
    /// `duration` that has passed, and at least one time in ten. The same for the same pick.
    fn lets_through(&self, endpoint: usize, duration: Duration, choice: &Choice<'_>) -> bool {
        let Some(since) = self.endpoints[endpoint].state.since() else {
            return true;
        };
        let age = choice.now.since(since);
        if age >= duration {
            return true;
        }
        // In 1024ths; `age < duration`, so neither the product nor the quotient overflows.
        let share = (age.as_nanos() * 1024 / duration.as_nanos()).max(103) as u64;
        mixed(choice.random, endpoint as u64) >> 54 < share
    }
}

/// A number below `bound`, from the high bits of `random`.
fn below(random: u64, bound: u64) -> u64 {
    ((u128::from(random) * u128::from(bound)) >> 64) as u64
}

/// Bits of chance that are another draw's for each `salt` (the finisher of splitmix64).
fn mixed(random: u64, salt: u64) -> u64 {
    let bits = random ^ salt.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests;
