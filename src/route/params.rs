//! The values of a route's path parameters, as places in the path.
//!
//! The matcher fills them in; [`super::Target`] and whoever reports a request's parameters read
//! them. They hold no names and own no bytes.

use std::ops::Range;

use crate::bounds;

/// The values of a route's path parameters, as places in the path that was matched. The names
/// stand in the route's [`super::Template`], in the same order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params {
    count: u8,
    ranges: [(u16, u16); bounds::PATH_PARAMETERS_MAX],
}

impl Params {
    /// No values.
    pub const fn new() -> Self {
        Self {
            count: 0,
            ranges: [(0, 0); bounds::PATH_PARAMETERS_MAX],
        }
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The places of the values in the path.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Range<usize>> {
        self.ranges[..self.len()]
            .iter()
            .map(|&(start, end)| start as usize..end as usize)
    }

    /// The value of parameter `index`, still encoded; `path` is the path that was matched. Empty if
    /// there is no such parameter.
    pub fn value<'p>(&self, index: usize, path: &'p [u8]) -> &'p [u8] {
        let place = self.ranges[..self.len()].get(index);
        place
            .and_then(|&(start, end)| path.get(start as usize..end as usize))
            .unwrap_or_default()
    }

    /// Moves the places from a path with merged slashes to the same path with all of its slashes
    /// (`Normalised::merged` and `Normalised::kept`, a base path taken off both). Cost: one pass.
    #[cold]
    pub fn move_to_kept(&mut self, merged: &[u8], kept: &[u8]) {
        let mut at = 0;
        let mut before = 0;
        for (index, &byte) in merged.iter().enumerate() {
            while before == b'/' && kept.get(at) == Some(&b'/') {
                at += 1;
            }
            for (start, end) in &mut self.ranges[..self.count as usize] {
                // A later byte's place is never smaller than its index, so one that was already
                // moved could be taken for another index: places move from the top of the word.
                if *start == index as u16 {
                    *start = at as u16 | MOVED;
                }
                if usize::from(*end) == index + 1 {
                    *end = (at + 1) as u16 | MOVED;
                }
            }
            at += 1;
            before = byte;
        }
        for (start, end) in &mut self.ranges[..self.count as usize] {
            *start &= !MOVED;
            *end &= !MOVED;
        }
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    pub(super) fn push(&mut self, start: usize, end: usize) {
        self.ranges[self.len()] = (start as u16, end as u16);
        self.count += 1;
    }
}

/// Marks a place that `move_to_kept` has dealt with. No place needs the bit.
const MOVED: u16 = 1 << 15;
const _: () = assert!(bounds::TARGET_BYTES_MAX < MOVED as usize);
