//! Ejection: when it comes, how long it stays, and the cap.

use super::{
    super::{
        Balance, Settings, States,
        fixture::{endpoints, settings},
    },
    *,
};
use proptest::prelude::*;

const REFUSED: Outcome = Outcome::Failure(Failure::Refused);

fn at(ms: u64) -> Instant {
    Instant::default().after(Duration::from_millis(ms))
}

fn upstream(weights: &[u16], ejection: Option<Ejection>) -> Upstream {
    let settings = Settings {
        ejection,
        ..settings(Balance::RoundRobin)
    };
    Upstream::new(settings, endpoints(weights), &mut States::default(), at(0)).unwrap()
}

fn ejection(failures: u16, share_max_percent: u8) -> Option<Ejection> {
    Some(Ejection {
        failures,
        duration: Duration::from_secs(10),
        share_max_percent,
    })
}

/// `outcomes` of one endpoint of two, a second apart: `+` success, `-` failure; `expected` has `x`
/// where one ejects.
#[track_caller]
fn check(failures: u16, outcomes: &str, expected: &str) {
    let upstream = upstream(&[1, 1], ejection(failures, 50));
    let ejections: String = outcomes
        .chars()
        .zip(0..)
        .map(|(outcome, second)| {
            let outcome = if outcome == '+' {
                Outcome::Success
            } else {
                REFUSED
            };
            match upstream.observe(0, outcome, at(second * 1000)) {
                Some(_) => 'x',
                None => '.',
            }
        })
        .collect();
    assert_eq!(ejections, expected);
}

#[test]
fn failures_in_a_row_eject() {
    check(1, "-", "x");
    check(3, "---", "..x");
    check(3, "--+---", ".....x");
    check(3, "--+--+--", "........");
    // While it is ejected failures are not counted, after it the row begins anew.
    check(3, "------------------", "..x...........x...");
    check(3, "---++++++++++---", "..x............x");
}

#[test]
fn without_the_setting_nothing_is_ejected() {
    let upstream = upstream(&[1, 1], None);
    assert!((0..100).all(|_| upstream.observe(0, REFUSED, at(0)).is_none()));
    assert_eq!(upstream.endpoints[0].state.failures(), 100);
}

#[test]
fn what_an_outcome_is() {
    for (status, failed) in [
        (200, false),
        (404, false),
        (429, false),
        (500, false),
        (501, false),
    ] {
        assert_eq!(
            Outcome::of_status(status) != Outcome::Success,
            failed,
            "{status}"
        );
    }
    for status in [502, 503, 504] {
        assert_eq!(
            Outcome::of_status(status),
            Outcome::Failure(Failure::Status)
        );
    }
    let failures = Error::ALL
        .iter()
        .filter(|&&error| Failure::of_error(error).is_some())
        .count();
    assert_eq!(failures, 4);
}

#[test]
fn how_many_may_be_ejected() {
    for (members, percent, expected) in [
        (0, 100, 0),
        (1, 100, 0),
        (2, 0, 1),
        (2, 10, 1),
        (2, 100, 1),
        (3, 50, 1),
        (3, 67, 2),
        (4, 50, 2),
        (10, 10, 1),
        (10, 35, 3),
        (10, 100, 9),
        (1024, 50, 512),
    ] {
        assert_eq!(
            ejected_max(members, percent),
            expected,
            "{percent} % of {members}"
        );
    }
}

#[test]
fn repeated_ejections_grow_up_to_a_bound() {
    let seconds = |in_row| length(Duration::from_secs(30), in_row).as_secs();
    assert_eq!(
        [seconds(1), seconds(2), seconds(10), seconds(11)],
        [30, 60, 300, 300]
    );
    assert_eq!(length(Duration::MAX, 10), Duration::MAX);

    let upstream = upstream(&[1, 1], ejection(1, 50));
    let first = upstream.observe(0, REFUSED, at(0)).unwrap();
    assert_eq!(
        first,
        Ejected {
            until: at(10_000),
            in_row: 1
        }
    );
    let second = upstream.observe(0, REFUSED, at(10_000)).unwrap();
    assert_eq!(
        second,
        Ejected {
            until: at(30_000),
            in_row: 2
        }
    );
    let much_later = upstream.observe(0, REFUSED, at(90_000)).unwrap();
    assert_eq!(
        much_later,
        Ejected {
            until: at(100_000),
            in_row: 1
        }
    );
}

#[test]
fn a_success_writes_only_to_clear() {
    let upstream = upstream(&[1, 1], ejection(2, 50));
    assert_eq!(upstream.observe(0, REFUSED, at(0)), None);
    assert_eq!(upstream.observe(0, Outcome::Success, at(0)), None);
    assert_eq!(upstream.observe(0, REFUSED, at(0)), None);
    assert!(upstream.observe(0, REFUSED, at(0)).is_some());
}

#[test]
fn endpoints_without_weight_do_not_count() {
    let upstream = upstream(&[1, 0, 0, 1], ejection(1, 50));
    assert!(upstream.observe(0, REFUSED, at(0)).is_some());
    assert!(upstream.observe(3, REFUSED, at(0)).is_none(), "one of two");
}

#[test]
fn threads_together_keep_to_the_cap() {
    for _ in 0..50 {
        let upstream = upstream(&[1; 8], ejection(1, 50));
        let ejected: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..8)
                            .filter(|&index| upstream.observe(index, REFUSED, at(0)).is_some())
                            .count()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert!(
            ejected <= 4 && ejected == upstream.ejected(at(0)),
            "{ejected}"
        );
    }
}

proptest! {
    #[test]
    fn never_more_than_the_cap(
        weights in prop::collection::vec(0_u16..3, 1..12),
        failures in 1_u16..4,
        percent in 0_u8..=100,
        steps in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..4, 0_u64..8000), 0..200),
    ) {
        let upstream = upstream(&weights, ejection(failures, percent));
        let members = weights.iter().filter(|&&weight| weight > 0).count();
        let mut ms = 0;
        for (index, outcome, wait) in steps {
            ms += wait;
            let index = index.index(weights.len());
            if weights[index] > 0 {
                let outcome = if outcome == 0 { Outcome::Success } else { REFUSED };
                upstream.observe(index, outcome, at(ms));
            }
            let ejected = upstream.ejected(at(ms));
            let share = members * usize::from(percent) / 100;
            prop_assert!(ejected <= share.max(1));
            prop_assert!(ejected < members.max(1), "one always stays in");
        }
    }
}
