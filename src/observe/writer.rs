//! The access log's one thread: it carries lines from the workers' rings to a file or stdout.
//!
//! It looks at the rings at a short interval while lines flow and sleeps when none do. What cannot
//! be written is counted and left: a full disk costs lines, never a request. It never looks into a
//! line, and the workers never wait for it.

use super::{LogSender, WorkerCells, ring::Bell};
use crate::{
    bounds,
    clock::{self, Instant},
};
use rtrb::{Consumer, RingBuffer, chunks::ReadChunk};
use std::{
    fs::{File, OpenOptions},
    io::{self, IoSlice, Write},
    os::{fd::AsFd as _, unix::fs::OpenOptionsExt as _},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

/// How often the rings are looked at while lines flow. Each look costs a switch of threads, so
/// they are few; a sender whose ring is half full wakes the thread before its time.
const POLL: Duration = Duration::from_millis(100);

/// Empty looks before the thread sleeps for good.
const POLLS_EMPTY_MAX: u32 = 3;

/// How long a target that is full for the moment (a pipe whose reader is slow) is waited for. Lines
/// wait in the rings meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);

/// At most one warning in this time.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Nowhere: lines are thrown away and not counted as lost.
    Off,
    /// Standard output, written `-` in the configuration.
    Stdout,
    /// The end of this file, created with mode 0640 if it is not there. A named pipe must have its
    /// reader already.
    File(PathBuf),
}

/// What the log has carried and lost since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogCounts {
    /// Bytes written.
    pub bytes_written: u64,
    /// Lines that a write error or a deadline cost.
    pub lines_lost: u64,
    /// Writes that failed.
    pub write_errors: u64,
}

/// How the log ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogEnd {
    /// All lines were handed to the target, or counted as lost.
    Drained,
    /// The time was over first; the thread is left to the end of the process.
    Abandoned,
}

/// The control plane's end of the log. Dropping it stops the thread without waiting for it.
#[derive(Debug)]
pub struct LogWriter {
    target: LogTarget,
    commands: Sender<Command>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    bell: Arc<Bell>,
    bytes_written: AtomicU64,
    lines_lost: AtomicU64,
    write_errors: AtomicU64,
    /// The end has come: a target that is full for the moment is not waited for.
    is_hurried: AtomicBool,
}

enum Command {
    /// What was pushed before goes to the old sink; what comes after, to this one.
    Swap(Sink),
    /// Answers when all that was pushed before is out.
    Flush(Sender<()>),
}

type Sink = Option<Box<dyn Write + Send>>;

impl LogWriter {
    /// Opens `target` and starts the thread. The senders stand in the order of `cells`: one for
    /// each worker, with a ring of [`bounds::LOG_RING_BYTES`].
    ///
    /// # Errors
    /// If the target cannot be opened or the thread not be started.
    pub fn start(
        target: LogTarget,
        cells: &[Arc<WorkerCells>],
    ) -> io::Result<(Self, Vec<LogSender>)> {
        let sink = open(&target)?;
        Self::start_with(target, sink, cells, POLL)
    }

    fn start_with(
        target: LogTarget,
        sink: Sink,
        cells: &[Arc<WorkerCells>],
        poll: Duration,
    ) -> io::Result<(Self, Vec<LogSender>)> {
        let shared = Arc::new(Shared::default());
        let (commands, inbox) = channel();
        let (senders, rings) = cells
            .iter()
            .map(|cells| {
                let (ring, out) = RingBuffer::new(bounds::LOG_RING_BYTES);
                let bell = Arc::clone(&shared.bell);
                (LogSender::new(ring, bell, Arc::clone(cells)), out)
            })
            .unzip();
        let writer = Writer {
            rings,
            inbox,
            out: Out::new(sink, Arc::clone(&shared), poll),
            poll,
        };
        let thread = thread::Builder::new()
            .name("access-log".into())
            .spawn(move || writer.run())?;
        shared.bell.attach(thread.thread().clone());
        let this = Self {
            target,
            commands,
            shared,
        };
        Ok((this, senders))
    }

    /// Sends further lines to `target`; those already in the rings still go to the present one.
    ///
    /// # Errors
    /// If it cannot be opened; the present target stays.
    pub fn retarget(&mut self, target: LogTarget) -> io::Result<()> {
        if target != self.target {
            self.swap(open(&target)?);
            self.target = target;
        }
        Ok(())
    }

    /// Opens the target's path again: after a log rotation has renamed the file.
    ///
    /// # Errors
    /// If it cannot be opened; the present file stays.
    pub fn reopen(&self) -> io::Result<()> {
        self.swap(open(&self.target)?);
        Ok(())
    }

    /// Waits until every line pushed before this call is out or counted as lost. Blocks its
    /// caller: not for a worker.
    pub fn flush(&self, within: Duration) -> LogEnd {
        let (done, wait) = channel();
        self.command(Command::Flush(done));
        match wait.recv_timeout(within) {
            Ok(()) => LogEnd::Drained,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => LogEnd::Abandoned,
        }
    }

    /// Flushes and stops. The workers should have ended: what they push from now on may be lost.
    /// Blocks its caller for at most `within`; a target that does not take bytes (a pipe nobody
    /// reads) is not waited for after that.
    pub fn stop(self, within: Duration) -> LogEnd {
        self.flush(within)
    }

    /// What was carried and lost.
    pub fn counts(&self) -> LogCounts {
        LogCounts {
            bytes_written: self.shared.bytes_written.load(Ordering::Relaxed),
            lines_lost: self.shared.lines_lost.load(Ordering::Relaxed),
            write_errors: self.shared.write_errors.load(Ordering::Relaxed),
        }
    }

    fn swap(&self, sink: Sink) {
        self.command(Command::Swap(sink));
    }

    fn command(&self, command: Command) {
        // The thread ends only after this side is gone; were it dead of a bug, lines would be
        // dropped and counted by the senders as their rings fill.
        let _ = self.commands.send(command);
        self.shared.bell.wake();
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.shared.is_hurried.store(true, Ordering::Relaxed);
        // The thread sees the closed channel; a field is dropped only after this body.
        let (closed, _) = channel();
        drop(std::mem::replace(&mut self.commands, closed));
        self.shared.bell.wake();
    }
}

fn open(target: &LogTarget) -> io::Result<Sink> {
    let file = match target {
        LogTarget::Off => return Ok(None),
        // A file of its own for the descriptor: `io::Stdout` would buffer lines a second time.
        LogTarget::Stdout => File::from(io::stdout().as_fd().try_clone_to_owned()?),
        LogTarget::File(path) => OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            // Opening a pipe that nobody reads must fail, not wait. Files do not care.
            .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
            .open(path)?,
    };
    Ok(Some(Box::new(file)))
}

/// The thread's own.
struct Writer {
    rings: Vec<Consumer<u8>>,
    inbox: Receiver<Command>,
    out: Out,
    poll: Duration,
}

impl Writer {
    fn run(mut self) {
        let mut polls_empty = 0;
        loop {
            // Commands are taken before the rings are looked at, and obeyed after: whatever was
            // pushed before a command was given is then out.
            let command = self.inbox.try_recv();
            let fullest = self.drain();
            match command {
                Ok(Command::Swap(sink)) => self.out.swap(sink),
                Ok(Command::Flush(done)) => drop(done.send(())),
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
                Err(std::sync::mpsc::TryRecvError::Empty) => {
                    polls_empty = if fullest == 0 { polls_empty + 1 } else { 0 };
                    self.pause(fullest, polls_empty);
                }
            }
        }
    }

    fn pause(&self, fullest: usize, polls_empty: u32) {
        if polls_empty >= POLLS_EMPTY_MAX {
            let has_lines = || self.rings.iter().any(|ring| !ring.is_empty());
            self.out.shared.bell.sleep_unless(has_lines);
        } else if fullest < bounds::LOG_RING_BYTES / 4 {
            self.out.shared.bell.doze(self.poll);
        }
    }

    /// Writes all that is in the rings now, one write a ring. Returns the bytes that the fullest
    /// one held.
    fn drain(&mut self) -> usize {
        let mut fullest = 0;
        for ring in &mut self.rings {
            let bytes = ring.slots();
            fullest = fullest.max(bytes);
            if bytes > 0 {
                // Lines are pushed whole, so what is there ends at the end of a line.
                let chunk = ring.read_chunk(bytes).expect("they were counted above");
                self.out.write(chunk);
            }
        }
        fullest
    }
}

/// The target, and what happens when it does not take what it should.
struct Out {
    sink: Sink,
    shared: Arc<Shared>,
    /// How long to wait between two tries of a target that is full for the moment.
    poll: Duration,
    /// The target was waited for in vain: not again before it has taken something.
    is_stuck: bool,
    /// An error cut a line: the next one must not be joined to its stump.
    is_torn: bool,
    /// When the last warning was given.
    warned: Option<Instant>,
}

impl Out {
    fn new(sink: Sink, shared: Arc<Shared>, poll: Duration) -> Self {
        Self {
            sink,
            shared,
            poll,
            is_stuck: false,
            is_torn: false,
            warned: None,
        }
    }

    fn swap(&mut self, sink: Sink) {
        self.sink = sink;
        self.is_stuck = false;
        self.is_torn = false;
    }

    /// Writes whole lines. On an error the rest of them is counted as lost.
    fn write(&mut self, chunk: ReadChunk<'_, u8>) {
        let (first, second) = chunk.as_slices();
        if self.sink.is_some() {
            let written = self.write_parts([first, second]);
            if let Err((error, rest)) = written {
                let lost = rest.iter().map(|part| lines(part)).sum();
                self.failed(&error, lost);
            }
        }
        chunk.commit_all();
    }

    /// Writes two parts in turn; on an error, says what was left.
    fn write_parts<'a>(
        &mut self,
        mut parts: [&'a [u8]; 2],
    ) -> Result<(), (io::Error, [&'a [u8]; 2])> {
        if self.is_torn {
            self.write_some(&[IoSlice::new(b"\n")])
                .map_err(|error| (error, parts))?;
            self.is_torn = false;
        }
        let mut is_line_begun = false;
        while parts.iter().any(|part| !part.is_empty()) {
            let slices = parts.map(IoSlice::new);
            let written = self.write_some(&slices).map_err(|error| {
                self.is_torn = is_line_begun;
                (error, parts)
            })?;
            is_line_begun = advance(&mut parts, written);
        }
        Ok(())
    }

    /// One write that took something. Waits a while for a target that is full for the moment.
    fn write_some(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let sink = self.sink.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let mut full_since = None;
        loop {
            match sink.write_vectored(slices) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.is_stuck = false;
                    let bytes = &self.shared.bytes_written;
                    bytes.fetch_add(written as u64, Ordering::Relaxed);
                    return Ok(written);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let now = clock::now();
                    let waited = now.since(*full_since.get_or_insert(now));
                    self.is_stuck |= waited >= PATIENCE;
                    if self.is_stuck || self.shared.is_hurried.load(Ordering::Relaxed) {
                        return Err(error);
                    }
                    thread::park_timeout(self.poll);
                }
                Err(error) => return Err(error),
            }
        }
    }

    #[cold]
    fn failed(&mut self, error: &io::Error, lost: u64) {
        self.shared.lines_lost.fetch_add(lost, Ordering::Relaxed);
        self.shared.write_errors.fetch_add(1, Ordering::Relaxed);
        let now = clock::now();
        let is_due = self
            .warned
            .is_none_or(|warned| now.since(warned) >= WARNING_INTERVAL);
        if is_due {
            self.warned = Some(now);
            let total = self.shared.lines_lost.load(Ordering::Relaxed);
            tracing::warn!(%error, lines_lost_total = total, "the access log cannot be written");
        }
    }
}

/// Takes `written` bytes from the front of the parts. Says whether they ended inside a line.
fn advance(parts: &mut [&[u8]; 2], written: usize) -> bool {
    let mut left = written;
    let mut last = b'\n';
    for part in parts {
        let taken = left.min(part.len());
        if taken > 0 {
            last = part[taken - 1];
        }
        *part = &part[taken..];
        left -= taken;
    }
    last != b'\n'
}

fn lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests;
