//! What a bucket needs of an atomic word, so that tests can put one in its place under which every
//! order of threads is tried.
//!
//! Relaxed throughout: a word guards no other memory. That totals are exact needs only the one order
//! that all changes of one word have.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// An atomic u64.
pub trait Word {
    /// One that holds `value`.
    fn new(value: u64) -> Self;

    /// What it holds.
    fn load(&self) -> u64;

    /// Puts `value` in, and says what was there.
    fn swap(&self, value: u64) -> u64;

    /// Puts `to` in where `from` is; otherwise, or for no reason, says what is there.
    ///
    /// # Errors
    /// What the word holds.
    fn exchange(&self, from: u64, to: u64) -> Result<u64, u64>;

    /// Raises it to `value` if it is lower.
    fn raise(&self, value: u64);
}

impl Word for AtomicU64 {
    fn new(value: u64) -> Self {
        Self::new(value)
    }

    #[inline]
    fn load(&self) -> u64 {
        self.load(Relaxed)
    }

    fn swap(&self, value: u64) -> u64 {
        self.swap(value, Relaxed)
    }

    #[inline]
    fn exchange(&self, from: u64, to: u64) -> Result<u64, u64> {
        self.compare_exchange_weak(from, to, Relaxed, Relaxed)
    }

    fn raise(&self, value: u64) {
        self.fetch_max(value, Relaxed);
    }
}
