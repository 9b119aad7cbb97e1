//! Buckets by identity, so that a reload keeps what they have counted.
//!
//! The control plane makes a [`Draft`] for each snapshot that it compiles, takes the snapshot's
//! buckets from it, and publishes the draft right after the snapshot. A draft that is dropped
//! instead leaves everything as it was. Workers see only the buckets that their snapshot holds.

use super::{Bucket, ClientTable, Rate};
use crate::clock::Instant;
use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::{Arc, Weak},
};

/// What outlives a snapshot: one of the same shape is kept, one of another is made and takes over.
trait Kept: Sized {
    type Shape: PartialEq;

    /// One of a shape, which takes over from the one before.
    fn after(before: Option<&Self>, shape: Self::Shape, now: Instant) -> Self;

    fn shape(&self) -> Self::Shape;

    /// Misses from now on at least the tokens that `other` misses.
    fn take_over(&self, other: &Self, now: Instant);
}

impl Kept for Bucket {
    type Shape = (Rate, usize, Tokens);

    fn after(before: Option<&Self>, (rate, workers, tokens): Self::Shape, now: Instant) -> Self {
        if tokens == Tokens::Leased {
            let leased = before.and_then(|before| before.reservoir().cloned());
            return Self::leased(rate, leased.unwrap_or_default());
        }
        let one = Self::for_workers(rate, workers);
        if let Some(before) = before {
            one.take_over(before, now);
        }
        one
    }

    fn shape(&self) -> Self::Shape {
        match self.reservoir() {
            None => (self.rate(), self.workers(), Tokens::Own),
            Some(_) => (self.rate(), self.workers(), Tokens::Leased),
        }
    }

    fn take_over(&self, other: &Self, now: Instant) {
        self.take_over(other, now);
    }
}

impl Kept for ClientTable {
    type Shape = (Rate, u32);

    fn after(before: Option<&Self>, (rate, keys_max): Self::Shape, now: Instant) -> Self {
        match before {
            Some(before) => before.rescaled(rate, keys_max, now),
            None => Self::new(rate, keys_max),
        }
    }

    fn shape(&self) -> Self::Shape {
        (self.rate(), self.keys_max())
    }

    fn take_over(&self, other: &Self, now: Instant) {
        self.take_over(other, now);
    }
}

/// What the published snapshot holds of one kind, by identity. Keeps none of it alive.
#[derive(Debug)]
struct Published<K, V>(HashMap<K, Weak<V>>);

/// What a draft holds of one kind.
type Drafted<K, V> = HashMap<K, Arc<V>>;

impl<K: Eq + Hash, V: Kept> Published<K, V> {
    /// The drafted one of an identity, or the published one, or a new one.
    fn draft(
        &self,
        drafted: &mut Drafted<K, V>,
        identity: K,
        shape: V::Shape,
        now: Instant,
    ) -> Arc<V> {
        let before = self.0.get(&identity).and_then(Weak::upgrade);
        let one = match drafted.entry(identity) {
            Entry::Occupied(drafted) => return Arc::clone(drafted.get()),
            Entry::Vacant(place) => place.insert(match before {
                Some(before) if before.shape() == shape => before,
                before => Arc::new(V::after(before.as_deref(), shape, now)),
            }),
        };
        Arc::clone(one)
    }

    fn publish(&mut self, drafted: Drafted<K, V>, rest: Rest, now: Instant) {
        for (identity, one) in &drafted {
            let before = self.0.get(identity).and_then(Weak::upgrade);
            if let Some(before) = before.filter(|before| !Arc::ptr_eq(before, one)) {
                one.take_over(&before, now);
            }
        }
        match rest {
            Rest::Goes => self.0.clear(),
            // Those that no snapshot holds any more are forgotten.
            Rest::Stays => self.0.retain(|_, one| one.strong_count() > 0),
        }
        let drafted = drafted.into_iter();
        self.0
            .extend(drafted.map(|(identity, one)| (identity, Arc::downgrade(&one))));
    }
}

/// Whose tokens buckets hand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tokens {
    /// Their own.
    Own,
    /// Those that are leased for this node.
    Leased,
}

/// The buckets of the published snapshot, by identity. Holds none of them alive: a bucket lives as
/// long as a snapshot that holds it.
#[derive(Debug)]
pub struct Buckets<K> {
    /// Workers that the buckets are shared by.
    workers: usize,
    /// Whose tokens they hand out.
    tokens: Tokens,
    buckets: Published<K, Bucket>,
    tables: Published<K, ClientTable>,
}

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self::for_workers(1)
    }
}

impl<K> Buckets<K> {
    /// None yet. They will be shared by so many workers.
    pub fn for_workers(workers: usize) -> Self {
        Self {
            workers,
            tokens: Tokens::Own,
            buckets: Published(HashMap::new()),
            tables: Published(HashMap::new()),
        }
    }
}

impl<K: Eq + Hash> Buckets<K> {
    /// None yet; those to come, of all requests together, hand out tokens that are leased for this
    /// node.
    pub fn leased() -> Self {
        Self {
            tokens: Tokens::Leased,
            ..Self::for_workers(1)
        }
    }

    /// The published buckets that hand out leased tokens.
    pub fn of_leases(&self) -> impl Iterator<Item = (&K, Arc<Bucket>)> {
        let published = self.buckets.0.iter();
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
            tables: HashMap::new(),
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

    /// How many buckets and tables the published snapshot has.
    pub fn len(&self) -> usize {
        self.buckets.0.len() + self.tables.0.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The buckets of a snapshot that is being compiled.
#[derive(Debug)]
pub struct Draft<'a, K> {
    registry: &'a mut Buckets<K>,
    buckets: Drafted<K, Bucket>,
    tables: Drafted<K, ClientTable>,
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
        let shape = (rate, self.registry.workers, self.registry.tokens);
        let published = &self.registry.buckets;
        published.draft(&mut self.buckets, identity, shape, now)
    }

    /// The clients' buckets of an identity: by the same rules, for each client by itself. A table
    /// and a bucket may have the same identity.
    pub fn table(
        &mut self,
        identity: K,
        rate: Rate,
        keys_max: u32,
        now: Instant,
    ) -> Arc<ClientTable> {
        let shape = (rate, keys_max);
        let published = &self.registry.tables;
        published.draft(&mut self.tables, identity, shape, now)
    }

    /// The snapshot is published: its buckets are what the next draft finds. Those of a changed
    /// rate once more take over what the old ones miss, for what was spent since the draft.
    ///
    /// To be called right after the swap; what requests that still run on the old snapshot spend
    /// later is not carried over.
    pub fn publish(self, now: Instant) {
        let registry = self.registry;
        registry.buckets.publish(self.buckets, self.rest, now);
        registry.tables.publish(self.tables, self.rest, now);
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
            .take_while(|_| bucket.spend(0, now).is_ok())
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
            old.spend(0, at(1000)).expect("a token");
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
        let mut buckets = Buckets::leased();
        let mut draft = buckets.draft();
        let old = draft.bucket("a", rate(1.0, 10), at(0));
        draft.publish(at(0));
        assert_eq!(drain(&old, at(0)), 0);
        old.reservoir().expect("a leased bucket").add(3);
        let mut draft = buckets.draft();
        let new = draft.bucket("a", rate(2.0, 10), at(0));
        draft.publish(at(0));
        assert_eq!((drain(&new, at(0)), drain(&old, at(0))), (3, 0));
        assert_eq!(buckets.of_leases().count(), 1);
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

    #[test]
    fn clients_keep_what_they_miss_by_the_same_rules() {
        let mut buckets = Buckets::default();
        let mut draft = buckets.draft();
        let old = draft.table("a", rate(1.0, 10), 100, at(0));
        let _bucket = draft.bucket("a", rate(1.0, 10), at(0));
        draft.publish(at(0));
        assert_eq!(buckets.len(), 2);
        (0..4).for_each(|_| old.spend(7, at(0)).expect("a token"));
        let mut draft = buckets.draft();
        assert!(Arc::ptr_eq(
            &old,
            &draft.table("a", rate(1.0, 10), 100, at(0))
        ));
        drop(draft);
        let mut draft = buckets.draft();
        let new = draft.table("a", rate(5.0, 10), 100, at(0));
        assert_eq!(new.remaining(7, at(0)), 6);
        (0..3).for_each(|_| old.spend(7, at(0)).expect("a token"));
        draft.publish(at(0));
        assert_eq!((new.remaining(7, at(0)), new.remaining(8, at(0))), (3, 10));
    }
}
