//! Points in time as access logs write them, made once a second.
//!
//! Both texts change only in their milliseconds between two seconds, so a worker keeps the rest.
//! UTC only; the time is an argument.

use crate::http::{civil_date, two_digits};
use std::time::Duration;

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// The last second's texts. One per worker.
#[derive(Debug, Clone)]
pub struct TimeText {
    /// Seconds since 1970 that the texts stand for.
    second: u64,
    /// `2026-11-23T13:12:45.000Z`: digits 20 to 22 are written at each use.
    rfc3339: [u8; 24],
    /// `23/Nov/2026:13:12:45 +0000`, of the Common Log Format.
    clf: [u8; 26],
}

impl TimeText {
    /// Texts of the second 0.
    pub fn new() -> Self {
        let mut text = Self {
            second: 0,
            rfc3339: *b"0000-00-00T00:00:00.000Z",
            clf: *b"00/Jan/0000:00:00:00 +0000",
        };
        text.turn(0);
        text
    }

    /// RFC 3339 with milliseconds. Cost: three digits, and the whole text once a second.
    // Not inlined: a loop over a format's pieces would make the digits before it begins.
    #[inline(never)]
    pub fn rfc3339(&mut self, wall: Duration) -> &[u8] {
        self.turn_if_passed(wall);
        let ms = wall.subsec_millis();
        self.rfc3339[20] = b'0' + (ms / 100) as u8;
        two_digits(&mut self.rfc3339[21..23], u64::from(ms % 100));
        &self.rfc3339
    }

    /// As the Common Log Format has it, without brackets.
    pub fn clf(&mut self, wall: Duration) -> &[u8] {
        self.turn_if_passed(wall);
        &self.clf
    }

    fn turn_if_passed(&mut self, wall: Duration) {
        if wall.as_secs() != self.second {
            self.turn(wall.as_secs());
        }
    }

    #[cold]
    fn turn(&mut self, second: u64) {
        self.second = second;
        let (year, month, day) = civil_date(second / 86_400);
        let of_day = second % 86_400;
        let (hour, minute, sec) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
        let rfc = &mut self.rfc3339;
        for (at, n) in [
            (0, year / 100),
            (2, year % 100),
            (5, month),
            (8, day),
            (11, hour),
            (14, minute),
            (17, sec),
        ] {
            two_digits(&mut rfc[at..at + 2], n);
        }
        self.clf[3..6].copy_from_slice(MONTHS[month as usize - 1]);
        for (at, n) in [
            (0, day),
            (7, year / 100),
            (9, year % 100),
            (12, hour),
            (15, minute),
            (18, sec),
        ] {
            two_digits(&mut self.clf[at..at + 2], n);
        }
    }
}

impl Default for TimeText {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ms: u64, rfc3339: &str, clf: &str) {
        let wall = Duration::from_millis(ms);
        let mut text = TimeText::new();
        assert_eq!(text.rfc3339(wall), rfc3339.as_bytes());
        assert_eq!(text.clf(wall), clf.as_bytes());
    }

    #[test]
    #[rustfmt::skip]
    fn texts() {
        check(0,                 "1970-01-01T00:00:00.000Z", "01/Jan/1970:00:00:00 +0000");
        check(951_782_400_001,   "2000-02-29T00:00:00.001Z", "29/Feb/2000:00:00:00 +0000");
        check(951_868_799_999,   "2000-02-29T23:59:59.999Z", "29/Feb/2000:23:59:59 +0000");
        check(951_868_800_000,   "2000-03-01T00:00:00.000Z", "01/Mar/2000:00:00:00 +0000");
        check(1_709_210_096_120, "2024-02-29T12:34:56.120Z", "29/Feb/2024:12:34:56 +0000");
        check(1_798_761_599_000, "2026-12-31T23:59:59.000Z", "31/Dec/2026:23:59:59 +0000");
        check(4_107_542_400_000, "2100-03-01T00:00:00.000Z", "01/Mar/2100:00:00:00 +0000");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = civil_date(0);
        for days in 1..366 * 500 {
            let (year, month, day) = civil_date(days);
            let next = match before {
                (y, m, d) if (year, month) == (y, m) => day == d + 1,
                (y, m, d) if year == y => month == m + 1 && day == 1 && d >= 28,
                (y, m, d) => year == y + 1 && (month, day, m, d) == (1, 1, 12, 31),
            };
            assert!(next, "{before:?} then {:?}", (year, month, day));
            before = (year, month, day);
        }
    }

    #[test]
    fn a_kept_text_follows_the_clock_both_ways() {
        let mut text = TimeText::new();
        text.rfc3339(Duration::from_millis(1_709_210_096_120));
        let same = text.rfc3339(Duration::from_millis(1_709_210_096_007));
        assert_eq!(same, b"2024-02-29T12:34:56.007Z");
        let earlier = text.rfc3339(Duration::from_millis(1_709_210_095_000));
        assert_eq!(earlier, b"2024-02-29T12:34:55.000Z");
    }
}
