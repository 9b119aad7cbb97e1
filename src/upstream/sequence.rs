//! Weighted turns: the order in which smooth weighted round robin visits endpoints, worked out once.
//!
//! nginx computes each turn when it is due, in O(endpoints) and under a lock. The turns of one cycle
//! depend on the weights alone, so they are laid out here and a pick is one step along them.

use crate::bounds::SEQUENCE_TURNS_MAX;

/// One cycle of turns: each endpoint as often as it weighs, spread as evenly as the algorithm
/// spreads them. Empty if all weights are zero.
///
/// Weights are divided by their greatest common divisor; if the cycle would still be longer than
/// [`SEQUENCE_TURNS_MAX`], they are scaled down to it, and no weight above zero falls below one
/// turn. Cost: O(turns x endpoints).
pub(super) fn turns(weights: &[u16]) -> Box<[u16]> {
    let weights = reduced(&scaled(weights, SEQUENCE_TURNS_MAX));
    let total: i64 = weights.iter().map(|&weight| i64::from(weight)).sum();
    let members: Vec<usize> = (0..weights.len())
        .filter(|&index| weights[index] > 0)
        .collect();
    // Each turn adds to every endpoint what it weighs and takes the total from the one that is
    // chosen: the one with the most. The first of equals wins.
    let mut credit = vec![0_i64; weights.len()];
    (0..total)
        .map(|_| {
            let mut chosen = members[0];
            for &index in &members {
                credit[index] += i64::from(weights[index]);
                if credit[index] > credit[chosen] {
                    chosen = index;
                }
            }
            credit[chosen] -= total;
            chosen as u16
        })
        .collect()
}

/// The weights without their common divisor if their sum is at most `total_max`; else scaled to
/// that sum, rounded down but not to zero. The sum may pass `total_max` by one per endpoint.
pub(super) fn scaled(weights: &[u16], total_max: u32) -> Vec<u32> {
    let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
    let scale = |weight: u64| match weight {
        0 => 0,
        _ if total <= u64::from(total_max) => weight,
        _ => (weight * u64::from(total_max) / total).max(1),
    };
    weights
        .iter()
        .map(|&weight| scale(u64::from(weight)) as u32)
        .collect()
}

fn reduced(weights: &[u32]) -> Vec<u32> {
    let divisor = weights
        .iter()
        .fold(0, |divisor, &weight| common_divisor(divisor, weight))
        .max(1);
    weights.iter().map(|weight| weight / divisor).collect()
}

fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(weights: &[u16], expected: &[u16]) {
        assert_eq!(&*turns(weights), expected);
    }

    #[test]
    fn order() {
        check(&[], &[]);
        check(&[0, 0], &[]);
        check(&[7], &[0]);
        check(&[1, 1, 1], &[0, 1, 2]);
        check(&[4, 4], &[0, 1]);
        check(&[0, 3, 0, 3], &[1, 3]);
        check(&[1, 2], &[1, 0, 1]);
        // The example of nginx's commit message.
        check(&[5, 1, 1], &[0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn a_cycle_is_bounded() {
        let turns = turns(&[u16::MAX, u16::MAX - 1, 1, 0]);
        let count = |index| turns.iter().filter(|&&turn| turn == index).count();
        assert_eq!([count(0), count(1), count(2), count(3)], [2048, 2047, 1, 0]);
    }

    proptest! {
        #[test]
        fn a_cycle_gives_each_its_weight(weights in prop::collection::vec(0_u16..50, 1..20)) {
            let turns = turns(&weights);
            let total: u32 = weights.iter().map(|&weight| u32::from(weight)).sum();
            for (index, &weight) in weights.iter().enumerate() {
                let count = turns.iter().filter(|&&turn| usize::from(turn) == index).count();
                prop_assert_eq!(count as u32 * total, u32::from(weight) * turns.len() as u32);
            }
        }
    }
}
