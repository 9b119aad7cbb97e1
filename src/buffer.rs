//! Buffers, rented from a pool of the worker and given back when dropped.
//!
//! An idle connection holds none. A buffer is a window onto bytes that were read and not yet
//! used: filled at its end, consumed at its front. The pool keeps a bounded number for the next
//! request; the rest go back to the allocator, so that memory falls again after a burst.

use crate::bounds::{BUFFER_BYTES, BUFFER_LARGE_BYTES, BUFFERS_KEPT_MAX};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

/// Large buffers that a worker keeps: a few streams at full speed.
const LARGE_KEPT_MAX: usize = 16;

/// The buffers of one worker.
#[derive(Debug, Default)]
pub struct Pool {
    small: RefCell<Vec<Vec<u8>>>,
    large: RefCell<Vec<Vec<u8>>>,
    /// Buffers out on rent. `rented` falls to zero when the worker has no request in flight.
    rented: Cell<usize>,
}

impl Pool {
    /// A buffer of [`BUFFER_BYTES`]. Allocates only when none is kept.
    pub fn rent(self: &Rc<Self>) -> Buffer {
        self.rent_of(&self.small, BUFFER_BYTES)
    }

    /// A buffer of [`BUFFER_LARGE_BYTES`].
    pub fn rent_large(self: &Rc<Self>) -> Buffer {
        self.rent_of(&self.large, BUFFER_LARGE_BYTES)
    }

    /// How many buffers are out.
    pub fn rented(&self) -> usize {
        self.rented.get()
    }

    fn rent_of(self: &Rc<Self>, kept: &RefCell<Vec<Vec<u8>>>, capacity: usize) -> Buffer {
        Buffer {
            bytes: self.storage(kept, capacity),
            is_rented: true,
            start: 0,
            pool: Rc::clone(self),
        }
    }

    fn storage(&self, kept: &RefCell<Vec<Vec<u8>>>, capacity: usize) -> Vec<u8> {
        self.rented.set(self.rented.get() + 1);
        let bytes = kept.borrow_mut().pop();
        bytes.unwrap_or_else(|| Vec::with_capacity(capacity))
    }

    fn give_back(&self, mut bytes: Vec<u8>) {
        self.rented.set(self.rented.get() - 1);
        let (kept, most) = match bytes.capacity() {
            BUFFER_BYTES => (&self.small, BUFFERS_KEPT_MAX),
            BUFFER_LARGE_BYTES => (&self.large, LARGE_KEPT_MAX),
            // Grown past its class, or lost in an operation that was cut off.
            _ => return,
        };
        let mut kept = kept.borrow_mut();
        if kept.len() < most {
            bytes.clear();
            kept.push(bytes);
        }
    }
}

/// A rented buffer.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    /// Whether the storage is this buffer's; an operation under way may hold it meanwhile.
    is_rented: bool,
    /// Bytes at the front that have been used. `start <= bytes.len()`.
    start: usize,
    pool: Rc<Pool>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl Buffer {
    /// The bytes that were read and not yet used.
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The same, to be changed in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    /// Marks `count` bytes at the front as used.
    pub fn consume(&mut self, count: usize) {
        self.start += count;
        assert!(self.start <= self.bytes.len(), "more used than there was");
        if self.start == self.bytes.len() {
            self.clear();
        }
    }

    /// The same, but what was used stays in front even if nothing is left: its room can be written
    /// to by [`Self::room_before`].
    pub fn consume_in_place(&mut self, count: usize) {
        self.start += count;
        assert!(self.start <= self.bytes.len(), "more used than there was");
    }

    /// Drops what lies behind the first `count` bytes of the filled part.
    pub fn truncate(&mut self, count: usize) {
        self.bytes.truncate(self.start + count);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }

    /// Moves the filled part to the front, so that all room lies behind it.
    pub fn compact(&mut self) {
        if self.start > 0 {
            self.bytes.copy_within(self.start.., 0);
            let filled = self.bytes.len() - self.start;
            self.bytes.truncate(filled);
            self.start = 0;
        }
    }

    /// Empties it and leaves `room` bytes free in front of what is read next.
    pub fn clear_with_room(&mut self, room: usize) {
        self.bytes.clear();
        self.bytes.resize(room, 0);
        self.start = room;
    }

    /// The `N` bytes in front of the filled part, which have been used.
    pub fn room_before<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        let from = self.start.checked_sub(N)?;
        self.bytes.get_mut(from..self.start)?.try_into().ok()
    }

    /// How many used bytes lie in front of the filled part.
    pub fn used(&self) -> usize {
        self.start
    }

    /// Gives the storage back to the pool; nothing may be in it. [`Self::ensure`] takes one again:
    /// the one that was given back last, which is still in the CPU's cache.
    pub fn release(&mut self) {
        debug_assert!(self.filled().is_empty(), "bytes would be lost");
        self.start = 0;
        self.give_back();
    }

    fn give_back(&mut self) {
        if self.is_rented {
            self.is_rented = false;
            self.pool.give_back(std::mem::take(&mut self.bytes));
        }
    }

    /// Has storage again after [`Self::release`].
    pub fn ensure(&mut self) {
        if !self.is_rented {
            self.is_rented = true;
            self.bytes = self.pool.storage(&self.pool.small, BUFFER_BYTES);
        }
    }

    /// Bytes that fit behind the filled part.
    pub fn room(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    /// Bytes that it holds at most.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The storage, for what appends to it and for an operation that takes it away for a while.
    pub fn storage(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::Pool;
    use crate::bounds::{BUFFER_BYTES, BUFFERS_KEPT_MAX};
    use std::rc::Rc;

    #[test]
    fn a_window_moves_through_its_bytes() {
        let pool = Rc::new(Pool::default());
        let mut buffer = pool.rent();
        buffer.storage().extend_from_slice(b"headbodynext");
        buffer.consume(4);
        assert_eq!(buffer.filled(), b"bodynext");
        assert_eq!(buffer.room_before::<4>().map(|room| *room), Some(*b"head"));
        assert_eq!(buffer.room_before::<5>(), None);
        buffer.consume(4);
        buffer.compact();
        assert_eq!(buffer.filled(), b"next");
        assert_eq!(buffer.room(), BUFFER_BYTES - 4);
        buffer.consume(4);
        assert_eq!(buffer.room(), BUFFER_BYTES);
        buffer.clear_with_room(18);
        assert!(buffer.filled().is_empty());
        assert_eq!(buffer.used(), 18);
    }

    #[test]
    fn a_released_buffer_is_the_next_ones_storage() {
        let pool = Rc::new(Pool::default());
        let mut one = pool.rent();
        let storage = one.storage().as_ptr();
        one.release();
        one.release();
        assert_eq!((pool.rented(), one.room()), (0, 0));
        let mut two = pool.rent();
        assert_eq!(two.storage().as_ptr(), storage);
        one.ensure();
        one.ensure();
        assert_eq!((pool.rented(), one.room()), (2, BUFFER_BYTES));
        drop((one, two));
        assert_eq!(pool.rented(), 0);
    }

    #[test]
    fn a_pool_keeps_few_and_counts_all() {
        let pool = Rc::new(Pool::default());
        let rented: Vec<_> = (0..BUFFERS_KEPT_MAX + 10).map(|_| pool.rent()).collect();
        assert_eq!(pool.rented(), rented.len());
        drop(rented);
        assert_eq!(pool.rented(), 0);
        assert_eq!(pool.small.borrow().len(), BUFFERS_KEPT_MAX);
        let mut grown = pool.rent();
        grown.storage().resize(BUFFER_BYTES + 1, 0);
        drop(grown);
        assert_eq!(pool.small.borrow().len(), BUFFERS_KEPT_MAX - 1);
    }
}
