//! Where connections come from: each listener's loop on one worker.

use crate::{
    net::{Accepted, Listener},
    observe::Closed,
    proxy::{Core, connection},
};
use nix::sys::resource::{Resource, getrlimit};
use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

/// Descriptors kept for what is neither a client's connection nor an origin's: listeners, logs,
/// probes, the admin API.
const DESCRIPTORS_KEPT: usize = 32;

/// Connections of clients that the process's descriptors leave room for on one of `workers`: each
/// may need a second descriptor, for an origin. Clients alone must not take all of them, or none
/// of their requests could be served.
pub(super) fn connections_room(workers: usize) -> usize {
    let descriptors = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, _)) => usize::try_from(soft).unwrap_or(usize::MAX),
        Err(_) => usize::MAX,
    };
    (descriptors.saturating_sub(DESCRIPTORS_KEPT) / 2 / workers.max(1)).max(1)
}

/// Connections accepted before other tasks get a turn.
const BATCH: usize = 64;

/// How long a worker does not accept after the process ran out of descriptors or memory: the
/// backlog waits, and neither the CPU nor the log fills up.
const PAUSE: Duration = Duration::from_millis(250);

/// How often a worker that holds all the connections that it may looks whether one has ended.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// The stop signal of one loop.
#[derive(Debug, Default)]
pub(super) struct Accepting {
    stopped: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Accepting {
    /// Ends the loop once it has taken what waits.
    pub(super) fn stop(&self) {
        self.stopped.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Waits until the listener has somebody, or the loop is to end.
    async fn ready(&self, listener: &Listener) -> io::Result<()> {
        let mut ready = pin!(listener.ready());
        poll_fn(|cx| {
            if self.stopped.get() {
                return Poll::Ready(Ok(()));
            }
            self.waker.replace(Some(cx.waker().clone()));
            ready.as_mut().poll(cx)
        })
        .await
    }
}

/// Accepts until told to stop; then takes what has been waiting and closes the socket.
pub(super) async fn accept(core: Rc<Core>, listener: Listener, accepting: Rc<Accepting>) {
    while !accepting.stopped.get() {
        if accepting.ready(&listener).await.is_err() {
            monoio::time::sleep(PAUSE).await;
        }
        for _ in 0..BATCH {
            if !core.has_room() {
                monoio::time::sleep(FULL_PAUSE).await;
                break;
            }
            match listener.accept(core.driver) {
                Ok(accepted) => begin(&core, accepted),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    pause(&core, &error).await;
                    break;
                }
            }
        }
    }
    // Who is in the backlog has been told that the connection stands: closing would reset it.
    while let Ok(accepted) = listener.accept(core.driver) {
        begin(&core, accepted);
    }
    listener.stop();
}

/// An error that says something of the connection that was to be accepted, not of the process.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

#[cold]
async fn pause(core: &Core, error: &io::Error) {
    // One line for a run of errors: the counter tells how long it was.
    if core.cells.accept_errors.read().is_power_of_two() || core.cells.accept_errors.read() == 0 {
        tracing::warn!(%error, worker = core.worker, "cannot accept connections for now");
    }
    core.cells.accept_errors.add(1);
    monoio::time::sleep(PAUSE).await;
}

fn begin(core: &Rc<Core>, accepted: Accepted) {
    core.cells.connections_accepted.add(1);
    core.cells.connections_open.up();
    core.connections.set(core.connections.get() + 1);
    let core = Rc::clone(core);
    monoio::spawn(async move {
        {
            let mut life = pin!(connection(Rc::clone(&core), accepted.stream, accepted.peer));
            // A bug in one connection must not end the worker, and all the others with it.
            poll_fn(|cx| {
                let poll = catch_unwind(AssertUnwindSafe(|| life.as_mut().poll(cx)));
                poll.unwrap_or_else(|_| {
                    core.cells.panics.add(1);
                    core.cells.closed(Closed::Panic);
                    Poll::Ready(())
                })
            })
            .await;
        }
        core.cells.connections_open.down();
        core.connections.set(core.connections.get() - 1);
        core.let_go.set(core.let_go.get() + 1);
    });
}
