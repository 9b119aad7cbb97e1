//! The limiter against tables, against properties, and against servers with so many places, whose
//! queue is simulated.

use super::*;
use proptest::prelude::*;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::Duration,
};

const MS: u64 = 1_000_000;

fn shedding() -> Shedding {
    Shedding {
        min: 1,
        max: 1000,
        tolerance: 2.0,
        window: Duration::from_millis(100),
    }
}

fn window(count: u32, mean_ms: u64) -> Samples {
    Samples {
        count,
        sum_ns: u64::from(count) * mean_ms * MS,
    }
}

/// The limit after windows of these mean latencies, in milliseconds.
#[track_caller]
fn check(means_ms: &[u64], expected: &[u32]) {
    let (mut limiter, shedding) = (Limiter::default(), shedding());
    let limits: Vec<u32> = (1..)
        .zip(means_ms)
        .map(|(turn, &mean)| {
            limiter.report(
                window(100, mean),
                1,
                &shedding,
                Instant::from_ns(turn * 100 * MS),
            );
            limiter.allowed(&shedding)
        })
        .collect();
    assert_eq!(limits, expected, "{means_ms:?}");
}

#[test]
fn limits_by_windows() {
    // It doubles, then it is at its most.
    check(&[10; 8], &[40, 80, 160, 320, 640, 1000, 1000, 1000]);
    // Twice the base is tolerated.
    check(&[10, 20, 20], &[40, 80, 160]);
    // Half, and a square root; no window takes more.
    check(&[10, 40, 400, 4000], &[40, 26, 18, 13]);
    // From then on by the square root.
    check(&[10, 40, 10, 10], &[40, 26, 31, 37]);
    // A faster window moves the base a little.
    check(&[100, 10, 200], &[40, 80, 86]);
}

#[test]
fn a_window_ends_in_time_and_with_enough_samples() {
    let (mut limiter, shedding) = (Limiter::default(), shedding());
    let mut report = |count, ms: u64| {
        limiter.report(window(count, 10), 1, &shedding, Instant::from_ns(ms * MS));
        limiter.allowed(&shedding)
    };
    assert_eq!(report(SAMPLES_MIN - 1, 100), 20);
    assert_eq!(report(1, 101), 40);
    assert_eq!(report(SAMPLES_MIN, 200), 40, "too early");
    assert_eq!(report(0, 201), 80);
}

#[test]
fn a_measurement_that_finds_nothing_is_given_up() {
    let (mut limiter, shedding) = (Limiter::default(), shedding());
    let mut now = Instant::default();
    for turn in 0..=PROBE_AFTER_FIRST {
        now = now.after(shedding.window);
        let mean = if turn == 0 { 10 } else { 100 };
        limiter.report(window(100, mean), 1000, &shedding, now);
    }
    assert!(matches!(limiter.phase, Phase::Drain { .. }));
    for _ in 0..=PROBE_WINDOWS_MAX {
        now = now.after(shedding.window);
        limiter.report(window(0, 0), 1000, &shedding, now);
    }
    assert_eq!(limiter.phase, Phase::Follow);
}

#[test]
fn workers_that_meet_do_not_wait() {
    let (overload, shedding) = (Overload::default(), shedding());
    assert_eq!(overload.allowed(&shedding), LIMIT_FIRST);
    let held = overload.limiter.lock().expect("nobody has panicked");
    let now = Instant::from_ns(MS);
    assert!(!overload.report(window(100, 10), 1, &shedding, now));
    drop(held);
    assert!(overload.report(window(100, 10), 1, &shedding, now));
    assert_eq!(overload.allowed(&shedding), 2 * LIMIT_FIRST);
}

proptest! {
    #[test]
    fn the_limit_stays_within_its_bounds(
        min in 1_u32..100,
        more in 0_u32..2000,
        tolerance in 11_u32..100,
        windows in prop::collection::vec((0_u32..200, 0_u64..10_000, 0_u32..3000), 1..400),
    ) {
        let shedding = Shedding {
            min,
            max: min + more,
            tolerance: f64::from(tolerance) / 10.0,
            window: Duration::from_millis(100),
        };
        let mut limiter = Limiter::default();
        for (turn, (count, mean, in_flight)) in (1..).zip(windows) {
            let now = Instant::from_ns(turn * 100 * MS);
            limiter.report(window(count, mean), in_flight, &shedding, now);
            let allowed = limiter.allowed(&shedding);
            prop_assert!((1..=shedding.max).contains(&allowed));
            if matches!(limiter.phase, Phase::Rise | Phase::Follow) {
                prop_assert!(allowed >= min);
            }
        }
    }
}

/// An upstream that works on so many requests at once, each for a while; others queue.
#[derive(Clone, Copy, Debug)]
struct Server {
    places: usize,
    service_ms: f64,
    /// The share of a service time that is drawn from an exponential distribution.
    noise: f64,
}

/// What came of a stretch of a simulation.
#[derive(Clone, Debug, Default)]
struct Seen {
    done: u32,
    shed: u32,
    /// Milliseconds, of those done.
    latencies: Vec<f64>,
}

impl Seen {
    fn quantile(&mut self, share: f64) -> f64 {
        self.latencies.sort_by(f64::total_cmp);
        let last = self.latencies.len() - 1;
        self.latencies[(last as f64 * share) as usize]
    }

    fn mean(&self) -> f64 {
        self.latencies.iter().sum::<f64>() / self.latencies.len() as f64
    }
}

struct Simulation {
    server: Server,
    shedding: Shedding,
    limiter: Limiter,
    /// Whether the limiter is listened to.
    sheds: bool,
    now_ns: u64,
    next_arrival_ns: u64,
    next_tick_ns: u64,
    /// When those being worked on end, and when they came.
    working: BinaryHeap<Reverse<(u64, u64)>>,
    queue: VecDeque<u64>,
    samples: Samples,
    random: u64,
}

impl Simulation {
    fn new(server: Server, seed: u64) -> Self {
        Self {
            server,
            shedding: Shedding {
                min: 2,
                ..shedding()
            },
            limiter: Limiter::default(),
            sheds: true,
            now_ns: 0,
            next_arrival_ns: 0,
            next_tick_ns: 100 * MS,
            working: BinaryHeap::new(),
            queue: VecDeque::new(),
            samples: Samples::default(),
            random: seed | 1,
        }
    }

    fn capacity(&self) -> f64 {
        self.server.places as f64 / self.server.service_ms * 1000.0
    }

    /// One of mean 1, exponentially distributed.
    fn exponential(&mut self) -> f64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let bits = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        -f64::ln((bits as f64 + 1.0) / (1_u64 << 53) as f64)
    }

    fn begin(&mut self, came: u64) {
        let noise = self.server.noise;
        let share = 1.0 - noise + noise * self.exponential();
        let service = (self.server.service_ms * share * MS as f64) as u64;
        self.working.push(Reverse((self.now_ns + service, came)));
    }

    /// Lets `seconds` pass with `rate` requests a second at random moments.
    fn run(&mut self, seconds: f64, rate: f64) -> Seen {
        let until = self.now_ns + (seconds * 1e9) as u64;
        let mut seen = Seen::default();
        self.next_arrival_ns = self.now_ns;
        loop {
            let ends = self
                .working
                .peek()
                .map_or(u64::MAX, |Reverse((ends, _))| *ends);
            self.now_ns = ends.min(self.next_arrival_ns).min(self.next_tick_ns);
            if self.now_ns >= until {
                self.now_ns = until;
                return seen;
            }
            if self.now_ns == ends {
                self.end(&mut seen);
            } else if self.now_ns == self.next_arrival_ns {
                self.arrive(&mut seen);
                self.next_arrival_ns += (self.exponential() * 1e9 / rate) as u64 + 1;
            } else {
                self.next_tick_ns += 100 * MS;
                let now = Instant::from_ns(self.now_ns);
                let in_flight = self.in_flight();
                self.limiter.report(
                    std::mem::take(&mut self.samples),
                    in_flight,
                    &self.shedding,
                    now,
                );
            }
        }
    }

    fn in_flight(&self) -> u32 {
        (self.working.len() + self.queue.len()) as u32
    }

    fn arrive(&mut self, seen: &mut Seen) {
        if self.sheds && self.in_flight() >= self.limiter.allowed(&self.shedding) {
            seen.shed += 1;
        } else if self.working.len() < self.server.places {
            self.begin(self.now_ns);
        } else {
            self.queue.push_back(self.now_ns);
        }
    }

    fn end(&mut self, seen: &mut Seen) {
        let Some(Reverse((_, came))) = self.working.pop() else {
            return;
        };
        let latency = self.now_ns - came;
        seen.done += 1;
        seen.latencies.push(latency as f64 / MS as f64);
        self.samples = self.samples.and(Samples {
            count: 1,
            sum_ns: latency,
        });
        if let Some(waiting) = self.queue.pop_front() {
            self.begin(waiting);
        }
    }
}

/// Servers of very different sizes.
const SERVERS: [Server; 5] = [
    Server {
        places: 2,
        service_ms: 20.0,
        noise: 0.0,
    },
    Server {
        places: 4,
        service_ms: 10.0,
        noise: 1.0,
    },
    Server {
        places: 16,
        service_ms: 10.0,
        noise: 0.5,
    },
    Server {
        places: 64,
        service_ms: 50.0,
        noise: 1.0,
    },
    Server {
        places: 200,
        service_ms: 100.0,
        noise: 0.2,
    },
];

/// Over two minutes of `load` times the capacity: goodput as a share of the capacity, and the mean
/// and 99th percentile of the latency of what was let in, in mean times of service.
fn two_minutes(simulation: &mut Simulation, load: f64) -> (f64, f64, f64) {
    let (capacity, service_ms) = (simulation.capacity(), simulation.server.service_ms);
    let mut seen = simulation.run(120.0, load * capacity);
    let goodput = f64::from(seen.done) / 120.0 / capacity;
    (
        goodput,
        seen.mean() / service_ms,
        seen.quantile(0.99) / service_ms,
    )
}

#[test]
fn under_overload_latency_is_bounded_and_goodput_kept() {
    for server in SERVERS {
        for (seed, load) in [(3, 1.2), (5, 2.0), (7, 4.0)] {
            // One that was warm before, and one that begins under it.
            for before in [0.5, load] {
                let mut simulation = Simulation::new(server, seed);
                let rate = simulation.capacity();
                simulation.run(15.0, before * rate);
                simulation.run(5.0, load * rate);
                let (goodput, mean, p99) = two_minutes(&mut simulation, load);
                let seen = format!("{server:?} x{load}: {goodput:.3}, {mean:.2}, {p99:.2}");
                assert!(goodput >= 0.9, "{seen}");
                assert!(mean <= 4.0 && p99 <= 9.0, "{seen}");
            }
        }
    }
}

#[test]
fn without_a_limit_it_would_not_be() {
    let mut simulation = Simulation::new(SERVERS[2], 3);
    simulation.sheds = false;
    let (_, mean, _) = two_minutes(&mut simulation, 1.2);
    assert!(mean > 500.0, "{mean}");
}

#[test]
fn without_load_nothing_is_shed() {
    for server in SERVERS {
        for seed in [3, 5, 7, 11] {
            for load in [0.02, 0.2, 0.5, 0.7] {
                let mut simulation = Simulation::new(server, seed);
                let rate = load * simulation.capacity();
                // Until the limit has risen.
                simulation.run(10.0, rate);
                assert_eq!(simulation.run(120.0, rate).shed, 0, "{server:?} {load}");
            }
        }
    }
}

#[test]
fn after_overload_nothing_is_shed() {
    for server in SERVERS {
        let mut simulation = Simulation::new(server, 3);
        let rate = simulation.capacity();
        simulation.run(30.0, 3.0 * rate);
        simulation.run(15.0, 0.5 * rate);
        assert_eq!(simulation.run(60.0, 0.5 * rate).shed, 0, "{server:?}");
    }
}

#[test]
fn a_server_that_becomes_slower_is_measured_anew() {
    for server in SERVERS {
        let mut simulation = Simulation::new(server, 3);
        let rate = simulation.capacity();
        simulation.run(30.0, 0.2 * rate);
        // The same requests now take three times as long, and still do not queue.
        simulation.server.service_ms *= 3.0;
        simulation.run(30.0, 0.2 * rate);
        let seen = simulation.run(60.0, 0.2 * rate);
        assert!(seen.shed * 50 < seen.done, "{server:?}: {} shed", seen.shed);
    }
}
