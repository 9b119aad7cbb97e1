//! A bucket for each client, in memory of a fixed size.
//!
//! A table is an array of entries, each a client's key and the word of its bucket in one 128-bit
//! atomic, so that taking over an entry and setting its word are one step. A key has eight places:
//! two sets of four, each one cache line. An entry whose word is behind now is a full bucket, which
//! is the same as none: anyone may take it over, and nothing has to sweep.
//!
//! When all eight places hold others that are not full, the key shares one of [`OVERFLOW_BUCKETS`]
//! with others of its kind until a place falls free. So a flood of keys neither makes the table grow,
//! nor drives out a client that is known, nor finds a way around its limit. A client that gets a
//! place begins with as many tokens missing as its shared bucket misses, so leaving that one gives
//! nothing away; what a client was refused or charged there for others' sake is the price of fixed
//! memory, and is counted.
//!
//! Two threads that bring the same new key must not both give it a place. So a place is first
//! claimed, under a number that no other claim has; then the eight places are looked at once more;
//! then the claim is confirmed. Of two claims the later place gives way, and before a confirmed entry
//! every claim does. Whoever claims second sees the first, as all of it is sequentially consistent.

use super::{Rate, Spent, rate::Refused};
use crate::clock::Instant;
use portable_atomic::AtomicU128;
use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{
            AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
};

/// Buckets that clients without a place of their own share.
pub const OVERFLOW_BUCKETS: usize = 1024;

/// Entries of a set: one cache line.
const WAYS: usize = 4;

/// The bit of a word that says that the rest is a claim's number. A time has it after 292 years;
/// the word is cut there.
const CLAIM: u64 = 1 << 63;

/// Makes keys of clients' names. Each process hashes by another seed, so nobody outside can choose
/// names that meet.
#[derive(Clone, Debug, Default)]
pub struct KeyHasher(RandomState);

impl KeyHasher {
    /// The one of this process: all that hash the same keys use it.
    pub fn of_process() -> &'static Self {
        static SEEDED: LazyLock<KeyHasher> = LazyLock::new(KeyHasher::default);
        &SEEDED
    }

    /// A key, never 0. Cost: one SipHash of `bytes`; no allocation.
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        self.0.hash_one(bytes).max(1)
    }
}

/// A key and the word of its bucket, or a claim of that key. Zero: nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry(u128);

impl Entry {
    const fn new(key: u64, word: u64) -> Self {
        Self((key as u128) << 64 | word as u128)
    }

    const fn key(self) -> u64 {
        (self.0 >> 64) as u64
    }

    const fn word(self) -> u64 {
        self.0 as u64
    }

    const fn is_claim(self) -> bool {
        self.word() & CLAIM != 0
    }

    /// Whether it counts for nothing at `now`.
    const fn is_free(self, now: Instant) -> bool {
        self.word() <= now.as_ns()
    }
}

/// The places of a set, one cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Set([AtomicU128; WAYS]);

/// Where a key is, or can be.
enum Place<'a> {
    /// It has this entry.
    Own(&'a AtomicU128, Entry),
    /// It has none, and this one may be taken over.
    Free(&'a AtomicU128, Entry),
    /// It has none, and others need all.
    Taken,
}

/// Buckets of one rate by client. See the head of the file.
///
/// Memory: 16 bytes for each of at least `2 * keys_max` entries, all of it from the beginning.
#[derive(Debug)]
pub struct ClientTable {
    rate: Rate,
    keys_max: u32,
    /// A power of two of them.
    sets: Box<[Set]>,
    /// Words without keys, by the key's hash.
    overflow: Box<[AtomicU64]>,
    /// Requests that were decided by a shared bucket.
    overflowed: AtomicU64,
}

impl ClientTable {
    /// A table without clients that has room for `keys_max` at once.
    pub fn new(rate: Rate, keys_max: u32) -> Self {
        let entries = (keys_max as usize).max(WAYS) * 2;
        let sets = entries.next_power_of_two() / WAYS;
        Self {
            rate,
            keys_max,
            sets: (0..sets).map(|_| Set::default()).collect(),
            overflow: (0..OVERFLOW_BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            overflowed: AtomicU64::new(0),
        }
    }

    /// Every client's rate.
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// For how many clients at once it was made.
    pub const fn keys_max(&self) -> u32 {
        self.keys_max
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.sets) + size_of_val(&*self.overflow) + size_of::<Self>()
    }

    /// Requests that were decided by a bucket that several clients shared, since the beginning.
    pub fn overflowed(&self) -> u64 {
        self.overflowed.load(Relaxed)
    }

    /// Clients that miss tokens at `now`. Cost: it reads the whole table.
    pub fn live(&self, now: Instant) -> usize {
        self.entries()
            .filter(|entry| !entry.is_claim() && !entry.is_free(now))
            .count()
    }

    /// Takes one token of a client's if there is one.
    ///
    /// Cost for a client with an entry: up to eight loads on one or two cache lines and one
    /// compare-exchange; a new client's first two more, and the loads once again. No allocation, no
    /// lock, no clock. Bench: `guard/table_spend`.
    pub fn spend(&self, key: u64, now: Instant) -> Result<(), Spent> {
        self.change(key, now, |word| self.take(word, now))
    }

    /// Whether a client has a token, without taking it. Cost: loads on one or two cache lines.
    /// Bench: `guard/table_check`.
    pub fn check(&self, key: u64, now: Instant) -> Result<(), Spent> {
        let taken = self.take(self.word(key, now), now);
        taken.map(|_| ()).map_err(|refused| refused.spent)
    }

    /// Tokens that a client has. Cost: as of [`ClientTable::check`].
    pub fn remaining(&self, key: u64, now: Instant) -> u64 {
        self.rate.remaining(self.word(key, now), now)
    }

    /// Gives back a client's token that was taken at `spent_at`: the part of it that has not come
    /// again by itself, nothing after an interval.
    pub fn refund(&self, key: u64, spent_at: Instant, now: Instant) {
        if now.since(spent_at) >= self.rate.interval() {
            return;
        }
        let lower = |word| self.rate.give_back(word, spent_at, now);
        // Without an entry it has the shared bucket; a full one has nothing to be given.
        let _ = self.change(key, now, |word| match lower(word) {
            Some(lowered) if word > now.as_ns() => Ok(lowered),
            _ => Ok(word),
        });
    }

    /// A table of another rate or size, in which every client misses as many tokens as in this one
    /// at `now` (all, if it holds fewer).
    pub fn rescaled(&self, rate: Rate, keys_max: u32, now: Instant) -> Self {
        let table = Self::new(rate, keys_max);
        table.take_over(self, now);
        table
    }

    /// Sees to it that every client misses at least as many tokens as in `other`, whatever both
    /// rates are. Cost: a look at every entry of `other`.
    pub fn take_over(&self, other: &Self, now: Instant) {
        let shared = self.overflow.iter().zip(&other.overflow);
        for (own, others) in shared {
            if let Some(word) = self.rate.rescale(others.load(Relaxed), other.rate, now) {
                own.fetch_max(word, Relaxed);
            }
        }
        let live = other.entries().filter(|entry| !entry.is_claim());
        for entry in live.filter(|entry| !entry.is_free(now)) {
            if let Some(word) = self.rate.rescale(entry.word(), other.rate, now) {
                let _ = self.change(entry.key(), now, |own| Ok(own.max(word)));
            }
        }
    }

    /// The word after one more token, which leaves the bit of a claim alone: after 146 years no
    /// table gives any.
    fn take(&self, word: u64, now: Instant) -> Result<u64, Refused> {
        let next = self.rate.take(word, 1, now)?;
        let retry_after = self.rate.interval();
        let end = || Refused {
            spent: Spent { retry_after },
            reset: None,
        };
        (next < CLAIM).then_some(next).ok_or_else(end)
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        let all = self.sets.iter().flat_map(|set| &set.0);
        all.map(|entry| Entry(entry.load(Relaxed)))
    }

    /// The two sets of a key, which differ.
    fn sets_of(&self, key: u64) -> [&Set; 2] {
        let mask = self.sets.len() - 1;
        let first = key as usize & mask;
        let second = (key >> 32) as usize & mask;
        let second = if second == first { first ^ 1 } else { second };
        [&self.sets[first], &self.sets[second]]
    }

    fn overflow_of(&self, key: u64) -> &AtomicU64 {
        // Bits that the first set is not chosen by, up to tables of four million entries.
        &self.overflow[(key >> 22) as usize % OVERFLOW_BUCKETS]
    }

    /// The word by which a key is judged.
    fn word(&self, key: u64, now: Instant) -> u64 {
        match self.place(key, now) {
            Place::Own(_, entry) => entry.word(),
            Place::Free(..) | Place::Taken => self.overflow_of(key).load(Relaxed),
        }
    }

    /// Looks for a key, and for room if it has no entry: in the emptier set, the first if both are
    /// alike, which keeps the share of keys without room below one in 10,000 at `keys_max`.
    fn place(&self, key: u64, now: Instant) -> Place<'_> {
        let mut best = (0, Place::Taken);
        for set in self.sets_of(key) {
            let (mut free, mut place) = (0, None);
            for at in &set.0 {
                let entry = Entry(at.load(SeqCst));
                if entry.key() == key && !entry.is_claim() {
                    return Place::Own(at, entry);
                }
                if entry.is_free(now) || entry.key() == key {
                    free += 1;
                    place.get_or_insert((at, entry));
                }
            }
            if let Some((at, entry)) = place.filter(|_| free > best.0) {
                best = (free, Place::Free(at, entry));
            }
        }
        best.1
    }

    /// Changes the word of a key by `next`, which is asked again after a lost race.
    fn change(
        &self,
        key: u64,
        now: Instant,
        next: impl Fn(u64) -> Result<u64, Refused>,
    ) -> Result<(), Spent> {
        loop {
            let done = match self.place(key, now) {
                Place::Own(at, entry) => {
                    let new = Self::answer(entry.word(), &next);
                    let swapped = Entry::new(key, new.0.min(CLAIM - 1));
                    let unchanged = swapped == entry;
                    (unchanged || exchange(at, entry, swapped)).then_some(new.1)
                }
                Place::Free(at, entry) => {
                    let shared = self.overflow_of(key);
                    let word = shared.load(Relaxed);
                    let new = Self::answer(word, &next);
                    if new.1.is_err() {
                        // Only a clock that stepped back changes it.
                        let _ = shared.compare_exchange(word, new.0, Relaxed, Relaxed);
                        return new.1;
                    }
                    let needed = new.0 > now.as_ns();
                    let enter = || self.enter(key, at, entry, new.0.min(CLAIM - 1));
                    (!needed || enter()).then_some(new.1)
                }
                Place::Taken => {
                    self.overflowed.fetch_add(1, Relaxed);
                    let shared = self.overflow_of(key);
                    let word = shared.load(Relaxed);
                    let new = Self::answer(word, &next);
                    let swapped = shared.compare_exchange(word, new.0, Relaxed, Relaxed);
                    swapped.is_ok().then_some(new.1)
                }
            };
            if let Some(answer) = done {
                return answer;
            }
        }
    }

    /// The word that comes of asking `next`, and what the caller is told.
    fn answer(word: u64, next: impl Fn(u64) -> Result<u64, Refused>) -> (u64, Result<(), Spent>) {
        match next(word) {
            Ok(next) => (next, Ok(())),
            Err(refused) => (refused.reset.unwrap_or(word), Err(refused.spent)),
        }
    }

    /// Gives a key the entry at `at`, if nobody else gives it one meanwhile.
    #[cold]
    fn enter(&self, key: u64, at: &AtomicU128, free: Entry, word: u64) -> bool {
        let claim = Entry::new(key, CLAIM | claim_number());
        if !exchange(at, free, claim) {
            return false;
        }
        let mut passed = false;
        for other in self.sets_of(key).into_iter().flat_map(|set| &set.0) {
            if std::ptr::eq(other, at) {
                passed = true;
                continue;
            }
            let entry = Entry(other.load(SeqCst));
            if entry.key() != key {
                continue;
            }
            // A claim at a later place goes. If it cannot it has been confirmed, or is gone.
            let gone = passed && entry.is_claim() && exchange(other, entry, Entry(0));
            if !gone {
                exchange(at, claim, Entry(0));
                return false;
            }
        }
        exchange(at, claim, Entry::new(key, word))
    }
}

/// Sequentially consistent: who claims a place and then looks must see who did so before.
fn exchange(at: &AtomicU128, from: Entry, to: Entry) -> bool {
    at.compare_exchange(from.0, to.0, SeqCst, SeqCst).is_ok()
}

/// A number below [`CLAIM`] that no other claim of the process has: the thread's, and a count.
fn claim_number() -> u64 {
    static THREADS: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static NEXT: Cell<u64> = Cell::new(THREADS.fetch_add(1, Relaxed) << 40);
    }
    NEXT.with(|next| next.replace(next.get() + 1) & !CLAIM)
}

#[cfg(test)]
mod tests;
