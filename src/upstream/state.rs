//! What outlives a snapshot, by the identity under which the next snapshot finds it again.
//!
//! [`States`] belongs to the control plane; workers see only the states that their snapshot holds.

use super::{Address, EndpointState, Overload, RetryBudget};
use crate::{clock::Instant, guard::Gate};
use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{
            AtomicBool, AtomicU32,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};

/// What all workers know of an upstream as a whole.
#[derive(Debug, Default)]
pub struct UpstreamState {
    /// How many retries its traffic allows.
    pub budget: RetryBudget,
    /// Requests in flight, where they are limited.
    pub gate: Arc<Gate>,
    /// How many its latency allows, where that is asked.
    pub overload: Overload,
    /// Whether somebody is deciding on an ejection, so that two together cannot pass the cap.
    ejecting: AtomicBool,
    /// Requests that wait for a connection, over all workers.
    pending: AtomicU32,
}

impl UpstreamState {
    /// Room for one more request that waits for a connection; `None` if `max` wait already.
    pub fn try_pend(self: &Arc<Self>, max: u32) -> Option<PendingPermit> {
        // Relaxed: the count guards nothing but itself.
        self.pending
            .try_update(Relaxed, Relaxed, |pending| {
                (pending < max).then(|| pending + 1)
            })
            .ok()?;
        Some(PendingPermit {
            state: Arc::clone(self),
        })
    }

    /// Requests that wait for a connection, over all workers.
    pub fn pending(&self) -> u32 {
        self.pending.load(Relaxed)
    }

    /// Runs `decide` unless another thread is at it; `None` then. Nobody waits: who is turned away
    /// saw a failure, and the next one asks again.
    pub(super) fn ejection_turn<T>(&self, decide: impl FnOnce() -> T) -> Option<T> {
        // Acquire and Release: whoever has the turn next sees the ejections made in this one.
        if self.ejecting.swap(true, Acquire) {
            return None;
        }
        let decided = decide();
        self.ejecting.store(false, Release);
        Some(decided)
    }
}

/// One request in an upstream's count of those that wait; dropping it gives the place back.
#[derive(Debug)]
pub struct PendingPermit {
    state: Arc<UpstreamState>,
}

impl Drop for PendingPermit {
    fn drop(&mut self) {
        self.state.pending.fetch_sub(1, Relaxed);
    }
}

/// The states of all upstreams, by upstream name and endpoint address.
///
/// Holds none of them alive: a state lives as long as a snapshot (or a connection) that holds it,
/// and its entry goes soon after. So a reload or a change of a name's addresses keeps what is known
/// of those that stay.
#[derive(Debug, Default)]
pub struct States {
    upstreams: HashMap<Box<str>, Entry>,
    /// How many entries there may be before the dead ones are looked for: twice those that lived
    /// when that was last done, so that a join costs O(endpoints) on average.
    sweep_at: usize,
}

#[derive(Debug)]
struct Entry {
    state: Weak<UpstreamState>,
    endpoints: HashMap<Address, Weak<EndpointState>>,
}

impl States {
    /// The states of the upstream `name` and of its endpoints, in the order of `addresses`; new
    /// ones where there were none.
    ///
    /// An endpoint that joins an upstream already known starts slowly from `now`; those of a new
    /// upstream do not, as there is nobody to take the rest.
    pub fn join<'a>(
        &mut self,
        name: &str,
        addresses: impl IntoIterator<Item = &'a Address>,
        now: Instant,
    ) -> (Arc<UpstreamState>, Vec<Arc<EndpointState>>) {
        self.sweep();
        let entry = self.upstreams.entry(name.into()).or_insert_with(|| Entry {
            state: Weak::new(),
            endpoints: HashMap::new(),
        });
        let known = entry.state.upgrade();
        let since = if known.is_some() {
            now
        } else {
            Instant::default()
        };
        let state = known.unwrap_or_default();
        entry.state = Arc::downgrade(&state);
        let endpoints = addresses
            .into_iter()
            .map(|address| join_endpoint(&mut entry.endpoints, address, since))
            .collect();
        entry
            .endpoints
            .retain(|_, endpoint| endpoint.strong_count() > 0);
        (state, endpoints)
    }

    /// How many upstreams have an entry, dead ones not yet swept included.
    pub fn len(&self) -> usize {
        self.upstreams.len()
    }

    /// Whether no upstream has an entry.
    pub fn is_empty(&self) -> bool {
        self.upstreams.is_empty()
    }

    fn sweep(&mut self) {
        if self.upstreams.len() < self.sweep_at {
            return;
        }
        self.upstreams
            .retain(|_, entry| entry.state.strong_count() > 0);
        self.sweep_at = (self.upstreams.len() * 2).max(16);
    }
}

fn join_endpoint(
    endpoints: &mut HashMap<Address, Weak<EndpointState>>,
    address: &Address,
    since: Instant,
) -> Arc<EndpointState> {
    if let Some(known) = endpoints.get(address).and_then(Weak::upgrade) {
        return known;
    }
    let state = Arc::new(EndpointState::new(since));
    endpoints.insert(address.clone(), Arc::downgrade(&state));
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(ports: &[u16]) -> Vec<Address> {
        ports
            .iter()
            .map(|&port| Address::Ip(([127, 0, 0, 1], port).into()))
            .collect()
    }

    #[test]
    fn what_stays_keeps_its_state_and_what_joins_starts_slowly() {
        let mut states = States::default();
        let later = Instant::from_ns(5);
        let (upstream, before) = states.join("users", &addresses(&[1, 2]), Instant::from_ns(3));
        assert_eq!(before[0].since(), None);
        before[1].fall();

        let (same, after) = states.join("users", &addresses(&[2, 3]), later);
        assert!(Arc::ptr_eq(&upstream, &same));
        assert!(Arc::ptr_eq(&before[1], &after[0]));
        assert!(!after[0].is_healthy());
        assert_eq!(after[1].since(), Some(later));

        let (_, other) = states.join("orders", &addresses(&[2]), later);
        assert!(
            other[0].is_healthy(),
            "another upstream's endpoint is another identity"
        );
    }

    #[test]
    fn what_nobody_holds_is_forgotten() {
        let mut states = States::default();
        let held = states.join("held", &addresses(&[1]), Instant::default());
        for round in 0..1000 {
            states.join(
                &format!("gone {round}"),
                &addresses(&[1]),
                Instant::default(),
            );
        }
        assert!(states.len() <= 17, "{} entries", states.len());
        let again = states.join("held", &addresses(&[1]), Instant::default());
        assert!(Arc::ptr_eq(&held.1[0], &again.1[0]));
    }

    #[test]
    fn waiting_keeps_to_the_maximum_and_comes_back() {
        let state = Arc::new(UpstreamState::default());
        let first = state.try_pend(1).expect("room");
        assert!(state.try_pend(1).is_none());
        drop(first);
        assert_eq!(state.pending(), 0);
        assert!(state.try_pend(0).is_none());
    }

    #[test]
    fn ejections_are_decided_one_at_a_time() {
        let state = UpstreamState::default();
        let inner = state.ejection_turn(|| state.ejection_turn(|| ()));
        assert_eq!(inner, Some(None));
        assert_eq!(state.ejection_turn(|| 7), Some(7));
    }
}
