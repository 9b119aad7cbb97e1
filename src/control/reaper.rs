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
