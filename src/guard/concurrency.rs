//! Concurrency: is there room for one more request at a time?
//!
//! A [`Gate`] counts those that are in, over all workers; a [`Permit`] is a place, and gives it back
//! when it is dropped, however the request ends. The count does not know its limit, which each
//! caller brings along, so a reload that changes the limit keeps the count. [`Gates`] finds a gate
//! again by its identity; workers see only those that their snapshot holds.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

/// How many are in.
///
/// Not aligned to a line of its own: the reference count that a permit takes part in lies beside
/// the word, and one line moves between cores rather than two.
#[derive(Debug, Default)]
pub struct Gate {
    /// Permits that live. Only `enter` and a permit's end change it.
    inside: AtomicU32,
}

impl Gate {
    /// A place, if fewer than `max` are taken. Exact: of any number that ask at once, no more get
    /// in than there is room for, and nobody is turned away while there is.
    ///
    /// Cost: one load, one compare-exchange and one reference count on one cache line when not
    /// contended, the last two again at the permit's end; no allocation, no lock. A refusal is one
    /// load. Bench: `guard/enter`.
    pub fn enter(self: &Arc<Self>, max: u32) -> Option<Permit> {
        // Relaxed: the count guards nothing but itself.
        self.inside
            .try_update(Relaxed, Relaxed, |inside| {
                (inside < max).then(|| inside + 1)
            })
            .ok()?;
        Some(Permit {
            gate: Arc::clone(self),
        })
    }

    /// How many are in now.
    pub fn inside(&self) -> u32 {
        self.inside.load(Relaxed)
    }
}

/// A place behind a gate. It is free again when this is dropped.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.inside.fetch_sub(1, Relaxed);
    }
}

/// A gate with its limit.
#[derive(Clone, Debug)]
pub struct Concurrency {
    /// How many may be in at once.
    pub max: u32,
    /// How many are.
    pub gate: Arc<Gate>,
}

impl Concurrency {
    /// A place, if there is one. Cost: as for [`Gate::enter`].
    pub fn enter(&self) -> Option<Permit> {
        self.gate.enter(self.max)
    }
}

/// Gates by identity.
///
/// Holds none of them alive: a gate lives as long as a snapshot or a permit that holds it. So what
/// is in flight on an old snapshot counts on the next one, even if one in between did without.
#[derive(Debug)]
pub struct Gates<K> {
    known: HashMap<K, Weak<Gate>>,
    /// How many entries there may be before the dead ones are looked for: twice those that lived
    /// when that was last done, so that a join costs O(1) on average.
    sweep_at: usize,
}

impl<K> Default for Gates<K> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            sweep_at: 0,
        }
    }
}

impl<K: Eq + Hash> Gates<K> {
    /// The gate of an identity; a new one, where nobody is in, if there was none.
    pub fn gate(&mut self, identity: K) -> Arc<Gate> {
        if self.known.len() >= self.sweep_at {
            self.known.retain(|_, gate| gate.strong_count() > 0);
            self.sweep_at = (self.known.len() * 2).max(16);
        }
        let entry = self.known.entry(identity).or_default();
        let gate = entry.upgrade().unwrap_or_default();
        *entry = Arc::downgrade(&gate);
        gate
    }

    /// How many identities have an entry, dead ones not yet swept included.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_place_is_taken_until_its_permit_is_dropped() {
        let gate = Arc::new(Gate::default());
        let first = gate.enter(2).expect("room");
        let second = gate.enter(2).expect("room");
        assert!(gate.enter(2).is_none());
        assert!(gate.enter(3).is_some(), "a higher limit holds at once");
        drop(first);
        assert!(gate.enter(1).is_none(), "so does a lower one");
        assert_eq!(gate.inside(), 1);
        drop(second);
        assert_eq!(gate.inside(), 0);
        assert!(gate.enter(0).is_none());
    }

    #[test]
    fn a_panic_gives_the_place_back() {
        let gate = Arc::new(Gate::default());
        let permit = gate.enter(1).expect("room");
        let panicked = std::panic::catch_unwind(move || {
            let _held = permit;
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(panicked.is_err());
        assert_eq!(gate.inside(), 0);
    }

    #[test]
    fn threads_together_keep_to_the_limit() {
        const MAX: u32 = 3;
        let gate = Arc::new(Gate::default());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let permit = gate.enter(MAX);
                        assert!(gate.inside() <= MAX);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(gate.inside(), 0);
    }

    #[test]
    fn an_identity_keeps_its_gate_while_anything_is_in() {
        let mut gates = Gates::default();
        let permit = gates.gate("a").enter(1).expect("room");
        assert!(gates.gate("a").enter(1).is_none());
        assert!(gates.gate("b").enter(1).is_some());
        drop(permit);
        assert!(gates.gate("a").enter(1).is_some());
    }

    #[test]
    fn what_nobody_holds_is_forgotten() {
        let mut gates = Gates::default();
        let held = gates.gate(0);
        for identity in 1..1000 {
            gates.gate(identity);
        }
        assert!(gates.len() <= 17, "{} entries", gates.len());
        assert!(Arc::ptr_eq(&held, &gates.gate(0)));
    }

    proptest! {
        /// Against a plain list of permits.
        #[test]
        fn it_counts_as_a_list_does(steps in prop::collection::vec((0_u32..6, any::<bool>()), 0..200)) {
            let gate = Arc::new(Gate::default());
            let mut permits = Vec::new();
            for (max, enters) in steps {
                if enters {
                    let permit = gate.enter(max);
                    prop_assert_eq!(permit.is_some(), permits.len() < max as usize);
                    permits.extend(permit);
                } else if !permits.is_empty() {
                    permits.swap_remove(max as usize % permits.len());
                }
                prop_assert_eq!(gate.inside() as usize, permits.len());
            }
        }
    }
}
