//! One core: a pinned thread with its own runtime, listeners, connections and pools.
//!
//! `cpus.rs` says how many there are and where, `runtime.rs` how one waits for the kernel,
//! `inbox.rs` how the control plane talks to it, `accept.rs` where connections come from,
//! `memory.rs` what is given back after a burst. It never decides anything about a request: that is
//! `proxy/`.

mod accept;
mod cpus;
mod inbox;
mod memory;
mod runtime;

pub use cpus::{Cpus, usable_cpus};
pub use inbox::{Command, Handle, ListenerId, Listening};
pub use memory::use_small_pages;
pub use runtime::DriverChoice;

use crate::{
    bounds::TICK_MS,
    observe::{LogSender, WorkerCells},
    proxy::{Core, CoreParts},
    snapshot::{Published, Snapshot},
};
use inbox::Inbox;
use std::{
    io,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

/// What a worker is started with.
#[derive(Debug)]
pub struct WorkerParts {
    /// The worker's number, from 0.
    pub worker: usize,
    /// How many workers there are.
    pub workers: usize,
    /// The CPU that it is pinned to; absent: where the kernel puts it.
    pub cpu: Option<usize>,
    /// How it may wait for the kernel.
    pub driver: DriverChoice,
    /// The snapshot to serve.
    pub published: Arc<Published>,
    /// The worker's counters.
    pub cells: Arc<WorkerCells>,
    /// The worker's end of the access log.
    pub log: LogSender,
    /// Where snapshots go that the worker has done with.
    pub reaper: mpsc::Sender<Arc<Snapshot>>,
    /// A seed for what is left to chance.
    pub seed: u64,
}

/// Starts a worker. It serves from the moment that it is told to listen, until it is told to stop.
///
/// # Errors
/// No thread, no pair of sockets, or no runtime by the driver asked for.
pub fn start(parts: WorkerParts) -> io::Result<Handle> {
    let (inbox, outbox) = inbox::pair()?;
    let (ready, begun) = mpsc::sync_channel(1);
    let cells = Arc::clone(&parts.cells);
    let thread = thread::Builder::new()
        .name(format!("worker-{}", parts.worker))
        .spawn(move || {
            if let Some(cpu) = parts.cpu {
                cpus::pin(cpu);
            }
            runtime::run(parts.driver, &ready, |driver| {
                // Once is enough: a runtime that could be built has been.
                let _ = parts.cells.driver.set(driver.name());
                serve(parts, driver, inbox)
            });
        })?;
    // The runtime is built in the thread (its ring must be), and may not be to be had.
    match begun.recv() {
        Ok(Ok(driver)) => Ok(Handle::new(outbox, thread, driver, cells)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::other("the worker ended as it began")),
    }
}

async fn serve(parts: WorkerParts, driver: crate::net::Driver, inbox: Inbox) {
    let core = Core::new(CoreParts {
        worker: parts.worker,
        workers: parts.workers,
        driver,
        published: parts.published,
        cells: parts.cells,
        log: parts.log,
        reaper: parts.reaper,
        seed: parts.seed,
        connections_room: accept::connections_room(parts.workers),
    });
    let ticking = std::rc::Rc::clone(&core);
    monoio::spawn(async move {
        let mut memory = memory::Memory::default();
        loop {
            monoio::time::sleep(Duration::from_millis(TICK_MS)).await;
            ticking.tick();
            memory.tick(&ticking);
        }
    });
    inbox.run(&core).await;
    core.flush_log();
}
