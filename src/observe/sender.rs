//! The way of access-log lines off their core: blocks of lines, handed over when full.
//!
//! A worker makes each line in its block; a full block goes to the writer and an empty one comes
//! back. Few blocks are in use while the writer keeps up, so they stay in the CPU's cache; while
//! it does not (a slow disk), up to [`bounds::LOG_BLOCKS_MAX`] wait, and what finds no room after
//! that is dropped and counted. A worker never waits, and makes one system call a block. What
//! becomes of the lines is the writer's affair.

use super::{Format, Record, TimeText, WorkerCells, block::Block};
use crate::bounds;
use rtrb::{Consumer, Producer, RingBuffer};
use std::{
    sync::{Arc, OnceLock},
    thread::Thread,
};

/// Empty blocks that are kept for the next burst.
const SPARE_MAX: usize = 4;

/// One worker's end of the log. Made by [`super::LogWriter::start`], moved to the worker's thread.
#[derive(Debug)]
pub struct LogSender {
    /// The block that is being filled.
    block: Block,
    full: Producer<Block>,
    empty: Consumer<Block>,
    /// Blocks that there are: the one being filled, those handed over, the spare ones.
    /// `made <= LOG_BLOCKS_MAX`, so neither ring is ever full.
    made: usize,
    bell: Arc<Bell>,
    cells: Arc<WorkerCells>,
    time: TimeText,
}

/// The writer's end of the same.
#[derive(Debug)]
pub(super) struct LogReceiver {
    full: Consumer<Block>,
    empty: Producer<Block>,
}

/// Both ends of one worker's log.
pub(super) fn pair(bell: Arc<Bell>, cells: Arc<WorkerCells>) -> (LogSender, LogReceiver) {
    let (full, full_out) = RingBuffer::new(bounds::LOG_BLOCKS_MAX);
    let (empty_in, empty) = RingBuffer::new(bounds::LOG_BLOCKS_MAX);
    let sender = LogSender {
        block: Block::default(),
        full,
        empty,
        made: 1,
        bell,
        cells,
        time: TimeText::new(),
    };
    let receiver = LogReceiver {
        full: full_out,
        empty: empty_in,
    };
    (sender, receiver)
}

impl LogSender {
    /// Logs one record, or drops it and counts that in [`WorkerCells::log_lines_dropped`] if no
    /// block has room.
    ///
    /// Cost: the line is made where it is written from; no allocation but for a block more than
    /// were in use so far, no lock; one system call a block. Benches: `observe/json_line` and
    /// `observe/line_to_writer`.
    #[inline]
    pub fn line(&mut self, format: &Format, record: &Record<'_>) {
        if self.block.has_room() || self.hand_over() {
            format.write(&mut self.block, record, &mut self.time);
        } else {
            self.cells.log_lines_dropped.add(1);
        }
    }

    /// Hands over what there is, so that the last lines before a pause are seen, and lets go of
    /// blocks that a burst left. For the worker's tick.
    pub fn flush(&mut self) {
        if !self.block.is_empty() {
            self.hand_over();
        }
        if self.empty.slots() > SPARE_MAX && self.empty.pop().is_ok() {
            self.made -= 1;
        }
    }

    /// Changes the block for an empty one, if one is to be had.
    #[cold]
    fn hand_over(&mut self) -> bool {
        let next = match self.empty.pop() {
            Ok(empty) => empty,
            Err(_) if self.made < bounds::LOG_BLOCKS_MAX => {
                self.made += 1;
                Block::default()
            }
            Err(_) => return false,
        };
        let full = std::mem::replace(&mut self.block, next);
        self.send(full);
        true
    }

    fn send(&mut self, block: Block) {
        if self.full.push(block).is_err() {
            debug_assert!(false, "there are no more blocks than the ring holds");
        }
        self.bell.ring();
    }
}

impl Drop for LogSender {
    /// The last lines of a worker that ends.
    fn drop(&mut self) {
        let block = std::mem::take(&mut self.block);
        if !block.is_empty() {
            self.send(block);
        }
    }
}

impl LogReceiver {
    /// The oldest block that was handed over.
    pub(super) fn next(&mut self) -> Option<Block> {
        self.full.pop().ok()
    }

    /// Gives a block back, its lines written or lost.
    pub(super) fn give_back(&mut self, mut block: Block) {
        block.clear();
        // A sender that has gone needs none.
        let _ = self.empty.push(block);
    }
}

/// Wakes the writer. A ring before it sleeps is not lost: the thread keeps a token for it.
#[derive(Debug, Default)]
pub(super) struct Bell(OnceLock<Thread>);

impl Bell {
    /// Says whom to wake. Called once, before any sender rings.
    pub(super) fn attach(&self, writer: Thread) {
        self.0.get_or_init(|| writer);
    }

    pub(super) fn ring(&self) {
        if let Some(writer) = self.0.get() {
            writer.unpark();
        }
    }
}
