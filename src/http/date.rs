//! The Date field, rendered once a second (RFC 9110 §5.6.7).

use std::time::Duration;

/// The text of a date: always of this length.
pub const DATE_BYTES: usize = "Sun, 06 Nov 1994 08:49:37 GMT".len();

/// The date of the second that was asked for last.
#[derive(Debug)]
pub struct DateCache {
    second: u64,
    text: [u8; DATE_BYTES],
}

impl Default for DateCache {
    fn default() -> Self {
        let mut cache = Self {
            second: 0,
            text: [0; DATE_BYTES],
        };
        cache.render(0);
        cache
    }
}

impl DateCache {
    /// The date at `wall`, the time since 1970. Cost: a comparison, but for one call a second.
    pub fn at(&mut self, wall: Duration) -> &[u8; DATE_BYTES] {
        if wall.as_secs() != self.second {
            self.render(wall.as_secs());
        }
        &self.text
    }

    fn render(&mut self, second: u64) {
        const WEEKDAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
        const MONTHS: [&[u8; 3]; 12] = [
            b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
            b"Dec",
        ];
        self.second = second;
        let days = second / 86_400;
        let (year, month, day) = civil_date(days);
        let of_day = second % 86_400;
        let text = &mut self.text;
        text.copy_from_slice(b"Sun, 06 Nov 1994 08:49:37 GMT");
        text[..3].copy_from_slice(WEEKDAYS[(days % 7) as usize]);
        two_digits(&mut text[5..7], day);
        text[8..11].copy_from_slice(MONTHS[month as usize - 1]);
        two_digits(&mut text[12..14], year / 100);
        two_digits(&mut text[14..16], year % 100);
        two_digits(&mut text[17..19], of_day / 3600);
        two_digits(&mut text[20..22], of_day / 60 % 60);
        two_digits(&mut text[23..25], of_day % 60);
    }
}

/// Writes the last two decimal digits of `number` to the first two bytes of `to`.
pub fn two_digits(to: &mut [u8], number: u64) {
    to[0] = b'0' + (number / 10 % 10) as u8;
    to[1] = b'0' + (number % 10) as u8;
}

/// Year, month and day of the day `days` after 1970-01-01, counted in eras of 400 years that
/// begin in March, so that the leap day comes last.
pub const fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::DateCache;
    use std::time::Duration;

    #[track_caller]
    fn check(second: u64, expected: &str) {
        let mut cache = DateCache::default();
        let text = cache.at(Duration::from_secs(second));
        assert_eq!(std::str::from_utf8(text), Ok(expected));
    }

    #[test]
    fn dates() {
        check(0, "Thu, 01 Jan 1970 00:00:00 GMT");
        check(784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT");
        check(951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT");
        check(1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT");
        check(4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT");
    }

    #[test]
    fn a_cache_follows_the_second() {
        let mut cache = DateCache::default();
        for second in [5, 6, 6, 5, 1_700_000_000] {
            let text = *cache.at(Duration::from_secs(second));
            assert_eq!(text, *DateCache::default().at(Duration::from_secs(second)));
        }
    }
}
