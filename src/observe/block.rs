//! A block of access-log lines: where lines are made, and what goes to the writer.
//!
//! Lines are made where they will be written from, so that a line is copied once. The memory is
//! zeroed once and then overwritten.

use super::line::{Line, SLACK_BYTES};
use crate::bounds::{LOG_BLOCK_BYTES, LOG_LINE_BYTES_MAX};

/// Bytes that making a line may need: the longest one, and what its last move brings too much.
const LINE_ROOM: usize = LOG_LINE_BYTES_MAX + SLACK_BYTES;
const _: () = assert!(LINE_ROOM <= LOG_BLOCK_BYTES);

/// Whole lines, one behind the other.
#[derive(Debug)]
pub struct Block {
    bytes: Box<[u8; LOG_BLOCK_BYTES]>,
    /// `len <= bytes.len()`.
    len: usize,
}

impl Default for Block {
    fn default() -> Self {
        let zeroed = vec![0; LOG_BLOCK_BYTES].into_boxed_slice();
        Self {
            bytes: zeroed.try_into().expect("it was made of this length"),
            len: 0,
        }
    }
}

impl Block {
    /// What was put in.
    pub fn lines(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Whether nothing was.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets everything; keeps the memory.
    pub const fn clear(&mut self) {
        self.len = 0;
    }

    /// Whether the longest line still fits.
    pub(super) const fn has_room(&self) -> bool {
        self.len + LINE_ROOM <= LOG_BLOCK_BYTES
    }

    /// Appends the line that `make` makes in the room of the longest one, which there must be.
    #[inline]
    pub(super) fn line(&mut self, make: impl FnOnce(Line<'_>) -> Line<'_>) {
        let room = &mut self.bytes[self.len..][..LINE_ROOM];
        self.len += LINE_ROOM - make(Line::new(room)).left();
    }
}
