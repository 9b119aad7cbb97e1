//! When a canary is taken back by itself: `5xx > 2% over 1m or latency > 1.5x over 5m`.
//!
//! A clause compares the canary with a threshold and with the stage's own deployment in the same
//! time: an origin that fails for both is no fault of the canary. Pure: the numbers and the time
//! are arguments.

use crate::{
    bounds::{CANARY_REQUESTS_MIN, CANARY_WINDOW_SECONDS_MAX},
    clock::Instant,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{collections::VecDeque, fmt, str::FromStr, time::Duration};

/// Clauses, of which one is enough.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition(Vec<Clause>);

/// One comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Clause {
    subject: Subject,
    threshold: Threshold,
    window: Duration,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// The share of responses with a status of 400 to 499.
    ClientErrors,
    /// The share of responses with a status of 500 and over.
    ServerErrors,
    /// The mean latency.
    Latency,
}

/// What it is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Threshold {
    /// A share, and the stage's own: both must be exceeded.
    Percent(f64),
    /// A time, and the stage's own: both must be exceeded.
    Time(Duration),
    /// So many times the stage's own.
    Times(f64),
}

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoCondition(String);

impl fmt::Display for NoCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no condition: write `5xx > 2% over 1m`, `4xx > 3x over 5m`, `latency > 250ms over 1m` \
             or `latency > 1.5x over 1m`; several are joined by `or`",
            self.0
        )
    }
}

impl std::error::Error for NoCondition {}

impl FromStr for Condition {
    type Err = NoCondition;

    fn from_str(text: &str) -> Result<Self, NoCondition> {
        let clauses: Option<Vec<_>> = text.split(" or ").map(clause).collect();
        clauses
            .map(Self)
            .ok_or_else(|| NoCondition(text.to_owned()))
    }
}

fn clause(text: &str) -> Option<Clause> {
    let mut words = text.split_whitespace();
    let subject = match words.next()? {
        "4xx" => Subject::ClientErrors,
        "5xx" => Subject::ServerErrors,
        "latency" => Subject::Latency,
        _ => return None,
    };
    let (">", threshold, "over", window, None) = (
        words.next()?,
        words.next()?,
        words.next()?,
        words.next()?,
        words.next(),
    ) else {
        return None;
    };
    let window = time(window)?;
    let longest = Duration::from_secs(CANARY_WINDOW_SECONDS_MAX);
    if window < Duration::from_secs(1) || window > longest {
        return None;
    }
    Some(Clause {
        subject,
        threshold: self::threshold(subject, threshold)?,
        window,
    })
}

fn threshold(subject: Subject, text: &str) -> Option<Threshold> {
    if let Some(times) = text.strip_suffix('x') {
        return number(times)
            .filter(|times| *times >= 1.0)
            .map(Threshold::Times);
    }
    match subject {
        Subject::Latency => time(text).map(Threshold::Time),
        Subject::ClientErrors | Subject::ServerErrors => {
            let share = number(text.strip_suffix('%')?)?;
            (share <= 100.0).then_some(Threshold::Percent(share))
        }
    }
}

fn number(text: &str) -> Option<f64> {
    let plain = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.parse().ok().filter(|_| plain)
}

fn time(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let count: u64 = digits.parse().ok()?;
    let ms = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    count.checked_mul(ms).map(Duration::from_millis)
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, clause) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" or ")?;
            }
            clause.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > ", self.subject.name())?;
        match self.threshold {
            Threshold::Percent(share) => write!(f, "{share}%")?,
            Threshold::Times(times) => write!(f, "{times}x")?,
            Threshold::Time(time) => write!(f, "{}ms", time.as_millis())?,
        }
        // Windows have whole seconds or are written in milliseconds.
        match self.window.subsec_millis() {
            0 => write!(f, " over {}s", self.window.as_secs()),
            _ => write!(f, " over {}ms", self.window.as_millis()),
        }
    }
}

impl Subject {
    const fn name(self) -> &'static str {
        match self {
            Self::ClientErrors => "4xx",
            Self::ServerErrors => "5xx",
            Self::Latency => "latency",
        }
    }

    /// The mean or share of what was counted; nothing of nothing.
    fn of(self, side: Side) -> f64 {
        let counted = match self {
            Self::ClientErrors => 100.0 * side.client_errors as f64,
            Self::ServerErrors => 100.0 * side.server_errors as f64,
            Self::Latency => side.latency_ns as f64,
        };
        counted / (side.requests.max(1)) as f64
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// What was counted of one side; grows only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Requests that ended.
    pub requests: u64,
    /// Of these with a status of 400 to 499.
    pub client_errors: u64,
    /// Of these with a status of 500 and over.
    pub server_errors: u64,
    /// The sum of their latencies in nanoseconds.
    pub latency_ns: u64,
}

impl Side {
    const fn since(self, before: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(before.requests),
            client_errors: self.client_errors.saturating_sub(before.client_errors),
            server_errors: self.server_errors.saturating_sub(before.server_errors),
            latency_ns: self.latency_ns.saturating_sub(before.latency_ns),
        }
    }
}

/// What a condition says of a canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing, or not enough requests yet.
    Goes,
    /// It is to be taken back, for this reason.
    Aborts(String),
}

/// What was counted over time, for one canary.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// Oldest first: when, the stage's own side, the canary's.
    samples: VecDeque<(Instant, Side, Side)>,
}

impl Watch {
    /// Takes a sample, to be called about once a second, and judges by `condition`.
    ///
    /// A window that is not full yet is judged as far as it goes. Cost: a look at each sample of
    /// the windows.
    pub fn judge(
        &mut self,
        condition: &Condition,
        now: Instant,
        own: Side,
        canary: Side,
    ) -> Verdict {
        self.samples.push_back((now, own, canary));
        let longest = condition.0.iter().map(|clause| clause.window).max();
        let longest = longest.unwrap_or_default();
        // One sample from before the window is its beginning.
        while self
            .samples
            .get(1)
            .is_some_and(|second| now.since(second.0) >= longest)
        {
            self.samples.pop_front();
        }
        let reason = condition
            .0
            .iter()
            .find_map(|clause| self.holds(*clause, now));
        reason.map_or(Verdict::Goes, Verdict::Aborts)
    }

    /// Whether `clause` holds; the reason if so.
    fn holds(&self, clause: Clause, now: Instant) -> Option<String> {
        let (_, own, canary) = self.samples.back()?;
        let mut samples = self.samples.iter();
        let begin = samples.rfind(|sample| now.since(sample.0) >= clause.window);
        let (_, own_before, canary_before) = begin.or_else(|| self.samples.front())?;
        let (own, canary) = (own.since(*own_before), canary.since(*canary_before));
        if canary.requests < CANARY_REQUESTS_MIN {
            return None;
        }
        let (its, owns) = (clause.subject.of(canary), clause.subject.of(own));
        let exceeds = match clause.threshold {
            Threshold::Percent(share) => its > share && its > owns,
            Threshold::Time(time) => its > time.as_nanos() as f64 && its > owns,
            // Of a stage without requests of its own nothing can be a multiple.
            Threshold::Times(times) => own.requests > 0 && its > times * owns && its > 0.0,
        };
        exceeds.then(|| match clause.subject {
            Subject::Latency => {
                format!(
                    "{clause}: {:.1} ms, the stage's own {:.1} ms",
                    its / 1e6,
                    owns / 1e6
                )
            }
            Subject::ClientErrors | Subject::ServerErrors => {
                format!("{clause}: {its:.2}%, the stage's own {owns:.2}%")
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, shown: Option<&str>) {
        let read = text
            .parse::<Condition>()
            .map(|condition| condition.to_string());
        assert_eq!(read.ok().as_deref(), shown, "{text}");
    }

    #[test]
    #[rustfmt::skip]
    fn texts() {
        reads("5xx > 2% over 1m",                Some("5xx > 2% over 60s"));
        reads("5xx > 0.5% over 10s",             Some("5xx > 0.5% over 10s"));
        reads("4xx > 3x over 1h",                Some("4xx > 3x over 3600s"));
        reads("latency > 250ms over 1m or 5xx > 1x over 5s", Some("latency > 250ms over 60s or 5xx > 1x over 5s"));
        reads("latency > 2s over 1500ms",        Some("latency > 2000ms over 1500ms"));
        for wrong in ["", "5xx", "5xx > 2%", "5xx > 2 over 1m", "5xx > 101% over 1m", "5xx > -1% over 1m",
                      "latency > 2% over 1m", "5xx > 10ms over 1m", "5xx < 2% over 1m", "5xx > 2% over 2h",
                      "5xx > 2% over 1m or", "5xx > 2% over 1m and 4xx > 1% over 1m", "p99 > 1s over 1m",
                      "5xx > 0.5x over 1m", "5xx > 2% over 10ms", "5xx > 1e1% over 1m", "5xx > 2% over 99999999999999999999h"] {
            reads(wrong, None);
        }
    }

    fn side(requests: u64, server_errors: u64, latency_ms: u64) -> Side {
        Side {
            requests,
            client_errors: 0,
            server_errors,
            latency_ns: latency_ms * 1_000_000 * requests,
        }
    }

    /// The second at which a canary is taken back, of which each second brings these.
    #[track_caller]
    fn aborts(condition: &str, own: Side, canary: Side, expected: Option<u64>) {
        let condition = condition.parse().expect("a condition");
        let times = |side: Side, n| Side {
            requests: side.requests * n,
            client_errors: side.client_errors * n,
            server_errors: side.server_errors * n,
            latency_ns: side.latency_ns * n,
        };
        let mut watch = Watch::default();
        let at = |second| Instant::default().after(Duration::from_secs(second));
        let found = (0..200).find(|second| {
            let verdict = watch.judge(
                &condition,
                at(*second),
                times(own, *second),
                times(canary, *second),
            );
            verdict != Verdict::Goes
        });
        assert_eq!(found, expected, "{condition}");
        assert!(watch.samples.len() <= 3700);
    }

    #[test]
    #[rustfmt::skip]
    fn a_canary_is_taken_back_for_what_it_does_worse() {
        let good = side(90, 0, 10);
        aborts("5xx > 2% over 1m",       good,            side(10, 1, 10),  Some(2));
        aborts("5xx > 2% over 1m",       good,            side(10, 0, 10),  None);
        aborts("5xx > 10% over 1m",      good,            side(10, 1, 10),  None);
        // The stage's own is as bad: no fault of the canary.
        aborts("5xx > 2% over 1m",       side(90, 45, 1), side(10, 1, 10),  None);
        aborts("5xx > 2x over 1m",       side(100, 1, 1), side(10, 1, 10),  Some(2));
        aborts("5xx > 20x over 1m",      side(100, 1, 1), side(10, 1, 10),  None);
        aborts("latency > 50ms over 1m", good,            side(1, 0, 60),   Some(20));
        aborts("latency > 50ms over 10s", good,           side(1, 0, 60),   None);
        aborts("latency > 2x over 1m",   good,            side(10, 0, 30),  Some(2));
        aborts("latency > 2x over 1m",   Side::default(), side(10, 0, 30),  None);
    }

    #[test]
    fn what_lies_before_the_window_is_forgotten() {
        let condition = "5xx > 2% over 10s".parse().expect("a condition");
        let mut watch = Watch::default();
        let at = |second| Instant::default().after(Duration::from_secs(second));
        // Errors, but too few requests to judge; then many requests without any.
        assert_eq!(
            watch.judge(&condition, at(0), side(0, 0, 1), side(0, 0, 1)),
            Verdict::Goes
        );
        assert_eq!(
            watch.judge(&condition, at(1), side(0, 0, 1), side(19, 19, 1)),
            Verdict::Goes
        );
        assert_eq!(
            watch.judge(&condition, at(12), side(0, 0, 1), side(19, 19, 1)),
            Verdict::Goes
        );
        assert_eq!(
            watch.judge(&condition, at(13), side(0, 0, 1), side(99, 19, 1)),
            Verdict::Goes
        );
        assert!(matches!(
            watch.judge(&condition, at(14), side(0, 0, 1), side(199, 50, 1)),
            Verdict::Aborts(_)
        ));
    }
}
