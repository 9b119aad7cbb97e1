//! Tokens that were leased for this node: what a bucket spends from where a limit is shared by
//! several machines.
//!
//! The control plane fills it in the background, so a request never waits for another machine. All
//! that happens here is counting: who leases how much, and what holds when nothing can be leased,
//! is decided there.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// This bit of the word: everything passes, and nothing is counted.
const OPEN: u64 = 1 << 63;

/// Tokens at hand, and how many requests found none. Begins empty.
#[derive(Debug, Default)]
// A line of its own: neighbours' spending must not slow this one's.
#[repr(align(64))]
pub struct Reservoir {
    /// Tokens at hand, below [`OPEN`]. Relaxed everywhere: the word guards no other memory, and
    /// that no token is spent twice needs only the one order that all changes of one word have.
    word: AtomicU64,
    /// Requests that found none, ever.
    refused: AtomicU64,
}

impl Reservoir {
    /// Takes one token if there is one; whether there was.
    ///
    /// Cost: one load and one compare-exchange when not contended; a refusal is one load and one
    /// add. No allocation, no lock, no clock. Under contention a loser retries, and every retry
    /// means that another core was served. Bench: `guard/spend_leased`.
    pub fn spend(&self) -> bool {
        let mut word = self.word.load(Relaxed);
        while word != 0 {
            if word >= OPEN {
                return true;
            }
            match self
                .word
                .compare_exchange_weak(word, word - 1, Relaxed, Relaxed)
            {
                Ok(_) => return true,
                Err(current) => word = current,
            }
        }
        self.refused.fetch_add(1, Relaxed);
        false
    }

    /// Whether there is a token, without taking it. A request that finds none counts as refused.
    pub fn check(&self) -> bool {
        let found = self.word.load(Relaxed) != 0;
        if !found {
            self.refused.fetch_add(1, Relaxed);
        }
        found
    }

    /// Puts back a token that was spent a moment ago.
    pub fn refund(&self) {
        let raised = |word: u64| (word < OPEN).then(|| word + 1);
        // Open: nothing was taken.
        let _ = self.word.fetch_update(Relaxed, Relaxed, raised);
    }

    /// Adds tokens that were leased.
    pub fn add(&self, tokens: u64) {
        let raised = |word: u64| Some(word & OPEN | (word & !OPEN).saturating_add(tokens) & !OPEN);
        // The closure never declines, so this cannot fail.
        let _ = self.word.fetch_update(Relaxed, Relaxed, raised);
    }

    /// Takes away up to `tokens` for giving them back; how many there were.
    pub fn take(&self, tokens: u64) -> u64 {
        let lowered = |word: u64| Some(word - (word & !OPEN).min(tokens));
        let before = self.word.fetch_update(Relaxed, Relaxed, lowered);
        (before.unwrap_or_default() & !OPEN).min(tokens)
    }

    /// Lets everything pass from now on.
    pub fn open(&self) {
        self.word.fetch_or(OPEN, Relaxed);
    }

    /// Lets only pass what has a token from now on.
    pub fn close(&self) {
        self.word.fetch_and(!OPEN, Relaxed);
    }

    /// Tokens at hand.
    pub fn at_hand(&self) -> u64 {
        self.word.load(Relaxed) & !OPEN
    }

    /// Requests that found none, ever.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn what_is_at_hand_can_be_spent_and_no_more() {
        let reservoir = Reservoir::default();
        assert!(!reservoir.check() && !reservoir.spend());
        reservoir.add(2);
        assert!(reservoir.check() && reservoir.spend() && reservoir.spend());
        assert!(!reservoir.spend());
        reservoir.refund();
        assert_eq!((reservoir.at_hand(), reservoir.refused()), (1, 3));
    }

    #[test]
    fn what_is_given_back_cannot_be_spent() {
        let reservoir = Reservoir::default();
        reservoir.add(5);
        assert_eq!((reservoir.take(3), reservoir.take(3)), (3, 2));
        assert!(!reservoir.spend());
    }

    #[test]
    fn an_open_one_lets_all_pass_and_keeps_what_it_has() {
        let reservoir = Reservoir::default();
        reservoir.open();
        reservoir.add(1);
        assert!(reservoir.spend() && reservoir.spend() && reservoir.check());
        reservoir.refund();
        reservoir.close();
        assert_eq!(reservoir.at_hand(), 1);
        assert!(reservoir.spend() && !reservoir.spend());
    }

    #[test]
    fn no_token_is_spent_twice_by_several_cores() {
        let reservoir = Reservoir::default();
        let spent: usize = thread::scope(|scope| {
            let spend = || (0..10_000).filter(|_| reservoir.spend()).count();
            let threads = [(); 4].map(|()| scope.spawn(spend));
            (0..100).for_each(|_| reservoir.add(100));
            threads.map(|thread| thread.join().unwrap()).iter().sum()
        });
        assert_eq!(spent as u64 + reservoir.at_hand(), 10_000);
    }
}
