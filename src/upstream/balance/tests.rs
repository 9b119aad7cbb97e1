//! Picks: their distribution, and what they never do.

use super::{
    super::{
        Failure, HashKey, Local, Outcome, Settings, States,
        fixture::{endpoints, settings},
    },
    *,
};
use proptest::prelude::*;
use std::rc::Rc;

const SECOND: Duration = Duration::from_secs(1);
const HASH: Balance = Balance::Hash(HashKey::Path);
const ALL: [Balance; 4] = [
    Balance::RoundRobin,
    Balance::Random,
    Balance::LeastRequest,
    HASH,
];

fn at(seconds: u64) -> Instant {
    Instant::default().after(SECOND * seconds as u32)
}

/// One worker that picks from one upstream.
struct Picker {
    upstream: Upstream,
    local: Rc<Local>,
    now: Instant,
    tried: Tried,
    random: u64,
}

impl Picker {
    fn new(settings: Settings, weights: &[u16]) -> Self {
        let mut states = States::default();
        let upstream = Upstream::new(settings, endpoints(weights), &mut states, at(0)).unwrap();
        let local = Local::new(&upstream, 0, 1);
        Self {
            upstream,
            local,
            now: at(100),
            tried: Tried::default(),
            random: 1,
        }
    }

    fn balanced(balance: Balance, weights: &[u16]) -> Self {
        Self::new(settings(balance), weights)
    }

    fn pick_key(&mut self, key: Option<&[u8]>) -> Option<usize> {
        self.random = mixed(self.random, 7);
        self.upstream.pick(&Choice {
            cursor: &self.local.cursor,
            in_flight: &self.local.in_flight,
            key,
            random: self.random,
            now: self.now,
            tried: &self.tried,
        })
    }

    fn pick(&mut self) -> Option<usize> {
        let key = self.random.to_le_bytes();
        self.pick_key(Some(&key))
    }

    fn fall(&self, endpoint: usize) {
        self.upstream.endpoints[endpoint].state.fall();
    }

    /// How often each endpoint is picked in `picks`.
    #[track_caller]
    fn counts(&mut self, picks: usize) -> Vec<usize> {
        let mut counts = vec![0; self.upstream.endpoints.len()];
        for _ in 0..picks {
            counts[self.pick().expect("an endpoint")] += 1;
        }
        counts
    }
}

/// `counts` are `expected` within five in a hundred of all.
#[track_caller]
fn near(counts: &[usize], expected: &[usize]) {
    let total: usize = expected.iter().sum();
    for (count, expected) in counts.iter().zip(expected) {
        assert!(count.abs_diff(*expected) * 20 <= total, "{counts:?}");
    }
}

#[test]
fn shares_are_the_weights() {
    assert_eq!(
        Picker::balanced(Balance::RoundRobin, &[1, 2, 0, 5]).counts(800),
        [100, 200, 0, 500]
    );
    near(
        &Picker::balanced(Balance::Random, &[1, 2, 0, 5]).counts(8000),
        &[1000, 2000, 0, 5000],
    );
    near(
        &Picker::balanced(HASH, &[1, 2, 0, 5]).counts(8000),
        &[1000, 2000, 0, 5000],
    );
    // With nothing in flight there is nothing to compare.
    let idle = Picker::balanced(Balance::LeastRequest, &[1, 2, 0, 5]).counts(8000);
    near(&idle, &[1000, 2000, 0, 5000]);
}

#[test]
fn the_rest_share_by_weight_when_one_is_down() {
    for balance in [Balance::RoundRobin, Balance::Random] {
        let mut picker = Picker::balanced(balance, &[2, 5, 4, 2]);
        picker.fall(1);
        near(&picker.counts(8000), &[2000, 0, 4000, 2000]);
    }
    let mut exact = Picker::balanced(Balance::RoundRobin, &[1, 1, 1]);
    exact.fall(1);
    assert_eq!(exact.counts(100), [50, 0, 50]);
}

#[test]
fn of_two_the_other_takes_all() {
    for balance in ALL {
        for down in [0, 1] {
            let mut picker = Picker::balanced(balance.clone(), &[1, 1]);
            picker.fall(down);
            assert_eq!(picker.counts(50)[1 - down], 50);

            let mut picker = Picker::balanced(balance.clone(), &[1, 1]);
            let outcome = Outcome::Failure(Failure::Refused);
            assert!(picker.upstream.observe(down, outcome, picker.now).is_some());
            assert_eq!(picker.counts(50)[1 - down], 50);

            let mut picker = Picker::balanced(balance.clone(), &[1, 1]);
            picker.tried.add(down);
            assert_eq!(picker.counts(50)[1 - down], 50);
        }
    }
}

#[test]
fn all_down_is_none() {
    for balance in ALL {
        let mut picker = Picker::balanced(balance.clone(), &[1, 0, 3]);
        picker.fall(0);
        picker.fall(2);
        assert_eq!(picker.pick(), None);
        picker.upstream.endpoints[2].state.rise(picker.now);
        assert_eq!(picker.pick(), Some(2));
        picker.tried.add(2);
        assert_eq!(picker.pick(), None);
        assert_eq!(Picker::balanced(balance.clone(), &[]).pick(), None);
        assert_eq!(Picker::balanced(balance, &[0]).pick(), None);
    }
}

#[test]
fn an_ejected_one_is_better_than_none() {
    for balance in ALL {
        let mut picker = Picker::balanced(balance, &[1, 1]);
        let outcome = Outcome::Failure(Failure::Timeout);
        assert!(picker.upstream.observe(0, outcome, picker.now).is_some());
        picker.fall(1);
        assert_eq!(picker.pick(), Some(0));
    }
}

#[test]
fn busy_ones_are_spared() {
    let mut picker = Picker::balanced(Balance::LeastRequest, &[1, 1]);
    let busy = picker.local.enter(0);
    assert_eq!(picker.counts(50), [0, 50]);
    drop(busy);
    near(&picker.counts(1000), &[500, 500]);

    // Held for ever, requests spread in proportion to the weights.
    let mut picker = Picker::balanced(Balance::LeastRequest, &[1, 3, 4]);
    let held: Vec<_> = (0..800)
        .map(|_| {
            let endpoint = picker.pick().expect("an endpoint");
            picker.local.enter(endpoint)
        })
        .collect();
    let in_flight = |endpoint: usize| picker.local.in_flight[endpoint].get() as usize;
    near(
        &[in_flight(0), in_flight(1), in_flight(2)],
        &[100, 300, 400],
    );
    drop(held);
    assert_eq!(picker.local.in_flight.iter().map(Cell::get).sum::<u32>(), 0);
}

#[test]
fn slow_start_grows_from_a_tenth() {
    let slow = |balance| Settings {
        slow_start: Some(100 * SECOND),
        ..settings(balance)
    };
    for balance in [Balance::RoundRobin, Balance::Random] {
        let mut picker = Picker::new(slow(balance), &[1, 1]);
        picker.upstream.endpoints[1].state.rise(at(100));
        // Of n turns of its own it takes the share; those that it lets pass go to the other.
        near(&picker.counts(4000), &[3800, 200]);
        picker.now = at(200);
        near(&picker.counts(4000), &[2000, 2000]);
    }
    let mut picker = Picker::new(slow(Balance::Random), &[1, 1]);
    picker.upstream.endpoints[1].state.rise(at(100));
    picker.now = at(150);
    near(&picker.counts(4000), &[3000, 1000]);
    picker.fall(0);
    assert_eq!(picker.counts(50), [0, 50], "slow is better than none");

    let mut picker = Picker::new(slow(HASH), &[1, 1]);
    picker.upstream.endpoints[1].state.rise(at(100));
    near(&picker.counts(4000), &[2000, 2000]);
}

#[test]
fn workers_begin_apart() {
    let picker = Picker::balanced(Balance::RoundRobin, &[1, 1, 1, 1]);
    let begin = |worker| Local::new(&picker.upstream, worker, 4).cursor.get();
    assert_eq!([begin(0), begin(1), begin(2), begin(3)], [0, 1, 2, 3]);
}

#[test]
fn a_cursor_of_a_longer_round_is_put_right() {
    let mut picker = Picker::balanced(Balance::RoundRobin, &[1, 1]);
    picker.local.cursor.set(u64::MAX);
    assert_eq!(picker.counts(10), [5, 5]);
}

#[test]
fn without_a_key_chance_decides() {
    let mut picker = Picker::balanced(HASH, &[1, 1]);
    let mut counts = [0; 2];
    for _ in 0..1000 {
        counts[picker.pick_key(None).unwrap()] += 1;
    }
    near(&counts, &[500, 500]);
}

#[test]
fn keys_move_only_when_they_must() {
    let mut picker = Picker::balanced(HASH, &[1; 10]);
    let keys: Vec<String> = (0..5000).map(|key| format!("key {key}")).collect();
    let owners = |picker: &mut Picker| -> Vec<usize> {
        keys.iter()
            .map(|key| picker.pick_key(Some(key.as_bytes())).unwrap())
            .collect()
    };
    let before = owners(&mut picker);
    picker.fall(3);
    let after = owners(&mut picker);
    let moved = before
        .iter()
        .zip(&after)
        .filter(|(before, after)| before != after)
        .count();
    assert!(
        before
            .iter()
            .zip(&after)
            .all(|(&before, &after)| before == 3 || before == after)
    );
    assert!((400..600).contains(&moved), "{moved} of 5000 moved");
    assert!(after.iter().all(|&owner| owner != 3));
    // And an upstream compiled without it agrees: the ring is the addresses', not the list's.
    let mut weights = [1; 10];
    weights[3] = 0;
    let mut without = Picker::balanced(HASH, &weights);
    for (key, &owner) in keys.iter().zip(&after) {
        assert_eq!(without.pick_key(Some(key.as_bytes())), Some(owner));
    }
}

#[test]
fn tried_ones_are_remembered_up_to_the_bound() {
    let mut tried = Tried::default();
    for endpoint in 0..20 {
        assert!(!tried.contains(endpoint));
        tried.add(endpoint);
        assert_eq!(
            tried.contains(endpoint),
            endpoint <= usize::from(ATTEMPTS_MAX)
        );
    }
}

/// What may be wrong with an endpoint: a bit each.
const DOWN: u8 = 1;
const EJECTED: u8 = 2;
const TRIED: u8 = 4;
const SLOW: u8 = 8;

proptest! {
    #[test]
    fn never_an_unusable_one_while_there_is_a_usable_one(
        balance in 0_usize..4,
        all in prop::collection::vec((0_u16..4, 0_u8..16), 1..9),
        seed in any::<u64>(),
    ) {
        let weights: Vec<u16> = all.iter().map(|&(weight, _)| weight).collect();
        let settings = Settings { slow_start: Some(50 * SECOND), ..settings(ALL[balance].clone()) };
        let mut picker = Picker::new(settings, &weights);
        picker.random = seed;
        for (index, &(_, wrong)) in all.iter().enumerate() {
            let state = &picker.upstream.endpoints[index].state;
            if wrong & SLOW != 0 { state.rise(picker.now); }
            if wrong & DOWN != 0 { state.fall(); }
            if wrong & EJECTED != 0 { state.eject(picker.now, |_| SECOND); }
            // No more than a request can have tried.
            if wrong & TRIED != 0 && index < 6 { picker.tried.add(index); }
        }
        let wrong = |index: usize| {
            let tried = if picker.tried.contains(index) { TRIED } else { 0 };
            all[index].1 & !TRIED | tried
        };
        let any_without = |faults: u8| {
            (0..all.len()).any(|index| weights[index] > 0 && wrong(index) & faults == 0)
        };
        let (all_fine, ejected_at_worst) = (any_without(DOWN | TRIED | EJECTED), any_without(DOWN | TRIED));
        let wrongs: Vec<u8> = (0..all.len()).map(wrong).collect();
        for _ in 0..20 {
            match picker.pick() {
                None => prop_assert!(!ejected_at_worst),
                Some(index) => {
                    prop_assert!(weights[index] > 0);
                    prop_assert_eq!(wrongs[index] & (DOWN | TRIED), 0);
                    prop_assert!(wrongs[index] & EJECTED == 0 || !all_fine);
                }
            }
        }
    }

    #[test]
    fn a_round_is_exact(weights in prop::collection::vec(0_u16..9, 1..8)) {
        let total: usize = weights.iter().map(|&weight| usize::from(weight)).sum();
        let mut picker = Picker::balanced(Balance::RoundRobin, &weights);
        if total > 0 {
            let expected: Vec<usize> = weights.iter().map(|&weight| usize::from(weight)).collect();
            prop_assert_eq!(picker.counts(total), expected);
        }
    }
}
