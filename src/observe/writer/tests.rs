//! The log's thread: what is written, what is lost, and what is told of it.

use super::*;
use crate::observe::{Format, Record};
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
        let (mut ring, mut bytes) = RingBuffer::new(16);
        ring.push_entire_slice(batch.as_bytes()).unwrap();
        out.write(bytes.read_chunk(bytes.slots()).unwrap());
        assert!(bytes.is_empty());
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
fn a_full_ring_drops_whole_lines_and_counts_them() {
    let cells = cells(1);
    let (ring, mut out) = RingBuffer::new(100);
    let mut sender = LogSender::new(ring, Arc::default(), Arc::clone(&cells[0]));
    let format = plain();
    for _ in 0..7 {
        sender.line(&format, &record(&[b'x'; 29]));
    }
    sender.line(&format, &record(b"short"));
    assert_eq!(cells[0].log_lines_dropped.read(), 4);
    let mut bytes = vec![0; out.slots()];
    out.pop_entire_slice(&mut bytes).unwrap();
    let expected = format!("{0}\n{0}\n{0}\nshort\n", "x".repeat(29));
    assert_eq!(String::from_utf8(bytes).unwrap(), expected);
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
    // Without a pause between its looks the writer sleeps within microseconds: each line races
    // with it.
    let (writer, mut senders) =
        LogWriter::start_with(LogTarget::Off, sink, &cells(1), Duration::ZERO).unwrap();
    let format = plain();
    for n in 0..20_000_u32 {
        senders[0].line(&format, &record(b"/"));
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
    senders[0].line(&format, &record(b"before"));
    assert_eq!(writer.flush(LONG), LogEnd::Drained);
    std::fs::rename(dir.path("a"), dir.path("a.1")).unwrap();
    senders[0].line(&format, &record(b"between"));
    writer.reopen().unwrap();
    assert_eq!(writer.flush(LONG), LogEnd::Drained);
    senders[0].line(&format, &record(b"after"));
    writer.retarget(dir.target("b")).unwrap();
    assert_eq!(writer.flush(LONG), LogEnd::Drained);
    senders[0].line(&format, &record(b"elsewhere"));
    let missing = LogTarget::File(dir.path("none").join("log"));
    assert!(writer.retarget(missing).is_err());
    senders[0].line(&format, &record(b"still there"));
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
