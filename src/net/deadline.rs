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
#[derive(Debug, Default)]
pub struct Deadlines {
    now: Cell<Tick>,
    /// By slot: when it expires.
    at: RefCell<Vec<Tick>>,
    /// By slot: what is done then.
    entries: RefCell<Vec<Entry>>,
    /// Slots without an owner.
    free: RefCell<Vec<u32>>,
}

#[derive(Default)]
struct Entry {
    fd: RawFd,
    action: Action,
    expired: bool,
    /// Waits for a first byte: nothing is lost if the connection ends here.
    idle: bool,
    canceller: Option<Canceller>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("fd", &self.fd)
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
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
        let entry = Entry {
            fd,
            ..Entry::default()
        };
        let slot = if let Some(slot) = self.free.borrow_mut().pop() {
            self.entries.borrow_mut()[slot as usize] = entry;
            slot
        } else {
            let mut entries = self.entries.borrow_mut();
            entries.push(entry);
            self.at.borrow_mut().push(NEVER);
            (entries.len() - 1) as u32
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
        let count = self.at.borrow().len();
        for slot in 0..count {
            if self.at.borrow()[slot] <= now {
                self.expire(slot);
            }
        }
    }

    /// Ends every connection that waits for a first byte: the worker drains.
    pub fn expire_idle(&self) {
        let count = self.at.borrow().len();
        for slot in 0..count {
            let is_idle = self.at.borrow()[slot] != NEVER && self.entries.borrow()[slot].idle;
            if is_idle {
                self.entries.borrow_mut()[slot].action = Action::ShutBoth;
                self.expire(slot);
            }
        }
    }

    /// Slots in use.
    pub fn registered(&self) -> usize {
        self.entries.borrow().len() - self.free.borrow().len()
    }

    fn expire(&self, slot: usize) {
        self.at.borrow_mut()[slot] = NEVER;
        let (fd, action, canceller) = {
            let mut entries = self.entries.borrow_mut();
            let entry = &mut entries[slot];
            entry.expired = true;
            (entry.fd, entry.action, entry.canceller.take())
        };
        // The peer may have closed already; there is nothing to do about an error here.
        match (action, canceller) {
            (Action::Cancel, Some(canceller)) => {
                let fresh = canceller.cancel();
                self.entries.borrow_mut()[slot].canceller = Some(fresh);
            }
            (Action::ShutRead, _) => drop(shutdown(fd, Shutdown::Read)),
            (Action::ShutBoth | Action::Cancel, _) => drop(shutdown(fd, Shutdown::Both)),
        }
    }

    fn ticks(duration: Duration) -> Tick {
        let ticks = duration.as_millis().div_ceil(u128::from(TICK_MS));
        // One more, as part of the present tick has gone already.
        Tick::try_from(ticks).map_or(NEVER - 1, |ticks| ticks.saturating_add(1))
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
        if self.table.at.borrow()[self.slot as usize] == NEVER {
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
        let mut entries = self.table.entries.borrow_mut();
        let canceller = &mut entries[self.slot as usize].canceller;
        canceller.get_or_insert_default().handle()
    }

    /// No deadline for now. Cost: one store.
    pub fn clear(&self) {
        self.table.at.borrow_mut()[self.slot as usize] = NEVER;
    }

    /// Whether it has expired since it was set last.
    pub fn expired(&self) -> bool {
        self.table.entries.borrow()[self.slot as usize].expired
    }

    /// Lets go of what only an awake connection needs.
    pub fn sleep(&self) {
        self.table.entries.borrow_mut()[self.slot as usize].canceller = None;
    }

    fn set(&self, duration: Duration, action: Action, idle: bool) {
        let at = self
            .table
            .now
            .get()
            .saturating_add(Deadlines::ticks(duration))
            .min(NEVER - 1);
        self.table.at.borrow_mut()[self.slot as usize] = at;
        let mut entries = self.table.entries.borrow_mut();
        let entry = &mut entries[self.slot as usize];
        entry.action = action;
        entry.expired = false;
        entry.idle = idle;
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.clear();
        self.table.entries.borrow_mut()[self.slot as usize].canceller = None;
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
        assert_eq!(table.entries.borrow().len(), 1);
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
