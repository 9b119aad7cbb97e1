//! Memory that the worker's allocator holds free, given back to the system.
//!
//! The allocator gives back what lies free when it is next called, and a worker whose connections
//! have all fallen asleep does not call it: without a word from here it would sit on the memory of
//! its last burst for ever. One `unsafe` line, as the allocator's call has no safe wrapper; what it
//! frees was free.

#![allow(unsafe_code)]

use crate::proxy::Core;

/// Connections that must have fallen asleep before it is worth the walk over the heap.
const ASLEEP_MIN: usize = 64;

/// Gives memory back if many connections have let go of theirs since the last time. Cost: a walk
/// over the worker's heap, at most once a tick.
pub(super) fn give_back(core: &Core) {
    if core.fell_asleep.get() < ASLEEP_MIN {
        return;
    }
    core.fell_asleep.set(0);
    // SAFETY: the call takes no pointer and may be made at any time on any thread; it frees only
    // pages that hold no block in use, which is the allocator's own invariant.
    unsafe { libmimalloc_sys::mi_collect(true) };
}
