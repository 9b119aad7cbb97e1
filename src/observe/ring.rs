//! The way of an access-log line off its core: a bounded ring of bytes for each worker.
//!
//! A worker formats a line and puts it into its ring whole, or drops and counts it. It never
//! waits, never makes a system call while the writer is awake, and never writes memory that
//! another worker writes. What becomes of the bytes is the writer's affair.

use super::{Format, Record, TimeText, WorkerCells};
use crate::bounds;
use rtrb::Producer;
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering, fence},
    },
    thread::Thread,
};

/// One worker's end of the log. Made by [`super::LogWriter::start`], moved to the worker's thread.
#[derive(Debug)]
pub struct LogSender {
    ring: Producer<u8>,
    bell: Arc<Bell>,
    cells: Arc<WorkerCells>,
    /// The line that is being made; keeps its memory.
    scratch: Vec<u8>,
    time: TimeText,
    /// Bytes pushed since the ring's room was looked at.
    pushed: usize,
}

/// Bytes between two looks at how full the ring is: a look reads what the writer writes.
const LOOK_BYTES: usize = bounds::LOG_RING_BYTES / 8;

impl LogSender {
    pub(super) fn new(ring: Producer<u8>, bell: Arc<Bell>, cells: Arc<WorkerCells>) -> Self {
        Self {
            ring,
            bell,
            cells,
            // Twice, as the making of a line may reach a little beyond its end.
            scratch: Vec::with_capacity(2 * bounds::LOG_LINE_BYTES_MAX),
            time: TimeText::new(),
            pushed: 0,
        }
    }

    /// Logs one record, or drops it and counts that in [`WorkerCells::log_lines_dropped`] if the
    /// ring has no room for the whole line.
    ///
    /// Cost: the line is made and copied once; one fence; no allocation, no lock. One system call
    /// if the writer sleeps, which it does only after a while without lines, or once for half a ring. Benches:
    /// `observe/json_line` and `observe/ring_push`.
    #[inline]
    pub fn line(&mut self, format: &Format, record: &Record<'_>) {
        self.scratch.clear();
        format.write(&mut self.scratch, record, &mut self.time);
        match self.ring.push_entire_slice(&self.scratch) {
            Ok(()) => self.bell.ring(),
            Err(_) => self.cells.log_lines_dropped.add(1),
        }
        self.pushed += self.scratch.len();
        if self.pushed >= LOOK_BYTES {
            self.pushed = 0;
            if self.ring.slots() < bounds::LOG_RING_BYTES / 2 {
                self.bell.hurry();
            }
        }
    }
}

/// Wakes the writer when it sleeps, and costs next to nothing when it does not.
///
/// The writer says that it is about to sleep and then looks at the rings once more; a sender puts
/// its line into its ring and then looks whether the writer sleeps. Each stores one word and then
/// loads the other's, so each has a sequentially consistent fence in between: of two such fences
/// one comes first, and what was stored before it is seen by loads after the other. So either the
/// writer finds the line, or the sender finds the writer asleep; never neither. (Release and
/// acquire would not do: they let a load pass an earlier store to another word.) An `unpark` before
/// the `park` is kept by the thread's token, so the order of those two does not matter.
#[derive(Debug, Default)]
pub(super) struct Bell {
    /// The writer sleeps or is about to. Read by senders at each line, written once a sleep.
    asleep: AtomicBool,
    /// The writer waits for its next look at the rings. A sender that does not see it loses
    /// nothing but the hurry: the writer looks again by itself.
    dozing: AtomicBool,
    /// The writer's thread; set before the first line.
    writer: OnceLock<Thread>,
}

impl Bell {
    /// Says whom to wake. Called once, before any sender rings.
    pub(super) fn attach(&self, writer: Thread) {
        self.writer.get_or_init(|| writer);
    }

    /// Wakes the writer if it sleeps. Called after a line was put into a ring.
    #[inline]
    fn ring(&self) {
        fence(Ordering::SeqCst);
        // The swap writes shared memory, so it comes after a look that does not; of several
        // senders that looked at once, one makes the system call.
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            self.wake();
        }
    }

    /// Wakes the writer, asleep or not: for commands.
    #[cold]
    pub(super) fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    /// Ends the writer's wait for its next look: a ring is half full.
    #[cold]
    fn hurry(&self) {
        if self.dozing.swap(false, Ordering::Relaxed)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    /// Waits for the next look at the rings. Only the writer calls it.
    pub(super) fn doze(&self, time: std::time::Duration) {
        self.dozing.store(true, Ordering::Relaxed);
        std::thread::park_timeout(time);
        self.dozing.store(false, Ordering::Relaxed);
    }

    /// Sleeps until woken, unless `has_work` finds some after senders can know of the sleep. Only
    /// the writer calls it. May return without cause, as `park` may.
    pub(super) fn sleep_unless(&self, has_work: impl FnOnce() -> bool) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !has_work() {
            std::thread::park();
        }
        self.asleep.store(false, Ordering::Relaxed);
    }
}
