//! What an open-loop run counted: latencies, failures by kind, and both over time.
//!
//! It reads no clock and no socket: moments are arguments.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Width of a point on the time line.
const BUCKET: Duration = Duration::from_millis(100);

/// How a request failed, as its client sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Failure {
    /// No connection could be opened.
    Connect,
    /// The connection was reset with the request in flight.
    Reset,
    /// The connection was closed with the request in flight.
    Closed,
    /// No answer in time.
    Timeout,
    /// An answer with a status of 500 or more.
    Status5xx,
    /// Any other answer but 200.
    StatusOther,
    /// An answer that could not be framed.
    Unreadable,
}

/// Names of the kinds in the JSON, in the order of the enum.
const FAILURES: [&str; 7] = [
    "connect",
    "reset",
    "closed",
    "timeout",
    "status_5xx",
    "status_other",
    "unreadable",
];

impl Failure {
    /// The kind of an answer that is not 200.
    pub const fn status(status: u16) -> Self {
        if status >= 500 {
            Self::Status5xx
        } else {
            Self::StatusOther
        }
    }
}

/// One point of the time line.
#[derive(Clone, Copy, Default)]
struct Bucket {
    answered: u64,
    failed: u64,
    latency_us_max: u64,
}

/// Everything counted.
pub struct Tally {
    /// The moment that times count from.
    pub start: Instant,
    /// Requests written to a connection.
    pub sent: u64,
    /// Requests whose moment had come and that found no connection until the end.
    pub unsent: u64,
    /// Connections opened, the first ones included.
    pub connections_opened: u64,
    /// Connections that the peer closed while they carried nothing: no failure.
    pub closed_while_idle: u64,
    /// From the moment meant.
    latency_us: Histogram<u64>,
    /// From the moment sent: what a generator with coordinated omission would report.
    service_us: Histogram<u64>,
    failures: [u64; FAILURES.len()],
    failed_at: Option<(Duration, Duration)>,
    buckets: Vec<Bucket>,
}

impl Tally {
    /// An empty tally of a run of `seconds`.
    pub fn new(start: Instant, seconds: f64) -> Self {
        let histogram =
            || Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds are in order");
        Self {
            start,
            sent: 0,
            unsent: 0,
            connections_opened: 0,
            closed_while_idle: 0,
            latency_us: histogram(),
            service_us: histogram(),
            failures: [0; FAILURES.len()],
            failed_at: None,
            buckets: vec![Bucket::default(); (seconds / BUCKET.as_secs_f64()).ceil() as usize + 1],
        }
    }

    /// A request was answered as it should be.
    pub fn answer(&mut self, meant: Instant, sent: Instant, now: Instant) {
        let latency = now.saturating_duration_since(meant).as_micros() as u64;
        self.latency_us.saturating_record(latency.max(1));
        self.service_us
            .saturating_record((now.saturating_duration_since(sent).as_micros() as u64).max(1));
        let bucket = self.bucket(now);
        bucket.answered += 1;
        bucket.latency_us_max = bucket.latency_us_max.max(latency);
    }

    /// A request failed.
    pub fn fail(&mut self, failure: Failure, now: Instant) {
        self.failures[failure as usize] += 1;
        let at = now.saturating_duration_since(self.start);
        self.failed_at = Some((self.failed_at.map_or(at, |(first, _)| first), at));
        self.bucket(now).failed += 1;
    }

    /// The bucket of a moment; what comes after the end counts into the last one.
    fn bucket(&mut self, now: Instant) -> &mut Bucket {
        let index =
            (now.saturating_duration_since(self.start).as_micros() / BUCKET.as_micros()) as usize;
        let last = self.buckets.len() - 1;
        &mut self.buckets[index.min(last)]
    }

    /// One JSON object; every value in it is a number, so nothing needs escaping.
    pub fn json(&self, rate: f64, seconds: f64, connections: usize) -> String {
        let failed: u64 = self.failures.iter().sum();
        let kinds: Vec<String> = FAILURES
            .iter()
            .zip(self.failures)
            .map(|(name, n)| format!("\"{name}\": {n}"))
            .collect();
        let (first, last) = self.failed_at.unwrap_or_default();
        let line = |value: fn(&Bucket) -> u64| {
            let values: Vec<String> = self
                .buckets
                .iter()
                .map(|bucket| value(bucket).to_string())
                .collect();
            values.join(", ")
        };
        format!(
            "{{\"rate\": {rate}, \"seconds\": {seconds}, \"connections\": {connections}, \"sent\": {}, \"unsent\": {}, \
             \"answered\": {}, \"failed\": {failed}, \"failures\": {{{}}}, \"first_failure_ms\": {}, \
             \"last_failure_ms\": {}, \"connections_opened\": {}, \"closed_while_idle\": {}, \
             \"latency_us\": {}, \"service_us\": {}, \"bucket_ms\": {}, \"answered_by_bucket\": [{}], \
             \"failed_by_bucket\": [{}], \"latency_us_max_by_bucket\": [{}]}}",
            self.sent,
            self.unsent,
            self.latency_us.len(),
            kinds.join(", "),
            first.as_millis(),
            last.as_millis(),
            self.connections_opened,
            self.closed_while_idle,
            percentiles(&self.latency_us),
            percentiles(&self.service_us),
            BUCKET.as_millis(),
            line(|bucket| bucket.answered),
            line(|bucket| bucket.failed),
            line(|bucket| bucket.latency_us_max),
        )
    }
}

fn percentiles(histogram: &Histogram<u64>) -> String {
    let at = |quantile| histogram.value_at_quantile(quantile);
    format!(
        "{{\"p50\": {}, \"p90\": {}, \"p99\": {}, \"p99.9\": {}, \"max\": {}, \"mean\": {:.1}}}",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        histogram.max(),
        histogram.mean(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn latency_counts_from_the_moment_meant() {
        let start = Instant::now();
        let mut tally = Tally::new(start, 1.0);
        tally.answer(start, start + ms(400), start + ms(401));
        assert!(tally.latency_us.max() >= 401_000);
        assert!(tally.service_us.max() < 2_000);
    }

    #[test]
    fn failures_count_by_kind_and_time() {
        let start = Instant::now();
        let mut tally = Tally::new(start, 1.0);
        for (failure, at) in [
            (Failure::status(503), 120),
            (Failure::status(404), 130),
            (Failure::Closed, 9000),
        ] {
            tally.fail(failure, start + ms(at));
        }
        assert_eq!(tally.failures, [0, 0, 1, 0, 1, 1, 0]);
        assert_eq!(tally.failed_at, Some((ms(120), ms(9000))));
        let by_bucket: Vec<u64> = tally.buckets.iter().map(|bucket| bucket.failed).collect();
        assert_eq!(by_bucket, [0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    }
}
