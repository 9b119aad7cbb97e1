//! Buckets by identity, so that a reload keeps what they have counted.
//!
//! The control plane makes a [`Draft`] for each snapshot that it compiles, takes the snapshot's
//! buckets from it, and publishes the draft right after the snapshot. A draft that is dropped
//! instead leaves everything as it was. Workers see only the buckets that their snapshot holds.

use super::{Bucket, Rate};
use crate::clock::Instant;
use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::{Arc, Weak},
};

/// Whose requests a stage's or a route's bucket counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteIdentity {
    /// The API's name.
    pub api: Box<str>,
    /// The stage's name.
    pub stage: Box<str>,
    /// The route's key as configured; absent: the stage as a whole.
    pub route: Option<Box<str>>,
}

/// The buckets of the published snapshot, by identity. Holds none of them alive: a bucket lives as
/// long as a snapshot that holds it.
#[derive(Debug)]
pub struct Buckets<K> {
    published: HashMap<K, Weak<Bucket>>,
    /// Whose tokens new buckets hand out.
    tokens: Tokens,
}

/// Whose tokens buckets hand out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tokens {
    /// Their own.
    #[default]
    Own,
    /// Those that are leased for this node.
    Leased,
}

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self {
            published: HashMap::new(),
            tokens: Tokens::Own,
        }
    }
}

impl<K: Eq + Hash> Buckets<K> {
    /// None yet; those to come hand out such tokens.
    pub fn of(tokens: Tokens) -> Self {
        Self {
            tokens,
            ..Self::default()
        }
    }

    /// The published buckets that hand out leased tokens.
    pub fn leased(&self) -> impl Iterator<Item = (&K, Arc<Bucket>)> {
        let published = self.published.iter();
        published.filter_map(|(identity, bucket)| {
            let bucket = bucket.upgrade()?;
            bucket.reservoir().is_some().then_some((identity, bucket))
        })
    }

    /// Begins the buckets of a new snapshot.
    pub fn draft(&mut self) -> Draft<'_, K> {
        Draft {
            registry: self,
            buckets: HashMap::new(),
            rest: Rest::Goes,
        }
    }

    /// Begins the buckets of a snapshot that differs from the published one in a part.
    pub fn amendment(&mut self) -> Draft<'_, K> {
        Draft {
            rest: Rest::Stays,
            ..self.draft()
        }
    }

    /// How many identities the published snapshot has.
    pub fn len(&self) -> usize {
        self.published.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.published.is_empty()
    }
}

/// The buckets of a snapshot that is being compiled.
#[derive(Debug)]
pub struct Draft<'a, K> {
    registry: &'a mut Buckets<K>,
    buckets: HashMap<K, Arc<Bucket>>,
    rest: Rest,
}

/// What becomes of published buckets that a draft was not asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Goes,
    Stays,
}

impl<K: Eq + Hash> Draft<'_, K> {
    /// The bucket of an identity. One that stays at its rate is the published one itself. At
    /// another rate it is a new one that misses as many tokens as the published one does at `now`
    /// (all of them if it holds fewer), so a reload never refills a burst. An identity that is new
    /// begins full.
    ///
    /// Asked twice in one draft, the first rate holds.
    pub fn bucket(&mut self, identity: K, rate: Rate, now: Instant) -> Arc<Bucket> {
        let before = self
            .registry
            .published
            .get(&identity)
            .and_then(Weak::upgrade);
        let bucket = match self.buckets.entry(identity) {
            Entry::Occupied(drafted) => return Arc::clone(drafted.get()),
            Entry::Vacant(place) => place.insert(match before {
                Some(before) if before.rate() == rate => before,
                before if self.registry.tokens == Tokens::Leased => {
                    let leased = before.and_then(|before| before.reservoir().cloned());
                    Arc::new(Bucket::leased(rate, leased.unwrap_or_default()))
                }
                Some(before) => {
                    let bucket = Bucket::new(rate);
                    bucket.take_over(&before, now);
                    Arc::new(bucket)
                }
                None => Arc::new(Bucket::new(rate)),
            }),
        };
        Arc::clone(bucket)
    }

    /// The snapshot is published: its buckets are what the next draft finds. Those of a changed
    /// rate once more take over what the old ones miss, for what was spent since the draft.
    ///
    /// To be called right after the swap; what requests that still run on the old snapshot spend
    /// later is not carried over.
    pub fn publish(self, now: Instant) {
        for (identity, bucket) in &self.buckets {
            let before = self
                .registry
                .published
                .get(identity)
                .and_then(Weak::upgrade);
            if let Some(before) = before.filter(|before| !Arc::ptr_eq(before, bucket)) {
                bucket.take_over(&before, now);
            }
        }
        let published = &mut self.registry.published;
        match self.rest {
            Rest::Goes => published.clear(),
            // Those that no snapshot holds any more are forgotten.
            Rest::Stays => published.retain(|_, bucket| bucket.strong_count() > 0),
        }
        let buckets = self.buckets.into_iter();
        published.extend(buckets.map(|(identity, bucket)| (identity, Arc::downgrade(&bucket))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn rate(per_second: f64, burst: u32) -> Rate {
        Rate::new(per_second, burst).expect("a rate")
    }

    fn at(ms: u64) -> Instant {
        Instant::default().after(Duration::from_millis(ms))
    }

    fn drain(bucket: &Bucket, now: Instant) -> usize {
        (0..1_000_000)
            .take_while(|_| bucket.spend(now).is_ok())
            .count()
    }

    /// Of a bucket of `before`, `spent` tokens are taken at one time; how many can be taken then
    /// from the one that replaces it at `after`.
    #[track_caller]
    fn check(before: Rate, spent: usize, after: Rate, expected: usize) {
        let mut buckets = Buckets::default();
        let mut draft = buckets.draft();
        let old = draft.bucket("a", before, at(0));
        draft.publish(at(0));
        for _ in 0..spent {
            old.spend(at(1000)).expect("a token");
        }
        let mut draft = buckets.draft();
        let new = draft.bucket("a", after, at(1000));
        draft.publish(at(1000));
        assert_eq!(drain(&new, at(1000)), expected);
    }

    #[test]
    fn a_new_rate_keeps_the_tokens_that_are_missing() {
        check(rate(10.0, 100), 0, rate(1000.0, 50), 50);
        check(rate(10.0, 100), 100, rate(1000.0, 100), 0);
        check(rate(1000.0, 100), 100, rate(1.0, 100), 0);
        check(rate(1000.0, 100), 30, rate(1.0, 100), 70);
        check(rate(1.0, 100), 30, rate(1000.0, 100), 70);
        check(rate(1.0, 100), 30, rate(1.0, 200), 170);
        check(rate(1.0, 100), 30, rate(1.0, 20), 0);
        check(rate(3.0, 100), 30, rate(7.0, 100), 70);
    }

    #[test]
    fn a_new_rate_holds_at_once() {
        let mut buckets = Buckets::default();
        let mut draft = buckets.draft();
        let old = draft.bucket("a", rate(1.0, 10), at(0));
        draft.publish(at(0));
        drain(&old, at(0));
        let mut draft = buckets.draft();
        let new = draft.bucket("a", rate(1000.0, 10), at(0));
        draft.publish(at(0));
        assert_eq!(drain(&new, at(0)), 0);
        assert_eq!(drain(&new, at(5)), 5);
    }

    #[test]
    fn the_same_rate_is_the_same_bucket() {
        let mut buckets = Buckets::default();
        let mut draft = buckets.draft();
        let old = draft.bucket("a", rate(1.0, 2), at(0));
        assert!(Arc::ptr_eq(&old, &draft.bucket("a", rate(1.0, 2), at(0))));
        draft.publish(at(0));
        let mut draft = buckets.draft();
        assert!(Arc::ptr_eq(&old, &draft.bucket("a", rate(1.0, 2), at(0))));
        assert!(!Arc::ptr_eq(&old, &draft.bucket("b", rate(1.0, 2), at(0))));
    }

    #[test]
    fn what_is_spent_between_draft_and_publication_counts() {
        let mut buckets = Buckets::default();
        let mut draft = buckets.draft();
        let old = draft.bucket("a", rate(1.0, 10), at(0));
        draft.publish(at(0));
        let mut draft = buckets.draft();
        let new = draft.bucket("a", rate(2.0, 10), at(0));
        drain(&old, at(0));
        draft.publish(at(0));
        assert_eq!(drain(&new, at(0)), 0);
    }

    #[test]
    fn a_draft_that_is_dropped_changes_nothing() {
        let mut buckets = Buckets::default();
        let mut draft = buckets.draft();
        let old = draft.bucket("a", rate(1.0, 10), at(0));
        draft.publish(at(0));
        drop(buckets.draft().bucket("a", rate(2.0, 10), at(0)));
        let mut draft = buckets.draft();
        assert!(Arc::ptr_eq(&old, &draft.bucket("a", rate(1.0, 10), at(0))));
    }

    #[test]
    fn leased_tokens_stay_over_a_change_of_the_rate() {
        let mut buckets = Buckets::of(Tokens::Leased);
        let mut draft = buckets.draft();
        let old = draft.bucket("a", rate(1.0, 10), at(0));
        draft.publish(at(0));
        assert_eq!(drain(&old, at(0)), 0);
        old.reservoir().unwrap().add(3);
        let mut draft = buckets.draft();
        let new = draft.bucket("a", rate(2.0, 10), at(0));
        draft.publish(at(0));
        assert_eq!((drain(&new, at(0)), drain(&old, at(0))), (3, 0));
        assert_eq!(buckets.leased().count(), 1);
    }

    #[test]
    fn what_no_snapshot_holds_is_forgotten() {
        let mut buckets = Buckets::default();
        let mut draft = buckets.draft();
        drop(draft.bucket("a", rate(1.0, 10), at(0)));
        draft.publish(at(0));
        assert_eq!(buckets.len(), 1);
        let mut draft = buckets.draft();
        let new = draft.bucket("b", rate(1.0, 10), at(0));
        draft.publish(at(0));
        assert_eq!((buckets.len(), drain(&new, at(0))), (1, 10));
    }
}
