//! The workers as the control plane sees them.
//!
//! `control` stands below `worker` and never imports it, so what it asks of workers stands here as
//! a trait, and `cli` puts the two together. Tests put something simpler in its place.

use crate::{
    model::checked::Driver,
    net::Bound,
    observe::{LogSender, WorkerCells},
    snapshot::{Published, Snapshot},
};
use std::{
    fmt, io,
    sync::{Arc, mpsc},
};
use tokio::sync::oneshot;

/// Which listener: a number that the control plane gives each of them, never twice.
pub type ListenerId = u64;

/// One answer of each worker. One that has ended gives none: its receiver says so at once.
pub type Answers<T> = Vec<oneshot::Receiver<T>>;

/// All workers of the process.
pub trait Fleet: fmt::Debug {
    /// A newer snapshot has been published. Answered with the generation then served.
    fn revalidate(&self) -> Answers<u64>;

    /// Listen here, too: one socket for each worker.
    fn listen(&self, id: ListenerId, sockets: Vec<Bound>) -> Answers<()>;

    /// Take what waits on these, then close them.
    fn unlisten(&self, ids: &[ListenerId]) -> Answers<()>;

    /// Stop listening, end idle connections, and every other after the request in flight.
    fn drain(&self);

    /// End now.
    fn stop(&self);

    /// Whether all have ended.
    fn is_finished(&self) -> bool;

    /// How they wait for the kernel, in words.
    fn driver(&self) -> &'static str;
}

/// What a fleet is made of.
#[derive(Debug)]
pub struct FleetParts {
    /// How they may wait for the kernel.
    pub driver: Driver,
    /// The snapshot to serve.
    pub published: Arc<Published>,
    /// The counters: one for each worker, which says how many there are.
    pub cells: Vec<Arc<WorkerCells>>,
    /// The ends of the access log: one for each worker.
    pub logs: Vec<LogSender>,
    /// Where snapshots go that a worker has done with.
    pub reaper: mpsc::Sender<Arc<Snapshot>>,
}

/// Starts a fleet.
pub type Launch = Box<dyn FnOnce(FleetParts) -> io::Result<Box<dyn Fleet>>>;
