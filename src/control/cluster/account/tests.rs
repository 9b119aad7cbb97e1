//! Nodes and a store on a made-up clock: what is admitted is held against the limit at every
//! single request, over any time at all.

use super::*;
use proptest::prelude::*;

const INTERVAL_MS: u64 = 50;

/// A wait that is long, and shorter than what nodes hold is kept for.
const LONG_MS: u64 = 5_000;

/// What a limit may have admitted: a bucket that counts what was admitted, of the same rate.
struct Judge {
    per_ms: f64,
    burst: f64,
    level: f64,
    at_ms: u64,
    most: f64,
}

impl Judge {
    fn new(per_second: f64, burst: u32) -> Self {
        Self {
            per_ms: per_second / 1000.0,
            burst: f64::from(burst),
            level: 0.0,
            at_ms: 0,
            most: 0.0,
        }
    }

    /// Admitted at `now_ms`: over no time that ends now were it more than rate x time + burst.
    fn admitted(&mut self, now_ms: u64) {
        let come = (now_ms - self.at_ms) as f64 * self.per_ms;
        self.level = (self.level - come).max(0.0) + 1.0;
        self.at_ms = now_ms;
        self.most = self.most.max(self.level);
    }

    fn excess(&self) -> f64 {
        self.most - self.burst
    }
}

struct World {
    nodes: Vec<Account>,
    store: Ledger,
    judge: Judge,
    now_ms: u64,
    admitted: u64,
}

fn nodes(count: usize) -> NonZeroU32 {
    NonZeroU32::new(count as u32).unwrap()
}

impl World {
    fn new(count: usize, per_second: f64, burst: u32) -> Self {
        let rate = Rate::new(per_second, burst).unwrap();
        let account = || Account::new(rate, Arc::default());
        Self {
            nodes: (0..count).map(|_| account()).collect(),
            store: Ledger::default(),
            judge: Judge::new(per_second, burst),
            now_ms: 0,
            admitted: 0,
        }
    }

    fn now(&self) -> Instant {
        Instant::default().after(Duration::from_millis(self.now_ms))
    }

    /// The round of one node; whether the answer arrives.
    fn round(&mut self, node: usize, arrives: bool) {
        let (now, count) = (self.now(), nodes(self.nodes.len()));
        let account = &mut self.nodes[node];
        if let Some(ask) = account.look(count, now) {
            let rate = account.rate;
            let grant = self.store.lease(rate, node as u64, ask, self.now_ms * 1000);
            if arrives {
                account.settle(grant, now);
            }
        }
    }

    fn requests(&mut self, node: usize, requests: u64) {
        for _ in 0..requests {
            if self.nodes[node].reservoir.spend() {
                self.admitted += 1;
                self.judge.admitted(self.now_ms);
            }
        }
    }

    /// A millisecond passes, in which each node has so many requests; rounds are spread evenly.
    fn tick(&mut self, requests: &[u64]) {
        let count = self.nodes.len() as u64;
        for (node, requests) in requests.iter().enumerate() {
            let phase = node as u64 * INTERVAL_MS / count;
            if self.now_ms % INTERVAL_MS == phase {
                self.round(node, true);
            }
            self.requests(node, *requests);
        }
        self.now_ms += 1;
    }
}

#[derive(Clone, Debug)]
enum Step {
    Requests(usize, u64),
    Round(usize, bool),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_usize, 0..200_u64).prop_map(|(node, n)| Step::Requests(node, n)),
        4 => (0..4_usize, prop::bool::weighted(0.8)).prop_map(|(node, ok)| Step::Round(node, ok)),
        2 => (0..300_u64).prop_map(Step::Wait),
        1 => Just(Step::Wait(LONG_MS)),
    ]
}

proptest! {
    #[test]
    fn no_more_is_admitted_than_the_limit_over_any_time(
        steps in prop::collection::vec(step(), 1..400),
        per_second in prop_oneof![Just(3.0), Just(100.0), Just(2_000.0)],
        burst in 1_u32..500,
    ) {
        let mut world = World::new(4, per_second, burst);
        for step in steps {
            match step {
                Step::Requests(node, n) => world.requests(node, n),
                Step::Round(node, arrives) => world.round(node, arrives),
                Step::Wait(ms) => {
                    world.now_ms += ms;
                    // A node that lives is heard of long before what it holds is given away.
                    if ms == LONG_MS {
                        (0..4).for_each(|node| world.round(node, true));
                    }
                }
            }
            prop_assert!(world.judge.excess() < 1e-6, "{} too many", world.judge.excess());
        }
    }
}

/// Of three nodes that have such loads a millisecond, the share of the rate that is admitted after
/// a second to warm up.
fn admitted_share(loads: [u64; 3], per_second: f64, burst: u32) -> f64 {
    let mut world = World::new(3, per_second, burst);
    (0..1_000).for_each(|_| world.tick(&loads));
    let before = world.admitted;
    (0..10_000).for_each(|_| world.tick(&loads));
    assert!(world.judge.excess() < 1e-6);
    (world.admitted - before) as f64 / (10.0 * per_second)
}

#[test]
fn three_nodes_reach_the_rate_however_uneven_their_load() {
    for loads in [[1, 1, 1], [3, 0, 0], [0, 0, 9], [8, 1, 0], [5, 2, 1]] {
        let share = admitted_share(loads, 1000.0, 500);
        assert!((0.95..=1.0001).contains(&share), "{loads:?}: {share}");
    }
}

#[test]
fn a_load_below_the_rate_is_admitted_whole() {
    let mut world = World::new(3, 5000.0, 5000);
    (0..500).for_each(|_| world.tick(&[2, 1, 0]));
    let before = world.admitted;
    (0..5_000).for_each(|_| world.tick(&[2, 1, 0]));
    assert_eq!(world.admitted - before, 15_000);
}

#[test]
fn the_first_request_after_a_silence_finds_a_token_and_a_burst_comes_within_two_rounds() {
    let mut world = World::new(3, 10.0, 120);
    (0..60_000).for_each(|_| world.tick(&[0, 0, 0]));
    world.requests(1, 1);
    assert_eq!(world.admitted, 1);
    (0..2 * INTERVAL_MS + 1).for_each(|_| world.tick(&[0, 9, 0]));
    // Two nodes keep what is ready with them, and one may not have more than half.
    assert!(world.admitted >= 80, "{}", world.admitted);
}

#[test]
fn nodes_that_are_on_their_own_stay_below_the_limit_together() {
    let mut world = World::new(3, 300.0, 90);
    (0..2_000).for_each(|_| world.tick(&[1, 0, 2]));
    let before = world.admitted;
    for _ in 0..10_000 {
        let (now, count) = (world.now(), nodes(3));
        for node in 0..3 {
            if world.now_ms % INTERVAL_MS == 7 {
                world.nodes[node].go_alone(count, now);
            }
            world.requests(node, 1);
        }
        world.now_ms += 1;
    }
    assert!(world.judge.excess() < 1e-6, "{}", world.judge.excess());
    let share = (world.admitted - before) as f64 / 3_000.0;
    assert!(share > 0.95, "{share}");
    // And back, to a store that has forgotten all.
    world.store = Ledger::default();
    world.nodes.iter_mut().for_each(Account::rejoin);
    (0..2_000).for_each(|_| world.tick(&[1, 1, 1]));
    assert!(world.judge.excess() < 1.0, "{}", world.judge.excess());
}
