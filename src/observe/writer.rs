//! The access log's one thread: it carries the workers' blocks of lines to a file or stdout.
//!
//! It sleeps until a block is handed over. What cannot be written is counted and left: a full disk
//! costs lines, never a request. It never looks into a line, and the workers never wait for it.

use super::{
    LogSender, WorkerCells,
    file::LogFile,
    sender::{Bell, LogReceiver, pair},
};
use crate::{
    bounds,
    clock::{self, Instant},
};
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
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

/// How long to wait between two tries of a target that is full for the moment.
const POLL: Duration = Duration::from_millis(100);

/// How long a target that is full for the moment (a pipe whose reader is slow) is waited for. Lines
/// wait in their blocks meanwhile.
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
    /// What was handed over before goes to the old sink; what comes after, to this one.
    Swap(Sink),
    /// Answers when all that was handed over before is out.
    Flush(Sender<()>),
}

type Sink = Option<Box<dyn Write + Send>>;

impl LogWriter {
    /// Opens `target` and starts the thread. The senders stand in the order of `cells`: one for
    /// each worker.
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
        let (senders, receivers) = cells
            .iter()
            .map(|cells| pair(Arc::clone(&shared.bell), Arc::clone(cells)))
            .unzip();
        let writer = Writer {
            receivers,
            inbox,
            out: Out::new(sink, Arc::clone(&shared), poll),
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

    /// Sends further lines to `target`; those in blocks that were handed
    /// over still go to the present one.
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

    /// Waits until every block handed over before this call is out or counted as lost. Blocks its
    /// caller: not for a worker.
    pub fn flush(&self, within: Duration) -> LogEnd {
        let (done, wait) = channel();
        self.command(Command::Flush(done));
        match wait.recv_timeout(within) {
            Ok(()) => LogEnd::Drained,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => LogEnd::Abandoned,
        }
    }

    /// Flushes and stops. The workers should have ended: what they hand over from now on may be
    /// lost.
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
        // dropped and counted by the senders as their blocks fill.
        let _ = self.commands.send(command);
        self.shared.bell.ring();
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.shared.is_hurried.store(true, Ordering::Relaxed);
        // The thread sees the closed channel; a field is dropped only after this body.
        let (closed, _) = channel();
        drop(std::mem::replace(&mut self.commands, closed));
        self.shared.bell.ring();
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
    Ok(Some(Box::new(LogFile::new(file))))
}

/// The thread's own.
struct Writer {
    receivers: Vec<LogReceiver>,
    inbox: Receiver<Command>,
    out: Out,
}

impl Writer {
    fn run(mut self) {
        loop {
            // Commands are taken before the blocks are looked at, and obeyed after: whatever was
            // handed over before a command was given is then out.
            let command = self.inbox.try_recv();
            let has_written = self.drain();
            match command {
                Ok(Command::Swap(sink)) => self.out.swap(sink),
                Ok(Command::Flush(done)) => drop(done.send(())),
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
                Err(std::sync::mpsc::TryRecvError::Empty) if has_written => {}
                Err(std::sync::mpsc::TryRecvError::Empty) => thread::park(),
            }
        }
    }

    /// Writes the blocks that were handed over, one write a block. Says whether there were any.
    fn drain(&mut self) -> bool {
        let mut has_written = false;
        for receiver in &mut self.receivers {
            // A worker that keeps handing over must not keep the others waiting.
            for _ in 0..bounds::LOG_BLOCKS_MAX {
                let Some(block) = receiver.next() else { break };
                self.out.write(block.lines());
                receiver.give_back(block);
                has_written = true;
            }
        }
        has_written
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
    fn write(&mut self, lines: &[u8]) {
        if self.sink.is_none() {
            return;
        }
        let mut rest = lines;
        if let Err(error) = self.write_all(&mut rest) {
            if let Some(last) = lines[..lines.len() - rest.len()].last() {
                self.is_torn = *last != b'\n';
            }
            self.failed(&error, count_lines(rest));
        }
    }

    /// Writes `rest` until nothing is left of it.
    fn write_all(&mut self, rest: &mut &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.write_some(b"\n")?;
            self.is_torn = false;
        }
        while !rest.is_empty() {
            let written = self.write_some(rest)?;
            *rest = &rest[written..];
        }
        Ok(())
    }

    /// One write that took something. Waits a while for a target that is full for the moment.
    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sink = self.sink.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let mut full_since = None;
        loop {
            match sink.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.is_stuck = false;
                    let total = &self.shared.bytes_written;
                    total.fetch_add(written as u64, Ordering::Relaxed);
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

fn count_lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests;
