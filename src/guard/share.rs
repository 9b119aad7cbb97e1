//! A node's share of a limit, for where nodes cannot or need not agree on each token: tables of
//! clients, and limits whose store is gone.

use super::Rate;
use std::num::NonZeroU32;

/// The share of `rate` that one of `nodes` nodes has: the sum over all nodes does not pass `rate`,
/// but where it has fewer tokens at once than there are nodes: each has one.
pub fn share(rate: Rate, nodes: NonZeroU32) -> Rate {
    let per_second = 1e9 / (rate.interval().as_nanos() as f64 * f64::from(nodes.get()));
    let burst = (rate.burst() / u64::from(nodes.get())).max(1);
    let burst = u32::try_from(burst).unwrap_or(u32::MAX);
    // Only a token that takes longer to come than any limit may have makes no rate.
    Rate::new(per_second, burst).unwrap_or(rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[track_caller]
    fn check((per_second, burst): (f64, u32), nodes: u32, interval_us: u64, tokens: u64) {
        let rate = Rate::new(per_second, burst).unwrap();
        let share = share(rate, NonZeroU32::new(nodes).unwrap());
        let expected = (Duration::from_micros(interval_us), tokens);
        assert_eq!((share.interval(), share.burst()), expected);
    }

    #[test]
    fn shares() {
        check((1000.0, 100), 1, 1_000, 100);
        check((1000.0, 100), 4, 4_000, 25);
        check((1000.0, 10), 3, 3_000, 3);
        check((1000.0, 2), 3, 3_000, 1);
        check((0.5, 2), 2, 4_000_000, 1);
    }
}
