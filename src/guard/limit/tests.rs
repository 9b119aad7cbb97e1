//! Token buckets against what they promise: a model with big integers, and bounds over time.

mod shared;

use super::*;
use crate::bounds::{BURST_NS_MAX, TOKEN_INTERVAL_NS_MAX};
use proptest::prelude::*;
use std::time::Duration;

fn rate(per_second: f64, burst: u32) -> Rate {
    Rate::new(per_second, burst).expect("a rate")
}

/// The bucket as Amazon describes it: a level that grows with time up to the burst, in nanoseconds
/// of growth so that no fraction is lost.
struct Model {
    interval: i128,
    burst: i128,
    level: i128,
    at: i128,
}

impl Model {
    fn new(rate: Rate) -> Self {
        let burst = i128::from(rate.window_ns());
        Self {
            interval: i128::from(rate.interval_ns()),
            burst,
            level: burst,
            at: 0,
        }
    }

    /// Whether a token is had, and if not, how many nanoseconds are missing.
    fn spend(&mut self, now: Instant) -> Result<(), i128> {
        let now = i128::from(now.as_ns());
        self.level = self.burst.min(self.level + now - self.at);
        self.at = now;
        if self.level < self.interval {
            return Err(self.interval - self.level);
        }
        self.level -= self.interval;
        Ok(())
    }
}

#[track_caller]
fn check(rate: Rate, asked_at_ms: &[u64], expected: &str) {
    let bucket = Bucket::new(rate);
    let answers: String = asked_at_ms
        .iter()
        .map(|&ms| bucket.spend(0, Instant::from_ns(ms * 1_000_000)))
        .map(|answer| if answer.is_ok() { '+' } else { '-' })
        .collect();
    assert_eq!(answers, expected);
}

#[test]
fn spending() {
    check(rate(1.0, 1), &[0, 0, 999, 1000, 1999, 2000], "+--+-+");
    check(
        rate(1.0, 3),
        &[0, 0, 0, 0, 1000, 1000, 9000, 9000, 9000, 9000],
        "+++-+-+++-",
    );
    check(rate(0.5, 1), &[5, 1000, 2004, 2005], "+--+");
    check(rate(1000.0, 1), &[0, 0, 1, 1, 2], "+-+-+");
    check(rate(2.5, 2), &[0, 0, 399, 400, 799, 800], "++-+-+");
}

#[test]
fn rates() {
    for refused in [
        0.0,
        -1.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e-7,
        f64::MIN_POSITIVE,
    ] {
        assert_eq!(Rate::new(refused, 1), None, "{refused}");
    }
    assert_eq!(Rate::new(1.0, 0), None);
    assert_eq!(rate(f64::MAX, 1).interval_ns(), 1);
    assert_eq!(rate(3.0, 1).interval_ns(), 333_333_334);
    assert_eq!(rate(1e-6, 1).interval_ns(), TOKEN_INTERVAL_NS_MAX);
    assert_eq!(rate(1e-6, u32::MAX).window_ns(), BURST_NS_MAX);
}

#[test]
fn when_to_ask_again() {
    let bucket = Bucket::new(rate(2.0, 1));
    let at = |ms: u64| Instant::from_ns(ms * 1_000_000);
    assert_eq!(bucket.spend(0, at(0)), Ok(()));
    assert_eq!(
        bucket.spend(0, at(100)),
        Err(Spent {
            retry_after: Duration::from_millis(400)
        })
    );
    assert_eq!(
        bucket.spend(0, at(499)),
        Err(Spent {
            retry_after: Duration::from_millis(1)
        })
    );
    assert_eq!(bucket.spend(0, at(500)), Ok(()));
}

#[test]
fn at_the_end_of_time_it_refuses_rather_than_gives() {
    let bucket = Bucket::new(rate(1e-6, u32::MAX));
    let end = Instant::from_ns(u64::MAX);
    assert!(bucket.spend(0, end).is_err());
    assert!(bucket.spend(0, Instant::from_ns(u64::MAX - 1)).is_err());
    let nearly = Bucket::new(rate(1.0, 2));
    let now = Instant::from_ns(u64::MAX - 1_500_000_000);
    assert_eq!(
        [nearly.spend(0, now).is_ok(), nearly.spend(0, now).is_ok()],
        [true, false]
    );
}

#[test]
fn a_clock_that_steps_back_does_not_lock_it_up() {
    let hour = Duration::from_secs(3600);
    let early = Instant::default().after(hour);
    let bucket = Bucket::new(rate(10.0, 5));
    for _ in 0..5 {
        assert!(bucket.spend(0, early.after(hour)).is_ok());
    }
    // Empty at the new time, and one token an interval from there.
    assert_eq!(
        bucket.spend(0, early),
        Err(Spent {
            retry_after: Duration::from_millis(100)
        })
    );
    assert!(
        bucket
            .spend(0, early.after(Duration::from_millis(99)))
            .is_err()
    );
    assert!(
        bucket
            .spend(0, early.after(Duration::from_millis(100)))
            .is_ok()
    );
    assert!(
        bucket
            .spend(0, early.after(Duration::from_millis(101)))
            .is_err()
    );
}

#[test]
fn clocks_apart_by_a_tick_give_no_more_than_the_later_one() {
    let bucket = Bucket::new(rate(1000.0, 10));
    let mut had = 0;
    for ms in 0..2000_u64 {
        for skew in [100, 0, 50] {
            let now = Instant::from_ns((ms + skew) * 1_000_000);
            had += (0..20).filter(|_| bucket.spend(0, now).is_ok()).count();
        }
    }
    assert_eq!(
        had,
        1999 + 10,
        "1000 a second from the first to the last, and the burst"
    );
}

#[test]
fn a_refund_gives_back_one_token_while_it_is_missing() {
    let bucket = Bucket::new(rate(1.0, 2));
    let at = |ms: u64| Instant::from_ns(ms * 1_000_000);
    assert!(bucket.spend(0, at(0)).is_ok() && bucket.spend(0, at(0)).is_ok());
    bucket.refund(0, at(0), at(0));
    assert!(bucket.spend(0, at(0)).is_ok() && bucket.spend(0, at(0)).is_err());
    // After an interval the token is there without it.
    bucket.refund(0, at(0), at(1000));
    assert!(bucket.spend(0, at(1000)).is_ok() && bucket.spend(0, at(1000)).is_err());
}

#[test]
fn threads_together_have_the_burst_and_what_time_gives() {
    const STEP_NS: u64 = 100_000;
    let (bucket, clock) = (Bucket::new(rate(1000.0, 500)), AtomicU64::new(0));
    let total: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let now = || Instant::from_ns(clock.fetch_add(STEP_NS, Relaxed));
                let bucket = &bucket;
                scope.spawn(move || {
                    (0..25_000)
                        .filter(|_| bucket.spend(0, now()).is_ok())
                        .count()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    // Ten seconds but the last step.
    assert!(total <= 9_999 + 500, "{total}");
    assert!(total >= 9_990 + 500, "{total}: tokens were lost");
}

#[test]
fn threads_together_empty_a_burst_exactly() {
    let bucket = Bucket::new(rate(1e-3, 10_000));
    let total: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..10_000)
                        .filter(|_| bucket.spend(0, Instant::from_ns(1)).is_ok())
                        .count()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(total, 10_000);
}

fn any_rate() -> impl Strategy<Value = (f64, u32)> {
    let per_second = prop_oneof![1e-6..1.0, 1.0..1e4, 1e4..1e7];
    let burst = prop_oneof![1_u32..5, 1_u32..1000, Just(u32::MAX)];
    (per_second, burst)
}

proptest! {
    #[test]
    fn agrees_with_the_model(
        (per_second, burst) in any_rate(),
        steps in prop::collection::vec((0_u64..8, 0_u64..1000), 1..300),
    ) {
        let rate = rate(per_second, burst);
        let (bucket, mut model) = (Bucket::new(rate), Model::new(rate));
        let mut now = Instant::default();
        for (intervals, part) in steps {
            let wait = rate.interval_ns() * intervals / 4 + rate.interval_ns() * part / 1000;
            now = now.after(Duration::from_nanos(wait));
            let expected = model.spend(now);
            let answer = bucket.spend(0, now).map_err(|spent| spent.retry_after.as_nanos() as i128);
            prop_assert_eq!(answer, expected);
        }
    }

    #[test]
    fn never_more_than_rate_and_burst_allow(
        per_second in 0.1..1e6,
        burst in 1_u32..50,
        steps in prop::collection::vec((0.0..3.0, 1_usize..8), 1..200),
    ) {
        let bucket = Bucket::new(rate(per_second, burst));
        let (mut now, mut had) = (Instant::default(), Vec::new());
        for (intervals, asked) in steps {
            now = now.after(Duration::from_secs_f64(intervals / per_second));
            had.extend((0..asked).filter(|_| bucket.spend(0, now).is_ok()).map(|_| now));
        }
        // Over every stretch that begins and ends with an admission.
        for (first, &from) in had.iter().enumerate() {
            for (count, &to) in had[first..].iter().enumerate() {
                let most = per_second * to.since(from).as_secs_f64() + f64::from(burst);
                prop_assert!((count + 1) as f64 <= most + 1e-6, "{} in {:?}", count + 1, to.since(from));
            }
        }
    }
}
