//! A block of access-log lines: where lines are made, and what goes to the writer.
//!
//! Lines are made where they will be written from, so that a line is copied once. The memory is
//! zeroed once and then overwritten: a piece of fixed length is moved without a call, and what it
//! brought too much is overwritten by the next.

use crate::bounds::{LOG_BLOCK_BYTES, LOG_LINE_BYTES_MAX};
use std::io;

/// Bytes that one [`Block::piece`] moves.
pub(super) const PIECE_BYTES: usize = 32;

/// Bytes that making a line may need: the longest one, and what its last piece brings too much.
const LINE_ROOM: usize = LOG_LINE_BYTES_MAX + PIECE_BYTES;
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

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Appends one byte.
    #[inline]
    pub(super) fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    /// Appends `bytes`.
    #[inline]
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes[self.len..][..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Appends the first `len` bytes of `piece`. Cost: two moves, where a copy of a length that is
    /// not known is a call.
    #[inline]
    pub(super) fn piece(&mut self, piece: &[u8; PIECE_BYTES], len: usize) {
        debug_assert!(len <= PIECE_BYTES, "a piece holds no more");
        self.bytes[self.len..][..PIECE_BYTES].copy_from_slice(piece);
        self.len += len;
    }
}

/// For what only knows how to write to a writer. Never fails.
impl io::Write for Block {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
