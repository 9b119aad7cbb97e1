//! Deadlines of sockets, coarse and cheap.
//!
//! One table a worker: a deadline is a number in a dense array, setting it is one store, and the
//! worker's tick looks at all of them (about a nanosecond each). There is no wheel to exhaust and
//! nothing to allocate a request. What expires is shut down, which ends whatever operation is
//! under way on the socket on both drivers; reads are never dropped half-way, as that would lose
//! bytes that had arrived. It never closes a descriptor: its owner does.

use crate::bounds::TICK_MS;
use monoio::io::{CancelHandle, Canceller};
use nix::sys::socket::{Shutdown, shutdown};
use std::{
    cell::{Cell, RefCell},
    os::fd::RawFd,
    rc::Rc,
    time::Duration,
};

/// Ticks since the worker began. At ten a second they last thirteen years.
type Tick = u32;

const NEVER: Tick = Tick::MAX;

/// All deadlines of one worker.
#[derive(Default)]
pub struct Deadlines {
    now: Cell<Tick>,
    slots: RefCell<Vec<Slot>>,
    /// By slot: what cancels its read, once it has had one to cancel. May be shorter than `slots`.
    cancellers: RefCell<Vec<Option<Canceller>>>,
    /// Slots without an owner.
    free: RefCell<Vec<u32>>,
}

/// One socket's deadline: twelve bytes, so that a tick over many is a walk over few cache lines.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// When it expires.
    at: Tick,
    fd: RawFd,
    action: Action,
    expired: bool,
    /// Waits for a first byte: nothing is lost if the connection ends here.
    idle: bool,
}

/// What is done to a socket whose time is up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Action {
    /// Nothing more is read; an answer can still be written.
    #[default]
    ShutRead,
    /// Neither read nor written.
    ShutBoth,
    /// The read under way is cancelled; the socket lives on.
    Cancel,
}

impl Deadlines {
    /// A deadline for the socket `fd`, not set yet. It must be dropped before the socket.
    pub fn register(self: &Rc<Self>, fd: RawFd) -> Deadline {
        let fresh = Slot {
            at: NEVER,
            fd,
            action: Action::ShutRead,
            expired: false,
            idle: false,
        };
        let mut slots = self.slots.borrow_mut();
        let slot = match self.free.borrow_mut().pop() {
            Some(slot) => {
                slots[slot as usize] = fresh;
                slot
            }
            None => {
                slots.push(fresh);
                (slots.len() - 1) as u32
            }
        };
        Deadline {
            table: Rc::clone(self),
            slot,
        }
    }

    /// One tick has passed: ends what has expired. Cost: a look at every slot.
    pub fn tick(&self) {
        let now = self.now.get() + 1;
        self.now.set(now);
        for (index, slot) in self.slots.borrow_mut().iter_mut().enumerate() {
            if slot.at <= now {
                self.expire(index, slot);
            }
        }
    }

    /// Ends every connection that waits for a first byte: the worker drains.
    pub fn expire_idle(&self) {
        for (index, slot) in self.slots.borrow_mut().iter_mut().enumerate() {
            if slot.at != NEVER && slot.idle {
                slot.action = Action::ShutBoth;
                self.expire(index, slot);
            }
        }
    }

    /// Slots in use.
    pub fn registered(&self) -> usize {
        self.slots.borrow().len() - self.free.borrow().len()
    }

    fn ticks(duration: Duration) -> Tick {
        // Plain arithmetic: a `Duration` in milliseconds is 128 bits wide.
        let ms = duration.as_secs().saturating_mul(1000) + u64::from(duration.subsec_millis());
        let whole = duration.subsec_nanos().is_multiple_of(1_000_000);
        let ticks = (ms + u64::from(!whole)).div_ceil(TICK_MS);
        // One more, as part of the present tick has gone already.
        Tick::try_from(ticks).map_or(NEVER - 1, |ticks| ticks.saturating_add(1))
    }

    #[cold]
    fn expire(&self, index: usize, slot: &mut Slot) {
        slot.at = NEVER;
        slot.expired = true;
        let how = match slot.action {
            Action::ShutRead => Shutdown::Read,
            Action::ShutBoth => Shutdown::Both,
            Action::Cancel => {
                if let Some(canceller) = self.cancellers.borrow_mut().get_mut(index) {
                    *canceller = canceller.take().map(Canceller::cancel);
                }
                return;
            }
        };
        // The peer may have closed already; there is nothing to do about an error here.
        let _ = shutdown(slot.fd, how);
    }
}

impl std::fmt::Debug for Deadlines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deadlines")
            .field("now", &self.now)
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}

/// The deadline of one socket. Its slot is free again when it is dropped.
#[derive(Debug)]
pub struct Deadline {
    table: Rc<Deadlines>,
    slot: u32,
}

impl Deadline {
    /// Reading must succeed within `duration`, or the socket reads as ended. Cost: two stores.
    pub fn limit_read(&self, duration: Duration) {
        self.set(duration, Action::ShutRead, false);
    }

    /// The same, unless a limit is set already: for what may take several reads and has one time.
    pub fn limit_read_once(&self, duration: Duration) {
        if self.with_slot(|slot| slot.at == NEVER) {
            self.limit_read(duration);
        }
    }

    /// Whatever is under way must succeed within `duration`, or the socket is shut down.
    pub fn limit(&self, duration: Duration) {
        self.set(duration, Action::ShutBoth, false);
    }

    /// A connection that waits for a first byte is shut down after `duration`.
    pub fn limit_idle(&self, duration: Duration) {
        self.set(duration, Action::ShutBoth, true);
    }

    /// After `duration` the read that was given the handle ends with ECANCELED, and the
    /// connection lives on.
    pub fn cancel_idle_read(&self, duration: Duration) -> CancelHandle {
        self.set(duration, Action::Cancel, true);
        let index = self.slot as usize;
        let mut cancellers = self.table.cancellers.borrow_mut();
        if cancellers.len() <= index {
            cancellers.resize_with(index + 1, || None);
        }
        cancellers[index].get_or_insert_default().handle()
    }

    /// No deadline for now. Cost: one store.
    pub fn clear(&self) {
        self.with_slot(|slot| slot.at = NEVER);
    }

    /// Whether it has expired since it was set last.
    pub fn expired(&self) -> bool {
        self.with_slot(|slot| slot.expired)
    }

    /// Lets go of what only an awake connection needs.
    pub fn sleep(&self) {
        if let Some(canceller) = self
            .table
            .cancellers
            .borrow_mut()
            .get_mut(self.slot as usize)
        {
            *canceller = None;
        }
    }

    fn set(&self, duration: Duration, action: Action, idle: bool) {
        let now = self.table.now.get();
        let at = now
            .saturating_add(Deadlines::ticks(duration))
            .min(NEVER - 1);
        self.with_slot(|slot| {
            slot.at = at;
            slot.action = action;
            slot.expired = false;
            slot.idle = idle;
        });
    }

    fn with_slot<T>(&self, change: impl FnOnce(&mut Slot) -> T) -> T {
        change(&mut self.table.slots.borrow_mut()[self.slot as usize])
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.clear();
        self.sleep();
        self.table.free.borrow_mut().push(self.slot);
    }
}

#[cfg(test)]
mod tests {
    use super::Deadlines;
    use crate::bounds::TICK_MS;
    use std::{io::Read, os::fd::AsRawFd, os::unix::net::UnixStream, rc::Rc, time::Duration};

    /// The tick at which a deadline of `ms` expires, counted from when it is set.
    fn expires_after(ms: u64) -> u32 {
        let table = Rc::new(Deadlines::default());
        let (one, _other) = UnixStream::pair().expect("a pair of sockets");
        let deadline = table.register(one.as_raw_fd());
        deadline.limit(Duration::from_millis(ms));
        for tick in 1.. {
            table.tick();
            if deadline.expired() {
                return tick;
            }
        }
        unreachable!("the loop ends by itself")
    }

    #[test]
    fn never_early_and_at_most_two_ticks_late() {
        for ms in [0, 1, TICK_MS, TICK_MS + 1, 1000, 12_345] {
            let ticks = u64::from(expires_after(ms));
            assert!((ticks - 1) * TICK_MS >= ms, "{ms} ms: {ticks} ticks");
            assert!(
                (ticks - 1) * TICK_MS < ms + TICK_MS,
                "{ms} ms: {ticks} ticks"
            );
        }
    }

    #[test]
    fn an_expired_read_ends_and_the_other_way_stays_open() {
        let table = Rc::new(Deadlines::default());
        let (mut one, mut other) = UnixStream::pair().expect("a pair of sockets");
        let deadline = table.register(one.as_raw_fd());
        deadline.limit_read(Duration::ZERO);
        table.tick();
        table.tick();
        assert!(deadline.expired());
        assert_eq!(one.read(&mut [0]).expect("a read side that was shut"), 0);
        std::io::Write::write_all(&mut one, b"x").expect("the write side is open");
        assert_eq!(other.read(&mut [0]).expect("the byte"), 1);
    }

    #[test]
    fn cleared_and_dropped_deadlines_do_nothing_and_slots_come_back() {
        let table = Rc::new(Deadlines::default());
        let (one, _other) = UnixStream::pair().expect("a pair of sockets");
        for _ in 0..1000 {
            let deadline = table.register(one.as_raw_fd());
            deadline.limit(Duration::ZERO);
            deadline.clear();
            table.tick();
            table.tick();
            assert!(!deadline.expired());
            deadline.limit(Duration::ZERO);
        }
        assert_eq!(table.registered(), 0);
        assert_eq!(table.slots.borrow().len(), 1);
    }

    #[test]
    fn a_drain_ends_only_those_that_wait_for_a_first_byte() {
        let table = Rc::new(Deadlines::default());
        let (one, _a) = UnixStream::pair().expect("a pair of sockets");
        let (two, _b) = UnixStream::pair().expect("a pair of sockets");
        let idle = table.register(one.as_raw_fd());
        let busy = table.register(two.as_raw_fd());
        idle.limit_idle(Duration::from_secs(75));
        busy.limit_read(Duration::from_secs(75));
        table.expire_idle();
        assert!(idle.expired());
        assert!(!busy.expired());
    }
}
