//! Buckets that several workers share: every order of threads, every window, and what is lost.

use super::super::*;
use crate::guard::word::Word;
use governor::{
    Quota, RateLimiter,
    clock::FakeRelativeClock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use loom::sync::{Arc, atomic::AtomicU64 as LoomU64};
use proptest::prelude::*;
use std::{num::NonZeroU32, time::Duration};

fn rate(per_second: f64, burst: u32) -> Rate {
    Rate::new(per_second, burst).expect("a rate")
}

/// A bucket that has proven contended.
fn hot(rate: Rate, workers: usize) -> Bucket {
    let bucket = Bucket::for_workers(rate, workers);
    bucket.open_slots();
    bucket
}

impl Word for LoomU64 {
    fn new(value: u64) -> Self {
        Self::new(value)
    }

    fn load(&self) -> u64 {
        self.load(Relaxed)
    }

    fn swap(&self, value: u64) -> u64 {
        self.swap(value, Relaxed)
    }

    fn exchange(&self, from: u64, to: u64) -> Result<u64, u64> {
        self.compare_exchange(from, to, Relaxed, Relaxed)
    }

    fn raise(&self, value: u64) {
        self.fetch_max(value, Relaxed);
    }
}

/// Runs `work` for each worker in every order, on a bucket of `burst` tokens of a second each; it
/// says how many tokens it was left with. All together, and what is had afterwards, at most `most`;
/// never fewer than `least`.
fn in_every_order(
    (burst, workers, leases): (u32, usize, bool),
    (least, most): (usize, usize),
    work: fn(&Bucket<LoomU64>, usize) -> usize,
) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(move || {
        let bucket = Arc::new(Bucket::<LoomU64>::of_words(rate(1.0, burst), workers));
        if leases {
            bucket.open_slots();
        }
        let others: Vec<_> = (1..workers)
            .map(|worker| {
                let bucket = Arc::clone(&bucket);
                loom::thread::spawn(move || work(&bucket, worker))
            })
            .collect();
        let mut had = work(&bucket, 0);
        had += others
            .into_iter()
            .map(|other| other.join().unwrap())
            .sum::<usize>();
        let left = (0..=burst).filter(|_| bucket.spend(0, NOW).is_ok()).count();
        assert!((least..=most).contains(&(had + left)), "{had} and {left}");
    });
}

const NOW: Instant = Instant::from_ns(1_000_000);

#[test]
fn in_every_order_a_burst_is_had_exactly() {
    in_every_order((3, 3, false), (3, 3), |bucket, worker| {
        (0..2).filter(|_| bucket.spend(worker, NOW).is_ok()).count()
    });
}

#[test]
fn in_every_order_a_refund_gives_back_what_was_taken() {
    in_every_order((2, 2, false), (2, 2), |bucket, worker| {
        if bucket.spend(worker, NOW).is_ok() {
            bucket.refund(worker, NOW, NOW);
        }
        usize::from(bucket.spend(worker, NOW).is_ok())
    });
}

#[test]
fn in_every_order_leases_hold_no_more_than_the_burst() {
    // Two workers, leases of two: taken, used, and taken over.
    in_every_order((32, 2, true), (32, 32), |bucket, worker| {
        (0..3).filter(|_| bucket.spend(worker, NOW).is_ok()).count()
    });
}

#[test]
fn in_every_order_a_lease_goes_over_as_a_whole() {
    in_every_order((32, 2, true), (31, 32), |bucket, worker| {
        if worker == 0 {
            return (0..30).filter(|_| bucket.spend(0, NOW).is_ok()).count();
        }
        let had = usize::from(bucket.spend(1, NOW).is_ok());
        bucket.refund(1, NOW, NOW);
        had.saturating_sub(1)
    });
}

/// Admissions in `had`, in order of time: no window has more than the burst and what comes in it.
fn check_windows(rate: Rate, had: &[u64]) -> Result<(), TestCaseError> {
    let (interval, burst) = (rate.interval_ns(), rate.window_ns());
    // The earliest word that explains all up to here is that of an ideal bucket; if it is ever more
    // than a burst ahead, the window that began when it was last behind has too many.
    let mut word = 0_u64;
    for &at in had {
        word = word.max(at) + interval;
        prop_assert!(
            word <= at + burst,
            "at {at}: {} too many ns",
            word - at - burst
        );
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_window_has_more_than_a_burst_and_what_comes(
        per_second in prop_oneof![1.0..100.0, 1e3..1e6],
        burst in prop_oneof![1_u32..40, 40_u32..4000],
        workers in 1_usize..6,
        steps in prop::collection::vec((0_usize..6, 0.0..40.0, 1_usize..90), 1..300),
    ) {
        let rate = rate(per_second, burst);
        let bucket = hot(rate, workers);
        let (mut now, mut had) = (Instant::default(), Vec::new());
        for (worker, intervals, asked) in steps {
            let wait = (rate.interval_ns() as f64 * intervals) as u64;
            now = now.after(Duration::from_nanos(wait));
            let worker = worker % workers;
            had.extend((0..asked).filter(|_| bucket.spend(worker, now).is_ok()).map(|_| now.as_ns()));
            let refused = bucket.check(worker, now).is_err();
            prop_assert_eq!(refused, bucket.remaining(now) == 0);
        }
        check_windows(rate, &had)?;
    }

    #[test]
    fn refunds_give_no_window_more(
        burst in 1_u32..400,
        workers in 1_usize..4,
        steps in prop::collection::vec((0_usize..4, 0.0..3.0, 1_usize..60, 0_usize..3), 1..200),
    ) {
        let rate = rate(1000.0, burst);
        let bucket = hot(rate, workers);
        let (mut now, mut had) = (Instant::default(), Vec::new());
        for (worker, intervals, asked, back) in steps {
            now = now.after(Duration::from_nanos((rate.interval_ns() as f64 * intervals) as u64));
            let worker = worker % workers;
            let got = (0..asked).filter(|_| bucket.spend(worker, now).is_ok()).count();
            let back = back.min(got);
            (0..back).for_each(|_| bucket.refund(worker, now, now));
            had.extend((back..got).map(|_| now.as_ns()));
        }
        check_windows(rate, &had)?;
    }

    #[test]
    fn agrees_with_governor(
        per_second in 1_u32..2000,
        burst in 1_u32..50,
        steps in prop::collection::vec((0_u64..3, 0_u64..1000), 1..200),
    ) {
        let rate = rate(f64::from(per_second), burst);
        let quota = Quota::with_period(rate.interval()).unwrap();
        let quota = quota.allow_burst(NonZeroU32::new(burst).unwrap());
        let clock = FakeRelativeClock::default();
        let oracle: RateLimiter<NotKeyed, InMemoryState, FakeRelativeClock, NoOpMiddleware<_>> =
            RateLimiter::direct_with_clock(quota, clock.clone());
        let (bucket, mut now) = (Bucket::new(rate), Instant::default());
        for (intervals, part) in steps {
            let wait = rate.interval().mul_f64(intervals as f64 / 2.0 + part as f64 / 1000.0);
            clock.advance(wait);
            now = now.after(wait);
            prop_assert_eq!(bucket.spend(0, now).is_ok(), oracle.check().is_ok());
        }
    }
}

/// Threads ask a quarter more often than the rate, on a clock that goes on with each question, for
/// ten seconds: what is admitted is the burst and what comes, less a hundredth at most.
fn check_ten_seconds(per_second: u32, threads: usize) {
    const END_NS: u64 = 10_000_000_000;
    let burst = (per_second / 4).max(1);
    let rate = rate(f64::from(per_second), burst);
    let bucket = hot(rate, threads);
    let step_ns = (rate.interval_ns() * 4 / 5).min(1_000_000);
    let clock = AtomicU64::new(0);
    let work = |worker| {
        let times = std::iter::repeat_with(|| clock.fetch_add(step_ns, Relaxed));
        times
            .take_while(|&ns| ns <= END_NS)
            .filter(|&ns| bucket.spend(worker, Instant::from_ns(ns)).is_ok())
            .count()
    };
    let mut had: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|worker| scope.spawn(move || work(worker)))
            .collect();
        let had = threads.into_iter().map(|thread| thread.join().unwrap());
        had.sum()
    });
    let end = Instant::from_ns(END_NS);
    had += std::iter::from_fn(|| bucket.spend(0, end).ok()).count();
    let most = (rate.window_ns() + END_NS) / rate.interval_ns();
    let case = format!("{had} of {most} at {per_second}/s with {threads} threads");
    assert!(had as u64 <= most, "{case}");
    // One more: a full bucket of one token loses the time until somebody asks.
    assert!((had + 1) as f64 >= most as f64 * 0.99, "{case}");
}

#[test]
fn ten_seconds_at_any_rate_admit_what_they_should() {
    for per_second in [1, 30, 1_000, 50_000] {
        for threads in [1, 2, 3, 8, 16] {
            check_ten_seconds(per_second, threads);
        }
    }
    check_ten_seconds(1_000_000, 2);
    check_ten_seconds(1_000_000, 16);
}

#[test]
fn a_second_by_the_real_clock_admits_what_it_should() {
    let bucket = hot(rate(100_000.0, 1_000), 4);
    let begun = crate::clock::now();
    let had: usize = std::thread::scope(|scope| {
        let work = |worker| {
            let mut had = 0;
            loop {
                let now = crate::clock::now();
                if now.since(begun) > Duration::from_millis(300) {
                    return had;
                }
                had += usize::from(bucket.spend(worker, now).is_ok());
            }
        };
        let threads: Vec<_> = (0..4)
            .map(|worker| scope.spawn(move || work(worker)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert!(had <= 31_000, "{had}");
    // A machine that lets nobody run for longer than the burst lasts loses what comes meanwhile.
    assert!(had >= 3_000, "{had}");
}

#[test]
fn contention_opens_slots_and_quiet_does_not() {
    let bucket = Bucket::for_workers(rate(1e6, 10_000), 2);
    for _ in 0..LOST_MAX - 1 {
        bucket.lost_one();
    }
    assert!(bucket.slots().is_empty());
    bucket.lost_one();
    assert_eq!(bucket.slots().len(), 2);
    let small = Bucket::for_workers(rate(1e6, 31), 2);
    (0..100).for_each(|_| small.lost_one());
    assert!(small.slots().is_empty(), "too small a burst to lease of");
}

#[test]
fn a_worker_refuses_only_when_no_other_holds_a_token() {
    let bucket = hot(rate(1.0, 6_400), 4);
    let now = Instant::from_ns(1);
    // The first three workers are left with leases; all that is left is the fourth's.
    let mut had = 0;
    for worker in 0..3 {
        had += (0..100)
            .filter(|_| bucket.spend(worker, now).is_ok())
            .count();
    }
    assert_eq!(bucket.remaining(now), 6_100);
    had += std::iter::from_fn(|| bucket.spend(3, now).ok()).count();
    assert_eq!(had, 6_400);
    assert_eq!(
        (bucket.remaining(now), bucket.check(0, now).is_ok()),
        (0, false)
    );
}

#[test]
fn leases_do_not_outlive_a_clock_that_steps() {
    let bucket = hot(rate(100.0, 3_200), 2);
    let late = Instant::from_ns(7_200_000_000_000);
    for worker in 0..2 {
        (0..20).for_each(|_| assert!(bucket.spend(worker, late).is_ok()));
    }
    // Back by an hour: empty, leases as well, and filled from there.
    let early = Instant::from_ns(3_600_000_000_000);
    while bucket.spend(0, early).is_ok() {}
    assert_eq!(bucket.remaining(early), 0);
    let second = early.after(Duration::from_secs(1));
    let had: usize = (0..2)
        .map(|worker| std::iter::from_fn(|| bucket.spend(worker, second).ok()).count())
        .sum();
    assert_eq!(had, 100);
    // Forward by a day: one burst.
    let day = early.after(Duration::from_secs(86_400));
    let had: usize = (0..2)
        .map(|worker| std::iter::from_fn(|| bucket.spend(worker, day).ok()).count())
        .sum();
    assert_eq!(had, 3_200);
}
