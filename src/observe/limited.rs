//! Who is refused most just now: the busiest limits, and the busiest clients of each.
//!
//! Each worker keeps a small table by the space-saving rule (Metwally, Agrawal, El Abbadi, 2005):
//! who is not in it takes the place, and the count, of the least. So whoever is refused often is in
//! it, with a count that is too high by at most the least one. Counts are halved as time goes by.
//! Only refusals come here; what is admitted costs nothing.

use crate::{
    bounds::{LIMITED_KEPT_MAX, LIMITED_KEY_BYTES_MAX},
    scope::Scope,
};
use std::sync::Mutex;

/// Whom a worker refuses most. Written by the worker, read by whoever asks.
#[derive(Debug, Default)]
pub struct Limited(Mutex<Vec<Refused>>);

/// A limit, or a client under one, that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What the limit holds for.
    pub scope: Scope,
    /// Its name among those of a route.
    pub name: Box<str>,
    /// Which API, stage, route or plan that is.
    pub of: Box<str>,
    /// The client's key, cut; empty where all are counted together.
    pub key: Box<str>,
    /// How often, in the last seconds.
    pub count: u64,
    hash: u64,
}

impl Limited {
    /// Counts a refusal by the limit `name` of `of`; `hash` tells apart what is to be counted
    /// apart.
    ///
    /// Cost: a walk over at most [`LIMITED_KEPT_MAX`] entries; allocates for who is new. While
    /// somebody reads, nothing is counted rather than waited for.
    pub fn note(&self, (scope, name, of): (Scope, &str, &str), key: &[u8], hash: u64) {
        let Ok(mut all) = self.0.try_lock() else {
            return;
        };
        if let Some(known) = all.iter_mut().find(|entry| entry.hash == hash) {
            known.count += 1;
            return;
        }
        let key = &key[..key.len().min(LIMITED_KEY_BYTES_MAX)];
        let mut entry = Refused {
            scope,
            name: name.into(),
            of: of.into(),
            key: String::from_utf8_lossy(key).into(),
            count: 1,
            hash,
        };
        if all.len() < LIMITED_KEPT_MAX {
            all.push(entry);
        } else if let Some(least) = all.iter_mut().min_by_key(|entry| entry.count) {
            entry.count += least.count;
            *least = entry;
        }
    }

    /// Halves all counts, and forgets who has none left.
    pub fn fade(&self) {
        if let Ok(mut all) = self.0.try_lock() {
            all.iter_mut().for_each(|entry| entry.count /= 2);
            all.retain(|entry| entry.count > 0);
        }
    }

    fn read(&self) -> Vec<Refused> {
        // A worker that panicked here left whole entries.
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .clone()
    }
}

/// The most refused of all workers, the first most.
pub fn most_refused<'a>(workers: impl Iterator<Item = &'a Limited>, count: usize) -> Vec<Refused> {
    let mut all: Vec<Refused> = Vec::new();
    for entry in workers.flat_map(Limited::read) {
        match all.iter_mut().find(|known| known.hash == entry.hash) {
            Some(known) => known.count += entry.count,
            None => all.push(entry),
        }
    }
    all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.of.cmp(&b.of)));
    all.truncate(count);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(limited: &Limited, key: u64, times: usize) {
        let limit = (Scope::Route, "route-address", "shop/prod GET /");
        for _ in 0..times {
            limited.note(limit, key.to_string().as_bytes(), key);
        }
    }

    fn seen(workers: &[Limited], count: usize) -> Vec<(String, u64)> {
        let most = most_refused(workers.iter(), count).into_iter();
        most.map(|entry| (entry.key.into(), entry.count)).collect()
    }

    #[test]
    fn who_is_refused_most_stands_first_over_all_workers() {
        let workers = [Limited::default(), Limited::default()];
        note(&workers[0], 1, 3);
        note(&workers[1], 1, 3);
        note(&workers[1], 2, 5);
        note(&workers[0], 3, 1);
        let all = [
            ("1".to_owned(), 6),
            ("2".to_owned(), 5),
            ("3".to_owned(), 1),
        ];
        assert_eq!(seen(&workers, 9), all);
        assert_eq!(seen(&workers, 2), all[..2]);
        workers.iter().for_each(Limited::fade);
        assert_eq!(
            seen(&workers, 9),
            [("1".to_owned(), 2), ("2".to_owned(), 2)]
        );
    }

    #[test]
    fn a_flood_of_others_does_not_hide_who_is_refused_often() {
        let limited = Limited::default();
        for round in 0..1000 {
            note(&limited, 7, 20);
            note(&limited, 1000 + round, 1);
        }
        assert!(limited.read().len() <= LIMITED_KEPT_MAX);
        let most = seen(std::slice::from_ref(&limited), 1);
        assert_eq!(most[0].0, "7");
        assert!(most[0].1 >= 20_000);
    }

    #[test]
    fn a_long_or_broken_key_is_cut_to_text() {
        let limited = Limited::default();
        let long = [b'x'; 1000];
        limited.note((Scope::Api, "api", "shop"), &long, 1);
        limited.note((Scope::Api, "api", "shop"), b"\xff\xfe", 2);
        let read = limited.read();
        assert_eq!(read[0].key.len(), LIMITED_KEY_BYTES_MAX);
        assert_eq!(&*read[1].key, "\u{fffd}\u{fffd}");
    }
}
