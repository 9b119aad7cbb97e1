//! The log's thread: what is written, what is lost, and what is told of it.

use super::*;
use crate::observe::{Block, Format, Record};
use std::{
    collections::VecDeque,
    os::unix::fs::PermissionsExt as _,
    sync::Mutex,
    sync::mpsc::{Receiver, Sender},
};

/// Long enough that only a hang reaches it.
const LONG: Duration = Duration::from_secs(20);

fn cells(workers: usize) -> Vec<Arc<WorkerCells>> {
    (0..workers).map(|_| Arc::default()).collect()
}

fn plain() -> Format {
    Format::parse("$context.path").unwrap()
}

fn record(path: &[u8]) -> Record<'_> {
    Record {
        path,
        ..Record::example()
    }
}

/// A sink that does what it is told, write by write, and then takes all.
struct Scripted {
    script: VecDeque<Step>,
    taken: Arc<Mutex<Vec<u8>>>,
}

enum Step {
    Take(usize),
    Fail(io::ErrorKind),
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = match self.script.pop_front() {
            Some(Step::Take(n)) => n.min(bytes.len()),
            Some(Step::Fail(kind)) => return Err(kind.into()),
            None => bytes.len(),
        };
        self.taken.lock().unwrap().extend(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[track_caller]
fn check(script: impl IntoIterator<Item = Step>, expected: &str, lines_lost: u64) {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let sink = Scripted {
        script: script.into_iter().collect(),
        taken: Arc::clone(&taken),
    };
    let shared = Arc::new(Shared::default());
    let mut out = Out::new(Some(Box::new(sink)), Arc::clone(&shared), Duration::ZERO);
    for batch in ["one\ntwo\n", "three\n", "four\n"] {
        out.write(batch.as_bytes());
    }
    assert_eq!(String::from_utf8_lossy(&taken.lock().unwrap()), expected);
    assert_eq!(shared.lines_lost.load(Ordering::Relaxed), lines_lost);
}

#[test]
#[rustfmt::skip]
fn what_a_target_refuses_is_lost_and_nothing_else() {
    use Step::{Fail, Take};
    use io::ErrorKind::{BrokenPipe, Interrupted, StorageFull, WouldBlock};
    check([],                                      "one\ntwo\nthree\nfour\n", 0);
    check([Take(2), Take(1), Take(4)],             "one\ntwo\nthree\nfour\n", 0);
    check([Fail(Interrupted), Fail(WouldBlock)],   "one\ntwo\nthree\nfour\n", 0);
    check([Fail(StorageFull)],                     "three\nfour\n",           2);
    check([Take(4), Fail(StorageFull)],            "one\nthree\nfour\n",      1);
    check([Take(6), Fail(StorageFull)],            "one\ntw\nthree\nfour\n",  1);
    check([Take(6), Fail(StorageFull), Fail(StorageFull)], "one\ntw\nfour\n", 2);
    check([Fail(BrokenPipe), Fail(BrokenPipe), Fail(BrokenPipe)], "",         4);
    check([Take(0)],                               "three\nfour\n",           2);
}

#[test]
fn lines_of_all_workers_arrive_whole_and_in_order() {
    let dir = Dir::new("order");
    let cells = cells(3);
    let (writer, senders) = LogWriter::start(dir.target("log"), &cells).unwrap();
    let threads: Vec<_> = senders
        .into_iter()
        .enumerate()
        .map(|(worker, mut sender)| {
            thread::spawn(move || {
                let format = plain();
                for n in 0..5_000 {
                    sender.line(&format, &record(format!("{worker} {n}").as_bytes()));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(writer.flush(LONG), LogEnd::Drained);
    let mut next = [0; 3];
    for line in dir.read("log").lines() {
        let (worker, n) = line.split_once(' ').unwrap();
        let next = &mut next[worker.parse::<usize>().unwrap()];
        assert_eq!(n, next.to_string());
        *next += 1;
    }
    assert_eq!(next, [5_000; 3]);
    let dropped: u64 = cells.iter().map(|c| c.log_lines_dropped.read()).sum();
    assert_eq!(dropped, 0);
    assert_eq!(writer.counts().bytes_written, dir.read("log").len() as u64);
}

#[test]
fn a_writer_that_falls_behind_costs_whole_lines_and_they_are_counted() {
    let cells = cells(1);
    let (mut sender, mut receiver) = pair(Arc::default(), Arc::clone(&cells[0]));
    let format = plain();
    let path = [b'x'; 8_000];
    let (mut sent, mut kept) = (0, 0);
    while cells[0].log_lines_dropped.read() < 4 {
        sender.line(&format, &record(&path));
        sent += 1;
    }
    let is_whole = |line: &[u8]| line == path;
    let mut count = |block: &Block| {
        let lines = block.lines().strip_suffix(b"\n").expect("whole lines");
        assert!(lines.split(|byte| *byte == b'\n').all(is_whole));
        kept += count_lines(block.lines());
    };
    // One block given back, and there is room again.
    let block = receiver.next().expect("a full block");
    count(&block);
    receiver.give_back(block);
    sender.line(&format, &record(&path));
    assert_eq!(cells[0].log_lines_dropped.read(), 4);
    drop(sender);
    while let Some(block) = receiver.next() {
        count(&block);
    }
    assert_eq!(kept, sent - 4 + 1);
    assert!(kept * 8_001 > (bounds::LOG_BLOCKS_MAX * bounds::LOG_BLOCK_BYTES * 3 / 4) as u64);
}

#[test]
fn blocks_that_a_burst_left_are_let_go() {
    let cells = cells(1);
    let (mut sender, mut receiver) = pair(Arc::default(), Arc::clone(&cells[0]));
    let format = plain();
    while receiver.next().is_none() {
        sender.line(&format, &record(&[b'x'; 8_000]));
    }
    let mut waiting = Vec::new();
    for _ in 0..200 {
        sender.line(&format, &record(&[b'x'; 8_000]));
        waiting.extend(receiver.next());
    }
    let burst = waiting.len();
    assert!(burst > 16);
    waiting
        .into_iter()
        .for_each(|block| receiver.give_back(block));
    for _ in 0..2 * burst {
        sender.flush();
    }
    // As many more as there were need as many new ones, so nothing is lost.
    for _ in 0..200 {
        sender.line(&format, &record(&[b'x'; 8_000]));
        if let Some(block) = receiver.next() {
            receiver.give_back(block);
        }
    }
    assert_eq!(cells[0].log_lines_dropped.read(), 0);
}

/// A sink that says when bytes came.
struct Told(Sender<usize>);

impl Write for Told {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.send(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_wake_up_is_lost() {
    let (told, arrived): (Sender<usize>, Receiver<usize>) = channel();
    let sink: Sink = Some(Box::new(Told(told)));
    // The writer sleeps within microseconds: each block races with it.
    let (writer, mut senders) =
        LogWriter::start_with(LogTarget::Off, sink, &cells(1), Duration::ZERO).unwrap();
    let format = plain();
    for n in 0..20_000_u32 {
        senders[0].line(&format, &record(b"/"));
        senders[0].flush();
        let bytes = arrived.recv_timeout(LONG);
        assert_eq!(bytes, Ok(2), "line {n}");
        for _ in 0..n % 97 * 8 {
            std::hint::spin_loop();
        }
    }
    assert_eq!(writer.stop(LONG), LogEnd::Drained);
}

#[test]
fn reopening_and_retargeting_lose_no_line() {
    let dir = Dir::new("rotate");
    let (mut writer, mut senders) = LogWriter::start(dir.target("a"), &cells(1)).unwrap();
    let format = plain();
    let mut log = |path| {
        senders[0].line(&format, &record(path));
        senders[0].flush();
    };
    log(b"before");
    assert_eq!(writer.flush(LONG), LogEnd::Drained);
    std::fs::rename(dir.path("a"), dir.path("a.1")).unwrap();
    log(b"between");
    writer.reopen().unwrap();
    assert_eq!(writer.flush(LONG), LogEnd::Drained);
    log(b"after");
    writer.retarget(dir.target("b")).unwrap();
    assert_eq!(writer.flush(LONG), LogEnd::Drained);
    log(b"elsewhere");
    let missing = LogTarget::File(dir.path("none").join("log"));
    assert!(writer.retarget(missing).is_err());
    log(b"still there");
    assert_eq!(writer.stop(LONG), LogEnd::Drained);
    assert_eq!(dir.read("a.1"), "before\nbetween\n");
    assert_eq!(dir.read("a"), "after\n");
    assert_eq!(dir.read("b"), "elsewhere\nstill there\n");
}

#[test]
fn a_new_file_is_not_for_everybody() {
    let dir = Dir::new("mode");
    let (_writer, _senders) = LogWriter::start(dir.target("log"), &[]).unwrap();
    let mode = std::fs::metadata(dir.path("log")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o137, 0);
}

#[test]
fn a_full_disk_is_counted() {
    let full = LogTarget::File("/dev/full".into());
    let (writer, mut senders) = LogWriter::start(full, &cells(1)).unwrap();
    for _ in 0..3 {
        senders[0].line(&plain(), &record(b"/"));
    }
    senders[0].flush();
    assert_eq!(writer.flush(LONG), LogEnd::Drained);
    assert_eq!(writer.counts().lines_lost, 3);
    assert_eq!(writer.counts().bytes_written, 0);
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_neither_start_nor_stop() {
    let dir = Dir::new("pipe");
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
    nix::unistd::mkfifo(&dir.path("pipe"), mode).unwrap();
    assert!(LogWriter::start(dir.target("pipe"), &cells(1)).is_err());
    let _reader = OpenOptions::new()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
        .open(dir.path("pipe"))
        .unwrap();
    let (writer, mut senders) = LogWriter::start(dir.target("pipe"), &cells(1)).unwrap();
    let long = [b'x'; 8_000];
    for _ in 0..40 {
        senders[0].line(&plain(), &record(&long));
    }
    senders[0].flush();
    assert_eq!(writer.stop(Duration::from_millis(20)), LogEnd::Abandoned);
}

/// A directory that goes with the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let unique = format!("sluice-log-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn target(&self, name: &str) -> LogTarget {
        LogTarget::File(self.path(name))
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
