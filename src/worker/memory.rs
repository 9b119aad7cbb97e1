//! Memory that the worker's allocator holds free, given back to the system.
//!
//! The allocator gives back what lies free when it is next called, and a worker whose connections
//! have all fallen asleep or closed does not call it: without a word from here it would sit on the
//! memory of its last burst for ever. One `unsafe` line, as the allocator's call has no safe
//! wrapper; what it frees was free.

#![allow(unsafe_code)]

use crate::proxy::Core;

/// Keeps the kernel from backing this process with huge pages, of which a few used bytes hold two
/// megabytes: half of the resident memory of 9,000 idle connections. For the process's beginning.
pub fn use_small_pages() {
    // A kernel without the call has no huge pages to hand out either.
    let _ = nix::sys::prctl::set_thp_disable(true);
}

/// Connections that must have let go of memory before it is worth a walk over the heap at once.
const LET_GO_MIN: usize = 256;

/// Ticks after which fewer are worth it, too.
const PATIENCE_TICKS: u32 = 20;

/// When memory was given back last.
#[derive(Debug, Default)]
pub(super) struct Memory {
    ticks: u32,
}

impl Memory {
    /// Gives memory back if connections have let go of some. Cost: a walk over the worker's heap,
    /// at most once a tick, and where little was let go once in [`PATIENCE_TICKS`].
    pub(super) fn tick(&mut self, core: &Core) {
        self.ticks += 1;
        let let_go = core.let_go.get();
        let is_due = let_go >= LET_GO_MIN || self.ticks >= PATIENCE_TICKS;
        if let_go == 0 || !is_due {
            return;
        }
        self.ticks = 0;
        core.let_go.set(0);
        // SAFETY: the call takes no pointer and may be made at any time on any thread; it frees
        // only pages that hold no block in use, which is the allocator's own invariant.
        unsafe { libmimalloc_sys::mi_collect(true) };
    }
}
