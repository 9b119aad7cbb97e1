//! Token buckets: may one more request pass now?
//!
//! Shared by all cores, so a bucket is one atomic word and a loser retries. The word is the time at
//! which the bucket would be full again; [`super::rate`] has its arithmetic, and what becomes of sums
//! at the end of time and of clocks that step. So nothing has to refill it, and a bucket that nobody
//! asks costs nothing.
//!
//! A word that several workers want at once goes from core to core for each request. So once
//! `LOST_MAX` compare-exchanges were lost, each worker gets a place of its own for tokens that it
//! takes in advance: `lease.rs`. Before a worker refuses it takes what others hold in advance.
//! It refuses though a token is there only if that token is on its way from one worker to another
//! just then: at most one lease (`LEASE_TOKENS_MAX` tokens) for each worker that is inside `spend`.
//!
//! It never reads the clock (the caller passes `now`) and allocates at most once in its life.

use super::{
    Rate, Reservoir, Spent,
    lease::{LEASE_TOKENS_MAX, Slot},
    rate::Refused,
    word::Word,
};
use crate::clock::Instant;
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

/// Lost compare-exchanges after which a bucket counts as contended.
const LOST_MAX: u32 = 8;

/// All leases of a bucket together hold at most this part of its burst.
const LEASED_PART: u64 = 8;

/// A token bucket of one rate. Begins full.
///
/// The rate belongs to the bucket because the word counts time, and the same time is another number
/// of tokens under another rate; see [`super::Buckets`] for what a reload does.
#[derive(Debug)]
// Lines of its own: neighbours' spending must not slow this one's.
#[repr(align(64))]
pub struct Bucket<W = AtomicU64> {
    rate: Rate,
    /// Each worker's, once it has proven contended.
    slots: OnceLock<Box<[Slot<W>]>>,
    /// At least 1.
    workers: usize,
    /// Tokens of the largest lease. Below 2 there are no leases.
    lease_tokens: u64,
    /// Where its tokens come from if several machines share them; its own word is then of no use.
    leased: Option<Arc<Reservoir>>,
    shared: Shared<W>,
}

/// What all workers write, apart from what they only read.
#[derive(Debug)]
#[repr(align(64))]
struct Shared<W> {
    /// When the bucket is full again, in ns since the process's beginning. At most a burst ahead of
    /// the latest `now` that any caller has had.
    full_at: W,
    /// Compare-exchanges lost before there were slots.
    lost: AtomicU32,
}

impl Bucket {
    /// A full bucket without leases.
    pub fn new(rate: Rate) -> Self {
        Self::for_workers(rate, 1)
    }

    /// A full bucket that so many workers share.
    pub fn for_workers(rate: Rate, workers: usize) -> Self {
        Self::of_words(rate, workers)
    }

    /// A bucket whose tokens are those of `leased`, whatever the rate: that is for those who fill
    /// it.
    pub fn leased(rate: Rate, leased: Arc<Reservoir>) -> Self {
        Self {
            leased: Some(leased),
            ..Self::new(rate)
        }
    }
}

impl<W: Word> Bucket<W> {
    /// A full bucket of any kind of words.
    fn of_words(rate: Rate, workers: usize) -> Self {
        let workers = workers.max(1);
        let share = rate.burst() / (LEASED_PART * workers as u64);
        let lease_tokens = share.min(LEASE_TOKENS_MAX);
        Self {
            rate,
            slots: OnceLock::new(),
            workers,
            lease_tokens: if workers > 1 { lease_tokens } else { 0 },
            leased: None,
            shared: Shared {
                full_at: W::new(0),
                lost: AtomicU32::new(0),
            },
        }
    }

    /// Where its tokens come from, if several machines share them.
    pub const fn reservoir(&self) -> Option<&Arc<Reservoir>> {
        self.leased.as_ref()
    }

    /// How many workers share it.
    pub const fn workers(&self) -> usize {
        self.workers
    }

    /// Its rate.
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes one token if there is one. `worker` is the caller's number, from 0.
    ///
    /// Cost: one load and one compare-exchange on one cache line when not contended; no allocation,
    /// no lock, no clock. A refusal is one load, and one more a worker where there are leases. Under
    /// contention a loser retries; every retry means that another core was served, so the work is
    /// bounded by the calls made. After `LOST_MAX` retries of all workers together the one that
    /// lost allocates the leases' slots, once. Bench: `guard/spend`.
    #[inline]
    pub fn spend(&self, worker: usize, now: Instant) -> Result<(), Spent> {
        if let Some(leased) = &self.leased {
            return self.found(leased.spend());
        }
        let slots = self.slots();
        match slots.get(worker) {
            Some(own) if own.spend(self.rate, now) => Ok(()),
            Some(own) => self.spend_by_lease(slots, own, now),
            None => match self.take(1, now) {
                Ok(_) => Ok(()),
                Err(refused) => self.spend_others(slots, None, refused, now),
            },
        }
    }

    /// Whether there is a token, without taking it. Cost: one load, and one more a worker where there
    /// are leases.
    pub fn check(&self, worker: usize, now: Instant) -> Result<(), Spent> {
        if let Some(leased) = &self.leased {
            return self.found(leased.check());
        }
        let slots = self.slots();
        let good = |slot: &Slot<W>| slot.good(self.rate, now) > 0;
        if slots.get(worker).is_some_and(good) {
            return Ok(());
        }
        let full_at = self.shared.full_at.load();
        let Err(refused) = self.rate.take(full_at, 1, now) else {
            return Ok(());
        };
        if refused.reset.is_some() {
            self.step_back(slots, full_at, refused);
            return Err(refused.spent);
        }
        if slots.iter().any(good) {
            Ok(())
        } else {
            Err(refused.spent)
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

    /// Tokens that are there at `now`, leased ones included. Cost: as of [`Bucket::check`].
    pub fn remaining(&self, now: Instant) -> u64 {
        if let Some(leased) = &self.leased {
            return leased.at_hand().min(self.rate.burst());
        }
        let leased: u64 = self
            .slots()
            .iter()
            .map(|slot| slot.good(self.rate, now))
            .sum();
        let free = self.rate.remaining(self.shared.full_at.load(), now);
        (free + leased).min(self.rate.burst())
    }

    /// Gives back a token that `worker` took at `spent_at`: the part of it that has not come again by
    /// itself, nothing after an interval. To lower the word by more would hand out another's token a
    /// second time.
    ///
    /// Where there are leases, a token that was taken at this very time goes back to the worker's;
    /// another only if no worker holds a lease, as a word that is lowered beneath a lease's stretch
    /// would give that stretch out again. Otherwise it is lost.
    pub fn refund(&self, worker: usize, spent_at: Instant, now: Instant) {
        if let Some(leased) = &self.leased {
            return leased.refund();
        }
        let slots = self.slots();
        let at_once = now <= spent_at;
        if at_once && slots.get(worker).is_some_and(|own| own.put_back(now)) {
            return;
        }
        if slots.iter().any(|slot| slot.good(self.rate, now) > 0) {
            return;
        }
        slots.iter().for_each(Slot::end);
        let mut full_at = self.shared.full_at.load();
        while let Some(lowered) = self.rate.give_back(full_at, spent_at, now) {
            match self.shared.full_at.exchange(full_at, lowered) {
                Ok(_) => return,
                Err(current) => full_at = current,
            }
        }
    }

    #[inline]
    fn slots(&self) -> &[Slot<W>] {
        self.slots.get().map_or(&[], |slots| slots)
    }

    /// Takes tokens from the shared word, all or none; what the word is then.
    #[inline]
    fn take(&self, tokens: u64, now: Instant) -> Result<u64, Refused> {
        let mut full_at = self.shared.full_at.load();
        loop {
            let next = self.rate.take(full_at, tokens, now)?;
            match self.shared.full_at.exchange(full_at, next) {
                Ok(_) => return Ok(next),
                Err(current) => full_at = current,
            }
            self.lost_one();
        }
    }

    /// Whoever loses the last one that a bucket may lose makes the slots; nobody waits for it.
    #[cold]
    fn lost_one(&self) {
        if self.lease_tokens < 2 || self.slots.get().is_some() {
            return;
        }
        if self.shared.lost.fetch_add(1, Relaxed) + 1 == LOST_MAX {
            self.open_slots();
        }
    }

    fn open_slots(&self) {
        let slots = || (0..self.workers).map(|_| Slot::new()).collect();
        self.slots.get_or_init(slots);
    }

    /// The worker's lease is used up: takes another, or the one token, or what others hold.
    #[inline(never)]
    fn spend_by_lease(&self, slots: &[Slot<W>], own: &Slot<W>, now: Instant) -> Result<(), Spent> {
        let size = own.next_size(self.lease_tokens, now);
        if size > 1
            && let Ok(end_ns) = self.take(size, now)
        {
            own.begin(end_ns, size);
            return Ok(());
        }
        match self.take(1, now) {
            Ok(_) => Ok(()),
            Err(refused) => self.spend_others(slots, Some(own), refused, now),
        }
    }

    /// The shared word has nothing: takes over a lease of another worker, or refuses.
    #[cold]
    fn spend_others(
        &self,
        slots: &[Slot<W>],
        own: Option<&Slot<W>>,
        refused: Refused,
        now: Instant,
    ) -> Result<(), Spent> {
        if refused.reset.is_some() {
            self.step_back(slots, self.shared.full_at.load(), refused);
            return Err(refused.spent);
        }
        let taken = slots.iter().any(|slot| match own {
            Some(own) if !std::ptr::eq(own, slot) => own.take_from(slot, self.rate, now),
            // Back in the own one, or a caller without one.
            _ => slot.spend(self.rate, now),
        });
        if taken { Ok(()) } else { Err(refused.spent) }
    }

    /// The clock has stepped back: the bucket is empty at the new time, and so are all leases.
    #[cold]
    fn step_back(&self, slots: &[Slot<W>], full_at: u64, refused: Refused) {
        slots.iter().for_each(Slot::end);
        if let Some(empty) = refused.reset {
            // If another changes the word meanwhile it has seen the same, or the step is over; a
            // word that has been set by then lies at most a burst ahead and stays.
            let seen = full_at > empty;
            let _ = seen.then(|| self.shared.full_at.exchange(full_at, empty));
        }
    }

    /// Sees to it that at least as many tokens are missing as in `other`, whatever both rates are:
    /// an empty bucket makes an empty one, a full one changes nothing. Rounded against the caller;
    /// what is leased counts as spent.
    pub(super) fn take_over(&self, other: &Self, now: Instant) {
        let full_at = other.shared.full_at.load();
        if let Some(full_at) = self.rate.rescale(full_at, other.rate, now) {
            self.shared.full_at.raise(full_at);
        }
    }
}

#[cfg(test)]
mod tests;
