//! How the control plane talks to a worker: a queue of commands, and a byte that wakes.
//!
//! The worker's runtime has no wakers that other threads may use, and the hot path does better
//! without; so a command is put into a queue and one byte into a socket that the worker reads.

use super::accept::{Accepting, accept};
use crate::{
    net::{Bound, Driver, Listener, Stream},
    observe::WorkerCells,
    proxy::Core,
};
use std::{
    collections::HashMap,
    io::{self, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    rc::Rc,
    sync::{Arc, mpsc},
    thread::JoinHandle,
};
use tokio::sync::oneshot;

/// Which listener: a number that the control plane gives each of them.
pub type ListenerId = u64;

/// A socket for a worker to listen on.
#[derive(Debug)]
pub struct Listening {
    /// Its number.
    pub id: ListenerId,
    /// The socket.
    pub bound: Bound,
}

/// What a worker can be told.
#[derive(Debug)]
pub enum Command {
    /// A newer snapshot has been published: take it. Answered with the generation now served.
    Revalidate(oneshot::Sender<u64>),
    /// Listen on these sockets, too.
    Listen(Vec<Listening>, oneshot::Sender<()>),
    /// Take what waits on these, then close them.
    Unlisten(Vec<ListenerId>, oneshot::Sender<()>),
    /// Stop listening and end connections as soon as nothing is in flight on them. The worker
    /// lives on until it is told to stop: who asked sees in its cells when all are gone.
    Drain,
    /// End now.
    Stop,
}

/// A worker, as the control plane sees it.
#[derive(Debug)]
pub struct Handle {
    outbox: Outbox,
    thread: Option<JoinHandle<()>>,
    /// How it waits for the kernel.
    pub driver: Driver,
    /// Its counters.
    pub cells: Arc<WorkerCells>,
}

#[derive(Debug)]
pub(super) struct Outbox {
    commands: mpsc::Sender<Command>,
    wake: UnixStream,
}

impl Handle {
    pub(super) fn new(
        outbox: Outbox,
        thread: JoinHandle<()>,
        driver: Driver,
        cells: Arc<WorkerCells>,
    ) -> Self {
        Self {
            outbox,
            thread: Some(thread),
            driver,
            cells,
        }
    }

    /// Tells the worker something. A worker that has ended hears nothing, and its answer is that
    /// the sender in the command is dropped.
    pub fn tell(&self, command: Command) {
        if self.outbox.commands.send(command).is_ok() {
            // A full socket holds bytes enough to wake anybody.
            let _ = (&self.outbox.wake).write(&[1]);
        }
    }

    /// Whether the worker has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the worker's end. Blocks: for a worker that was told to end.
    pub fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been logged by the hook.
            let _ = thread.join();
        }
    }
}

/// The worker's end.
pub(super) struct Inbox {
    commands: mpsc::Receiver<Command>,
    wake: UnixStream,
}

pub(super) fn pair() -> io::Result<(Inbox, Outbox)> {
    let (sender, receiver) = mpsc::channel();
    let (theirs, ours) = UnixStream::pair()?;
    theirs.set_nonblocking(true)?;
    Ok((
        Inbox {
            commands: receiver,
            wake: ours,
        },
        Outbox {
            commands: sender,
            wake: theirs,
        },
    ))
}

impl Inbox {
    /// Does what it is told until it is told to stop.
    pub(super) async fn run(self, core: &Rc<Core>) {
        let wake = std::net::TcpStream::from(OwnedFd::from(self.wake));
        let mut wake = match Stream::adopt(wake, core.driver) {
            Ok(wake) => wake,
            Err(error) => return tracing::error!(%error, "a worker cannot hear and ends"),
        };
        let mut listeners = HashMap::new();
        let mut bytes = core.buffers.rent();
        loop {
            while let Ok(command) = self.commands.try_recv() {
                if matches!(command, Command::Stop) {
                    return;
                }
                obey(command, core, &mut listeners).await;
            }
            bytes.clear();
            // The control plane's end closes when the process ends.
            if !matches!(wake.read.fill(&mut bytes, 0).await, Ok(1..)) {
                return;
            }
        }
    }
}

/// A listener's loop.
struct Open {
    accepting: Rc<Accepting>,
    ended: monoio::task::JoinHandle<()>,
}

async fn obey(command: Command, core: &Rc<Core>, listeners: &mut HashMap<ListenerId, Open>) {
    match command {
        Command::Revalidate(answer) => {
            core.revalidate();
            // Who asked may have given up waiting.
            let _ = answer.send(core.view().snapshot.generation);
        }
        Command::Listen(sockets, answer) => {
            for Listening { id, bound } in sockets {
                match Listener::new(bound) {
                    Ok(listener) => {
                        let accepting = Rc::new(Accepting::default());
                        let loops = accept(Rc::clone(core), listener, Rc::clone(&accepting));
                        let ended = monoio::spawn(loops);
                        listeners.insert(id, Open { accepting, ended });
                    }
                    Err(error) => tracing::error!(%error, "a worker cannot listen"),
                }
            }
            let _ = answer.send(());
        }
        Command::Unlisten(ids, answer) => {
            for open in ids.iter().filter_map(|id| listeners.remove(id)) {
                open.accepting.stop();
                // What waited has been taken and the socket is closed when the answer is given.
                open.ended.await;
            }
            let _ = answer.send(());
        }
        Command::Drain => {
            for (_, open) in listeners.drain() {
                open.accepting.stop();
            }
            core.drain();
        }
        Command::Stop => {}
    }
}
