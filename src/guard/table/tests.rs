//! The table against buckets of single clients, floods of new ones, and threads that meet.

use super::*;
use crate::guard::{Bucket, Limit, Refusal, admit};
use proptest::prelude::*;
use std::{collections::HashMap, time::Duration};

fn rate(per_second: f64, burst: u32) -> Rate {
    Rate::new(per_second, burst).expect("a rate")
}

fn at(ms: u64) -> Instant {
    Instant::default().after(Duration::from_millis(ms))
}

fn key(number: u64) -> u64 {
    // Keys are hashes: spread over all bits.
    number
        .wrapping_add(1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(29)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9)
        .max(1)
}

fn drain(table: &ClientTable, key: u64, now: Instant) -> usize {
    std::iter::from_fn(|| table.spend(key, now).ok()).count()
}

#[test]
fn memory_is_of_a_fixed_size() {
    let table = ClientTable::new(rate(1.0, 1), 1_000_000);
    assert!(table.bytes() < 64 << 20, "{}", table.bytes());
    assert_eq!(size_of::<Set>(), 64);
    assert_eq!(ClientTable::new(rate(1.0, 1), 0).sets.len(), 2);
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    assert!(AtomicU128::is_lock_free());
}

#[test]
fn names_become_keys_by_a_seed_of_their_own() {
    let (one, other) = (KeyHasher::default(), KeyHasher::default());
    assert_eq!(one.hash(b"10.0.0.1"), one.clone().hash(b"10.0.0.1"));
    assert_ne!(one.hash(b"10.0.0.1"), one.hash(b"10.0.0.2"));
    assert_ne!(one.hash(b"10.0.0.1"), other.hash(b"10.0.0.1"));
}

#[test]
fn a_known_client_stays_limited_under_a_flood() {
    let table = ClientTable::new(rate(1e-3, 3), 256);
    let (bytes, known) = (table.bytes(), key(0));
    assert_eq!(drain(&table, known, at(1)), 3);
    for number in 1..100_000 {
        let _ = table.spend(key(number), at(1 + number / 1000));
        assert!(table.spend(known, at(1 + number / 1000)).is_err());
        assert!(table.check(known, at(1 + number / 1000)).is_err());
    }
    assert!(table.overflowed() > 90_000);
    assert_eq!((table.bytes(), table.live(at(200))), (bytes, 512));
    // No way around the limit for the flood: what has no place shares.
    let more = (100_000..200_000).filter(|&number| table.spend(key(number), at(200)).is_ok());
    assert!(more.count() <= 3 * OVERFLOW_BUCKETS);
    // Once all are full again, places are free.
    let later = at(4_000_000);
    assert_eq!((table.live(later), drain(&table, key(7), later)), (0, 3));
}

#[test]
fn who_gets_a_place_keeps_what_was_missing_without_one() {
    let table = ClientTable::new(rate(1.0, 5), 8);
    // All places are others', for one second.
    (1..10_000).for_each(|number| {
        let _ = table.spend(key(number), at(0));
    });
    let newcomer = key(123_456);
    let shared = table.remaining(newcomer, at(0));
    assert_eq!(drain(&table, newcomer, at(0)) as u64, shared);
    // The places of those that took one token are free again; what it took there is not.
    assert_eq!(drain(&table, newcomer, at(1_500)), 1);
}

#[test]
fn room_for_as_many_as_it_was_made_for() {
    let table = ClientTable::new(rate(1.0, 2), 65_536);
    for number in 0..65_536 {
        assert!(table.spend(key(number), at(1)).is_ok());
    }
    assert!(table.overflowed() < 16, "{}", table.overflowed());
    let live = table.live(at(1)) as u64;
    assert_eq!(live + table.overflowed(), 65_536);
}

#[test]
fn another_rate_or_size_keeps_what_is_missing() {
    let table = ClientTable::new(rate(1.0, 10), 1000);
    for number in 0..100 {
        for _ in 0..number % 11 {
            let _ = table.spend(key(number), at(5));
        }
    }
    let scaled = table.rescaled(rate(1000.0, 8), 5000, at(5));
    assert_eq!((scaled.rate(), scaled.keys_max()), (rate(1000.0, 8), 5000));
    for number in 0..100 {
        let left = 8_u64.saturating_sub(number % 11);
        assert_eq!(scaled.remaining(key(number), at(5)), left, "{number}");
        assert_eq!(drain(&scaled, key(number), at(5)) as u64, left);
    }
    // What is spent in the old one afterwards is taken over once more.
    drain(&table, key(500), at(5));
    scaled.take_over(&table, at(5));
    assert_eq!(scaled.remaining(key(500), at(5)), 0);
    // A smaller one shares what it has no room for, and forgets none.
    let small = table.rescaled(rate(1.0, 10), 8, at(5));
    for number in 0..100 {
        assert!(small.remaining(key(number), at(5)) <= 10 - number % 11);
    }
}

#[test]
fn a_refund_gives_back_what_is_missing() {
    let table = ClientTable::new(rate(1.0, 2), 16);
    assert_eq!(drain(&table, 5, at(0)), 2);
    table.refund(5, at(0), at(0));
    assert_eq!((table.remaining(5, at(0)), drain(&table, 5, at(0))), (1, 1));
    table.refund(5, at(0), at(1000));
    assert_eq!(drain(&table, 5, at(1000)), 1);
    table.refund(9, at(1000), at(1000));
    assert_eq!(drain(&table, 9, at(1000)), 2);
}

#[test]
fn clocks_that_step() {
    let table = ClientTable::new(rate(10.0, 5), 16);
    let hour = Duration::from_secs(3600);
    assert_eq!(drain(&table, 3, at(0).after(hour)), 5);
    assert_eq!(drain(&table, 3, at(0)), 0);
    assert_eq!(drain(&table, 3, at(100)), 1);
    assert_eq!(drain(&table, 3, at(0).after(hour)), 5);
    assert!(table.spend(4, Instant::from_ns(u64::MAX)).is_err());
    assert!(table.spend(4, Instant::from_ns(CLAIM)).is_err());
}

#[test]
fn threads_that_bring_a_new_key_share_its_burst() {
    // Few places, so that they meet at all of them.
    for round in 0..300_u64 {
        let table = ClientTable::new(rate(1e-3, 10), 8);
        let work = |thread: u64| {
            let mut had = 0;
            for turn in 0..20 {
                had += usize::from(table.spend(key(round), at(1)).is_ok());
                let _ = table.spend(key(1_000 + thread * 20 + turn), at(1));
            }
            had
        };
        let work = &work;
        let had: usize = std::thread::scope(|scope| {
            let spawn = |thread| scope.spawn(move || work(thread));
            let threads: Vec<_> = (0..3).map(spawn).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert!(had <= 10, "{had} in round {round}");
        let entries = table.entries().filter(|entry| entry.key() == key(round));
        assert!(entries.count() <= 1);
    }
}

#[test]
fn all_limits_or_none() {
    let (wide, narrow) = (Bucket::new(rate(1.0, 3)), Bucket::new(rate(1.0, 1)));
    let clients = ClientTable::new(rate(1.0, 2), 16);
    let (wide, narrow) = (Limit::Bucket(&wide), Limit::Bucket(&narrow));
    let client = Limit::Client(&clients, 7);
    let index = |limits: &[Limit<'_>]| admit(limits, 0, at(7)).map_err(|refusal| refusal.index);
    assert_eq!(index(&[]), Ok(()));
    assert_eq!(index(&[client, wide, narrow]), Ok(()));
    assert_eq!(index(&[client, wide, narrow]), Err(2));
    assert_eq!(index(&[narrow, client]), Err(0));
    assert_eq!(
        index(&[client, wide]),
        Ok(()),
        "refused requests took nothing"
    );
    assert_eq!(index(&[wide, client]), Err(1));
    assert_eq!(index(&[Limit::Client(&clients, 8), wide]), Ok(()));
    let refusal = admit(&[wide], 0, at(7));
    let retry_after = Duration::from_secs(1);
    let spent = Spent { retry_after };
    assert_eq!(refusal, Err(Refusal { index: 0, spent }));
}

/// A client's level in nanoseconds of growth, and when it was so.
type Level = (i128, i128);

proptest! {
    #[test]
    fn each_client_agrees_with_the_model(
        per_second in prop_oneof![0.1..1.0, 1.0..1e4, 1e4..1e7],
        burst in prop_oneof![1_u32..5, 1_u32..1000, Just(u32::MAX)],
        steps in prop::collection::vec((0_u64..12, 0_u64..8, 0_u64..1000), 1..300),
    ) {
        let rate = rate(per_second, burst);
        let (interval, full) = (i128::from(rate.interval_ns()), i128::from(rate.window_ns()));
        let table = ClientTable::new(rate, 4096);
        let mut model: HashMap<u64, Level> = HashMap::new();
        let mut now = Instant::default();
        for (client, quarters, part) in steps {
            let wait = rate.interval_ns() * quarters / 4 + rate.interval_ns() * part / 1000;
            now = now.after(Duration::from_nanos(wait));
            let ns = i128::from(now.as_ns());
            let (level, since) = model.get(&client).copied().unwrap_or((full, ns));
            let level = full.min(level + ns - since);
            prop_assert_eq!(i128::from(table.remaining(key(client), now)), level / interval);
            let expected = if level < interval { Err(interval - level) } else { Ok(()) };
            let answer = table.spend(key(client), now);
            prop_assert_eq!(answer.map_err(|spent| spent.retry_after.as_nanos() as i128), expected);
            let left = if expected.is_ok() { level - interval } else { level };
            model.insert(client, (left, ns));
        }
    }
}
