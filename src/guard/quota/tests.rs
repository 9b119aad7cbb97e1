//! Windows by the calendar, and counting: exact, over threads, through steps of the clock.

use super::*;
use std::sync::atomic::AtomicUsize;

/// The time of `day` (since 1970) at `seconds` after midnight.
fn at(day: u64, seconds: u64) -> Duration {
    Duration::from_secs(day * DAY_SECONDS + seconds)
}

fn quota(limit: u64, period: Period, offset: u8) -> Quota {
    Quota {
        limit,
        period,
        offset,
    }
}

/// Days since 1970, by counting.
fn day(year: u64, month: u64, of_month: u64) -> u64 {
    let leap = |year: u64| {
        let by = |n| year.is_multiple_of(n);
        by(4) && (!by(100) || by(400))
    };
    let lengths = |year| {
        let february = if leap(year) { 29 } else { 28 };
        [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    };
    let years: u64 = (1970..year)
        .map(|year| lengths(year).iter().sum::<u64>())
        .sum();
    years + lengths(year)[..month as usize - 1].iter().sum::<u64>() + of_month - 1
}

#[test]
fn days_have_dates() {
    for expected in [
        (1970, 1, 1),
        (1999, 12, 31),
        (2000, 2, 29),
        (2026, 12, 1),
        (2100, 3, 1),
    ] {
        let (year, month, of_month) = expected;
        assert_eq!(civil(day(year, month, of_month)), expected);
    }
}

#[track_caller]
fn window(
    period: Period,
    offset: u8,
    today: (u64, u64, u64),
    first: (u64, u64, u64),
    next: (u64, u64, u64),
) {
    let of = |(year, month, of_month)| day(year, month, of_month);
    let quota = quota(1, period, offset);
    let found = quota.window(of(today));
    assert_eq!(civil(found), first, "the window of {today:?}");
    assert_eq!(civil(quota.next(found)), next, "the one after {first:?}");
    assert_eq!(quota.window(found), found);
    assert_eq!(quota.window(quota.next(found) - 1), found);
}

#[test]
fn windows() {
    window(Period::Day, 0, (2026, 12, 1), (2026, 12, 1), (2026, 12, 2));
    // 2026-12-01 is a Tuesday.
    window(
        Period::Week,
        0,
        (2026, 12, 1),
        (2026, 11, 29),
        (2026, 12, 6),
    );
    window(Period::Week, 2, (2026, 12, 1), (2026, 12, 1), (2026, 12, 8));
    window(
        Period::Week,
        3,
        (2026, 12, 1),
        (2026, 11, 25),
        (2026, 12, 2),
    );
    window(
        Period::Month,
        0,
        (2026, 12, 31),
        (2026, 12, 1),
        (2027, 1, 1),
    );
    window(Period::Month, 0, (2026, 12, 1), (2026, 12, 1), (2027, 1, 1));
    window(
        Period::Month,
        27,
        (2027, 2, 27),
        (2027, 1, 28),
        (2027, 2, 28),
    );
    window(
        Period::Month,
        27,
        (2027, 2, 28),
        (2027, 2, 28),
        (2027, 3, 28),
    );
    window(
        Period::Month,
        27,
        (2027, 1, 5),
        (2026, 12, 28),
        (2027, 1, 28),
    );
    window(
        Period::Month,
        14,
        (2028, 3, 1),
        (2028, 2, 15),
        (2028, 3, 15),
    );
}

#[test]
fn every_day_lies_in_its_window() {
    for period in [Period::Day, Period::Week, Period::Month] {
        for offset in 0..match period {
            Period::Day => 1,
            Period::Week => 7,
            Period::Month => 28,
        } {
            let quota = quota(1, period, offset);
            for day in 100..3000 {
                let first = quota.window(day);
                assert!(first <= day && day < quota.next(first), "{quota:?} {day}");
            }
        }
    }
}

#[test]
fn a_window_admits_its_limit_and_says_when_the_next_begins() {
    let (usage, quota) = (Usage::default(), quota(3, Period::Day, 0));
    for _ in 0..3 {
        usage
            .take(Some(&quota), at(20_000, 100))
            .expect("a request is left");
    }
    let refused = usage.take(Some(&quota), at(20_000, DAY_SECONDS - 7));
    let retry_after = Duration::from_secs(7);
    assert_eq!(refused, Err(UsedUp { retry_after }));
    assert_eq!(usage.used().remaining(&quota, 20_000), 0);
    assert_eq!(usage.used().remaining(&quota, 20_001), 3);
    assert_eq!(usage.take(Some(&quota), at(20_001, 0)), Ok(()));
    assert_eq!((usage.used().count(), usage.used().total()), (1, 4));
}

#[test]
fn a_clock_that_steps_back_resets_nothing() {
    let (usage, quota) = (Usage::default(), quota(1, Period::Day, 0));
    assert_eq!(usage.take(Some(&quota), at(20_000, 0)), Ok(()));
    let refused = usage.take(Some(&quota), at(19_999, DAY_SECONDS - 5));
    let retry_after = Duration::from_secs(DAY_SECONDS + 5);
    assert_eq!(refused, Err(UsedUp { retry_after }));
    assert_eq!(usage.used().remaining(&quota, 19_999), 0);
}

#[test]
fn an_extension_holds_for_its_window() {
    let (usage, quota) = (Usage::default(), quota(2, Period::Day, 0));
    let take = |day| usage.take(Some(&quota), at(day, 0)).is_ok();
    assert!(take(20_000) && take(20_000) && !take(20_000));
    assert_eq!(usage.extend(&quota, 20_000, 1), 1);
    assert_eq!(usage.used().remaining(&quota, 20_000), 1);
    assert!(take(20_000) && !take(20_000));
    assert!(take(20_001) && take(20_001) && !take(20_001));
    // Less than what is left takes nothing away.
    assert_eq!(usage.extend(&quota, 20_002, 1), 2);
    let kept = Usage::begin(usage.used());
    assert_eq!(kept.used(), usage.used());
}

#[test]
fn the_limit_is_exact_over_many_threads() {
    let (usage, admitted) = (Usage::default(), AtomicUsize::new(0));
    let quota = quota(10_000, Period::Month, 3);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for n in 0..4000 {
                    // Half of them see the next window already.
                    let wall = at(20_000 + n / 2000 * 31, 0);
                    if usage.take(Some(&quota), wall).is_ok() {
                        admitted.fetch_add(1, Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(usage.used().total(), admitted.load(Relaxed) as u64);
    assert_eq!(usage.used().count(), 10_000);
}
