//! Where snapshots that nobody serves any more are freed: on a thread of its own.
//!
//! A snapshot of 100,000 routes takes milliseconds to free. The control plane sends each one here
//! as it is replaced, and workers send theirs as they let go; the thread holds it until it is the
//! last to do so.

use super::compiler::step_back;
use crate::{observe::Registry, snapshot::Snapshot};
use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

/// How often it looks whether a snapshot has become its own.
const LOOK: Duration = Duration::from_millis(200);

/// Starts the thread; what is sent to it is freed in time. It ends when all senders are gone.
///
/// # Errors
/// If the system gives no thread.
pub(super) fn start(metrics: Arc<Registry>) -> io::Result<mpsc::Sender<Arc<Snapshot>>> {
    let (sender, inbox) = mpsc::channel();
    thread::Builder::new()
        .name("reaper".into())
        .spawn(move || {
            step_back();
            reap(&inbox, &metrics);
        })?;
    Ok(sender)
}

fn reap(inbox: &mpsc::Receiver<Arc<Snapshot>>, metrics: &Registry) {
    // At most one entry a generation that is still in somebody's hands.
    let mut held: Vec<Arc<Snapshot>> = Vec::new();
    loop {
        let received = match held.is_empty() {
            true => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false => inbox.recv_timeout(LOOK),
        };
        match received {
            Ok(snapshot) => {
                if !held.iter().any(|known| Arc::ptr_eq(known, &snapshot)) {
                    held.push(snapshot);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let before = held.len();
        held.retain(|snapshot| Arc::strong_count(snapshot) > 1);
        if held.len() < before {
            metrics.sweep();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock,
        control::compile::{Addresses, Canaries, Kept, Sources, compile},
        guard, model,
        upstream::States,
    };
    use std::path::Path;

    fn snapshot(metrics: &Registry) -> Arc<Snapshot> {
        let text = "listeners: [{ address: '127.0.0.1:0' }]\napis: { a: { stages: { s: {} }, \
                    routes: { GET /: { integration: { type: mock } } } } }\n";
        let checked = model::read("a.yaml", text, Path::new("/")).unwrap();
        let (mut buckets, mut states) = (guard::Buckets::default(), States::default());
        let mut canaries = Canaries::new();
        let mut kept = Kept {
            buckets: &mut buckets.draft(),
            metrics,
            gates: &mut guard::Gates::default(),
            states: &mut states,
            canaries: &mut canaries,
            now: clock::now(),
            keys: &Arc::default(),
        };
        Arc::new(compile(&checked, &Sources::new(), &Addresses::new(), 1, &mut kept).unwrap())
    }

    #[test]
    fn a_snapshot_is_freed_by_the_thread_once_it_is_the_last_holder() {
        let metrics = Arc::new(Registry::new(1));
        let snapshot = snapshot(&metrics);
        let watched = Arc::downgrade(&snapshot);
        let (sender, inbox) = mpsc::channel();
        let thread = thread::spawn(move || reap(&inbox, &metrics));
        // As a worker does: it sends a share while it still has its own.
        sender.send(Arc::clone(&snapshot)).unwrap();
        sender.send(Arc::clone(&snapshot)).unwrap();
        assert!(watched.upgrade().is_some());
        drop(snapshot);
        let freed = (0..1_000).any(|_| {
            thread::park_timeout(Duration::from_millis(10));
            watched.strong_count() == 0
        });
        assert!(freed);
        drop(sender);
        thread.join().unwrap();
    }
}
